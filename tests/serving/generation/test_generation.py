"""Chat and text completions through the official client: who answers, what comes back, whole and streamed."""

from __future__ import annotations

import json
import re

import openai
import pytest

from deployments.openai.schemas import ChatRequest
from tests.serving.conftest import BASE_ID, Local

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASK = [{"role": "user", "content": "What is 17 + 25?"}]


async def chat(local: Local, model: str, **options: object) -> str:
    answer = await local.openai.chat.completions.create(
        model=model, messages=ASK, max_tokens=8, temperature=0, extra_body=options
    )
    return answer.choices[0].message.content or ""


async def test_base_and_adapters_answer_differently_and_repeatably(local: Local) -> None:
    texts = {model: await chat(local, model) for model in (BASE_ID, "math_reasoning", "code_generation")}
    assert len(set(texts.values())) == 3
    assert texts["math_reasoning"] == await chat(local, "math_reasoning")
    assert texts["math_reasoning"] == await chat(local, f"{BASE_ID}:math_reasoning@1.0.0")
    assert texts[BASE_ID] == await chat(local, "math_reasoning*0")


async def test_headers_name_adapter_digest_and_score(local: Local) -> None:
    listing = (await local.http.get("/v1/adapters")).json()["data"]
    digests = {adapter["name"]: adapter["digest"] for adapter in listing}
    routed = await local.openai.chat.completions.with_raw_response.create(model="auto", messages=ASK, max_tokens=2)
    assert routed.headers["x-adaptrix-adapter"] == "math_reasoning"
    assert routed.headers["x-adaptrix-digest"] == digests["math_reasoning"]
    assert 0.5 < float(routed.headers["x-adaptrix-route-score"]) <= 1
    base = await local.openai.chat.completions.with_raw_response.create(model=BASE_ID, messages=ASK, max_tokens=2)
    assert base.headers["x-adaptrix-adapter"] == "base"
    assert base.headers["x-adaptrix-digest"] == ""


@pytest.mark.parametrize(
    ("text", "adapter"),
    [
        ("What is 12 + 30?", "math_reasoning"),
        ("Write a Python function that multiplies two numbers.", "code_generation"),
        ("Tell me a bedtime story about a sleepy hedgehog.", "base"),
    ],
)
async def test_auto_sends_each_question_to_its_adapter(local: Local, text: str, adapter: str) -> None:
    answer = await local.http.post(
        "/v1/chat/completions",
        json={"model": "auto", "messages": [{"role": "user", "content": text}], "max_tokens": 2},
    )
    assert answer.headers["x-adaptrix-adapter"] == adapter, answer.headers


async def test_in_a_conversation_auto_stays_with_its_adapter(local: Local) -> None:
    turns = [*ASK, {"role": "assistant", "content": "42"}, {"role": "user", "content": "And if it was 20 instead?"}]
    route = (await local.http.post("/v1/route", json={"messages": turns})).json()
    assert route["adapter"] == "math_reasoning"
    assert route["previous"] == "math_reasoning"
    alone = (await local.http.post("/v1/route", json={"messages": turns[2:]})).json()
    assert alone["previous"] is None


async def test_a_stream_says_the_same_as_the_whole_answer(local: Local) -> None:
    whole = await local.openai.chat.completions.create(
        model="math_reasoning", messages=ASK, max_tokens=8, temperature=0
    )
    stream = await local.openai.chat.completions.create(
        model="math_reasoning",
        messages=ASK,
        max_tokens=8,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
    )
    chunks = [chunk async for chunk in stream]
    assert len({chunk.id for chunk in chunks}) == 1
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole.choices[0].message.content
    assert [c.choices[0].finish_reason for c in chunks if c.choices and c.choices[0].finish_reason] == ["length"]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage == whole.usage
    assert whole.usage is not None
    assert whole.usage.completion_tokens == 8


async def test_streams_carry_the_headers_and_end_with_done(local: Local) -> None:
    response = await local.http.post(
        "/v1/completions", json={"model": "code_generation", "prompt": "a b c", "max_tokens": 3, "stream": True}
    )
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["x-adaptrix-adapter"] == "code_generation"
    events = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert events[-1] == "[DONE]"
    assert all("usage" not in json.loads(event) for event in events[:-1])


async def test_fork_answers_under_each_mix_in_order(local: Local) -> None:
    single = [await chat(local, model) for model in ("math_reasoning", BASE_ID, "code_generation")]
    answer = await local.http.post(
        "/v1/chat/completions",
        json={
            "model": "auto",
            "messages": ASK,
            "max_tokens": 8,
            "temperature": 0,
            "adaptrix": {"fork": ["math_reasoning", None, "code_generation"]},
        },
    )
    choices = answer.json()["choices"]
    assert [choice["message"]["content"] for choice in choices] == single
    assert [choice["adaptrix"]["adapter"] for choice in choices] == ["math_reasoning", "base", "code_generation"]
    assert answer.headers["x-adaptrix-adapter"] == "math_reasoning,base,code_generation"


async def test_a_fork_computes_its_trunk_once(local: Local) -> None:
    engine = local.store.worker._engine
    trunk, layers = engine.options.cut, engine.base.info.num_layers
    assert trunk == 1
    before = (await local.store.worker.report("r", "")).stats
    body = {"model": BASE_ID, "prompt": "What nobody asked before.", "max_tokens": 16, "ignore_eos": True}
    body["adaptrix"] = {"fork": ["math_reasoning", None, "code_generation"]}
    answer = (await local.http.post("/v1/completions", json=body)).json()
    after = (await local.store.worker.report("r", "")).stats
    prompt = answer["usage"]["prompt_tokens"]
    assert len(answer["choices"]) == 3
    outputs = 3 * 15 * layers  # each row computes all of its tokens but the last one
    computed = prompt * (trunk + 3 * (layers - trunk)) + outputs
    assert after["layer_tokens_computed"] - before["layer_tokens_computed"] == computed
    assert after["layer_tokens_taken_over"] - before["layer_tokens_taken_over"] == prompt * 2 * trunk


async def test_mix_in_the_body_equals_mix_in_the_name(local: Local) -> None:
    named = await chat(local, "math_reasoning*0.7+code_generation*0.3")
    assert named == await chat(local, "auto", adaptrix={"mix": {"math_reasoning": 0.7, "code_generation": 0.3}})


async def test_n_choices_differ_by_seed_alone(local: Local) -> None:
    async def sample(seed: int) -> list[str]:
        answer = await local.openai.chat.completions.create(
            model=BASE_ID, messages=ASK, max_tokens=8, temperature=1.0, n=3, seed=seed
        )
        assert [choice.index for choice in answer.choices] == [0, 1, 2]
        return [choice.message.content or "" for choice in answer.choices]

    first = await sample(1)
    assert first == await sample(1)
    assert len(set(first)) > 1
    assert first != await sample(2)


async def test_several_prompts_keep_their_order_and_count_their_tokens_once(local: Local) -> None:
    alone = [
        (await local.openai.completions.create(model=BASE_ID, prompt=prompt, max_tokens=4, temperature=0))
        for prompt in ("one two", "three four five", "six")
    ]
    together = await local.openai.completions.create(
        model=BASE_ID, prompt=["one two", "three four five", "six"], max_tokens=4, temperature=0, n=2
    )
    texts = [answer.choices[0].text for answer in alone]
    assert [choice.text for choice in together.choices] == [text for text in texts for _ in range(2)]
    assert together.usage is not None
    assert together.usage.prompt_tokens == sum(answer.usage.prompt_tokens for answer in alone if answer.usage)
    assert together.usage.completion_tokens == 24


async def test_token_ids_are_a_prompt(local: Local) -> None:
    by_ids = await local.openai.completions.create(model=BASE_ID, prompt=[5, 6, 7], max_tokens=3, temperature=0)
    assert by_ids.usage is not None
    assert by_ids.usage.prompt_tokens == 3


async def test_logprobs_in_both_forms(local: Local) -> None:
    answer = await local.openai.chat.completions.create(
        model=BASE_ID, messages=ASK, max_tokens=3, temperature=0, logprobs=True, top_logprobs=2
    )
    assert answer.choices[0].logprobs is not None
    content = answer.choices[0].logprobs.content or []
    assert len(content) == 3
    for token in content:
        assert token.logprob <= 0
        assert [top.logprob for top in token.top_logprobs] == sorted(
            (t.logprob for t in token.top_logprobs), reverse=True
        )
        assert token.token == token.top_logprobs[0].token
    text = await local.openai.completions.create(model=BASE_ID, prompt="a b", max_tokens=3, temperature=0, logprobs=1)
    logprobs = text.choices[0].logprobs
    assert logprobs is not None
    assert len(logprobs.tokens or []) == len(logprobs.text_offset or []) == 3


async def test_logit_bias_decides(local: Local) -> None:
    tokenizer = local.store.worker.tokenizer
    (token,) = tokenizer.encode("Z", add_special_tokens=False)
    answer = await local.openai.chat.completions.create(
        model=BASE_ID, messages=ASK, max_tokens=4, temperature=0, logit_bias={str(token): 100}
    )
    assert answer.choices[0].message.content == "ZZZZ"


async def test_stop_strings_end_the_answer_and_are_not_in_it(local: Local) -> None:
    whole = (await local.openai.completions.create(model=BASE_ID, prompt="a b", max_tokens=12, temperature=0)).choices[
        0
    ]
    stop = whole.text[3:5]
    cut = (
        await local.openai.completions.create(model=BASE_ID, prompt="a b", max_tokens=12, temperature=0, stop=stop)
    ).choices[0]
    assert cut.text == whole.text[: whole.text.index(stop)]
    assert cut.finish_reason == "stop"


async def test_response_format_is_kept_to(local: Local) -> None:
    schema = {
        "type": "object",
        "properties": {"answer": {"type": "integer", "minimum": 0, "maximum": 99}},
        "required": ["answer"],
        "additionalProperties": False,
    }
    answer = await local.openai.chat.completions.create(
        model=BASE_ID,
        messages=ASK,
        max_tokens=60,
        temperature=0,
        response_format={"type": "json_schema", "json_schema": {"name": "sum", "schema": schema}},
    )
    assert 0 <= json.loads(answer.choices[0].message.content or "")["answer"] <= 99


async def test_models_have_root_and_parent(local: Local) -> None:
    models = {model.id: model async for model in local.openai.models.list()}
    assert models[BASE_ID].parent is None  # type: ignore[attr-defined]
    assert models["math_reasoning"].parent == BASE_ID  # type: ignore[attr-defined]
    assert models["math_reasoning"].root == "math_reasoning@1.0.0"  # type: ignore[attr-defined]
    assert "auto" in models


async def test_one_model_can_be_asked_for(local: Local) -> None:
    for model_id, root in (
        (BASE_ID, BASE_ID),
        ("auto", "auto"),
        ("math_reasoning", "math_reasoning@1.0.0"),
        ("math_reasoning@1.0.0", "math_reasoning@1.0.0"),
    ):
        model = await local.openai.models.retrieve(model_id)
        assert (model.id, model.root) == (model_id, root)  # type: ignore[attr-defined]
    for unknown in ("math_reasonin", "org/math_reasonin"):
        with pytest.raises(openai.NotFoundError, match="did you mean 'math_reasoning'"):
            await local.openai.models.retrieve(unknown)


async def test_null_means_the_default(local: Local) -> None:
    plain = {"model": "math_reasoning", "messages": ASK, "seed": 5, "max_tokens": 8}
    optional = ChatRequest.model_fields.keys() - plain.keys()
    answers = [
        await local.http.post("/v1/chat/completions", json=body)
        for body in (plain, {**plain, **dict.fromkeys(optional)})
    ]
    assert [answer.status_code for answer in answers] == [200, 200], answers[1].text
    assert answers[0].json()["choices"] == answers[1].json()["choices"]


async def test_what_is_counted_does_not_grow_with_what_callers_ask_for(local: Local) -> None:
    bodies: list[dict[str, object]] = [
        {"model": f"math_reasoning*0.{weight}+code_generation*0.5"} for weight in range(1, 4)
    ]
    bodies += [{"model": "math_reasoning*0.3"}, {"model": BASE_ID, "adaptrix": {"fork": ["code_generation", None]}}]
    for body in bodies:
        answer = await local.http.post("/v1/completions", json={"prompt": "a b c", "max_tokens": 1, **body})
        assert answer.status_code == 200, answer.text
    text = (await local.http.get("/metrics")).text
    counted = set(re.findall(r'^adaptrix_answers_total\{adapter="(.*)"\}', text, re.MULTILINE))
    assert counted >= {"mix", "fork", "math_reasoning"}
    assert not any(sign in label for label in counted for sign in "*+,@")


async def test_embeddings_are_unit_vectors_in_both_encodings(local: Local) -> None:
    floats = await local.openai.embeddings.create(
        model="all-minilm-l6-v2", input=["a cat", "a dog"], encoding_format="float"
    )
    packed = await local.openai.embeddings.create(model="all-minilm-l6-v2", input=["a cat", "a dog"])
    assert [len(item.embedding) for item in floats.data] == [384, 384]
    assert sum(x * x for x in floats.data[0].embedding) == pytest.approx(1, abs=1e-4)
    assert packed.data[1].embedding == pytest.approx(floats.data[1].embedding, abs=1e-6)
    assert floats.usage.prompt_tokens > 0
    with pytest.raises(openai.BadRequestError, match="does not exist"):
        await local.openai.embeddings.create(model="other", input="a cat")
    with pytest.raises(openai.BadRequestError, match="dimensions is 7; the embedding model has 384"):
        await local.openai.embeddings.create(model="all-minilm-l6-v2", input="a cat", dimensions=7)


async def test_route_explains_without_generating(routed: Local) -> None:
    before = (await routed.store.overview())[1][0].stats["tokens_generated"]
    route = (await routed.http.post("/v1/route", json={"messages": ASK})).json()
    assert route["adapter"] == "math_reasoning"
    assert set(route["scores"]) == {"math_reasoning", "code_generation", "logical_reasoning"}
    assert route["reason"]
    embedding, tasks = route["votes"]
    for vote, signal in ((embedding, "embedding"), (tasks, "tasks")):
        assert (vote["signal"], vote["weight"], set(vote["log_odds"])) == (signal, 0.5, set(route["scores"]))
    assert "nearest to its example" in embedding["reason"]
    assert (await routed.store.overview())[1][0].stats["tokens_generated"] == before
