"""The same log line under the names of the Elastic Common Schema, for Elasticsearch, OpenSearch and what feeds them.

Names are those that Elastic's own library ecs-logging writes, and ECS 1.6 beyond it; what ECS has no name for stands
under ``adaptrix``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

VERSION = "1.6.0"
"""The version of the schema that ecs-logging writes."""

NAMES: Mapping[str, tuple[str, ...]] = {
    "logger": ("log", "logger"),
    "exception": ("error", "stack_trace"),
    "error": ("error", "code"),
    "request_id": ("http", "request", "id"),
    "status": ("http", "response", "status_code"),
    "path": ("url", "path"),
    "trace_id": ("trace", "id"),
    "tenant": ("organization", "id"),
    "key_id": ("user", "id"),
}
"""Where a field of a line stands instead."""
_FIRST = ("time", "level", "message")
_NANOSECONDS = 1e9


def ecs_document(line: Mapping[str, Any]) -> dict[str, Any]:
    """A line of `JsonLines` as ECS has it; fields that are None are left out.

    A request gets ``event.duration`` (nanoseconds) and ``event.outcome``: a success below status 400, a failure from
    there on, and unknown where the client left before there was one.
    """
    # Elastic's logging specification has these three first, under plain dotted names.
    document: dict[str, Any] = {
        "@timestamp": str(line["time"]).replace("+00:00", "Z"),
        "log.level": str(line["level"]).lower(),
        "message": line["message"],
        "ecs.version": VERSION,
        "service": {"name": "adaptrix"},
    }
    for name, value in line.items():
        if name not in _FIRST and value is not None:
            _put(document, NAMES.get(name, ("adaptrix", name)), value)
    if "status" in line:
        _put(document, ("event", "outcome"), _outcome(line["status"]))
    if (seconds := line.get("total_s")) is not None:
        _put(document, ("event", "duration"), round(seconds * _NANOSECONDS))
    return document


def _outcome(status: int | None) -> str:
    if status is None:
        return "unknown"
    return "success" if status < 400 else "failure"


def _put(document: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for name in path[:-1]:
        document = document.setdefault(name, {})
    document[path[-1]] = value
