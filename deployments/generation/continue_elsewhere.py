"""Step 3 of the pipeline: another replica continues a call whose replica was lost, without a seam for the client.

For every row, the token ids that went to the client are kept. When a replica is lost, the same call goes out again with
them, so that the engine takes them as context and produces only what follows (`engine/rows/replay.py`). Digests and
seed are in the call since the ingress resolved them; the prompt goes out as the token ids that the first replica made,
because a chat template may contain the date. Knows no Ray: a replica is lost where `ReplicaLost` or `EngineStopped` is
raised, where it aborts a row whose client is still there, or where its stream ends before its rows have.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from adaptrix_core.errors import AdaptrixError, EngineHung, EngineStopped, InvalidRequest, Overloaded
from adaptrix_core.routing.trunk.deferral import SettledChoice
from deployments.shared.errors import ReplicaLost
from deployments.shared.wire import GenerateCall, Piece, RowSoFar, RowTimes

logger = logging.getLogger(__name__)

MAX_LOSSES = 5
"""Most replicas that one call may lose: a call that ends every replica it reaches must not end the whole cluster."""
MAX_HANGS = 1
"""Most replicas that may hang in a step with the call in it. The first time the cause may be another call of the step;
afterwards the call is computed apart from others (`is_suspect`)."""
SUSPECT_LOSSES = 2
"""Losses of any kind after which a call is computed apart from others."""
FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
"""Seconds of the backoff after a loss, which doubles from the first to the longest, with full jitter."""
PATIENCE_S = 60.0
"""Longest time, in seconds, that a call which has lost its replica retries replicas that are full, as they are then."""


@dataclass
class _Row:
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    first_token: float | None = None
    is_finished: bool = False

    def take(self, piece: Piece, keeps_logprobs: bool) -> None:
        if piece.token_id is not None:
            self.token_ids.append(piece.token_id)
            if keeps_logprobs and piece.logprob is not None:
                self.logprobs.append(piece.logprob.logprob)
            self.first_token = self.first_token or time.perf_counter()
        self.is_finished = piece.finish_reason is not None


class ContinueElsewhere:
    """The tokens of one call that its client has, and the decision what follows when its replica is lost."""

    def __init__(self, call: GenerateCall, on_loss: Callable[[], object]) -> None:
        """on_loss: called whenever the call has lost its replica and goes out again."""
        self._call = call
        self._on_loss = on_loss
        self._rows = [_Row() for _ in range(call.num_rows)]
        self._prompt_token_ids: tuple[int, ...] = ()
        self._settled: SettledChoice | None = None
        self._begun_under: int | None = None
        self._began = time.perf_counter()
        self._lost_at = 0.0
        self._losses = 0
        self._hangs = 0

    @property
    def is_finished(self) -> bool:
        """Whether every row has ended."""
        return all(row.is_finished for row in self._rows)

    def call(self) -> GenerateCall:
        """The call for the next replica, under a new id, as the last one may still be busy with the old."""
        if not self._losses:
            return self._call
        again = replace(
            self._call,
            request_id=f"{self._call.request_id}.{self._losses}",
            timeout_s=self._time_left(self._call.timeout_s),
            is_suspect=self._hangs > 0 or self._losses >= SUSPECT_LOSSES,
        )
        if not any(row.token_ids or row.is_finished for row in self._rows):
            return again
        if self._call.deferred is not None:  # the answer has begun, so what was settled for it holds
            mix = self._call.mixes[0] if self._settled is None else self._settled.mix
            again = replace(again, mixes=(mix,), deferred=None)
        resume = tuple(RowSoFar(tuple(row.token_ids), row.is_finished, tuple(row.logprobs)) for row in self._rows)
        prompt = self._prompt_token_ids or self._call.prompt
        return replace(again, prompt=prompt, resume=resume, began=self._begun_under)

    def take(self, pieces: Iterable[Piece]) -> list[Piece]:
        """Note the pieces that go to the client, and return them, without aborts that come from an ending engine."""
        kept = []
        for piece in pieces:
            self._prompt_token_ids = self._prompt_token_ids or piece.prompt_token_ids
            self._settled = self._settled or piece.settled
            self._begun_under = self._begun_under if piece.began is None else piece.began
            if piece.finish_reason != "abort" or piece.error is not None:
                self._rows[piece.row].take(piece, keeps_logprobs=bool(self._call.switches))
                kept.append(self._timed(piece))
        return kept

    async def goes_on_after(self, error: AdaptrixError) -> bool:
        """Whether the call continues after ``error``, which then is the replica's fault; waits for the backoff first.

        Raises ReplicaLost where the call has lost too many replicas, InvalidRequest (code request_hung) where they hang
        with it.
        """
        is_lost = isinstance(error, ReplicaLost | EngineStopped)
        if not is_lost and not (isinstance(error, Overloaded) and self._has_patience):
            return False
        if not self.is_finished:
            pause_s = self._lose(error) if is_lost else random.uniform(FIRST_PAUSE_S, LONGEST_PAUSE_S)
            await asyncio.sleep(pause_s)
        return True

    @property
    def _has_patience(self) -> bool:
        """Whether a call that has lost its replica still retries full ones."""
        return self._losses > 0 and time.perf_counter() - self._lost_at < PATIENCE_S

    def _lose(self, error: AdaptrixError) -> float:
        """Count a lost replica. Returns the seconds to back off; raises after too many losses."""
        self._losses += 1
        self._hangs += isinstance(error, EngineHung) and error.was_in_step
        self._lost_at = time.perf_counter()
        if self._hangs > MAX_HANGS:
            raise InvalidRequest(
                f"{self._hangs} replicas hung while they computed this request, so it is not tried again; change "
                "it, and report it",
                code="request_hung",
            ) from error
        if self._losses > MAX_LOSSES:
            raise ReplicaLost(
                f"this request lost {self._losses} replicas, and no more are tried; if it happens again, "
                "the request itself may be what ends them"
            ) from error
        self._on_loss()
        logger.warning(
            "call %s goes on on another replica from %d tokens: %s",
            self.call().request_id,
            sum(len(row.token_ids) for row in self._rows),
            error.message,
        )
        # Full jitter: the calls of one lost replica should not all return at once.
        return random.uniform(0.0, min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2**self._losses))

    def _time_left(self, timeout_s: float | None) -> float | None:
        """The timeout, less the time that lost replicas have used."""
        return None if timeout_s is None else max(1e-3, timeout_s - (time.perf_counter() - self._began))

    def _timed(self, piece: Piece) -> Piece:
        """The piece, with the times of the whole row where the last replica measured only its own part."""
        if piece.times is None or not self._losses:
            return piece
        now, row = time.perf_counter(), self._rows[piece.row]
        begun = now if row.first_token is None else row.first_token
        return piece._replace(times=_with(piece.times, decode_s=now - begun, total_s=now - self._began))


def _with(times: RowTimes, decode_s: float, total_s: float) -> RowTimes:
    return replace(times, decode_s=decode_s, total_s=total_s, prefill_s=max(0.0, total_s - decode_s - times.queued_s))
