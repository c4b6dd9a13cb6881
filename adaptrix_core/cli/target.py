"""The target of a command: a running server or a local engine, behind one interface.

Everything here is data and a protocol; `remote.py` and `local.py` implement it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol, Self

from adaptrix_core.cli.confidence.told_confidence import ToldConfidence
from adaptrix_core.digests import PackageDigest

Message = Mapping[str, str]
"""``{"role": …, "content": …}``"""

OnText = Callable[[str], None]
"""Called with each piece of an answer as it comes."""


@dataclass(frozen=True, kw_only=True)
class TargetRequest:
    """One question. None means the server's or engine's own default."""

    messages: Sequence[Message]
    model: str = "auto"
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    seed: int | None = None
    stop: Sequence[str] = ()
    ignore_eos: bool = False
    schema: Mapping[str, Any] | None = None
    """A JSON schema that the answer must satisfy."""
    anchor: Literal["layer", "token"] | None = None
    """Whether, and how, the mix is anchored on the prompt (`context/anchoring.py`). Local engines only."""
    compose: Mapping[str, Any] | None = None
    """A composition of adapters that answers; None: ``model`` says who does."""
    confidence: bool = False
    """Whether it is to be told how sure the answer is."""
    min_confidence: float | None = None
    """The least confidence of an answer that is given, above 0 and below 1."""
    fallback: Sequence[str] = ()
    """What comes after a less sure answer, in turns; empty: the text says that there is none."""

    def asking(self, text: str) -> TargetRequest:
        """The same request with a user's ``text`` after the messages."""
        return replace(self, messages=(*self.messages, {"role": "user", "content": text}))

    def sampling(self) -> dict[str, Any]:
        """The sampling fields that were given, under the names that the HTTP API and SamplingParams share."""
        given = {
            "max_tokens": self.max_tokens,
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "min_p": self.min_p,
            "presence_penalty": self.presence_penalty,
            "frequency_penalty": self.frequency_penalty,
            "repetition_penalty": self.repetition_penalty,
            "seed": self.seed,
            "stop": list(self.stop) or None,
            "ignore_eos": self.ignore_eos or None,
        }
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer to one TargetRequest."""

    text: str
    adapter: str
    """The adapter or mix that answered: ``base``, a name, or ``a*0.7+b*0.3``."""
    package_digests: str | None
    """Package digests in the order of ``adapter``, joined by ``+``; None for the base model."""
    route_score: float | None
    finish_reason: str
    num_prompt_tokens: int
    num_completion_tokens: int
    first_token_s: float
    duration_s: float
    steps: Sequence[Mapping[str, str]] = ()
    """The ``adapter`` and the ``text`` of each earlier step, where a sequence answers."""
    confidence: ToldConfidence | None = None
    """How sure it is; None where nobody asked."""

    @property
    def is_an_answer(self) -> bool:
        """Whether the text is somebody's answer, and not words in the place of one."""
        return self.confidence is None or self.confidence.instead_of_an_answer is None

    def as_dict(self) -> dict[str, Any]:
        """The JSON form that `--json` and batch files use."""
        return {
            "text": self.text,
            "adapter": self.adapter,
            "digest": self.package_digests,
            "route_score": self.route_score,
            "finish_reason": self.finish_reason,
            "usage": {"prompt_tokens": self.num_prompt_tokens, "completion_tokens": self.num_completion_tokens},
            "first_token_s": round(self.first_token_s, 4),
            "duration_s": round(self.duration_s, 4),
            **({"steps": [dict(step) for step in self.steps]} if self.steps else {}),
            **({} if self.confidence is None else self.confidence.as_dict()),
        }

    def footer(self) -> str:
        """One line with the answering adapter, the router's score, how sure the answer is, and the time."""
        score = "" if self.route_score is None else f" · route score {self.route_score:.2f}"
        length = f"{self.num_completion_tokens} tokens · {self.duration_s:.1f} s"
        who, sure = self.adapter, ""
        if self.confidence is not None:
            who, sure = self.confidence.who(self.adapter), f" · {self.confidence.in_words()}"
        return f"[{who}{score}{sure} · {length} · {self.finish_reason}]"


@dataclass(frozen=True, kw_only=True)
class AdapterRow:
    """One adapter as a target knows it."""

    name: str
    version: str
    package_digest: PackageDigest | None
    signer: str | None
    description: str
    residency: Mapping[str, str] = field(default_factory=dict)
    """Replica id -> device | host | disk | absent."""
    sampling: Mapping[str, Mapping[str, Any]] | None = None
    """Sampling defaults by name: the ``value`` and its source (``from``); None where unknown."""

    @property
    def active(self) -> bool:
        """Whether some replica holds the weights in memory."""
        return any(place in ("device", "host") for place in self.residency.values())

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {
            "name": self.name,
            "version": self.version,
            "digest": self.package_digest,
            "signer": self.signer,
            "description": self.description,
            "residency": dict(self.residency),
            "active": self.active,
            "sampling": self.sampling,
        }


@dataclass(frozen=True, kw_only=True)
class Embeddings:
    """Vectors of some texts, in order."""

    model: str
    vectors: Sequence[Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class Room:
    """How long messages are, and how long they may be."""

    tokens: int
    """Of the prompt."""
    characters: int
    """Of all messages."""
    context: int
    """Most tokens of prompt and answer together."""

    @property
    def tokens_per_character(self) -> float:
        """What a character of such messages takes of the context."""
        return self.tokens / max(1, self.characters)


class Target(Protocol):
    """A server or a local engine. All methods raise AdaptrixError."""

    async def __aenter__(self) -> Self: ...
    async def __aexit__(self, *exc: object) -> None: ...

    async def chat(self, request: TargetRequest, on_text: OnText | None = None) -> Answer:
        """Answer one request; cancelling the call aborts the generation."""
        ...

    async def adapters(self) -> list[AdapterRow]:
        """Every adapter in the catalogue, resident or not."""
        ...

    async def show(self, name: str) -> dict[str, Any]:
        """All facts about one adapter: its row of `adapters`, digests, signer, and `about_package`."""
        ...

    async def show_mix(self, name: str) -> dict[str, Any]:
        """The base model (`BASE`) or a mix: its ``parts``, and the ``calibrations`` of its confidence."""
        ...

    async def model_names(self) -> list[str]:
        """The names that a request may use as its model, without mixes."""
        ...

    async def check_model(self, model: str) -> None:
        """Raise AdaptrixError, with the nearest names, unless ``model`` (a mix, too) can be asked."""
        ...

    async def measure(self, messages: Sequence[Message]) -> Room:
        """How many tokens these messages have as a prompt, and what the context holds."""
        ...

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """One vector per text, by the router's embedder."""
        ...

    async def load_adapter(self, path: str, name: str | None, allow_downgrade: bool = False) -> dict[str, Any]:
        """Make an adapter usable; returns what was loaded. allow_downgrade: also where its name meant a newer one."""
        ...

    async def unload_adapter(self, name: str, allow_downgrade: bool = False) -> dict[str, Any]:
        """Drain and forget an adapter. allow_downgrade: also where its name then means an older one."""
        ...

    async def feedback(self, messages: Sequence[Message], right: str, learn: bool = False) -> dict[str, Any]:
        """Tell the router who should answer: an adapter's name, or `BASE`; what has changed. learn: with the text."""
        ...

    async def label_answer(self, adapter: str, confidence: float, right: bool) -> dict[str, Any]:
        """Say whether an answer was right, which ``adapter`` (or `BASE`) gave with this confidence; what has changed:
        how many ``labels`` count, and ``moved_log_odds``, how far its threshold is moved."""
        ...

    async def route(self, messages: Sequence[Message]) -> dict[str, Any]:
        """Explain the routing decision for ``messages`` without generating."""
        ...

    async def status(self) -> dict[str, Any]:
        """Health, models and residency."""
        ...
