"""Appends a row's next token and decides whether the row ends with it."""

from __future__ import annotations

from dataclasses import replace

from adaptrix_core.engine.request import FinishReason, ScoredToken, TokenEvent
from adaptrix_core.engine.rows.row import Row
from adaptrix_core.engine.rows.sampler import Sampled, Unsampled, as_row_error
from adaptrix_core.errors import InvalidRequest


def advance(row: Row, sampled: Sampled | Unsampled | None) -> TokenEvent | None:
    """Append the sampled token and decide whether the row ends; None while its prompt is still being computed."""
    if isinstance(sampled, Unsampled):
        return fail(row, sampled.error)
    if sampled is None:
        if row.max_tokens > 0 or row.num_uncomputed > 0:
            return None
        return replace(finish(row, "length"), prompt_logprobs=_told_once(row))
    position = len(row.tokens)
    failure: InvalidRequest | None = None
    row.append(sampled.token_id)
    params = row.request.params
    ends = row.ends_with(sampled.token_id)
    text = "" if ends and not params.include_stop_str_in_output else row.text.push(sampled.token_id)
    row.finish_reason = _finish_reason(row, sampled.token_id, ends)
    if row.finish_reason is not None:
        text += row.text.finish()
        named = sampled.token_id if sampled.token_id in params.stop_token_ids else None
        row.stop_reason = named if ends else row.text.stopped_by
    elif row.constraint is not None:
        row.constraint.begin_mask()
    switched_to = None
    if row.switching is not None and row.finish_reason is None:
        switched_to = row.switching.after_token(row.text.decoded, sampled.logprob)
    if row.finish_reason == "error" and row.constraint is not None:
        failure = row.constraint.failure
    return TokenEvent(
        request_id=row.request.request_id,
        index=row.index,
        token_id=sampled.token_id,
        position=position,
        text=text,
        logprob=sampled.logprob,
        top_logprobs=sampled.top_logprobs,
        spread=sampled.spread,
        attention=sampled.attention,
        prompt_logprobs=_told_once(row),
        finish_reason=row.finish_reason,
        stop_reason=row.stop_reason,
        switched_to=switched_to,
        error=None if failure is None else failure.message,
        failure=failure,
        num_prompt_tokens=row.num_prompt,
        timings=None if row.finish_reason is None else row.timings(),
        mix=() if row.finish_reason is None else row.mix,
    )


def finish(row: Row, reason: FinishReason, error: str | None = None) -> TokenEvent:
    """End a row without a further token."""
    row.finish_reason = reason
    return TokenEvent(
        request_id=row.request.request_id,
        index=row.index,
        position=len(row.tokens),
        text=row.text.finish(),
        finish_reason=reason,
        error=error,
        num_prompt_tokens=row.num_prompt,
        timings=row.timings(),
        mix=row.mix,
    )


def fail(row: Row, error: BaseException) -> TokenEvent:
    """End a row that raised ``error``. The event has the message, and the error for callers in this process."""
    row.finish_reason = "error"
    return TokenEvent(
        request_id=row.request.request_id,
        index=row.index,
        position=len(row.tokens),
        finish_reason="error",
        error=as_row_error(error).message,
        num_prompt_tokens=row.num_prompt,
        timings=row.timings(),
        failure=error,
        mix=row.mix,
    )


def _told_once(row: Row) -> tuple[ScoredToken, ...] | None:
    """The scores of the prompt's tokens, for the row's first event."""
    scores, row.prompt_logprobs = row.prompt_logprobs, None
    return None if scores is None else scores.scored()


def _finish_reason(row: Row, token_id: int, is_end_of_text: bool) -> FinishReason | None:
    if row.constraint is not None:
        row.constraint.accept(token_id)
        if row.constraint.failure is not None:
            return "error"
        if row.constraint.is_complete:
            return "stop"
    if is_end_of_text or row.text.stopped_by is not None:
        return "stop"
    return "length" if row.num_output >= row.max_tokens else None
