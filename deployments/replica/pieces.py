"""Converts token events of the engine to pieces, the records that go to the ingress."""

from __future__ import annotations

from collections.abc import Iterable

from adaptrix_core.engine import TokenEvent
from adaptrix_core.engine.request import Timings
from adaptrix_core.engine.rows.sampler import as_row_error
from deployments.replica.token_text import TokenTexts
from deployments.shared.wire import Piece, PromptSeen, PromptToken, RowTimes


class PieceWriter:
    """Writes pieces with the texts of one base model's tokens."""

    def __init__(self, texts: TokenTexts, replica_id: str) -> None:
        self._texts = texts
        self._replica_id = replica_id

    def pieces_of(
        self,
        events: Iterable[TokenEvent],
        prompt_token_ids: tuple[int, ...],
        call_form: str | None,
        computed_by: tuple[str, str] | None,
    ) -> list[Piece]:
        """One piece for each event, at least one.

        The first one carries ``prompt_token_ids``, if any are given, and call form and base model with them.
        """
        first, *rest = [self._piece(event) for event in events]
        if prompt_token_ids:
            first = first._replace(prompt_token_ids=prompt_token_ids, call_form=call_form, computed_by=computed_by)
        return [first, *rest]

    def prompt_seen(self, text: str, token_ids: tuple[int, ...], event: TokenEvent) -> PromptSeen:
        """What an answer tells of its prompt. event: the first one of a row that scored the prompt, if any did."""
        scored = None
        if event.prompt_logprobs is not None:
            scored = tuple(
                PromptToken(
                    self._texts.likely(token.token_id, token.logprob),
                    token.rank,
                    tuple(self._texts.likely(other, logprob) for other, logprob in token.top_logprobs),
                )
                for token in event.prompt_logprobs
            )
        return PromptSeen(text, self._texts.likely(token_ids[0], 0.0), scored)

    def _piece(self, event: TokenEvent) -> Piece:
        chosen = None
        if event.logprob is not None and event.token_id is not None:
            chosen = self._texts.likely(event.token_id, event.logprob)
        return Piece(
            row=event.index,
            token_id=event.token_id,
            position=event.position,
            text=event.text,
            logprob=chosen,
            top=tuple(self._texts.likely(token, logprob) for token, logprob in event.top_logprobs),
            finish_reason=event.finish_reason,
            error=event.error,
            failure=None if event.failure is None else as_row_error(event.failure),
            prompt_tokens=event.num_prompt_tokens,
            times=None if event.timings is None else row_times(event.timings, self._replica_id),
            stop_reason=event.stop_reason,
            spread=event.spread,
            attention=event.attention,
            switched_to=event.switched_to,
            cached_tokens=0 if event.timings is None else min(event.timings.taken_over, default=0),
        )


def row_times(timings: Timings, replica_id: str) -> RowTimes:
    """The phases of a row, as a record for other processes."""
    begun = timings.first_token_s > 0
    return RowTimes(
        queued_s=timings.queued_s,
        load_s=timings.load_s,
        prefill_s=timings.first_token_s - timings.queued_s if begun else 0.0,
        decode_s=timings.total_s - timings.first_token_s if begun else 0.0,
        total_s=timings.total_s,
        taken_over=timings.taken_over,
        num_preemptions=timings.num_preemptions,
        replica=replica_id,
    )
