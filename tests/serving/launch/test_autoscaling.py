"""Autoscaling by backlog: what the policy asks for, what Serve is told, and which adapters a new replica has ready."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ray.serve.autoscaling_policy import _apply_autoscaling_config
from ray.serve.config import AutoscalingConfig, AutoscalingContext

from adaptrix_core.config import load_settings
from adaptrix_core.config.sections import ReplicaSettings
from adaptrix_core.errors import ConfigError
from deployments.launch.autoscaling import BACKLOG, TokenBacklogPolicy, autoscaling_config
from deployments.shared.wire import AdapterNumbers, Report
from deployments.store.adapter_usage import HALF_LIFE_S, MAX_BUNDLES, AdapterUsage
from tests.serving.conftest import eventually
from tests.serving.inprocess import running
from tests.serving.tiny import World


def context(replicas: int, *backlogs: float, requests: float = 1.0, now: float = 0.0, **fields: Any) -> Any:
    given: dict[str, Any] = {
        "deployment_id": None,
        "deployment_name": "ModelReplica",
        "app_name": "adaptrix",
        "current_num_replicas": replicas,
        "target_num_replicas": replicas,
        "running_replicas": [],
        "total_num_requests": requests,
        "total_queued_requests": 0.0,
        "aggregated_metrics": {BACKLOG: dict(enumerate(backlogs))},
        "raw_metrics": None,
        "capacity_adjusted_min_replicas": 0,
        "capacity_adjusted_max_replicas": 8,
        "policy_state": {},
        "last_scale_up_time": None,
        "last_scale_down_time": None,
        "current_time": now,
        "config": None,
    }
    return AutoscalingContext(**{**given, **fields})


@pytest.mark.parametrize(
    ("replicas", "backlogs", "requests", "wanted"),
    [
        (1, (500.0,), 3.0, 1.0),
        (1, (2500.0,), 3.0, 2.5),
        (2, (2500.0, 1500.0), 9.0, 4.0),
        (3, (0.0, 0.0, 0.0), 1.0, 1.0),
        (1, (0.0,), 0.0, 0.0),
        (0, (), 0.0, 0),
    ],
)
def test_as_many_replicas_as_the_backlog_fills(
    replicas: int, backlogs: tuple[float, ...], requests: float, wanted: float
) -> None:
    policy = TokenBacklogPolicy(tokens_per_replica=1000)
    assert policy(context(replicas, *backlogs, requests=requests))[0] == wanted


def test_replicas_that_have_not_said_anything_yet_are_no_fault() -> None:
    assert TokenBacklogPolicy(1000)(context(2, aggregated_metrics=None))[0] == 1.0


def test_serve_wakes_a_replica_for_the_first_request_at_zero() -> None:
    config = autoscaling_config(ReplicaSettings(num_replicas=1, min_replicas=0, max_replicas=3))
    decide = _apply_autoscaling_config(TokenBacklogPolicy(1000))
    assert decide(context(0, requests=0.0, config=config))[0] == 0
    assert decide(context(0, requests=1.0, config=config))[0] == 1


def test_serve_is_told_the_bounds_and_delays_of_the_settings() -> None:
    settings = ReplicaSettings(
        num_replicas=2,
        min_replicas=1,
        max_replicas=5,
        tokens_per_replica=77,
        scale_up_delay_s=1,
        scale_down_delay_s=2,
        scale_to_zero_delay_s=3,
    )
    config = autoscaling_config(settings)
    assert isinstance(config, AutoscalingConfig)
    assert (config.min_replicas, config.initial_replicas, config.max_replicas) == (1, 2, 5)
    assert (config.upscale_delay_s, config.downscale_delay_s, config.downscale_to_zero_delay_s) == (1, 2, 3)
    policy = config.policy.get_policy()(**config.policy.policy_kwargs)
    assert policy(context(1, 7700.0))[0] == 100.0
    assert autoscaling_config(ReplicaSettings()) is None, "the number of replicas is fixed unless asked for otherwise"


@pytest.mark.parametrize(
    ("replicas", "expected"),
    [
        ({"min_replicas": 0}, "replicas.min_replicas = 0: replicas.max_replicas is null"),
        ({"num_replicas": 4, "max_replicas": 3}, "replicas.num_replicas = 4: above replicas.max_replicas = 3"),
        (
            {"num_replicas": 1, "min_replicas": 2, "max_replicas": 3},
            "replicas.num_replicas = 1: below replicas.min_replicas = 2",
        ),
        ({"max_replicas": 3, "tokens_per_replica": 0}, "replicas.tokens_per_replica = 0"),
        ({"max_replicas": 3, "scale_up_delay_s": -1.0}, "replicas.scale_up_delay_s = -1.0"),
        ({"max_replicas": 3, "min_replicas": 0}, None),
    ],
)
def test_settings_that_cannot_work_are_named(tmp_path: Path, replicas: dict[str, Any], expected: str | None) -> None:
    (tmp_path / "adapters" / "trusted_keys").mkdir(parents=True)
    if expected is None:
        load_settings({"replicas": replicas}, root=tmp_path)
        return
    with pytest.raises(ConfigError) as caught:
        load_settings({"replicas": replicas}, root=tmp_path)
    assert expected in caught.value.message


def report(replica: str, **hits: int) -> Report:
    numbers = {
        bundle: AdapterNumbers(counts={"hit": {"device": hit - hit // 2, "host": hit // 2, "disk": 9}})
        for bundle, hit in hits.items()
    }
    return Report(replica, "base", 100, "1", adapters=numbers)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_hot_adapters_are_those_used_most_lately_over_all_replicas() -> None:
    clock = Clock()
    usage = AdapterUsage(clock)
    usage.count_uses(report("r1", a=100, b=10))
    usage.count_uses(report("r2", b=30, c=1))
    assert usage.top(2) == ["a", "b"]
    usage.count_uses(report("r1", a=100, b=90))
    usage.count_uses(report("r1", a=100, b=90))
    assert usage.top(8) == ["b", "a", "c"], "what was counted before is not counted again"
    clock.now += 4 * HALF_LIFE_S
    usage.count_uses(report("r2", b=30, c=31))
    assert usage.top(8) == ["c", "b", "a"], "long ago counts less"


def test_counts_that_begin_again_are_uses_too() -> None:
    usage = AdapterUsage(Clock())
    usage.count_uses(report("r1", a=5))
    usage.count_uses(report("r1", a=2, b=6))
    assert usage.top(1) == ["a"]


def test_the_memory_of_uses_is_bounded() -> None:
    usage = AdapterUsage(Clock())
    for number in range(MAX_BUNDLES + 10):
        usage.count_uses(report(f"r{number}", **{f"p{number}": 1}))
    assert len(usage._uses) == MAX_BUNDLES
    assert len(usage._seen) <= 256
    assert "p0" not in usage.top(MAX_BUNDLES)


async def test_the_store_knows_what_is_hot_and_a_replica_brings_it_to_its_device(world: World, tmp_path: Path) -> None:
    args = world.settings(adapters={"state_dir": str(tmp_path)}, router={"enabled": False})
    async with running(args) as (http, store):
        bundle = {entry.name: entry.bundle_digest for entry in store.catalogue.entries}
        for model in ("code_generation", "math_reasoning", "math_reasoning"):
            answer = await http.post("/v1/completions", json={"model": model, "prompt": "one two", "max_tokens": 2})
            assert answer.status_code == 200

        async def is_known() -> bool:
            hot = await store.actor.hot(2)
            return hot == [bundle["math_reasoning"], bundle["code_generation"]]

        await eventually(is_known)
        holdings = store.worker.holdings
        assert holdings.report()[0][bundle["logical_reasoning"]].residency == "host"
        await holdings.warm(["0" * 64, bundle["logical_reasoning"]])
        assert holdings.report()[0][bundle["logical_reasoning"]].residency == "device"
        assert await store.worker.backlog_tokens() == 0
