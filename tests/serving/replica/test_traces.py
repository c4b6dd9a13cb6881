"""Traces: one request is one trace, with the tree that its way through the server makes, sent by OTLP/HTTP."""

from __future__ import annotations

from pathlib import Path

import pytest

from adaptrix_core.config.sections import ObserveSettings
from adaptrix_core.observe.tracing import start_tracing
from tests.serving.collector import Collector, Tree, collecting, tree_below
from tests.serving.conftest import BASE_ID
from tests.serving.inprocess import running
from tests.serving.tiny import World

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE, PARENT = CALLER.split("-")[1:3]
PHASES: Tree = [("queue", []), ("prefill", []), ("decode", [])]
LOADED: Tree = [("queue", []), ("adapter.load", []), ("prefill", []), ("decode", [])]
SECRET = "zebra crossing"


@pytest.fixture
def arguments(world: World, tmp_path: Path) -> dict[str, dict[str, object]]:
    return {"adapters": {"state_dir": str(tmp_path)}, "router": {"enabled": False}}


def body(model: str, **fields: object) -> dict[str, object]:
    return {"model": model, "prompt": SECRET, "max_tokens": 3, "temperature": 0, "ignore_eos": True, **fields}


async def test_a_request_is_one_trace_from_the_caller_to_each_phase_of_each_row(
    world: World, arguments: dict[str, dict[str, object]]
) -> None:
    with collecting() as collector:
        args = world.settings(**arguments, observe={"otlp_endpoint": collector.url})
        async with running(args) as (http, _):
            fork = {"fork": ["math_reasoning", None]}
            answer = await http.post(
                "/v1/completions",
                json=body(BASE_ID, adaptrix=fork),
                headers={"traceparent": CALLER, "tracestate": "vendor=1", "x-request-id": "asked-1"},
            )
        spans = collector.trace(TRACE)
        replica: Tree = [("encode", []), ("adapter.pin", []), ("engine", LOADED), ("engine", PHASES)]
        assert tree_below(spans, PARENT) == [("POST /v1/completions", [("route", []), ("replica", replica)])]
    root = spans[0]
    version, trace_id, span_id, flags = answer.headers["traceparent"].split("-")
    assert (version, trace_id, span_id, flags) == ("00", TRACE, root.span_id, "01")
    assert answer.headers["tracestate"] == "vendor=1"
    assert root.attributes["adaptrix.request_id"] == "asked-1"
    assert root.attributes["http.response.status_code"] == 200
    assert root.attributes["adaptrix.adapter"] == "math_reasoning,base"
    assert root.attributes["gen_ai.usage.output_tokens"] == 6
    rows = [span for span in spans if span.name == "engine"]
    assert [(row.attributes["adaptrix.row"], row.attributes["gen_ai.usage.output_tokens"]) for row in rows] == [
        (0, 3),
        (1, 3),
    ]
    for span in spans:
        above = next((other for other in spans if other.span_id == span.parent_id), None)
        assert span.start <= span.end
        assert above is None or (above.start - 0.01 <= span.start and span.end <= above.end + 0.01), span.name
    assert not any(SECRET in str(span) for span in spans)


async def test_without_a_caller_a_request_begins_a_trace_of_its_own(
    world: World, arguments: dict[str, dict[str, object]]
) -> None:
    with collecting() as collector:
        args = world.settings(**arguments, observe={"otlp_endpoint": collector.url})
        async with running(args) as (http, _):
            one = await http.post("/v1/completions", json=body("math_reasoning", stream=True))
            two = await http.post("/v1/completions", json=body("nobody", prompt="x"))
            bad = await http.post("/v1/completions", json=body(BASE_ID), headers={"traceparent": "00-zz"})
            other = await http.get("/v1/models")
        ids = [answer.headers["traceparent"].split("-")[1] for answer in (one, two, bad)]
        assert len(set(ids)) == 3
        assert "traceparent" not in other.headers
        (refused, route) = collector.trace(ids[1])
    assert (two.status_code, refused.attributes["http.response.status_code"], refused.is_error) == (404, 404, True)
    assert (route.name, route.is_error) == ("route", True)
    assert "nobody" not in str((refused, route)), "a model's name is what the caller wrote"


async def test_a_caller_that_does_not_sample_is_followed(world: World, arguments: dict[str, dict[str, object]]) -> None:
    with collecting() as collector:
        args = world.settings(**arguments, observe={"otlp_endpoint": collector.url})
        async with running(args) as (http, _):
            answer = await http.post("/v1/completions", json=body(BASE_ID), headers={"traceparent": CALLER[:-2] + "00"})
        assert answer.headers["traceparent"].endswith("-00")
        assert collector.everything() == []


async def test_nothing_is_traced_unless_an_endpoint_says_so(
    world: World, arguments: dict[str, dict[str, object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with collecting() as collector:
        async with running(world.settings(**arguments)) as (http, _):
            answer = await http.post("/v1/completions", json=body(BASE_ID), headers={"traceparent": CALLER})
        assert "traceparent" not in answer.headers
        assert collector.everything() == []
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
        _send_one(ObserveSettings())
        assert [(span.service, span.part) for span in collector.everything()] == [("shop", "ingress")]


def test_the_share_of_traced_requests_can_be_set() -> None:
    with collecting() as collector:
        _send_one(ObserveSettings(otlp_endpoint=collector.url, trace_ratio=0.0))
        assert collector.everything() == []
        _send_one(ObserveSettings(otlp_endpoint=collector.url, trace_ratio=1.0))
        assert len(collector.everything()) == 1


def _send_one(settings: ObserveSettings) -> None:
    tracing = start_tracing(settings, "ingress", "1")
    tracing.tracer.start_span("one").end()
    tracing.stop()


def test_a_collector_that_is_away_costs_traces_and_nothing_else() -> None:
    with collecting() as collector:
        away: Collector = collector
    _send_one(ObserveSettings(otlp_endpoint=away.url))
