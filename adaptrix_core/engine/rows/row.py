"""A row: one sequence being generated, with everything that is its own. Engine thread only."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import Counter
from dataclasses import dataclass, field

from torch import Tensor

from adaptrix_core.digests import WeightsDigest
from adaptrix_core.engine.cache.kv_cache import BlockTables
from adaptrix_core.engine.deferred import Deferred
from adaptrix_core.engine.groups.ensemble import Ensemble
from adaptrix_core.engine.groups.switching import Switching
from adaptrix_core.engine.request import FinishReason, GenerationRequest, Timings
from adaptrix_core.engine.rows.constraint import Constraint
from adaptrix_core.engine.rows.detokenizer import TextStream
from adaptrix_core.engine.rows.prompt_logprobs import PromptLogprobs
from adaptrix_core.engine.rows.token_mask import TokenMask
from adaptrix_core.engine.scheduling.quarantine import Suspicion
from adaptrix_core.injection.mix import Mix, MixSchedule, mix_at, weights_digests_of

EXPECTED_OUTPUT = 256
"""Expected further tokens of an answer without a limit, however long it is already."""


@dataclass(eq=False)
class Row:
    """State of one sequence: ``tokens`` holds prompt and output, ``computed`` says how many have keys and values."""

    request: GenerationRequest
    index: int
    schedule: MixSchedule
    max_tokens: int
    tables: BlockTables
    text: TextStream
    constraint: Constraint | None = None
    mask: TokenMask | None = None
    eos_token_ids: frozenset[int] = frozenset()
    """The model's own ends."""
    chunk_limit: int | None = None
    """Tokens computed per step at most; None leaves it to the step's budget."""
    prompt_logits: list[Tensor] | None = None
    """Logits of every prompt token, collected for rows that ask for them; None for others."""
    prompt_logprobs: PromptLogprobs | None = None
    """Scores the prompt's tokens, for rows that ask for that and have not told them yet."""
    leader: Row | None = None
    """The row that computes this row's prompt first (the first one of a fork); None for a row that computes its own."""
    number: int = 0
    """Place in the order of arrival, from 1 on; 0 until the row is queued."""
    num_overtaken: int = 0
    """Rows behind this one that joined while its device slots were not to be had."""
    tokens: list[int] = field(default_factory=list)
    held_slots: frozenset[WeightsDigest] | None = None
    """Adapters whose device slots the row holds; None while it holds nothing."""
    finish_reason: FinishReason | None = None
    stop_reason: str | int | None = None
    """The stop string, or the token of ``stop_token_ids``, that ended it."""
    arrived: float = field(default_factory=time.perf_counter)
    started: float | None = None
    first_token: float | None = None
    load_s: float = 0.0
    """Seconds that putting its adapters on the device took, the last time before it began."""
    num_preemptions: int = 0
    output_counts: Counter[int] = field(default_factory=Counter)
    suspicion: Suspicion | None = None
    """Set while the row may be what breaks steps (`engine/scheduling/quarantine.py`)."""
    deferred: Deferred | None = None
    """How its mix will be settled, while that is open: until then only the trunk is computed. None: it is settled."""
    switching: Switching | None = None
    """The changes of mix that it makes by itself; None for a row that makes none."""
    ensemble: Ensemble[Row] | None = None
    """The rows with which it chooses every token; None for a row that chooses alone."""
    enters_branch: bool = False
    """Whether its mix was settled at the cut, and what the trunk has computed goes on in the branch."""

    def __post_init__(self) -> None:
        if not self.tokens:
            self.tokens = list(self.request.prompt_token_ids)
        self.flow = (self.request.salt, weights_digests_of(self.schedule))
        """(tenant, adapters) when the row was queued: the party whose share of the engine it uses."""
        self.computed = [0 for _ in self.tables]
        """Tokens computed, by span; never more in a span than in the one below it."""
        self.keys: list[list[bytes]] = [[] for _ in self.tables]
        """Keys of the first full blocks, by span (`engine/cache/prefix.py`)."""
        self.taken_over = [0 for _ in self.tables]
        """Tokens found in the cache, by span; counted anew after a preemption."""
        self.num_named = [0 for _ in self.tables]
        """Blocks that other rows can find, by span."""
        seed = self.request.params.seed
        self._seed = secrets.randbits(62) if seed is None else seed

    @property
    def deadline(self) -> float | None:
        """Time on `time.perf_counter` at which the row ends, finished or not; None for never."""
        timeout_s = self.request.timeout_s
        return None if timeout_s is None else self.arrived + timeout_s

    @property
    def num_computed(self) -> int:
        """Tokens computed in every layer; in the trunk, while the mix is not settled."""
        return self.computed[-1] if self.deferred is None else self.computed[0]

    @property
    def waits_for_mix(self) -> bool:
        """Whether its trunk is computed and its mix is not settled, so that nothing more can be."""
        return self.deferred is not None and self.num_computed == len(self.tokens)

    @property
    def together(self) -> tuple[Row, ...]:
        """The rows that join, wait and end together: its ensemble, or the row alone."""
        return (self,) if self.ensemble is None else self.ensemble.members

    @property
    def voice(self) -> Row:
        """The row whose events tell of it."""
        return self if self.ensemble is None else self.ensemble.voice

    @property
    def waits_for_others(self) -> bool:
        """Whether the next step computes nothing of it: its mix is not told, or others of its ensemble come first."""
        if self.ensemble is None:
            return self.waits_for_mix
        return self.num_uncomputed == 0 or not (self.is_ready or self.num_computed)

    @property
    def is_ready(self) -> bool:
        """Whether the row may join: it has no leader that is still computing the prompt."""
        leader = self.leader
        if leader is None or leader.finish_reason is not None:
            return True
        return leader.deferred is None and leader.num_computed >= self.num_prompt

    @property
    def priority(self) -> int:
        """Lower is more urgent."""
        return self.request.priority

    @property
    def is_decoding(self) -> bool:
        """Whether the row's stream has begun and goes on with its next step."""
        return self.num_output > 0 and self.num_uncomputed == 1

    @property
    def num_prompt(self) -> int:
        """Length of the prompt in tokens."""
        return len(self.request.prompt_token_ids)

    @property
    def num_output(self) -> int:
        """Tokens generated so far."""
        return len(self.tokens) - self.num_prompt

    @property
    def computes_whole_prompt(self) -> bool:
        """Whether nothing may be taken over from the cache, as every token's logits are wanted."""
        return self.prompt_logits is not None or self.prompt_logprobs is not None

    @property
    def output(self) -> list[int]:
        """The tokens generated so far."""
        return self.tokens[self.num_prompt :]

    def ends_with(self, token_id: int) -> bool:
        """Whether a token is an end of the answer: one of the model's own, or one that the request names."""
        params = self.request.params
        return token_id in params.stop_token_ids or (token_id in self.eos_token_ids and not params.ignore_eos)

    @property
    def num_uncomputed(self) -> int:
        """Known tokens without keys and values; one during decode."""
        return len(self.tokens) - self.num_computed

    @property
    def num_pending(self) -> int:
        """Tokens still to compute; an answer without a limit is expected to go on for `EXPECTED_OUTPUT` more."""
        left = self.max_tokens - self.num_output
        return self.num_uncomputed + (
            left if self.request.params.max_tokens is not None else min(left, EXPECTED_OUTPUT)
        )

    @property
    def num_settled(self) -> int:
        """Tokens that a switch with kept history leaves under their mixes: all that the output was computed from.

        After a preemption these are more than the tokens with keys and values; they are recomputed as they were.
        """
        return len(self.tokens) - 1 if self.num_output else self.num_computed

    @property
    def needed_adapters(self) -> frozenset[WeightsDigest]:
        """Adapters of the tokens that are still to be computed."""
        coming = tuple(entry for entry in self.schedule if entry[0] > self.num_computed)
        return weights_digests_of(((0, self.mix_at(self.num_computed)), *coming))

    @property
    def mix(self) -> Mix:
        """The mix that the next token is computed under."""
        return self.mix_at(len(self.tokens))

    def mix_at(self, position: int) -> Mix:
        """The mix of the token at ``position``."""
        return mix_at(self.schedule, position)

    def uniform(self) -> float:
        """A number in [0, 1) for the next token: a function of seed, choice and position only."""
        choice = self.index % self.request.params.n
        key = f"{self._seed}|{choice}|{len(self.tokens)}".encode()
        return (int.from_bytes(hashlib.sha256(key).digest()[:8], "big") >> 11) / 2**53

    def timings(self) -> Timings:
        """The row's times and counts, for its last event."""
        now = time.perf_counter()
        return Timings(
            queued_s=(now if self.started is None else self.started) - self.arrived,
            first_token_s=0.0 if self.first_token is None else self.first_token - self.arrived,
            total_s=now - self.arrived,
            load_s=self.load_s,
            arrived_at=time.time() - (now - self.arrived),
            taken_over=tuple(self.taken_over),
            num_preemptions=self.num_preemptions,
        )

    def restart(self) -> None:
        """Forget all keys and values, but not the tokens: all of them will be computed again."""
        self.computed = [0 for _ in self.tables]
        self.num_named = [0 for _ in self.tables]
        self.enters_branch = False
        if self.prompt_logits is not None:
            self.prompt_logits.clear()

    def change_schedule(self, schedule: MixSchedule, kept_blocks: int) -> None:
        """Replace the schedule by one that is equal over the first ``kept_blocks`` blocks."""
        self.schedule = schedule
        for keys in self.keys:
            del keys[kept_blocks:]

    def append(self, token_id: int) -> None:
        """Add a generated token."""
        self.tokens.append(token_id)
        self.output_counts[token_id] += 1
        if self.first_token is None:
            self.first_token = time.perf_counter()
