"""What may be asked of a composition of several rows or steps: routed to, refused by name, continued, in batches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from tests.serving.batches.lines import chat_line, outcome
from tests.serving.composed.conftest import QUESTION, STRATEGIES, Composed
from tests.serving.compositions import write
from tests.serving.generation.test_continuation import a_message_for_each_step, server, short_pauses, streamed
from tests.serving.http.test_publishing import publish
from tests.serving.tiny import World

__all__ = ["a_message_for_each_step", "short_pauses"]

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
POEM = "Translate this line of poetry into the language of whales."


@pytest.mark.parametrize(
    ("model", "adaptrix", "param"),
    [
        ("steps+math_reasoning", {}, "model"),
        ("tiny-llama", {"mix": {"steps": 0.5, "math_reasoning": 0.5}}, "adaptrix.mix"),
        ("tiny-llama", {"fork": ["votes", None]}, "adaptrix.fork"),
        ("tiny-llama", {"compose": {"sequential": ["math_reasoning", "switches"]}}, "adaptrix.compose"),
        ("vote(both,math_reasoning)", {}, "model"),
    ],
)
async def test_it_is_no_part_of_another_answer(
    composed: Composed, model: str, adaptrix: dict[str, Any], param: str
) -> None:
    refused = await composed.ask(model, adaptrix=adaptrix)
    error = refused.json()["error"]
    assert (refused.status_code, error["param"]) == (400, param), error
    assert "is a composition that is" in error["message"]


@pytest.mark.parametrize("name", ["steps", "votes"])
@pytest.mark.parametrize(
    ("fields", "param"), [({"n": 2}, "n"), ({"prompt_logprobs": 1}, "prompt_logprobs"), ({"tools": TOOLS}, "tools")]
)
async def test_what_it_cannot_honour_is_refused_by_name(
    composed: Composed, name: str, fields: dict[str, Any], param: str
) -> None:
    refused = await composed.ask(name, **fields)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, param)


@asynccontextmanager
async def poet(composed: Composed, world: World, place: Path) -> AsyncIterator[None]:
    """While it lasts, the server has a sequence for questions about whales."""
    made = write(
        world,
        composed.shipped,
        "poet",
        STRATEGIES["steps"],
        place / "poet",
        description="Poems of whales",
        routing_examples=(POEM,),
    )
    assert (await publish(composed.http, made)).status_code == 201
    try:
        yield
    finally:
        await composed.http.post("/v1/unload_lora_adapter", json={"lora_name": "poet"})


async def test_auto_goes_to_it_by_its_card_or_says_why_not(composed: Composed, world: World, tmp_path: Path) -> None:
    chat = [{"role": "user", "content": POEM}]
    async with poet(composed, world, tmp_path):
        named = (await composed.ask("poet", messages=chat)).json()
        routed = await composed.ask("auto", messages=chat)
        assert routed.headers["x-adaptrix-adapter"] == routed.json()["model"] == "poet"
        assert float(routed.headers["x-adaptrix-route-score"]) > 0.5
        assert [one["message"] for one in routed.json()["choices"]] == [one["message"] for one in named["choices"]]
        without = await composed.ask("auto", messages=chat, n=2)
        assert without.headers["x-adaptrix-adapter"] == "base"
        assert without.headers["x-adaptrix-fallback"].startswith("poet: invalid_request: a composition that votes")
        refused = await composed.ask("auto", messages=chat, n=2, adaptrix={"fallback": "error"})
        assert (refused.status_code, refused.json()["error"]["param"]) == (400, "n")


async def test_prompts_that_are_routed_apart_may_go_to_it(composed: Composed, world: World, tmp_path: Path) -> None:
    prompts = [POEM, QUESTION]
    async with poet(composed, world, tmp_path):
        both = (await composed.ask("auto", "/v1/completions", prompt=prompts)).json()["choices"]
        alone = (await composed.ask("poet", "/v1/completions", prompt=POEM)).json()["choices"][0]
        other = (await composed.ask(both[1]["adaptrix"]["adapter"], "/v1/completions", prompt=QUESTION)).json()
    assert both[0]["adaptrix"]["adapter"] == "poet"
    assert (both[0]["text"], both[0]["adaptrix"]["steps"]) == (alone["text"], alone["adaptrix"]["steps"])
    assert both[1]["text"] == other["choices"][0]["text"]
    assert "steps" not in both[1]["adaptrix"]


async def test_a_batch_asks_it(composed: Composed) -> None:
    client = openai.AsyncOpenAI(base_url="http://127.0.0.1/v1", api_key="none", http_client=composed.http)
    lines = [chat_line(name, QUESTION, model=name, max_tokens=12, temperature=1, seed=7) for name in ("steps", "votes")]
    batch, answers, errors = await outcome(client, lines)
    assert (batch.status, errors) == ("completed", [])
    for answer in answers:
        name, document = answer["custom_id"], answer["response"]["body"]
        online = (await composed.ask(name, ignore_eos=False)).json()
        assert document["model"] == name
        assert document["choices"][0]["message"] == online["choices"][0]["message"]


async def published(http: httpx.AsyncClient, directories: Iterable[Path]) -> None:
    for directory in directories:
        answer = await publish(http, directory)
        assert answer.status_code == 201, answer.text


async def test_a_stream_outlives_the_loss_of_a_replica_in_each_of_its_steps(world: World, tmp_path: Path) -> None:
    made = [write(world, world.shipped, name, one, tmp_path / name) for name, one in STRATEGIES.items()]
    requests = {name: {"model": name, "temperature": 1.0, "seed": 7} for name in STRATEGIES}
    async with server(world, tmp_path / "one", after=10**9, spares=0) as (http, _, _):
        await published(http, made)
        undisturbed = {name: await streamed(http, **fields) for name, fields in requests.items()}
    async with server(world, tmp_path / "two", after=5, spares=12) as (http, store, failing):
        await published(http, made)
        for worker in failing.workers[:-1]:
            await worker.holdings.sync(store.catalogue)
        for name, fields in requests.items():
            assert await streamed(http, **fields) == undisturbed[name], name
    continued = [call.signed for call in failing.calls if call.resume and call.signed is not None]
    assert len({(step.bundle, step.number) for step in continued}) == 12  # every step of every strategy, once
