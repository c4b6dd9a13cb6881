"""Makes the rows of a request: one for each mix and choice, or for each choice an ensemble of one for each mix."""

from __future__ import annotations

from collections.abc import Callable

from adaptrix_core.base.model import BaseModel
from adaptrix_core.engine.cache.kv_cache import BlockTables
from adaptrix_core.engine.groups.ensemble import Ensemble
from adaptrix_core.engine.groups.switching import Switching
from adaptrix_core.engine.request import GenerationRequest
from adaptrix_core.engine.rows.constraint import Constraint
from adaptrix_core.engine.rows.detokenizer import TextStream
from adaptrix_core.engine.rows.prompt_logprobs import scorer_of
from adaptrix_core.engine.rows.replay import replay
from adaptrix_core.engine.rows.row import Row
from adaptrix_core.engine.rows.token_mask import TokenMask


class RowMaker:
    """Makes rows for one engine."""

    def __init__(self, base: BaseModel, empty_tables: Callable[[], BlockTables], max_row_tokens: int) -> None:
        self._base = base
        self._empty_tables = empty_tables
        self._max_row_tokens = max_row_tokens

    def rows(self, request: GenerationRequest, constraint: Constraint | None, mask: TokenMask | None) -> list[Row]:
        """The rows that tell of themselves: those that go on, in order. Of an ensemble that is its voice.

        Rows whose output another engine has begun continue it. Raises InvalidRequest where it would have ended.
        """
        rows = [self._group(request, number, constraint, mask) for number in request.open_rows]
        for row in rows if request.resume else ():
            replay(row, request.resume[row.index])
        for row in rows[1:]:
            row.leader = rows[0]
        return rows

    def row(
        self,
        request: GenerationRequest,
        number: int,
        place: int,
        constraint: Constraint | None = None,
        mask: TokenMask | None = None,
    ) -> Row:
        """One row. number: as which it is told of. place: of its mix among the request's."""
        params = request.params
        room = self._max_row_tokens - len(request.prompt_token_ids)
        switches = request.switches[place] if request.switches else ()
        return Row(
            request=request,
            index=number,
            schedule=request.schedules[place],
            max_tokens=room if params.max_tokens is None else params.max_tokens,
            tables=self._empty_tables(),
            text=TextStream(
                self._base.tokenizer,
                params.stop,
                min_tokens=params.min_tokens,
                includes_stop=params.include_stop_str_in_output,
                skips_special=params.skip_special_tokens,
            ),
            constraint=None if constraint is None else constraint.copy(),
            mask=mask,
            eos_token_ids=self._base.eos_token_ids,
            prompt_logprobs=scorer_of(request, number),
            deferred=request.deferred,
            switching=Switching(switches) if switches else None,
        )

    def _group(
        self, request: GenerationRequest, number: int, constraint: Constraint | None, mask: TokenMask | None
    ) -> Row:
        if not request.shares:
            return self.row(request, number, number // request.params.n, constraint, mask)
        voice = self.row(request, number, 0, constraint, mask)
        others = [self.row(request, number, place) for place in range(1, len(request.schedules))]
        ensemble = Ensemble([voice, *others], request.shares)
        for member in ensemble.members:
            member.ensemble = ensemble
        for other in others:
            other.leader = voice
        return voice
