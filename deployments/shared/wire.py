"""The records that ingress, replicas and store exchange.

Plain frozen data that pickles quickly and means the same in every process. Knows no Ray, no HTTP and no tensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from adaptrix_core.adapters.residency.tiers import Residency
from adaptrix_core.base.chat_options import ORDINARY, ChatOptions
from adaptrix_core.composition.manifests.signed_step import SignedStep
from adaptrix_core.composition.parts import Beginning, Switch
from adaptrix_core.confidence.evidence import Spread, TokenAttention
from adaptrix_core.digests import BundleDigest, WeightsDigest
from adaptrix_core.engine.rows.output_form import OutputForm
from adaptrix_core.errors import AdaptrixError
from adaptrix_core.injection.mix import Term
from adaptrix_core.routing.trunk.deferral import Deferral, SettledChoice
from adaptrix_core.routing.trunk.route_answer import RouteAnswer as RouteAnswer
from deployments.shared.entry import Refusal

PLAIN = "pickle"
"""Serializer of these records, by Ray Serve's name for it. Its default, cloudpickle, which also handles closures, takes
twice the time."""

BundleMix = tuple[Term[BundleDigest], ...]
"""A mix as the ingress resolved it; ``()`` is the base model alone."""

Sampling = Mapping[str, tuple[float, str]]
"""Sampling defaults by name: (value, its source). Sources are named by `explained` in the core."""


@dataclass(frozen=True)
class RowSoFar:
    """The tokens of one row that the client has already."""

    token_ids: tuple[int, ...] = ()
    is_finished: bool = False
    logprobs: tuple[float, ...] = ()
    """Of these tokens, where changes of mix depend on them; else empty."""


@dataclass(frozen=True)
class GenerateCall:
    """One prompt for one replica, resolved once at the ingress so that any replica could serve it."""

    request_id: str
    prompt: str | tuple[int, ...] | tuple[Mapping[str, Any], ...]
    """Raw text, token ids, or chat messages ``{"role", "content"}``, some with calls of functions."""
    mixes: tuple[BundleMix, ...]
    """One mix per fork; one entry means no fork. Of a deferred call the one that answers if nothing else is settled."""
    sampling: Mapping[str, Any]
    """Keyword arguments of ``SamplingParams``; the seed is already chosen."""
    switches: tuple[tuple[Switch[BundleDigest], ...], ...] = field(default=(), kw_only=True)
    """For each mix, the changes of it in mid-answer; empty for none."""
    beginnings: tuple[Beginning[BundleDigest], ...] = field(default=(), kw_only=True)
    """Of a call with one mix: others that its answer begins under instead, by what its question is about."""
    began: int | None = field(default=None, kw_only=True)
    """Of a call that is resumed: what the pieces before have told (`Piece.began`)."""
    shares: tuple[float, ...] = field(default=(), kw_only=True)
    """For each mix, its share where one token is chosen for all of them; empty where each chooses its own."""
    signed: SignedStep | None = field(default=None, kw_only=True)
    """The step of a composition with a name that this is. Its manifest says under which adapters it is computed; in the
    mixes here, the composition stands for them."""
    salt: bytes
    """Salt of the tenant's cache keys."""
    cache_salt: bytes = field(default=b"", kw_only=True)
    """Keeps apart what is cached for the tenant's own users, and in the times between which a key of it was revoked."""
    chat: ChatOptions = ORDINARY
    """How chat messages become the prompt."""
    keep_last: int | None = None
    """Tokens of the prompt's end that are kept; -1: as many as the context has room for; None: all or a refusal."""
    echo: bool = False
    """Whether the answer's text begins with the prompt's."""
    output_form: OutputForm | None = None
    """What the text must look like; None for free text."""
    priority: int = 0
    """Lower is more urgent."""
    timeout_s: float | None = None
    """Seconds after its arrival at the replica at which the call ends, finished or not; None for never."""
    is_streamed: bool = True
    """Whether the client reads the answer while it is generated."""
    is_alone: bool = True
    """Whether its request has no other prompts."""
    refused_by: tuple[str, ...] = ()
    """Replicas that have just refused this call."""
    trace: Mapping[str, str] = field(default_factory=dict)
    """W3C trace context headers of the request; empty where it is not traced."""
    resume: tuple[RowSoFar, ...] = ()
    """One entry per row where another replica has begun the call, which this one continues
    (`generation/continue_elsewhere.py`)."""
    is_suspect: bool = False
    """Whether the call itself may have ended the replicas that it has lost."""
    deferred: Deferral | None = None
    """How the replica settles who answers; None: ``mixes`` says so."""

    @property
    def grammar_field(self) -> str | None:
        """The field of the request that its grammar is made from."""
        if self.chat.toolset is not None:
            return "tools"
        return None if self.output_form is None else self.output_form.field

    @property
    def rows_per_mix(self) -> int:
        """Answers under each mix: ``n``."""
        return int(self.sampling.get("n", 1))

    @property
    def tells_of_prompt(self) -> bool:
        """Whether the answer shows the prompt's text or its tokens' log-probabilities."""
        return self.echo or self.sampling.get("prompt_logprobs") is not None

    @property
    def num_rows(self) -> int:
        """Answers to the prompt: ``n`` for each mix."""
        return self.rows_per_mix * (1 if self.shares else len(self.mixes))

    @property
    def all_mixes(self) -> tuple[BundleMix, ...]:
        """The mixes that rows begin under, those that they may change to, then those that a question may decide for."""
        changed = (switch.mix for switches in self.switches for switch in switches)
        return (*self.mixes, *changed, *(one.mix for one in self.beginnings))


@dataclass(frozen=True)
class Likely:
    """One candidate of a token position, with its natural-log probability."""

    token: str
    token_id: int
    logprob: float
    data: bytes | None = None
    """The token's own bytes, possibly part of a character; None where it is not part of the text."""


def numbered_token(token_id: int) -> str:
    """A token by its number, as vLLM writes it: for tokens that have no text of their own."""
    return f"token_id:{token_id}"


@dataclass(frozen=True)
class RowTimes:
    """The times of a row in seconds, measured by its engine (`Timings` in the core)."""

    queued_s: float
    load_s: float
    """Duration of the last part of ``queued_s``: copying adapters to the device."""
    prefill_s: float
    """From joining the batch to the first token; 0.0 without one."""
    decode_s: float
    """From the first token to the end."""
    total_s: float
    taken_over: tuple[int, ...]
    """Tokens found in the cache, by span."""
    num_preemptions: int
    replica: str = ""
    """Which replica's engine it is; empty where that is not known."""


@dataclass(frozen=True)
class PromptToken:
    """A token of the prompt, as likely as those before it make it."""

    chosen: Likely
    rank: int
    """1 for the likeliest of the vocabulary."""
    top: tuple[Likely, ...]


@dataclass(frozen=True)
class PromptSeen:
    """The prompt as the replica read it, for answers that tell of it."""

    text: str
    first: Likely
    """Its first token; the log-probability means nothing, as no token precedes it."""
    scored: tuple[PromptToken, ...] | None
    """The tokens from the second on; None where they were not scored."""


class Piece(NamedTuple):
    """One token of one row. Every row ends in exactly one piece with ``finish_reason``.

    A tuple because there is one for every token: it is made and unpickled in a fraction of a dataclass's time.
    """

    row: int
    token_id: int | None
    position: int
    text: str
    """Whole characters only; may be empty while a character is incomplete."""
    logprob: Likely | None
    top: tuple[Likely, ...]
    finish_reason: str | None
    error: str | None
    prompt_tokens: int
    times: RowTimes | None = None
    """On a row's last piece only."""
    prompt_token_ids: tuple[int, ...] = ()
    """On a call's first piece only: the prompt as the replica read it."""
    failure: AdaptrixError | None = None
    """The error itself, with its code, where the row has ended in one."""
    stop_reason: str | int | None = None
    """On a row's last piece: the stop string, or the token of ``stop_token_ids``, that ended it."""
    prompt: PromptSeen | None = None
    """On the first piece of the first row of each mix, where the answer tells of the prompt."""
    cached_tokens: int = 0
    """On a row's last piece: tokens of the prompt that needed no computing in any layer."""
    switched_to: int | None = None
    """Number of the change of mix that takes hold after this token."""
    began: int | None = None
    """On a row's first piece: number of the beginning that its question has decided for, counted on from the number of
    the call's changes of mix; None where no rule held."""
    step: int | None = None
    """Number of the step of a sequence, from 0 on, that it belongs to."""
    is_inner: bool = False
    """Whether it is of a step before the last one, so that its text is no part of the answer."""
    other_tokens: int = 0
    """Tokens that were generated for the answer and that no piece tells of: those of votes that were lost."""
    settled: SettledChoice | None = None
    """On a deferred call's first piece only: who answers, where the replica has settled that."""
    call_form: str | None = None
    """On a call's first piece: how its text writes calls, by name (`tools/call_form.py`); None where it may not."""
    spread: Spread | None = None
    attention: TokenAttention | None = None
    computed_by: tuple[str, str] | None = None
    """On a call's first piece, where it asks for log-probabilities: the base model's digest, and its layout."""


@dataclass(frozen=True)
class Holding:
    """An adapter or a composition that a replica fetched, verified and can serve."""

    weights_digest: WeightsDigest | None
    """None for a composition."""
    signer: Signer | None
    """None where nothing was verified."""
    residency: Residency
    """Never absent."""
    warnings: tuple[str, ...] = ()
    sampling: Sampling = field(default_factory=dict)


@dataclass(frozen=True)
class Signer:
    """A trusted key that, as a replica verified, has signed a package."""

    key: str
    """Fingerprint of the key."""
    name: str
    """The key's name among the trusted keys."""


@dataclass(frozen=True)
class Verdict:
    """The result of verifying the bundle that a staged entry offers."""

    refusal: Refusal | None = None
    """None: it is good."""
    signer: Signer | None = None
    """None where nothing was verified."""


@dataclass(frozen=True)
class AdapterNumbers:
    """One replica's counts for one bundle, for /metrics."""

    rows_running: int = 0
    rows_waiting: int = 0
    counts: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Number since the replica started, by ``hit | load | eviction``, then by tier (``device | host | disk``)."""


@dataclass(frozen=True)
class Report:
    """The report that each replica sends to the store, about once a second."""

    replica_id: str
    base_id: str
    context_length: int
    catalogue_version: str
    """The catalogue that this replica has caught up with."""
    held: Mapping[BundleDigest, Holding] = field(default_factory=dict)
    refused: Mapping[BundleDigest, Refusal] = field(default_factory=dict)
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    """Verdicts on the staged entries, by revision."""
    stats: Mapping[str, float] = field(default_factory=dict)
    """Numbers of the engine, for /metrics."""
    adapters: Mapping[BundleDigest, AdapterNumbers] = field(default_factory=dict)
    """Counts by bundle; bundles without any are left out."""
    revocations: int = 0
    """Number of the revocation list in force on this replica."""
    actor_id: str | None = None
    """Ray's id of the replica's process; None where it is no actor."""
    sampling: Sampling = field(default_factory=dict)
    """Sampling defaults of the base model alone."""


@dataclass(frozen=True)
class Revoked:
    """The result of putting a revocation list in force."""

    number: int
    confirmed: tuple[str, ...]
    """Replicas that have it."""
    waiting: tuple[str, ...]
    """Live replicas that have not confirmed it yet; each refuses all adapters once its lease ends."""
