"""Streamed responses: OpenAI's typed events, whole and in order, read by its own client."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.serving.conftest import BASE_ID, Local
from tests.serving.responses import strictly
from tests.serving.responses.test_create import ASK, PATH, body, said, text_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def streamed(local: Local, **fields: Any) -> list[dict[str, Any]]:
    answer = await local.http.post(PATH, json=body(stream=True, **fields))
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.endswith("data: [DONE]\n\n")
    found = re.findall(r"^event: (\S+)\ndata: (\{.*)$", answer.text, re.MULTILINE)
    documents = [json.loads(data) for _, data in found]
    assert [document["type"] for document in documents] == [name for name, _ in found]
    return documents


async def test_events_are_in_order_and_of_the_clients_types(local: Local) -> None:
    documents = await streamed(local, top_logprobs=1)
    for document in documents:
        strictly.event(document)
    assert [document["sequence_number"] for document in documents] == list(range(len(documents)))
    kinds = [document["type"].removeprefix("response.") for document in documents]
    deltas = kinds.count("output_text.delta")
    assert kinds == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        *["output_text.delta"] * deltas,
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "incomplete",
    ]
    assert deltas > 1


async def test_a_stream_says_what_a_whole_answer_says(local: Local) -> None:
    documents = await streamed(local, top_logprobs=2)
    whole = await said(local, top_logprobs=2)
    deltas = [document for document in documents if document["type"] == "response.output_text.delta"]
    assert "".join(delta["delta"] for delta in deltas) == text_of(whole)
    last = documents[-1]["response"]
    for name in ("output", "status", "usage", "incomplete_details", "model", "text"):
        if name != "output":
            assert last[name] == whole[name], name
    assert last["output"][0]["content"] == whole["output"][0]["content"]
    done = next(document for document in documents if document["type"] == "response.output_item.done")
    assert done["item"] == last["output"][0]
    assert len([one for delta in deltas for one in delta["logprobs"]]) == whole["usage"]["output_tokens"]


async def test_the_client_follows_a_stream(local: Local) -> None:
    text = ""
    async with local.openai.responses.stream(
        model=BASE_ID, input=ASK, max_output_tokens=300, temperature=0, extra_body={"stop": [" "]}
    ) as events:
        async for event in events:
            if event.type == "response.output_text.delta":
                text += event.delta
                assert event.snapshot == text
        final = await events.get_final_response()
    assert final.status == "completed"
    assert final.output_text == text


async def test_the_client_follows_raw_events(local: Local) -> None:
    stream = await local.openai.responses.create(model=BASE_ID, input=ASK, max_output_tokens=4, stream=True)
    kinds = [event.type async for event in stream]
    assert kinds[0] == "response.created"
    assert kinds[-1] in ("response.completed", "response.incomplete")
