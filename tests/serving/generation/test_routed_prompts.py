"""`auto` with several prompts, or token ids: each prompt goes to an adapter of its own, and every choice says which."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from adaptrix_core.errors import AdapterUnavailable, InvalidRequest, Overloaded
from adaptrix_core.injection.mix import Term
from adaptrix_core.routing.embedder import TextEmbedder
from deployments.callers.principal import LOCAL
from deployments.generation.model_names import NamedMix
from deployments.generation.resolve import ResolvedRequest, resolve, without_broken_adapter
from deployments.openai.schemas import CompletionRequest
from deployments.shared.token_calls import DetokenizeCall, TokenizeCall, Tokenized
from deployments.shared.wire import RouteAnswer
from tests.serving.conftest import BASE_ID, Local
from tests.serving.generation.test_names import CATALOGUE
from tests.serving.inprocess import running
from tests.serving.tiny import World

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXTS = [
    "What is 12 + 30?",
    "Write a Python function that multiplies two numbers.",
    "Tell me a bedtime story about a sleepy hedgehog.",
    "What is 7 + 8?",
]
ADAPTERS = ["math_reasoning", "code_generation", "base", "math_reasoning"]
ASK = {"model": "auto", "max_tokens": 6, "temperature": 0, "ignore_eos": True}


async def complete(http: httpx.AsyncClient, prompt: Any, **fields: Any) -> httpx.Response:
    answer = await http.post("/v1/completions", json={**ASK, "prompt": prompt, **fields})
    assert answer.status_code == 200, answer.text
    return answer


async def digests(routed: Local) -> dict[str, str]:
    listing = (await routed.http.get("/v1/adapters")).json()["data"]
    return {"base": "", **{adapter["name"]: adapter["digest"] for adapter in listing}}


async def test_each_prompt_is_answered_by_its_adapter_as_if_it_came_alone(routed: Local) -> None:
    together = await complete(routed.http, TEXTS, n=2, seed=3, temperature=0.5)
    alone = [(await complete(routed.http, text, n=2, seed=3, temperature=0.5)) for text in TEXTS]
    choices = together.json()["choices"]
    assert [choice["text"] for choice in choices] == [c["text"] for one in alone for c in one.json()["choices"]]
    told = [choice["adaptrix"] for choice in choices]
    assert [one["adapter"] for one in told] == [name for name in ADAPTERS for _ in range(2)]
    known = await digests(routed)
    assert [one["digest"] for one in told] == [known[one["adapter"]] for one in told]
    scores = [float(one.headers["x-adaptrix-route-score"]) for one in alone]
    assert [one["route_score"] for one in told] == pytest.approx([s for s in scores for _ in range(2)], abs=1e-3)
    assert together.json()["usage"]["prompt_tokens"] == sum(one.json()["usage"]["prompt_tokens"] for one in alone)


async def test_the_headers_name_each_adapter_once(routed: Local) -> None:
    answer = await complete(routed.http, TEXTS)
    known = await digests(routed)
    assert answer.headers["x-adaptrix-adapter"] == "math_reasoning,code_generation,base"
    assert answer.headers["x-adaptrix-digest"] == f"{known['math_reasoning']},{known['code_generation']},"
    assert "x-adaptrix-route-score" not in answer.headers
    assert "x-adaptrix-fallback" not in answer.headers
    one = await complete(routed.http, [TEXTS[0], TEXTS[3]])
    assert one.headers["x-adaptrix-adapter"] == one.json()["model"] == "math_reasoning"


async def test_a_stream_says_the_same_as_the_whole_answer(routed: Local) -> None:
    fields = {"echo": True, "logprobs": 1, "return_token_ids": True}
    whole = (await complete(routed.http, TEXTS, **fields)).json()
    streamed = await complete(routed.http, TEXTS, **fields, stream=True)
    events = [json.loads(line[6:]) for line in streamed.text.splitlines() if line.startswith("data: {")]
    for wanted in whole["choices"]:
        pieces = [c for event in events for c in event["choices"] if c["index"] == wanted["index"]]
        assert "".join(piece["text"] for piece in pieces) == wanted["text"]
        assert wanted["text"].startswith(TEXTS[wanted["index"]])
        assert [token for piece in pieces for token in piece.get("token_ids", ())] == wanted["token_ids"]
        assert {json.dumps(piece["adaptrix"]) for piece in pieces if "adaptrix" in piece} == {
            json.dumps(wanted["adaptrix"])
        }
        assert wanted["prompt_token_ids"] == routed.store.worker.tokenizer.encode(TEXTS[wanted["index"]])


async def test_token_ids_go_where_their_text_goes(routed: Local) -> None:
    ids = [routed.store.worker.tokenizer.encode(text) for text in TEXTS]
    choices = (await complete(routed.http, ids)).json()["choices"]
    assert [choice["adaptrix"]["adapter"] for choice in choices] == ADAPTERS
    assert [c["text"] for c in choices] == [c["text"] for c in (await complete(routed.http, TEXTS)).json()["choices"]]
    one = await complete(routed.http, ids[1])
    assert one.headers["x-adaptrix-adapter"] == "code_generation"
    assert one.headers["x-adaptrix-route-score"]


async def test_token_ids_that_nothing_can_read_are_refused(routed: Local) -> None:
    for prompt in ([5, 1_000_000], [[5], [1_000_000]]):
        answer = await routed.http.post("/v1/completions", json={**ASK, "prompt": prompt})
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (400, "prompt"), answer.text
        assert "1000000" in error["message"]
    assert (await complete(routed.http, [[5], [1]])).status_code == 200  # 1 is a special token: no text to route


async def test_named_models_do_not_say_it_in_every_choice(routed: Local) -> None:
    choices = (await complete(routed.http, TEXTS, model="math_reasoning")).json()["choices"]
    assert not [choice for choice in choices if "adaptrix" in choice]


async def test_each_adapters_tokens_are_counted_as_its_own(world: World, embedder: TextEmbedder, tmp_path: Any) -> None:
    args = world.settings(adapters={"state_dir": str(tmp_path / "state")})
    async with running(args, embedder) as (http, _):
        await complete(http, TEXTS)
        lines = (await http.get("/metrics")).text.splitlines()
    counted = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}
    sent = {name: value for name, value in counted.items() if name.startswith("adaptrix_generated_tokens")}
    for adapter, prompts in (("math_reasoning", 2), ("code_generation", 1), ("base", 1)):
        [number] = [value for name, value in sent.items() if f'adapter="{adapter}"' in name]
        assert number == 6 * prompts


class Decided:
    """A router that answers by what is asked, and fails where it is told to."""

    async def route(self, messages: Any, salt: bytes = b"", explained: bool = False) -> RouteAnswer:
        [message] = messages
        match message["content"]:
            case "fail":
                raise Overloaded("too many texts")
            case "invalid":
                raise InvalidRequest("not a text")
            case name:
                return RouteAnswer((Term(name),) if name != "base" else (), {}, 0.7, 0.9, "near")

    async def has_to_be_asked(self) -> bool:
        return True


class Spelled:
    """A tokenizer with one token for each name."""

    async def tokenize(self, call: TokenizeCall) -> Tokenized:
        raise AssertionError(call)

    async def detokenize(self, call: DetokenizeCall) -> str:
        assert call.salt == LOCAL.salt
        return ["math", "logic", "base", "fail"][call.token_ids[0]]


async def resolved(prompt: Any, **adaptrix: Any) -> ResolvedRequest:
    body = CompletionRequest.model_validate({"model": "auto", "prompt": prompt, "adaptrix": adaptrix or None})
    return await resolve(body, BASE_ID, CATALOGUE, Decided(), Spelled(), LOCAL)


async def test_the_base_model_steps_in_for_the_prompts_at_fault_alone() -> None:
    for prompt in (["math", "fail", "logic"], [[0], [3], [1]]):
        found = await resolved(prompt)
        assert [one.mix.label for one in found.by_prompt] == ["math", "base", "logic"]
        assert found.trouble == "router: overloaded: too many texts"
        with pytest.raises(Overloaded):
            await resolved(prompt, fallback="error")
    with pytest.raises(InvalidRequest):
        await resolved(["math", "invalid"])


async def test_a_broken_adapter_gives_way_in_its_prompts_alone() -> None:
    found = await resolved(["math", "logic", "math", "base"])
    assert [mix.label for mix in found.mixes] == ["math", "logic", "base"]
    error = AdapterUnavailable("cannot be loaded")
    error.bundle_digest = found.by_prompt[0].mix.bundles[0].adapter
    after = without_broken_adapter(found, error)
    assert [one.mix.label for one in after.by_prompt] == ["base", "logic", "base", "base"]
    assert [mix.label for mix in after.mixes] == ["base", "logic"]
    assert after.mixes_of(2) == (NamedMix(),)
    assert after.trouble.startswith("math: adapter_unavailable")
