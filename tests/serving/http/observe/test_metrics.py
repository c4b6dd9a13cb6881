"""GET /metrics: by adapter, bounded, and in the form that gateways read."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from adaptrix_core.config.sections import ObserveSettings
from adaptrix_core.observe.tracing import Tracing
from deployments.generation.deadline import Deadline
from deployments.generation.model_names import NamedMix
from deployments.generation.pipeline import Stream
from deployments.generation.resolve import ResolvedRequest
from deployments.generation.start import RunningRequest
from deployments.http.observe.metrics import Metrics
from deployments.http.observe.replica_numbers import NUMBERS
from deployments.http.observe.request_watch import RequestWatch
from deployments.openai.documents import AnswerHead
from deployments.proxy.metrics import ProxyMetrics
from deployments.replica.worker import engine_numbers
from deployments.shared.catalogue import Catalogue
from deployments.shared.entry import Entry
from deployments.shared.wire import AdapterNumbers, Piece, Report
from tests.serving.conftest import BASE_ID, eventually
from tests.serving.inprocess import running
from tests.serving.tiny import World

Labels = frozenset[tuple[str, str]]
PROMTOOL = shutil.which("promtool")


def parsed(text: str) -> dict[str, dict[Labels, float]]:
    """Sample name to labels to value."""
    samples: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            samples.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
    return samples


async def scrape(http: httpx.AsyncClient) -> dict[str, dict[Labels, float]]:
    return parsed((await http.get("/metrics")).text)


def of(**labels: str) -> Labels:
    return frozenset(labels.items())


def body(model: str, **fields: object) -> dict[str, object]:
    return {"model": model, "prompt": "one two three", "max_tokens": 5, "temperature": 0, "ignore_eos": True, **fields}


async def test_what_a_request_costs_is_counted_under_the_adapter_that_answered(world: World, tmp_path: Path) -> None:
    args = world.settings(adapters={"state_dir": str(tmp_path)}, router={"enabled": False})
    async with running(args) as (http, _):
        answer = (await http.post("/v1/completions", json=body("math_reasoning", n=2))).json()
        await http.post("/v1/completions", json=body(BASE_ID, adaptrix={"fork": ["code_generation", None]}))
        metrics = await scrape(http)
    math, code, base = of(adapter="math_reasoning"), of(adapter="code_generation"), of(adapter="base")
    assert metrics["adaptrix_answers_total"] == {math: 1, of(adapter="fork"): 1}
    assert metrics["adaptrix_generated_tokens_total"] == {math: 10, code: 5, base: 5}
    assert metrics["adaptrix_rows_total"] == {
        labels | of(finish_reason="length"): count for labels, count in ((math, 2), (code, 1), (base, 1))
    }
    assert metrics["adaptrix_prompt_tokens_total"][math] == 2 * answer["usage"]["prompt_tokens"]
    for name in ("time_per_output_token", "queue"):
        counts = metrics[f"adaptrix_{name}_seconds_count"]
        assert {labels: counts[labels] for labels in (math, code, base)} == {math: 2, code: 1, base: 1}
    for name in ("time_to_first_token", "request"):
        assert metrics[f"adaptrix_{name}_seconds_count"] == {math: 1, of(adapter="fork"): 1}
    assert metrics["adaptrix_adapter_load_seconds_count"] == {math: 2, code: 1}


async def test_hits_in_the_cache_are_counted_by_span_and_tier(world: World, tmp_path: Path) -> None:
    args = world.settings(
        adapters={"state_dir": str(tmp_path)}, router={"enabled": False}, engine={"cut": 1, "block_size": 4}
    )
    async with running(args) as (http, _):
        prompt = list(range(10, 50))
        for model in ("math_reasoning", "code_generation", "code_generation"):
            await http.post("/v1/completions", json=body(model, prompt=prompt))
        hits = (await scrape(http))["adaptrix_prefix_hit_tokens_total"]
    math, code = of(adapter="math_reasoning", tier="device"), of(adapter="code_generation", tier="device")
    trunk, branch = of(span="trunk"), of(span="branch")
    assert (hits[math | trunk], hits[math | branch]) == (0, 0)
    assert hits[code | trunk] == 80, "both requests find the trunk that the other adapter computed"
    assert hits[code | branch] == 36, "the second one finds the branch, all but the block of the last token"


async def test_residency_is_counted_by_adapter_and_tier(world: World, tmp_path: Path) -> None:
    args = world.settings(adapters={"state_dir": str(tmp_path)}, router={"enabled": False})
    async with running(args) as (http, _):
        for model in ("math_reasoning", "math_reasoning", "code_generation"):
            await http.post("/v1/completions", json=body(model))

        async def told() -> bool:
            return sum((await scrape(http)).get("adaptrix_adapter_hits_total", {}).values()) == 3

        await eventually(told)
        metrics = await scrape(http)
        again = await scrape(http)
    math, code, logic = (of(adapter=name) for name in ("math_reasoning", "code_generation", "logical_reasoning"))
    device, host = of(tier="device"), of(tier="host")
    assert metrics["adaptrix_adapter_hits_total"] == {math | host: 1, math | device: 1, code | host: 1}
    loads = {math | device: 1, code | device: 1, **{adapter | host: 1 for adapter in (math, code, logic)}}
    assert metrics["adaptrix_adapter_loads_total"] == loads
    for name in ("hits", "loads"):
        assert again[f"adaptrix_adapter_{name}_total"] == metrics[f"adaptrix_adapter_{name}_total"], "counted twice"


async def test_labels_stay_as_few_as_the_settings_say(world: World, tmp_path: Path) -> None:
    args = world.settings(
        adapters={"state_dir": str(tmp_path)}, router={"enabled": False}, observe={"metrics_adapters": 1}
    )
    async with running(args) as (http, _):
        for model in ("math_reasoning", "code_generation", "logical_reasoning", "code_generation", BASE_ID):
            await http.post("/v1/completions", json=body(model))
        metrics = await scrape(http)
    labels = {value for samples in metrics.values() for key in samples for name, value in key if name == "adapter"}
    assert labels == {"base", "other", "code_generation"}


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed (Debian's package prometheus)")
async def test_promtool_finds_nothing_in_a_scrape(world: World, tmp_path: Path) -> None:
    """But colons in names that others prescribe."""
    args = world.settings(adapters={"state_dir": str(tmp_path)}, router={"enabled": False})
    async with running(args) as (http, _):
        for model in ("math_reasoning", BASE_ID):
            await http.post("/v1/completions", json=body(model))
        text = (await http.get("/metrics")).text + ProxyMetrics(("/v1/completions",)).text().decode()
    assert PROMTOOL is not None
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    findings = (done.stdout + done.stderr).splitlines()
    assert [line for line in findings if not line.startswith("vllm:")] == []
    assert all(line.endswith("metric names should not contain ':'") for line in findings)


def test_every_number_that_replicas_report_has_a_name() -> None:
    stats = engine_numbers(
        {
            "rows": {"running": 1, "waiting": 0},
            "longest_wait_s": 0.0,
            "backlog_tokens": 3,
            "kv_blocks": {"total": 8, "used": 2, "block_size": 16},
            "steps": 5,
            "tokens_generated": 5,
            "preemptions": 0,
            "layer_tokens": [{"computed": 5, "taken_over": 0}],
            "cut": None,
        }
    )
    assert {*stats, "max_adapters"} == set(NUMBERS)


async def test_a_client_that_leaves_is_counted_as_an_abort() -> None:
    """The stream is closed after its first token, as it is when a connection breaks."""

    async def batches() -> AsyncGenerator[list[Piece]]:
        for position in range(3, 9):
            yield [Piece(0, 7, position, "x", None, (), None, None, 3)]

    metrics = Metrics()
    head = AnswerHead("text", "cmpl-1", 0, BASE_ID)
    stream = Stream(batches(), Deadline(None))
    begun = RunningRequest(head, ResolvedRequest((NamedMix(),), "error"), stream, num_rows=1, rows_per_prompt=1)
    watch = RequestWatch(metrics, Tracing(), ObserveSettings(), "/v1/completions", {})
    watch.begun(begun)
    await anext(stream)
    await stream.aclose()
    watch.close()
    watch.close()
    samples = parsed(metrics.render(Catalogue(""), (), {}).decode())
    assert samples["adaptrix_rows_total"] == {of(adapter="base", finish_reason="abort"): 1}
    assert samples["adaptrix_generated_tokens_total"] == {of(adapter="base"): 1}
    assert samples["adaptrix_request_seconds_count"] == {of(adapter="base"): 1}


async def test_gateways_find_what_vllm_would_say(world: World, tmp_path: Path) -> None:
    args = world.settings(adapters={"state_dir": str(tmp_path)}, router={"enabled": False}, engine={"max_rows": 1})
    async with running(args) as (http, _):
        long = asyncio.create_task(http.post("/v1/completions", json=body("math_reasoning", max_tokens=1500)))

        async def runs() -> bool:
            return sum((await scrape(http))["vllm:num_requests_running"].values()) == 1

        await eventually(runs)
        waiting = asyncio.create_task(http.post("/v1/completions", json=body("code_generation")))

        async def waits() -> bool:
            return sum((await scrape(http))["vllm:num_requests_waiting"].values()) == 1

        await eventually(waits)
        metrics = await scrape(http)
        assert (await long).status_code == (await waiting).status_code == 200
    (((labels, told_at)),) = metrics["vllm:lora_requests_info"].items()
    assert labels == of(max_lora="1", running_lora_adapters="math_reasoning", waiting_lora_adapters="code_generation")
    assert abs(told_at - time.time()) < 600
    model = of(model_name=BASE_ID)
    assert 0 < metrics["vllm:kv_cache_usage_perc"][model] == metrics["vllm:gpu_cache_usage_perc"][model] < 1
    assert metrics["vllm:cache_config_info"] == {of(block_size="16", num_gpu_blocks="1250"): 1}


def test_counts_of_a_replica_that_is_silent_for_a_while_are_not_added_again() -> None:
    catalogue = Catalogue("1", (Entry("math", "1.0.0", "package", "digest"),))
    numbers = AdapterNumbers(counts={"load": {"device": 3}})
    report = Report("replica-1", "base", 10, "1", adapters={"digest": numbers})
    metrics = Metrics()

    def loads(*reports: Report) -> float:
        return sum(parsed(metrics.render(catalogue, reports, {}).decode())["adaptrix_adapter_loads_total"].values())

    assert loads(report) == 3
    assert loads() == 3
    assert loads(report) == 3
    more = replace(report, adapters={"digest": AdapterNumbers(counts={"load": {"device": 5}})})
    assert loads(more, replace(more, replica_id="replica-2")) == 10
