"""litellm's proxy in front of this server: its callers have its key, it has ours, and the usual calls pass through."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
import yaml

from loadtest.ports import free_port
from tests.clients.programs.apart import PLACE, WHY_NOT, there
from tests.clients.served import Served
from tests.clients.usual import ASK_WEATHER, HELLO, NEXT, REPORT, TOOL, Weather, called

pytestmark = [pytest.mark.integration, pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)]

CLIENT = there("litellm", "`litellm --config`, with a key for its callers beside ours", name="litellm proxy")

PROXY_KEY, NAME = "sk-of-the-proxy", "small"
START_TIMEOUT_S = 120.0


@pytest.fixture(scope="module")
def proxy(server: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running proxy."""
    place = tmp_path_factory.mktemp("proxy")
    ours = {"model": f"openai/{server.model}", "api_base": server.base_url, "api_key": "os.environ/OUR_KEY"}
    config = {
        "model_list": [{"model_name": NAME, "litellm_params": ours}],
        "general_settings": {"master_key": "os.environ/PROXY_KEY"},
    }
    (place / "config.yaml").write_text(yaml.safe_dump(config))
    port = free_port()
    # Its table of prices comes with it; else it fetches one.
    settings = {"OUR_KEY": server.key, "PROXY_KEY": PROXY_KEY, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    command = [str(PLACE / "bin" / "litellm"), "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
    with (
        (place / "log").open("w") as log,
        subprocess.Popen(
            command,
            cwd=place,
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            wait_until_alive(f"http://127.0.0.1:{port}", process, place / "log")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def wait_until_alive(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"{url}/health/liveliness", timeout=10).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise AssertionError(f"not alive in {START_TIMEOUT_S} s:\n{log.read_text()}")


@pytest.fixture(scope="module")
def client(proxy: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{proxy}/v1", api_key=PROXY_KEY, max_retries=0) as made:
        yield made


def asked(text: str) -> Any:
    return {"role": "user", "content": text}


def test_chat(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model=NAME, messages=[asked(HELLO)])
    assert answer.choices[0].message.content
    assert answer.model == NAME


def test_stream(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model=NAME, messages=[asked(HELLO)]) as stream:
        parts = [event.delta for event in stream if event.type == "content.delta"]
        assert stream.get_final_completion().choices[0].message.content == "".join(parts) != ""


def test_history(client: openai.OpenAI) -> None:
    first = client.chat.completions.create(model=NAME, messages=[asked(HELLO)])
    messages: list[Any] = [asked(HELLO), first.choices[0].message, asked(NEXT)]
    second = client.chat.completions.create(model=NAME, messages=messages)
    assert first.usage is not None
    assert second.usage is not None
    assert second.usage.prompt_tokens > first.usage.total_tokens


def test_structured(client: openai.OpenAI) -> None:
    answer = client.chat.completions.parse(model=NAME, messages=[asked(REPORT)], response_format=Weather)
    assert isinstance(answer.choices[0].message.parsed, Weather)


def test_tools(client: openai.OpenAI) -> None:
    said: list[Any] = [asked(ASK_WEATHER)]
    tools: list[Any] = [TOOL]
    first = client.chat.completions.create(model=NAME, messages=said, tools=tools, tool_choice="required").choices[0]
    assert first.finish_reason == "tool_calls"
    said.append(first.message)
    for call in first.message.tool_calls or []:
        assert call.type == "function"
        result = called(call.function.name, call.function.arguments)
        said.append({"role": "tool", "tool_call_id": call.id, "content": result})
    last = client.chat.completions.create(model=NAME, messages=said, tools=tools, tool_choice="none").choices[0]
    assert last.message.content


def test_another_key_is_refused(proxy: str, server: Served) -> None:
    for key in (server.key, "sk-wrong"):
        with openai.OpenAI(base_url=f"{proxy}/v1", api_key=key, max_retries=0) as client:
            with pytest.raises(openai.APIStatusError) as refused:
                client.chat.completions.create(model=NAME, messages=[asked(HELLO)])
            assert 400 <= refused.value.status_code < 500


def test_what_we_refuse_comes_through(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="no_such_field"):
        client.chat.completions.create(model=NAME, messages=[asked(HELLO)], extra_body={"no_such_field": 1})
