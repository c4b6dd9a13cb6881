"""A tenant that walks through every endpoint finds nothing of another one: no name, no count, no answer that tells."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.serving.conftest import BASE_ID, eventually
from tests.serving.tenants.callers import Caller, Tenants, tenants_of
from tests.serving.tenants.walking import Answers, Wanted, walked
from tests.serving.tiny import World

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET, NOBODYS = "zanzibar-shanties", "xylophone-ballads"
"""The name of acme's adapter, and one that nobody has; neither is near to any other name, nor to each other."""
QUESTION = "Sing me a shanty of zanzibar and its whales."
DESCRIPTION = "Shanties of whalers, for zanzibar only."
UNKNOWN = {
    "response": "resp_00000000000000000000000000000000",
    "conversation": "conv_00000000000000000000000000000000",
    "item": "msg_00000000000000000000000000000000",
    "file": "file-00000000000000000000000000000000",
    "batch": "batch_00000000000000000000000000000000",
    "message": "0000000000000000",
}


@dataclass(frozen=True)
class Walks:
    """The same walks of one tenant: before the other had anything, and after."""

    before: Answers
    after: Answers
    to_its_things: Answers
    """After, of the other's names and ids."""
    tells: tuple[str, ...]
    """Texts that are the other tenant's alone."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tenants(world: World, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Tenants]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("ADAPTRIX_CACHE", str(tmp_path_factory.mktemp("cache")))
        router = {"enabled": True, "trunk": True, "embedder": None}
        async with tenants_of(world, tmp_path_factory.mktemp("state"), router=router, engine={"cut": 1}) as made:
            yield made


async def file_of(caller: Caller, model: str) -> str:
    line = {"custom_id": "1", "method": "POST", "url": "/v1/chat/completions", "body": {"model": model, **ASKED}}
    files = {"file": ("lines.jsonl", io.BytesIO(json.dumps(line).encode()))}
    answer = await caller.ask("POST", "/v1/files", files=files, data={"purpose": "batch"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


ASKED = {"messages": [{"role": "user", "content": QUESTION}], "max_tokens": 4, "temperature": 0}


async def batch_of(caller: Caller, file_id: str) -> dict[str, Any]:
    """A batch of that file, once it is over."""
    body = {"input_file_id": file_id, "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    made = await caller.ask("POST", "/v1/batches", json=body)
    assert made.status_code == 200, made.text
    path = f"/v1/batches/{made.json()['id']}"
    async with asyncio.timeout(60):
        while (batch := (await caller.ask("GET", path)).json())["status"] not in ("completed", "failed"):
            await asyncio.sleep(0.02)
    return dict(batch)


async def lived(acme: Caller, package: Path) -> dict[str, str]:
    """Everything that a tenant can leave with a server; the ids of its objects."""
    published = await acme.publish(package)
    assert published.status_code == 201, published.text
    response = await acme.ask(
        "POST", "/v1/responses", json={"model": SECRET, "input": QUESTION, "max_output_tokens": 4}
    )
    items = [{"type": "message", "role": "user", "content": QUESTION}]
    conversation = await acme.ask("POST", "/v1/conversations", json={"items": items, "metadata": {"of": SECRET}})
    path = f"/v1/conversations/{conversation.json()['id']}/items"
    item = (await acme.ask("GET", path)).json()["data"][0]["id"]
    file_id = await file_of(acme, SECRET)
    batch = await batch_of(acme, file_id)
    assert batch["request_counts"]["completed"] == 1, batch
    for _ in range(3):
        label = {"adapter": SECRET, "confidence": 0.9, "right": False}
        assert (await acme.ask("POST", "/v1/feedback/answers", json=label)).status_code == 200
        right = {"messages": ASKED["messages"], "right": "math_reasoning"}
        assert (await acme.ask("POST", "/v1/feedback", json=right)).status_code == 200
    ids = {"response": response.json()["id"], "conversation": conversation.json()["id"], "item": item}
    return {**UNKNOWN, **ids, "file": file_id, "batch": batch["id"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def walks(tenants: Tenants, world: World, tmp_path_factory: pytest.TempPathFactory) -> Walks:
    root = tmp_path_factory.mktemp("made")
    card = {"description": DESCRIPTION, "routing_examples": (QUESTION,)}
    theirs = world.write_adapter(root / "theirs", SECRET, 91, version="1.0.0", **card)
    mine = world.write_adapter(root / "mine", NOBODYS, 92, version="1.0.0")
    same_name = world.write_adapter(root / "same", SECRET, 93, version="1.0.0")
    wanted = Wanted(NOBODYS, UNKNOWN, QUESTION, mine)
    await walked(tenants.beta, wanted)  # its own prompts are cached from now on
    before = await walked(tenants.beta, wanted)
    ids = await lived(tenants.acme, theirs)
    known = tenants.store.catalogue.whole.find(f"~acme/{SECRET}")
    assert known is not None

    async def is_routed_to() -> bool:
        answer = await tenants.acme.chat("auto", QUESTION)
        return answer.headers["x-adaptrix-adapter"] == SECRET

    await eventually(is_routed_to)  # so that it would be for others, too, were it among their candidates
    after = await walked(tenants.beta, wanted)
    to_its_things = await walked(tenants.beta, replace(wanted, adapter=SECRET, objects=ids, package=same_name))
    own = (known.package_digest, known.bundle_digest, DESCRIPTION, "zanzibar only", "whalers")
    return Walks(before, after, to_its_things, own)


async def test_the_walk_goes_everywhere_and_asks_well(walks: Walks) -> None:
    statuses = {asked: status for asked, (status, *_) in walks.before.items()}
    assert len(statuses) > 100
    for asked, status in statuses.items():
        assert status < 500, asked
    answered = [asked for asked, status in statuses.items() if status in (200, 201)]
    for expected in ("GET /v1/models", "GET /v1/adapters", "POST /v1/chat/completions", "POST /v1/route"):
        assert any(asked.startswith(expected) for asked in answered), f"{expected} was never answered"
    assert statuses["POST /v1/adapters 0"] == 201


async def test_nothing_changes_for_a_tenant_when_another_comes(walks: Walks) -> None:
    for asked, answer in walks.before.items():
        assert walks.after[asked] == answer, asked


async def test_what_is_another_tenants_is_answered_as_what_nobody_has(walks: Walks) -> None:
    for asked, answer in walks.before.items():
        assert walks.to_its_things[asked] == answer, asked


async def test_no_answer_has_a_word_of_the_other_tenants(walks: Walks) -> None:
    for seen in (walks.after, walks.to_its_things):
        for asked, answer in seen.items():
            text = json.dumps(answer).replace("<asked", "")
            told = [word for word in (*walks.tells, SECRET, "acme") if word in text.replace("~acme/", "")]
            assert not told, f"{asked} tells {told}"


async def test_a_batch_with_another_tenants_adapter_fails_as_with_nobodys(tenants: Tenants, walks: Walks) -> None:
    told = []
    for name in (SECRET, NOBODYS, f"~acme/{SECRET}", f"~acme/{NOBODYS}"):
        batch = await batch_of(tenants.beta, await file_of(tenants.beta, name))
        content = await tenants.beta.ask("GET", f"/v1/files/{batch['error_file_id']}/content")
        (line,) = [json.loads(line) for line in content.text.splitlines()]
        told.append((batch["request_counts"], line["response"]["body"]["error"]["message"].replace(name, "…")))
    assert told[0] == told[1]
    assert told[2] == told[3]


async def test_a_tenants_own_counts_begin_at_one(tenants: Tenants, walks: Walks) -> None:
    gamma = tenants.gamma
    label = {"adapter": "math_reasoning", "confidence": 0.5, "right": True}
    assert (await gamma.ask("POST", "/v1/feedback/answers", json=label)).json()["labels"] == 1
    body = {"messages": ASKED["messages"], "right": "base"}
    assert (await gamma.ask("POST", "/v1/feedback", json=body)).json()["labels"] == 1
    assert (await gamma.ask("GET", "/v1/files")).json()["data"] == []
    assert (await gamma.ask("GET", "/v1/batches")).json()["data"] == []


@pytest.mark.parametrize("path", ["/v1/usage?group_by=adapter,tenant", "/v1/usage/live", "/v1/usage/costs"])
async def test_usage_tells_of_nobody_else(tenants: Tenants, walks: Walks, path: str) -> None:
    for caller in (tenants.beta, tenants.gamma):
        answer = await caller.ask("GET", path)
        assert answer.status_code < 500
        assert not [word for word in (*walks.tells, SECRET, "acme") if word in answer.text]


async def test_an_operator_sees_whose_is_what_and_uses_nothing_of_it(tenants: Tenants, walks: Walks) -> None:
    full = f"~acme/{SECRET}"
    assert full in await tenants.op.adapters()
    scraped = (await tenants.op.ask("GET", "/metrics")).text
    assert f'adaptrix_answers_total{{adapter="{full}"}}' in scraped
    assert f'adapter="{SECRET}"' not in scraped
    for model in (SECRET, full):
        refused = await tenants.root.chat(model)
        assert refused.status_code == 404, "who may see everything still generates as its own tenant"
    assert (await tenants.root.chat("auto", QUESTION)).headers["x-adaptrix-adapter"] != SECRET
    taught = {"messages": ASKED["messages"], "right": SECRET, "learn": True}
    assert (await tenants.root.ask("POST", "/v1/feedback", json=taught)).status_code == 400


async def test_a_key_that_lacks_the_scope_sees_no_metrics(tenants: Tenants) -> None:
    for caller in (tenants.acme, tenants.beta, tenants.gamma):
        assert (await caller.ask("GET", "/metrics")).status_code == 403
        assert BASE_ID not in (await caller.ask("GET", "/metrics")).text
