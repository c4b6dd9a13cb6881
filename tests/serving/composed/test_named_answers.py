"""A composition with a name answers as the same one in ``adaptrix.compose`` does, whatever its strategy."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.serving.composed.conftest import QUESTION, STRATEGIES, Composed

pytestmark = pytest.mark.asyncio(loop_scope="session")

PATHS = ("/v1/chat/completions", "/v1/completions")


def without_who(choice: dict[str, Any]) -> dict[str, Any]:
    """A choice without what tells of the composition itself."""
    told = {k: v for k, v in choice.get("adaptrix", {}).items() if k not in ("adapter", "digest", "parts")}
    return {**choice, "adaptrix": told}


def events(streamed: httpx.Response) -> list[dict[str, Any]]:
    assert streamed.text.endswith("data: [DONE]\n\n"), streamed.text
    return [json.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: {")]


def spoken(documents: list[dict[str, Any]]) -> str:
    choices = [choice for document in documents for choice in document["choices"]]
    return "".join(choice.get("text") or choice.get("delta", {}).get("content", "") for choice in choices)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", STRATEGIES)
async def test_it_is_the_composition_that_a_request_could_say(composed: Composed, name: str, path: str) -> None:
    by_hand = await composed.ask(path=path, adaptrix={"compose": STRATEGIES[name]})
    by_name = await composed.ask(name, path)
    assert (by_hand.status_code, by_name.status_code) == (200, 200), (by_hand.text, by_name.text)
    ours, theirs = by_name.json(), by_hand.json()
    assert [without_who(one) for one in ours["choices"]] == [without_who(one) for one in theirs["choices"]]
    for usage in (ours["usage"], theirs["usage"]):
        usage.pop("prompt_tokens_details")  # the second request finds the first one's prompt
    assert ours["usage"] == theirs["usage"]
    assert ours["model"] == by_name.headers["x-adaptrix-adapter"] == name
    assert by_name.headers["x-adaptrix-digest"] == composed.digests[name]


@pytest.mark.parametrize("name", STRATEGIES)
async def test_each_choice_tells_of_its_package_and_its_parts(composed: Composed, name: str) -> None:
    told = (await composed.ask(name)).json()["choices"][0]["adaptrix"]
    card = (await composed.http.get(f"/v1/adapters/{name}")).json()
    assert (told["adapter"], told["digest"]) == (name, composed.digests[name])
    assert told["parts"] == {part["name"]: part["package_digest"] for part in card["parts"]}
    assert card["metadata"]["composition"] == STRATEGIES[name]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", STRATEGIES)
async def test_a_stream_tells_the_same(composed: Composed, name: str, path: str) -> None:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    by_name = await composed.ask(name, path, **options)
    by_hand = await composed.ask(path=path, adaptrix={"compose": STRATEGIES[name]}, **options)
    ours, theirs = events(by_name), events(by_hand)
    assert spoken(ours) == spoken(theirs) != ""
    assert ours[-1]["usage"]["completion_tokens"] == theirs[-1]["usage"]["completion_tokens"]
    assert {document["model"] for document in ours} == {name}
    steps = [
        [c["adaptrix"]["text"] for d in documents for c in d["choices"] if "text" in c.get("adaptrix", {})]
        for documents in (ours, theirs)
    ]
    assert "".join(steps[0]) == "".join(steps[1])


@pytest.mark.parametrize("name", STRATEGIES)
async def test_every_api_takes_it_as_a_model(composed: Composed, name: str) -> None:
    chat = (await composed.ask(name)).json()["choices"][0]["message"]["content"]
    common = {"model": name, "temperature": 1, "seed": 7, "ignore_eos": True}
    response = await composed.http.post("/v1/responses", json={**common, "input": QUESTION, "max_output_tokens": 12})
    assert response.status_code == 200, response.text
    assert response.json()["output"][0]["content"][0]["text"] == chat
    assert response.json()["model"] == name
    said = {**common, "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 12}
    message = await composed.http.post("/v1/messages", json=said)
    assert message.status_code == 200, message.text
    assert message.json()["content"][0]["text"] == chat
    assert message.json()["model"] == name


async def test_it_is_listed_metered_and_counted_as_an_adapter(composed: Composed) -> None:
    def counted(metrics: str, name: str) -> float:
        marks = ("adaptrix_generated_tokens_total", f'adapter="{name}"')
        return sum(float(line.split()[-1]) for line in metrics.splitlines() if all(mark in line for mark in marks))

    models = {card["id"]: card for card in (await composed.http.get("/v1/models")).json()["data"]}
    for name in STRATEGIES:
        assert (models[name]["root"], models[name]["parent"]) == (f"{name}@1.0.0", "tiny-llama")
        assert models[name]["sampling"] == {}
    before = (await composed.http.get("/metrics")).text
    await composed.ask("steps")
    after = (await composed.http.get("/metrics")).text
    assert counted(after, "steps") - counted(before, "steps") == 24
    for part in ("math_reasoning", "code_generation", "composition"):
        assert counted(after, part) == counted(before, part)
