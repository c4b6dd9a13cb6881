"""What the real system tells about itself: traces over three processes, its log, all that the dashboards ask for."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.serving.collector import Collector, Tree, tree_below
from tests.serving.conftest import BASE_ID
from tests.serving.promql import grouped_by, selectors
from tests.serving.servers import PROJECT, Server
from tests.serving.tiny import World

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

DASHBOARDS = PROJECT / "cluster" / "dashboards"
TRACE, CALLER = "5bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
QUESTION = "What is 17 + 25, said the walrus?"


def until(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    """Wait for ``condition``; spans, reports and log lines come after the answer."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"still not so after {timeout_s} s"
        time.sleep(0.1)


@pytest.fixture(scope="module")
def answer(server: Server) -> httpx.Response:
    """A request that takes every hop, as conversations do, and one that another adapter answers."""
    url = f"{server.url}/v1/chat/completions"
    turns = [{"role": "user", "content": QUESTION}, {"role": "assistant", "content": "42"}]
    body: dict[str, Any] = {"messages": [*turns, turns[0]], "max_tokens": 4, "ignore_eos": True}
    httpx.post(url, json={**body, "model": "code_generation"}, timeout=120)
    headers = {"traceparent": f"00-{TRACE}-{CALLER}-01", "x-request-id": "walrus-1"}
    return httpx.post(url, json={**body, "model": "auto"}, headers=headers, timeout=120)


def test_one_request_is_one_trace_over_ingress_router_and_replica(answer: httpx.Response, collector: Collector) -> None:
    assert answer.headers["x-adaptrix-adapter"] == "math_reasoning"
    assert answer.headers["traceparent"].startswith(f"00-{TRACE}-")
    until(lambda: {span.part for span in collector.trace(TRACE)} == {"ingress", "replica", "router"})
    spans = collector.trace(TRACE)
    [(request, hops)] = tree_below(spans, CALLER)
    assert (request, [name for name, _ in hops]) == ("POST /v1/chat/completions", ["route", "replica"])
    phases: Tree = [("queue", []), ("prefill", []), ("decode", [])]
    # The replica asks the router while its engine computes, so either may begin first.
    assert sorted(dict(hops)["replica"]) == [
        ("adapter.pin", []),
        ("encode", []),
        ("engine", phases),
        ("router.decide", []),
    ]
    parts = {span.name: span.part for span in spans}
    assert (parts["route"], parts["router.decide"], parts["decode"]) == ("ingress", "router", "replica")
    assert {span.service for span in spans} == {"adaptrix"}
    assert "walrus?" not in str(spans)


def test_the_log_has_the_request_once_and_not_its_prompt(answer: httpx.Response, world: World) -> None:
    log = world.root / "cluster-log.jsonl"

    def lines() -> list[dict[str, Any]]:
        records = [json.loads(line) for line in log.read_text().splitlines()]
        return [record for record in records if record.get("request_id") == "walrus-1"]

    until(lambda: bool(lines()))
    (line,) = lines()
    assert (line["trace_id"], line["response_id"]) == (TRACE, answer.json()["id"])
    assert (line["adapter"], line["completion_tokens"], line["status"]) == ("math_reasoning", 4, 200)
    assert "walrus?" not in log.read_text()


@pytest.fixture(scope="module")
def families(answer: httpx.Response, server: Server) -> dict[str, Metric]:
    """A scrape in which the replicas have reported what `answer` made them do."""

    def scrape() -> dict[str, Metric]:
        text = httpx.get(f"{server.url}/metrics", timeout=30).text
        return {family.name: family for family in text_string_to_metric_families(text)}

    until(lambda: bool(scrape()["adaptrix_adapter_hits"].samples))
    return scrape()


def expressions(path: Path) -> Iterator[str]:
    """Every expression of a dashboard, those of its variables too."""
    dashboard = json.loads(path.read_text())
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel["targets"])
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            query = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert query is not None
            yield f"sum by ({query[2]}) ({query[1]})"


@pytest.mark.parametrize("path", sorted(DASHBOARDS.glob("*.json")), ids=lambda path: path.stem)
def test_dashboards_ask_for_what_exists(path: Path, families: dict[str, Metric]) -> None:
    kept: dict[str, set[str]] = {}
    for family in families.values():
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
        for suffix in suffixes:
            kept[family.name + suffix] = set()
        for sample in family.samples:
            kept[sample.name] |= set(sample.labels)
    asked = 0
    for expression in expressions(path):
        for name, labels in selectors(expression):
            assert name in kept, f"{path.name}: {name} is in no scrape: {expression}"
            if kept[name]:  # nothing was counted yet that would show its labels
                assert labels | grouped_by(expression) <= kept[name], f"{path.name}: {expression}"
            asked += 1
    assert asked > 10


def test_the_table_of_metrics_in_the_documentation_is_the_scrape(families: dict[str, Metric]) -> None:
    table = (PROJECT / "docs" / "observability.md").read_text()
    documented = set(re.findall(r"^\| `((?:adaptrix_|vllm:)\w+)", table, re.MULTILINE))
    counters = {family.name for family in families.values() if family.type == "counter"}
    scraped = {f"{name}_total" if name in counters else name for name in families}
    assert documented == scraped


def test_a_gateway_finds_its_names(families: dict[str, Metric]) -> None:
    (sample,) = families["vllm:lora_requests_info"].samples
    assert set(sample.labels) == {"max_lora", "running_lora_adapters", "waiting_lora_adapters"}
    assert int(sample.labels["max_lora"]) > 0
    for name in ("num_requests_running", "num_requests_waiting", "kv_cache_usage_perc"):
        (gauge,) = families[f"vllm:{name}"].samples
        assert gauge.labels == {"model_name": BASE_ID}
