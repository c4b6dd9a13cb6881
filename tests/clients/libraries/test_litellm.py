"""litellm, the library: its usual calls."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients.client import installed
from tests.clients.served import Served
from tests.clients.usual import ASK_WEATHER, ENDS, HELLO, NEXT, REPORT, TOOL, Weather, called

with pytest.MonkeyPatch.context() as _patch:
    # Else it fetches its table of prices from the internet while it is imported.
    _patch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    litellm = pytest.importorskip("litellm", reason="litellm is in the extra clients")

CLIENT = installed("litellm")


def complete(server: Served, said: list[Any], model: str | None = None, **fields: Any) -> Any:
    return litellm.completion(
        model=f"openai/{model or server.model}",
        api_base=server.base_url,
        api_key=server.key,
        messages=said,
        **fields,
    )


def asked(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def test_chat(server: Served) -> None:
    answer = complete(server, [asked(HELLO)])
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason in ENDS


def test_stream(server: Served) -> None:
    chunks = list(complete(server, [asked(HELLO)], stream=True))
    whole = litellm.stream_chunk_builder(chunks)
    parts = [chunk.choices[0].delta.content or "" for chunk in chunks]
    assert whole.choices[0].message.content == "".join(parts) != ""
    assert whole.choices[0].finish_reason in ENDS


def test_history(server: Served) -> None:
    first = complete(server, [asked(HELLO)])
    second = complete(server, [asked(HELLO), first.choices[0].message, asked(NEXT)])
    assert second.usage.prompt_tokens > first.usage.total_tokens


def test_structured(server: Served) -> None:
    answer = complete(server, [asked(REPORT)], response_format=Weather)
    Weather.model_validate_json(answer.choices[0].message.content)


def test_tools(server: Served) -> None:
    first = complete(server, [asked(ASK_WEATHER)], server.tool_model, tools=[TOOL]).choices[0]
    assert first.finish_reason == "tool_calls"
    results = [
        {"role": "tool", "tool_call_id": call.id, "content": called(call.function.name, call.function.arguments)}
        for call in first.message.tool_calls
    ]
    last = complete(server, [asked(ASK_WEATHER), first.message, *results], server.tool_model, tools=[TOOL])
    assert last.choices[0].message.content
