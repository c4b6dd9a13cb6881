"""Lines named as in the Elastic Common Schema: like those of Elastic's own library, and as the template maps them."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ecs_logging
import pytest

from adaptrix_core.observe.ecs import NAMES, ecs_document
from adaptrix_core.observe.logs import EcsLines, request_id

TEMPLATE = Path(__file__).resolve().parents[2] / "cluster" / "logs" / "index_template.json"
LINE = {
    "time": "2026-01-02T03:04:05.678+00:00",
    "level": "INFO",
    "logger": "deployments.http",
    "message": "request",
    "request_id": "id-1",
    "path": "/v1/chat/completions",
    "status": 200,
    "trace_id": "ab" * 16,
    "error": "overloaded",
    "tenant": "team-a",
    "key_id": "ci",
    "exception": "Traceback",
    "adapter": "math_reasoning@1.0.0",
    "total_s": 0.25,
}


def record(message: str = "hello %s", fault: bool = False) -> logging.LogRecord:
    info = None
    if fault:
        try:
            raise ValueError("why")
        except ValueError:
            info = sys.exc_info()
    return logging.LogRecord("deployments.x", logging.WARNING, "f.py", 3, message, ("w",), info)


def at(document: Mapping[str, Any], path: str) -> Any:
    """The value of a dotted name, wherever its dots are levels."""
    if path in document:
        return document[path]
    head, _, rest = path.partition(".")
    return at(document[head], rest)


def leaves(document: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in document.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def mapped(properties: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, told in properties.items():
        yield from mapped(told["properties"], f"{prefix}{name}.") if "properties" in told else [f"{prefix}{name}"]


@pytest.mark.parametrize("fault", [False, True], ids=["plain", "an exception"])
def test_what_both_write_is_where_elastics_library_has_it(fault: bool) -> None:
    ours = json.loads(EcsLines().format(record(fault=fault)))
    theirs = json.loads(ecs_logging.StdlibFormatter().format(record(fault=fault)))
    for name in ("log.level", "message", "ecs.version", "log.logger"):
        assert at(ours, name) == at(theirs, name)
    assert list(ours)[:3] == list(theirs)[:3] == ["@timestamp", "log.level", "message"]
    assert len(ours["@timestamp"]) == len(theirs["@timestamp"])
    assert ours["@timestamp"].endswith("Z")
    if fault:
        assert "ValueError: why" in at(ours, "error.stack_trace")
        assert "error.stack_trace" in leaves(theirs)


def test_every_field_has_a_place_and_none_is_lost() -> None:
    document = ecs_document(LINE)
    assert {name: at(document, ".".join(path)) for name, path in NAMES.items()} == {name: LINE[name] for name in NAMES}
    assert document["adaptrix"] == {"adapter": "math_reasoning@1.0.0", "total_s": 0.25}
    assert document["event"] == {"outcome": "success", "duration": 250_000_000}


@pytest.mark.parametrize(
    ("status", "outcome"), [(200, "success"), (399, "success"), (400, "failure"), (503, "failure"), (None, "unknown")]
)
def test_the_outcome_is_the_statuss(status: int | None, outcome: str) -> None:
    document = ecs_document({**LINE, "status": status})
    assert document["event"]["outcome"] == outcome
    assert ("http.response.status_code" in leaves(document)) == (status is not None)


def test_a_line_that_is_no_requests_has_no_outcome_and_is_one_line() -> None:
    token = request_id.set("id-9")
    try:
        line = EcsLines().format(record("two\nlines, a \x1b[31mcolour and %s"))
    finally:
        request_id.reset(token)
    assert "\n" not in line
    assert "\x1b" not in line
    document = json.loads(line)
    assert "event" not in document
    assert at(document, "http.request.id") == "id-9"


def test_the_template_maps_what_is_written_and_grows_by_nothing_else() -> None:
    mappings = json.loads(TEMPLATE.read_text())["template"]["mappings"]
    assert mappings["dynamic"] is False
    assert mappings["properties"]["adaptrix"]["dynamic"] is False
    assert set(leaves(ecs_document(LINE))) <= set(mapped(mappings["properties"]))
