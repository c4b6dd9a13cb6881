"""The log line of a finished request; with its prompt only where the settings ask for it."""

from __future__ import annotations

from typing import Any

from deployments.http.observe.request_record import RequestRecord
from deployments.openai.schemas import ChatRequest


def request_line(record: RequestRecord, with_prompt: bool) -> dict[str, Any]:
    """The fields of the line; those that the request never reached are missing. Times in seconds."""
    line: dict[str, Any] = {"request_id": record.request_id, "path": record.path, "status": record.status}
    if record.trace_id is not None:
        line["trace_id"] = record.trace_id
    if record.error is not None:
        line["error"] = record.error
    if record.principal is not None and record.body is not None:
        line |= {"tenant": record.principal.tenant, "key_id": record.principal.key_id, "stream": record.body.stream}
        if with_prompt:
            line["prompt"] = _prompt(record)
    if record.running is not None:
        line |= _answer(record)
    return line | {"total_s": _seconds(record.total_s)}


def _answer(record: RequestRecord) -> dict[str, Any]:
    running, rows = record.running, record.rows
    assert running is not None
    resolved = running.resolved
    prompts = {index // running.rows_per_prompt: row.num_prompt_tokens for index, row in enumerate(rows)}
    line: dict[str, Any] = {
        "response_id": running.head.response_id,
        "adapter": resolved.label,
        "digest": ",".join(mix.package_digests for mix in resolved.mixes),
        "prompt_tokens": sum(prompts.values()),
        "completion_tokens": sum(row.num_tokens for row in rows),
        "finish_reasons": [row.finish_reason for row in rows],
        "first_token_s": _seconds(record.first_token_s or 0.0),
    }
    if resolved.route is not None:
        line["route_score"] = round(resolved.route.score, 4)
    if resolved.troubles:
        line["fallback"] = True
    measured = [row.times for row in rows if row.times is not None]
    if measured:
        # Rows of one request run in parallel: the client has waited for the slowest.
        for name in ("queued_s", "load_s", "prefill_s", "decode_s"):
            line[name] = _seconds(max(getattr(times, name) for times in measured))
        line["cached_tokens"] = [sum(spans) for spans in zip(*(times.taken_over for times in measured), strict=True)]
        line["preemptions"] = sum(times.num_preemptions for times in measured)
    return line


def _prompt(record: RequestRecord) -> Any:
    body = record.body
    if isinstance(body, ChatRequest):
        return [message.plain() for message in body.messages]
    return None if body is None else body.prompts()


def _seconds(value: float) -> float:
    return round(value, 6)
