"""Usage over HTTP: sums equal what the requests' own answers said, to the token, and each tenant sees its own only."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from deployments.callers.key_file import hash_key
from tests.serving.conftest import BASE_ID, eventually
from tests.serving.inprocess import running
from tests.serving.tiny import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANARY = "What is the colour of the canary that sings at night?"
HOSTILE = "=cmd()"
"""A tenant's name."""
KEYS = {"a1": ("acme", "user"), "a2": ("acme", "user"), "b1": (HOSTILE, "user"), "op": ("ops", "operator")}
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": CANARY}], "max_tokens": 6, "temperature": 0}
TEXT: dict[str, Any] = {"prompt": CANARY, "max_tokens": 5, "temperature": 0}
PRICE = {"valid_from": "2026-01-01", "prompt_tokens": "0.1", "cached_tokens": "0.02", "completion_tokens": "0.4"}
USED = ("prompt_tokens", "completion_tokens", "cached_tokens")


@dataclass
class Tracked:
    """A server, and what its answers have said of their tokens."""

    http: httpx.AsyncClient
    root: Path
    said: dict[tuple[str, str, str], Counter[str]] = field(default_factory=dict)
    """By tenant, key and adapter."""

    async def get(self, key: str, path: str, **parameters: object) -> httpx.Response:
        return await self.http.get(path, params=parameters, headers={"authorization": f"Bearer {key}"})  # type: ignore[arg-type]

    async def usage(self, key: str, **parameters: object) -> list[dict[str, Any]]:
        answer = await self.get(key, "/v1/usage", **parameters)
        assert answer.status_code == 200, answer.text
        data: list[dict[str, Any]] = answer.json()["data"]
        return data

    async def post(self, key: str, path: str, body: dict[str, Any]) -> httpx.Response:
        answer = await self.http.post(path, json=body, headers={"authorization": f"Bearer {key}"})
        if answer.status_code == 200:
            self._note(key, _usage(answer, body), answer.headers["x-adaptrix-adapter"])
        return answer

    def _note(self, key: str, usage: dict[str, Any], adapter: str) -> None:
        kind = "fork" if "," in adapter else "mix" if "*" in adapter else adapter
        counts = self.said.setdefault((KEYS[key][0], key, kind), Counter())
        counts["requests"] += 1
        counts["prompt_tokens"] += usage["prompt_tokens"]
        counts["completion_tokens"] += usage["completion_tokens"]
        counts["cached_tokens"] += usage["prompt_tokens_details"]["cached_tokens"]


def _usage(answer: httpx.Response, body: dict[str, Any]) -> dict[str, Any]:
    if not body.get("stream"):
        usage: dict[str, Any] = answer.json()["usage"]
        return usage
    lines = [line.removeprefix("data: ") for line in answer.text.splitlines() if line.startswith("data: {")]
    last: dict[str, Any] = json.loads(lines[-1])["usage"]
    return last


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tracked(world: World, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tracked]:
    root = tmp_path_factory.mktemp("tracked")
    records = [
        {"id": key, "sha256": hash_key(key), "tenant": tenant, "roles": [role]} for key, (tenant, role) in KEYS.items()
    ]
    (root / "keys.json").write_text(json.dumps({"keys": records}))
    (root / "prices.json").write_text(json.dumps({"currency": "EUR", "prices": [PRICE]}))
    args = world.settings(
        adapters={"state_dir": str(root / "state")},
        router={"enabled": False},
        tracker={"prices_file": str(root / "prices.json")},
    )
    async with running(args, keys=root / "keys.json") as (http, _):
        server = Tracked(http, root)
        stream = {"stream": True, "stream_options": {"include_usage": True}}
        await asyncio.gather(
            server.post("a1", "/v1/chat/completions", {"model": BASE_ID, **CHAT}),
            server.post("a1", "/v1/chat/completions", {"model": "math_reasoning", **CHAT, **stream}),
            server.post("a2", "/v1/chat/completions", {"model": "math_reasoning", **CHAT, "n": 3, "temperature": 1}),
            server.post("a2", "/v1/completions", {"model": "code_generation", **TEXT, "prompt": ["one", "two three"]}),
            server.post("b1", "/v1/completions", {"model": "math_reasoning*0.5+code_generation*0.5", **TEXT}),
            server.post("b1", "/v1/completions", {"model": BASE_ID, **TEXT, **stream}),
        )
        for _ in range(2):  # the second finds its prompt in the cache
            fork = {"adaptrix": {"fork": ["math_reasoning", "code_generation", None]}}
            await server.post("b1", "/v1/chat/completions", {"model": BASE_ID, **CHAT, **fork})
        assert (await server.post("a1", "/v1/completions", {"model": "nobody", **TEXT})).status_code == 404

        async def is_all_there() -> bool:
            return sum(row["requests"] for row in await server.usage("op")) == 9

        await eventually(is_all_there)
        yield server


async def test_sums_are_what_the_answers_said_to_the_token(tracked: Tracked) -> None:
    rows = await tracked.usage("op", group_by="tenant,key_id,adapter")
    told = {
        (row["tenant"], row["key_id"], row["adapter"]): {name: row[name] for name in ("requests", *USED)}
        for row in rows
        if row["answered"]
    }
    assert told == {who: {name: counts[name] for name in ("requests", *USED)} for who, counts in tracked.said.items()}
    assert sum(counts["cached_tokens"] for counts in tracked.said.values()) > 0, "the case of cached tokens is there"
    everything = (await tracked.usage("op", group_by=""))[0]
    for name in USED:
        assert everything[name] == sum(counts[name] for counts in tracked.said.values())


async def test_a_request_that_was_refused_is_counted_as_that(tracked: Tracked) -> None:
    (row,) = [row for row in await tracked.usage("op") if row["adapter"] == ""]
    assert (row["requests"], row["refused"], row["answered"], row["success_rate"]) == (1, 1, 0, None)


async def test_latencies_are_those_of_real_requests(tracked: Tracked) -> None:
    (row,) = await tracked.usage("op", group_by="", adapter="math_reasoning")
    assert set(row["latency"]) >= {"queue_s", "first_token_s", "per_token_s", "total_s"}
    assert 0 < row["latency"]["first_token_s"]["p50"] <= row["latency"]["total_s"]["p99"] * 1.1


async def test_a_tenant_sees_its_own_requests_only(tracked: Tracked) -> None:
    own = await tracked.usage("b1", group_by="tenant")
    assert [row["tenant"] for row in own] == [HOSTILE]
    assert own == await tracked.usage("op", group_by="tenant", tenant=HOSTILE)
    named = await tracked.usage("b1", tenant=HOSTILE, group_by="tenant")
    assert named == own
    refused = await tracked.get("b1", "/v1/usage", tenant="acme")
    assert (refused.status_code, refused.json()["error"]["param"]) == (403, "tenant")
    assert await tracked.usage("b1", key_id="a1") == [], "a foreign key has no rows"
    whole = (await tracked.get("b1", "/v1/usage")).json()
    assert whole["dropped"] is None, "how much is asked by others is not told"
    assert {row["tenant"] for row in await tracked.usage("op", group_by="tenant")} == {"acme", HOSTILE}


async def test_the_last_minute_is_told_by_adapter(tracked: Tracked) -> None:
    everybody = (await tracked.get("op", "/v1/usage/live")).json()["data"]
    assert {row["adapter"] for row in everybody} == {"", "mix", "fork", "base", "math_reasoning", "code_generation"}
    own = (await tracked.get("a1", "/v1/usage/live")).json()["data"]
    assert "fork" not in {row["adapter"] for row in own}


async def test_hours_add_up_to_the_whole(tracked: Tracked) -> None:
    for width in ("1h", "1d"):
        rows = await tracked.usage("op", bucket_width=width, group_by="")
        assert all(row["start_time"] % (3600 if width == "1h" else 86400) == 0 for row in rows)
        assert sum(row["requests"] for row in rows) == 9


@pytest.mark.parametrize(
    "parameters",
    [
        {"start_time": "yesterday"},
        {"start_time": "9999999999999"},
        {"end_time": "2026-13-01"},
        {"start_time": "2026-12-02", "end_time": "2026-12-01"},
        {"bucket_width": "1m"},
        {"group_by": "tenant,tenant"},
        {"group_by": "prompt"},
        {"frobnicate": "1"},
    ],
    ids=str,
)
async def test_a_wrong_parameter_is_named(tracked: Tracked, parameters: dict[str, str]) -> None:
    refused = await tracked.get("a1", "/v1/usage", **parameters)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] in parameters


@pytest.mark.parametrize("start", ["0", "2026-01-01", "2026-01-01T00:00:00+02:00"])
async def test_moments_are_seconds_or_iso(tracked: Tracked, start: str) -> None:
    assert sum(row["requests"] for row in await tracked.usage("op", start_time=start)) == 9


async def test_costs_are_tokens_times_prices(tracked: Tracked) -> None:
    answer = (await tracked.get("op", "/v1/usage/costs", bucket_width="1h")).json()
    assert (answer["currency"], answer["unpriced"]) == ("EUR", 0)
    said: Counter[str] = sum(tracked.said.values(), Counter())
    fresh = said["prompt_tokens"] - said["cached_tokens"]
    true = fresh * Decimal("0.1") + said["cached_tokens"] * Decimal("0.02") + said["completion_tokens"] * Decimal("0.4")
    assert Decimal(answer["total"]) * 1_000_000 == true
    assert sum(Decimal(row["cost"]) for row in answer["data"]) == Decimal(answer["total"])
    own = (await tracked.get("a1", "/v1/usage/costs")).json()
    assert {(row["tenant"], row["adapter"]) for row in own["data"] if row["requests"]} >= {("acme", "math_reasoning")}
    assert {row["tenant"] for row in own["data"]} == {"acme"}


async def test_no_text_of_a_request_is_in_the_trackers_files(tracked: Tracked) -> None:
    files = [path for path in (tracked.root / "state" / "tracker").iterdir() if path.is_file()]
    assert any(b"math_reasoning" in path.read_bytes() for path in files)
    assert not any(b"canary" in path.read_bytes() for path in files)


async def test_where_it_is_switched_off_nothing_is_kept(world: World, tmp_path: Path) -> None:
    args = world.settings(adapters={"state_dir": str(tmp_path)}, router={"enabled": False}, tracker={"enabled": False})
    async with running(args) as (http, _):
        assert (await http.post("/v1/completions", json={"model": BASE_ID, **TEXT})).status_code == 200
        assert (await http.get("/v1/usage/costs")).status_code == 404, "there are no prices"
        for path in ("/v1/usage", "/v1/usage/live"):
            refused = await http.get(path)
            assert (refused.status_code, refused.json()["error"]["code"]) == (503, "tracker_disabled")
    assert not (tmp_path / "tracker").exists()
