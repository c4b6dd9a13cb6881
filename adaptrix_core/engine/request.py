"""The engine's input and output: plain records, no behaviour beyond checking themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from adaptrix_core.composition.parts import Switch
from adaptrix_core.confidence.evidence import Spread, TokenAttention
from adaptrix_core.digests import WeightsDigest
from adaptrix_core.engine.deferred import Deferred
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.mix import Mix, MixSchedule, check_schedule
from adaptrix_core.request_limits import MOST, SAMPLING_RANGES, Range
from adaptrix_core.sampling import NAMES, OURS, SamplingDefaults, first_opinions

FinishReason = Literal["stop", "length", "abort", "error", "deadline_exceeded"]


UNSET: Any = None
"""The value of a field that is left open: to the adapter, the model, then our own defaults."""


@dataclass(frozen=True)
class SamplingParams:
    """Parameters by which tokens are chosen; names and meanings are vLLM's. A bad value raises InvalidRequest.

    Fields that are `UNSET` get their value from `with_defaults` (`sampling.py` has the rule).
    """

    max_tokens: int | None = 64
    """Most tokens to generate; None means up to the model's context."""
    temperature: float = UNSET
    """0 is greedy."""
    top_p: float = UNSET
    top_k: int = UNSET
    """0 keeps the whole vocabulary."""
    min_p: float = UNSET
    seed: int | None = None
    """Sampling noise is a function of (seed, choice, position) alone."""
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    """Tokens that end the answer, beside the model's own ends; as these they are no part of its text."""
    include_stop_str_in_output: bool = False
    """Whether the stop string or stop token that ended the answer is part of its text."""
    ignore_eos: bool = False
    min_tokens: int = 0
    """Tokens before which nothing ends the answer: ends are not chosen, and stop strings not looked for."""
    skip_special_tokens: bool = True
    """Whether special tokens are left out of the text."""
    bad_words: tuple[str, ...] = ()
    """Texts that are not generated, neither at the beginning nor after a space."""
    allowed_token_ids: tuple[int, ...] | None = None
    """The only tokens that may be chosen; None for all."""
    logprobs: int | None = None
    """Number of the likeliest tokens that are reported beside the chosen one; None reports nothing."""
    prompt_logprobs: int | None = None
    """As ``logprobs``, for the prompt's own tokens; all of the prompt is then computed, whatever the cache holds."""
    spread: bool = False
    """Whether the spread of each token's distribution is reported: its entropy, and the margin over the second."""
    attention: bool = False
    """Whether it is reported from which attention each token was chosen (`TokenAttention`)."""
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = UNSET
    n: int = 1
    logit_bias: Mapping[int, float] | None = None
    grammar: str | None = None
    """A grammar in llguidance's serialised form that the text must match (see `engine/rows/constraint.py`)."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if value is not None and entry.name in SAMPLING_RANGES and entry.name != "logit_bias":
                _check_number(entry.name, value, SAMPLING_RANGES[entry.name])
        if isinstance(self.stop, str):
            raise InvalidRequest("stop is one string; give a sequence of strings", param="stop")
        if len(self.stop) > MOST.stops or not all(isinstance(s, str) and s for s in self.stop):
            raise InvalidRequest(
                f"stop has {len(self.stop)} entries; give at most {MOST.stops} strings, none of them empty",
                param="stop",
            )
        self._check_masks()
        if len(biases := self.logit_bias or {}) > MOST.biases:
            raise InvalidRequest(
                f"logit_bias names {len(biases)} tokens; the limit is {MOST.biases}", param="logit_bias"
            )
        for token, bias in biases.items():
            _check_number(f"logit_bias of token {token}", bias, SAMPLING_RANGES["logit_bias"], param="logit_bias")

    def _check_masks(self) -> None:
        texts = self.bad_words
        if isinstance(texts, str) or len(texts) > MOST.bad_words or not all(isinstance(s, str) and s for s in texts):
            raise InvalidRequest(
                f"bad_words has {len(texts)} entries; give a sequence of at most {MOST.bad_words} texts, none of them "
                "empty",
                param="bad_words",
            )
        allowed = self.allowed_token_ids
        if allowed is not None and not 1 <= len(allowed) <= MOST.allowed_tokens:
            raise InvalidRequest(
                f"allowed_token_ids has {len(allowed)} entries; give 1 to {MOST.allowed_tokens}",
                param="allowed_token_ids",
            )
        if len(self.stop_token_ids) > MOST.stop_tokens:
            raise InvalidRequest(
                f"stop_token_ids has {len(self.stop_token_ids)} entries; give at most {MOST.stop_tokens}",
                param="stop_token_ids",
            )
        if self.max_tokens is not None and self.min_tokens > self.max_tokens:
            raise InvalidRequest(
                f"min_tokens is {self.min_tokens}, more than max_tokens, {self.max_tokens}", param="min_tokens"
            )

    def with_defaults(self, *sources: SamplingDefaults | None) -> SamplingParams:
        """A copy with every unset field filled from the first source that has a value for it, else with our default.

        A request for several choices wants different ones, so a default of greedy does not hold where ``n`` is above 1.
        """
        unset = [name for name in NAMES if getattr(self, name) is None]
        if not unset:
            return self
        if self.n > 1:
            sources = tuple(source and source.unless_greedy() for source in sources)
        values = first_opinions(*sources, OURS).named()
        return replace(self, **{name: values[name] for name in unset})

    @property
    def tells_probabilities(self) -> bool:
        """Whether a token comes with numbers of the distribution that it was chosen from."""
        return self.logprobs is not None or self.spread

    @property
    def is_greedy(self) -> bool:
        """Whether the likeliest token is always taken."""
        return self.temperature == 0.0


@dataclass(frozen=True)
class RowProgress:
    """The progress of a row on another engine, for an engine that continues it."""

    token_ids: tuple[int, ...] = ()
    """Generated so far."""
    is_finished: bool = False
    """Whether the row has had its final event; it is then not continued."""
    logprobs: tuple[float, ...] = ()
    """Natural-log probabilities of the tokens, where changes of its mix depend on them; else empty."""


@dataclass(frozen=True)
class GenerationRequest:
    """One prompt, to be continued under one or several mix schedules (a *group* of rows).

    Rows are numbered ``fork_index * params.n + choice``.
    """

    request_id: str
    prompt_token_ids: tuple[int, ...]
    params: SamplingParams = field(default_factory=SamplingParams)
    """Fields that are unset get our defaults; those of adapters and model are filled in before."""
    schedules: tuple[MixSchedule, ...] = (((0, ()),),)
    salt: bytes = b""
    """The tenant: part of every cache key, and the party that fair sharing counts for."""
    cache_salt: bytes = field(default=b"", kw_only=True)
    """Part of every cache key too, but of no share: keeps the prompts of a tenant's own users apart."""
    priority: int = 0
    """Lower is more urgent, as in vLLM: served earlier, preempted later."""
    resume: tuple[RowProgress, ...] = ()
    """One entry per row: the output of another engine, to be continued as if it were this one's. Empty: from the start.

    Only new tokens make events. Row numbers, positions, noise, penalties, stop strings, grammar and the count towards
    ``max_tokens`` are those of an undisturbed run.
    """
    timeout_s: float | None = None
    """Seconds after its arrival in the engine at which the request ends, whatever it has by then; None for never."""
    is_suspect: bool = False
    """Whether it may have hung another engine: its rows are then computed apart from others at first."""
    switches: tuple[tuple[Switch[WeightsDigest], ...], ...] = ()
    """One entry per schedule: the changes of mix that its rows make by themselves. Empty: none."""
    shares: tuple[float, ...] = ()
    """One entry per schedule where their rows choose each token together, by the mean of their log-probabilities that
    these weigh; rows are then numbered by choice alone. Empty: each row chooses by itself."""
    deferred: Deferred | None = None
    """How it is settled who answers, once the trunk is computed; the schedule is then the base's. None: settled."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", self.params.with_defaults())
        if self.timeout_s is not None and not self.timeout_s > 0:
            raise InvalidRequest(f"timeout_s is {self.timeout_s!r}; it must be above 0", param="timeout_s")
        _check_number("priority", self.priority, SAMPLING_RANGES["priority"])
        if not self.prompt_token_ids:
            raise InvalidRequest("the prompt is empty; send at least one token", param="prompt")
        if not self.schedules:
            raise InvalidRequest("the request names no mix schedule; give at least one", param="schedules")
        for schedule in self.schedules:
            check_schedule(schedule)
        if self.resume and len(self.resume) != self.num_rows:
            raise InvalidRequest(
                f"resume has {len(self.resume)} entries; give one for each of the {self.num_rows} rows"
            )
        if not self.open_rows:
            raise InvalidRequest("resume says that every row has ended; nothing is left to go on with")
        if self.deferred is not None:
            self._check_deferred(self.deferred)

    def _check_deferred(self, deferred: Deferred) -> None:
        if self.resume or self.schedules != (((0, ()),),):
            raise InvalidRequest(
                "a request whose mix is deferred has no mixes of its own and nothing to resume; leave one of them out",
                param="deferred",
            )
        deferred.check(len(self.prompt_token_ids))

    @property
    def num_rows(self) -> int:
        """Rows that are told of."""
        return self.params.n * (1 if self.shares else len(self.schedules))

    @property
    def open_rows(self) -> list[int]:
        """Numbers of the rows that have not ended."""
        ended = {number for number, row in enumerate(self.resume) if row.is_finished}
        return [number for number in range(self.num_rows) if number not in ended]


@dataclass(frozen=True)
class Timings:
    """The times of a row, in seconds since its arrival unless stated otherwise; measured in the engine."""

    queued_s: float = 0.0
    """Until it joined the running batch; its whole time where it never did."""
    first_token_s: float = 0.0
    """Until its first token; 0.0 without one."""
    total_s: float = 0.0
    load_s: float = 0.0
    """Duration of the last part of ``queued_s``: copying its adapters to the device."""
    arrived_at: float = 0.0
    """Seconds since the epoch."""
    taken_over: tuple[int, ...] = ()
    """Tokens found in the cache instead of being computed, by span."""
    num_preemptions: int = 0


@dataclass(frozen=True)
class ScoredToken:
    """One token of a prompt, as likely as the tokens before it make it."""

    token_id: int
    logprob: float
    """Natural logarithm of its probability."""
    rank: int
    """1 for the likeliest token of the vocabulary."""
    top_logprobs: tuple[tuple[int, float], ...] = ()
    """The likeliest tokens in its place."""


@dataclass(frozen=True)
class TokenEvent:
    """One step of one row. Every row ends in exactly one event whose ``finish_reason`` is set."""

    request_id: str
    index: int
    token_id: int | None = None
    """None on an event that carries no token (abort, error, or the last held-back text)."""
    position: int = 0
    """Position of the token in the row, the prompt included."""
    text: str = ""
    """New text: whole characters only, and nothing that may still become a stop string."""
    logprob: float | None = None
    top_logprobs: tuple[tuple[int, float], ...] = ()
    spread: Spread | None = None
    attention: TokenAttention | None = field(default=None, compare=False)
    finish_reason: FinishReason | None = None
    stop_reason: str | int | None = None
    """The stop string, or the token of ``stop_token_ids``, that ended the row."""
    error: str | None = None
    num_prompt_tokens: int = 0
    timings: Timings | None = None
    """On the row's last event only."""
    prompt_logprobs: tuple[ScoredToken, ...] | None = None
    """On the first event of the first row of each mix, where asked for: the prompt's tokens from the second on."""
    failure: BaseException | None = field(default=None, compare=False)
    """The exception behind ``error``: it has the code, and a caller in this process may raise it."""
    switched_to: int | None = None
    """Number of the change of mix that takes hold after this token (`GenerationRequest.switches`)."""
    step: int | None = None
    """Number of the step of a sequence, from 0 on, that it belongs to; None for answers in one step."""
    is_inner: bool = False
    """Whether that is an earlier step than the last, whose text is no part of the answer."""
    other_tokens: int = 0
    """On the last event of a vote: tokens of the answers that lost."""
    mix: Mix = ()
    """On the row's last event: what answered, by weights, as in `Completion`."""


@dataclass(frozen=True)
class Completion:
    """A finished row."""

    request_id: str
    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    mix: Mix
    weights_digest: WeightsDigest | None
    """Weights digest where the mix is a single adapter, else None."""
    num_prompt_tokens: int
    logprobs: tuple[float, ...] | None = None
    top_logprobs: tuple[tuple[tuple[int, float], ...], ...] | None = None
    spreads: tuple[Spread, ...] | None = None
    attentions: tuple[TokenAttention, ...] | None = field(default=None, compare=False)
    timings: Timings = Timings()
    prompt_logprobs: tuple[ScoredToken, ...] | None = None
    """See `TokenEvent`; None for the further choices of a prompt."""
    stop_reason: str | int | None = None
    """See `TokenEvent`."""
    error: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    """By estimator, how sure the answer is; no probabilities (`adaptrix_core.confidence`)."""
    schedule: MixSchedule = ()
    """The mixes that its tokens were computed under, by position; the last one is ``mix``."""
    made_of: tuple[Completion, ...] = ()
    """What a composition's answer was made of: its steps in order, the last one included, or the answers that voted.
    Their tokens are all that were generated."""
    confidence: float | None = None
    """The calibrated probability that the answer is right; None where it was not asked for, where the answer was cut
    off, and where nothing is calibrated for the base model, its layout and who answers."""


def _check_number(name: str, value: Any, allowed: Range, param: str | None = None) -> None:
    wanted = "a whole number" if allowed.is_whole else "a finite number"
    if type(value) not in ((int,) if allowed.is_whole else (int, float)) or not allowed.allows(value):
        raise InvalidRequest(f"{name} is {_shown(value)}; it must be {wanted} {allowed}", param=param or name)


def _shown(value: Any) -> str:
    """A value in the form that messages show; Python itself refuses to print integers of thousands of digits."""
    is_long = isinstance(value, int) and value.bit_length() > 128
    return f"a whole number of {value.bit_length()} bits" if is_long else repr(value)[:80]
