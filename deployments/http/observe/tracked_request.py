"""What a finished request leaves with the tracker, from its record: figures and names, no text."""

from __future__ import annotations

from collections.abc import Iterable

from adaptrix_core.error_codes import ERROR_CODES
from adaptrix_core.observe.tracker.tracked import Outcome, TrackedRequest
from deployments.http.observe.request_record import RequestRecord


def tracked_request(record: RequestRecord, at: float) -> TrackedRequest | None:
    """None for a caller that was not recognised. at: seconds since 1970, of its end."""
    if record.principal is None or record.body is None:
        return None
    running = record.running
    measured = [row.times for row in record.rows if row.times is not None]
    tokens = record.usage.document()
    return TrackedRequest(
        at=at,
        response_id=record.request_id if running is None else running.head.response_id,
        tenant=record.principal.tenant,
        key_id=record.principal.key_id,
        adapter="" if running is None else running.resolved.kind,
        model=record.body.model,
        endpoint=record.path,
        outcome=_outcome(record),
        error=record.error or "",
        prompt_tokens=tokens["prompt_tokens"],
        cached_tokens=tokens["prompt_tokens_details"]["cached_tokens"],
        completion_tokens=tokens["completion_tokens"],
        queue_s=_longest(times.queued_s for times in measured),
        load_s=_longest(times.load_s for times in measured) or None,
        first_token_s=record.first_token_s,
        per_token_s=_longest(
            row.times.decode_s / (row.num_tokens - 1)
            for row in record.rows
            if row.times is not None and row.num_tokens > 1
        ),
        total_s=record.total_s,
        replica=measured[0].replica if measured else "",
    )


def _outcome(record: RequestRecord) -> Outcome:
    """How it ended, once its rows have their reasons."""
    reasons = {row.finish_reason for row in record.rows}
    if record.error is not None:
        known = ERROR_CODES.get(record.error)
        return "refused" if known is not None and known.status < 500 else "failed"
    if reasons & {"error", "deadline_exceeded"}:
        return "failed"
    return "abandoned" if "abort" in reasons or not reasons else "answered"


def _longest(seconds: Iterable[float]) -> float | None:
    return max(seconds, default=None)
