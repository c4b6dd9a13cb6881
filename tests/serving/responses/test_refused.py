"""What a response cannot be made of is refused by its name; what asks for nothing is accepted."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from deployments.openai import neutral_fields
from deployments.responses.request import ResponsesRequest
from tests.serving.conftest import BASE_ID, Local, eventually
from tests.serving.inprocess import application, listening
from tests.serving.responses.test_create import ASK, PATH, body, said, text_of
from tests.serving.tiny import World

pytestmark = pytest.mark.asyncio(loop_scope="session")


def item(**fields: Any) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": ASK}, fields]}


def part(**fields: Any) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": [fields]}]}


@pytest.mark.parametrize(
    ("fields", "param", "told"),
    [
        ({"background": True}, "background", "not supported"),
        ({"conversation": "conv_1"}, "conversation", "not found"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt", "not supported"),
        ({"context_management": [{"type": "compaction"}]}, "context_management", "not supported"),
        ({"tools": [{"type": "web_search"}]}, None, "tools"),
        ({"n": 2}, "n", "not supported"),
        ({"messages": []}, "messages", "not supported"),
        ({"max_tokens": 5}, "max_tokens", "not supported"),
        ({"adaptrix": {"fork": ["math_reasoning", None]}}, None, "adaptrix.fork"),
        ({"max_output_tokens": 0}, "max_output_tokens", "greater"),
        ({"temperature": 3}, "temperature", "less"),
        ({"top_logprobs": 21}, "top_logprobs", "less"),
        ({"include": ["everything"]}, "include.0", "everything"),
        ({"truncation": "middle"}, "truncation", "middle"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format", "name and schema"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format.type", "grammar"),
        ({"text": {"format": {"type": "json_object"}}, "structured_outputs": {"regex": "a"}}, None, "send one"),
        ({"metadata": {"a": 1}}, "metadata.a", "string"),
        ({"metadata": {"a": "b" * 513}}, "metadata", "512"),
        ({"metadata": {"a" * 65: "b"}}, "metadata", "64"),
        ({"metadata": {str(number): "a" for number in range(10_000)}}, "metadata", "16"),
        ({"input": {"role": "user"}}, "input", "text or a list of items"),
        ({"input": []}, "input", "holds no text"),
        ({"input": " \n"}, "input", "holds no text"),
        ({"input": ["a"]}, "input.0", "item"),
        (item(type="web_search_call", id="ws_1", status="completed"), "input.1.type", "web_search_call"),
        (item(type=["message"]), "input.1.type", ""),
        (item(type="message", role="user"), "input.1.content", "required"),
        (item(role="tool", content="a"), "input.1.role", "tool"),
        (item(role="user", content="a", color="red"), "input.1.color", "not supported"),
        (part(type="input_image", image_url="http://x"), "input.0.content.0.type", "input_image"),
        (part(type="input_file", file_id="f"), "input.0.content.0.type", "input_file"),
        (part(type="input_text"), "input.0.content.0.text", "required"),
        (part(text="a"), "input.0.content.0.type", "required"),
    ],
)
async def test_what_cannot_be_served_is_refused_by_name(
    local: Local, fields: dict[str, Any], param: str | None, told: str
) -> None:
    answer = await local.http.post(PATH, json=body(**fields))
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    if param is not None:
        assert error["param"] == param
    assert told in error["message"]


async def test_a_model_that_is_not_there_is_404(local: Local) -> None:
    answer = await local.http.post(PATH, json=body(model="nobody"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


async def test_every_known_field_at_a_neutral_value_changes_nothing(local: Local) -> None:
    neutral = neutral_fields.RESPONSES
    plain = text_of(await said(local))
    optional = [name for name, field in ResponsesRequest.model_fields.items() if not field.is_required()]
    nulls = {**dict.fromkeys([*optional, *neutral.values, *neutral.hints, *neutral.asked_by_empty]), **body()}
    values = {name: values[-1] if values else [] for name, values in neutral.values.items()}
    hints = {name: {"anything": ["at", "all"]} for name in neutral.hints}
    for sent in (nulls, {**body(), **values, **hints}):
        answer = await local.http.post(PATH, json=sent)
        assert answer.status_code == 200, answer.text
        assert text_of(answer.json()) == plain


async def test_a_client_that_never_reads_holds_up_nobody(world: World, tmp_path: Path) -> None:
    args = world.settings(adapters={"state_dir": str(tmp_path / "state")}, router={"enabled": False})
    async with application(args) as (app, store), listening(app) as url, httpx.AsyncClient(base_url=url) as http:
        place = urlsplit(url)
        assert place.hostname is not None
        content = json.dumps(body(stream=True, max_output_tokens=3000, top_logprobs=5)).encode()
        head = f"POST {PATH} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: {len(content)}\r\n\r\n".encode()
        with socket.create_connection((place.hostname, place.port)) as unread:
            unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            unread.sendall(head + content)

            async def is_running() -> bool:
                return (await store.worker.report("r", "")).stats["rows_running"] > 0

            await eventually(is_running)
            answer = await http.post(PATH, json=body(), timeout=60)
            assert answer.status_code == 200

        async def is_idle() -> bool:
            return (await store.worker.report("r", "")).stats["rows_running"] == 0

        await eventually(is_idle)
        assert (await http.post(PATH, json={"model": BASE_ID, "input": ASK, "max_output_tokens": 2})).status_code == 200
