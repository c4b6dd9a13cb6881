"""The clients of npm, each with its usual calls: a script runs them with the real package, and tells what it got."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from tests.clients.client import Client
from tests.clients.npm_scripts import SCRIPTS, printed, why_not
from tests.clients.served import Served

pytestmark = [pytest.mark.integration, pytest.mark.skipif(bool(why_not()), reason=why_not())]

VERCEL = ["vercel_openai.mjs", "vercel_openai_chat.mjs", "vercel_openai_compatible.mjs"]
CLIENTS = ["openai.mjs", *VERCEL, "langchain.mjs"]
PINS = json.loads((SCRIPTS / "package.json").read_text())["dependencies"]
CLIENT = Client("openai (npm)", PINS["openai"])
VERSIONS = f"{PINS['ai']}, {PINS['@ai-sdk/openai']}"
CLIENTS_OF = {
    "openai.mjs": CLIENT,
    "vercel_openai.mjs": Client("ai with @ai-sdk/openai (npm)", VERSIONS, "its default, over responses"),
    "vercel_openai_chat.mjs": Client("ai with @ai-sdk/openai, chat (npm)", VERSIONS),
    "vercel_openai_compatible.mjs": Client(
        "ai with @ai-sdk/openai-compatible (npm)", f"{PINS['ai']}, {PINS['@ai-sdk/openai-compatible']}"
    ),
    "langchain.mjs": Client("@langchain/openai (npm)", PINS["@langchain/openai"]),
}
ENDS = ("stop", "length")
CITIES = ("Paris", "London", "Rome")

every_client = pytest.mark.parametrize("client", CLIENTS)
every_vercel = pytest.mark.parametrize("client", VERCEL)


@pytest.fixture(scope="module")
def told(server: Served) -> Any:
    """What a client's script tells of a call; each script runs once."""
    printed_by = cache(lambda client: printed(client, server))

    def of(client: str, call: str) -> Any:
        came = printed_by(client)[call]
        if isinstance(came, dict) and "failed" in came:
            pytest.fail(f"{client}, {call}: {came['failed']}", pytrace=False)
        return came

    return of


@every_client
def test_chat(told: Any, client: str) -> None:
    answer = told(client, "chat")
    assert answer["text"]
    assert answer["finish"] in ENDS
    assert not answer.get("warnings")


@every_client
def test_stream(told: Any, client: str) -> None:
    answer = told(client, "stream")
    assert len(answer["parts"]) > 1
    assert "".join(answer["parts"]) == answer["text"]
    assert answer["finish"] in ENDS
    assert answer["answered"] > 1


@every_client
def test_history(told: Any, client: str) -> None:
    tokens = told(client, "history")
    assert tokens["second"] > tokens["first"]


@every_client
def test_structured(told: Any, client: str) -> None:
    is_weather(told(client, "structured"))


@every_client
@pytest.mark.parametrize("call", ["tools", "tools, streamed"])
def test_tools(told: Any, client: str, call: str) -> None:
    came = told(client, call)
    assert came["calls"]
    assert all(called in [{"city": city} for city in CITIES] for called in came["calls"])
    assert came["text"]
    if "finishes" in came:
        assert came["finishes"][0] == "tool-calls"
        assert came["finishes"][1] in ENDS
    if "argued" in came:
        assert "".join(came["argued"].split()) == "".join(json.dumps(called) for called in came["calls"]).replace(
            " ", ""
        )
    if "roles" in came:
        assert came["roles"] == ["user", "assistant", *["tool"] * len(came["calls"]), "assistant"]


def test_whether_to_call_may_be_left_to_the_model(told: Any) -> None:
    assert told("openai.mjs", "tools, if it likes")[:2] == ["user", "assistant"]


def test_structured_by_a_call(told: Any) -> None:
    is_weather(told("langchain.mjs", "structured, by a call"))


@every_vercel
def test_structured_as_output(told: Any, client: str) -> None:
    is_weather(told(client, "structured, as output"))


@every_vercel
def test_structured_and_streamed(told: Any, client: str) -> None:
    whole = told(client, "structured, streamed")
    assert whole.pop("last") == whole
    is_weather(whole)


@every_vercel
def test_one_of_several(told: Any, client: str) -> None:
    assert told(client, "one of several") in ("sunny", "rainy")


def test_a_response(told: Any) -> None:
    answer = told("openai.mjs", "response")
    assert answer["text"]
    assert answer["status"] in ("completed", "incomplete")
    assert answer["stored"]


def test_a_streamed_response(told: Any) -> None:
    answer = told("openai.mjs", "response, streamed")
    assert len(answer["parts"]) > 1
    assert "".join(answer["parts"]) == answer["text"]


def test_a_response_that_another_goes_on_from(told: Any) -> None:
    tokens = told("openai.mjs", "response, gone on from")
    assert tokens["second"] > tokens["first"]


def test_a_structured_response(told: Any) -> None:
    is_weather(told("openai.mjs", "response, structured"))


def test_embeddings(told: Any) -> None:
    assert told("openai.mjs", "embeddings") == [384, 384]


def test_models(told: Any, server: Served) -> None:
    assert {server.model, "auto"} < set(told("openai.mjs", "models"))


def test_a_wrong_key_is_told_as_such(told: Any) -> None:
    assert told("openai.mjs", "a wrong key") == {"kind": "AuthenticationError", "code": "invalid_api_key"}


def is_weather(found: Any) -> None:
    assert set(found) == {"city", "celsius", "raining"}
    assert found["city"] in CITIES
    assert isinstance(found["celsius"], int)
    assert isinstance(found["raining"], bool)
