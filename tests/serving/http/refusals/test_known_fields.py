"""Every field and endpoint of OpenAI's client and other servers: supported, without effect, or refused with why."""

from __future__ import annotations

import re
from typing import Any

import pytest

from deployments.http.description.document import DOCUMENT
from deployments.http.description.endpoints import BODIES
from deployments.http.refusals.endpoints import ABSENT, reason_against
from deployments.http.refusals.fields import REASONS
from deployments.openai.body import Body
from docs.http_fields import described, parts_of
from tests.serving.conftest import BASE_ID, Local
from tests.serving.http.refusals.known_api import OPENAIS, SERVERS, VLLMS, openai_endpoints

pytestmark = pytest.mark.asyncio(loop_scope="session")

ASK = [{"role": "user", "content": "one two"}]
SMALLEST: dict[str, tuple[str, dict[str, Any]]] = {
    "ChatRequest": ("/v1/chat/completions", {"model": BASE_ID, "messages": ASK, "max_tokens": 1}),
    "CompletionRequest": ("/v1/completions", {"model": BASE_ID, "prompt": "one two", "max_tokens": 1}),
    "ResponsesRequest": ("/v1/responses", {"model": BASE_ID, "input": "one two", "max_output_tokens": 1}),
    "MessagesRequest": ("/v1/messages", {"model": BASE_ID, "messages": ASK, "max_tokens": 1}),
    "EmbeddingRequest": ("/v1/embeddings", {"model": "auto", "input": "one two"}),
    "RouteRequest": ("/v1/route", {"messages": ASK}),
    "TokenizeRequest": ("/tokenize", {"model": BASE_ID, "prompt": "one two"}),
    "DetokenizeRequest": ("/detokenize", {"model": BASE_ID, "tokens": [7, 8]}),
}
"""Path, and the smallest body that it answers, for the bodies that change nothing in the server."""
PLACES: dict[str, Any] = {
    "Message": lambda part: {"messages": [*ASK, {"role": "assistant", "content": "three", **part}, *ASK]},
    "TextPart": lambda part: {"messages": [{"role": "user", "content": [{"type": "text", "text": "one", **part}]}]},
    "StreamOptions": lambda part: {"stream": True, "stream_options": part},
    "StructuredOutputs": lambda part: {"structured_outputs": {"choice": ["one", "two"], **part}},
}
"""Parts of a chat by their names: the fields that hold such a part."""

BY_NAME = {body.__name__: body for body in (*BODIES, *parts_of(BODIES))}
SOMETHING = {"something": "else"}


def fields(body: type[Body]) -> set[str]:
    """All names that the table has for a body."""
    own = {field.alias or name for name, field in body.model_fields.items()}
    return own | body.neutral.hints | body.neutral.refused


async def sent(local: Local, name: str, more: dict[str, Any]) -> Any:
    path, body = SMALLEST[name]
    return await local.http.post(path, json={**body, **more})


@pytest.mark.parametrize("known", [OPENAIS, VLLMS], ids=["OpenAI", "vLLM"])
def test_every_field_that_clients_have_is_in_the_table(known: dict[str, set[str]]) -> None:
    assert {name: missing for name, wanted in known.items() if (missing := wanted - fields(BY_NAME[name]))} == {}


def test_every_refused_field_has_a_reason_and_every_reason_a_field() -> None:
    assert set(REASONS) == set().union(*(body.neutral.refused for body in BY_NAME.values()))


@pytest.mark.parametrize(
    ("name", "field"), [(name, field) for name in SMALLEST for field in sorted(BY_NAME[name].neutral.refused)]
)
async def test_a_refused_field_is_refused_by_name_with_its_reason(local: Local, name: str, field: str) -> None:
    answer = await sent(local, name, {field: SOMETHING})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert f"field '{field}' is not supported: {REASONS[field]}" in error["message"]
    if name != "MessagesRequest":  # Anthropic's errors have neither
        assert (error["code"], error["param"]) == ("unsupported_field", field)


@pytest.mark.parametrize("name", SMALLEST)
async def test_fields_that_ask_for_nothing_are_accepted(local: Local, name: str) -> None:
    body = BY_NAME[name]
    for field in sorted(body.neutral.refused):
        for value in (None, *body.neutral.values.get(field, ())):
            assert (await sent(local, name, {field: value})).status_code == 200, (field, value)
    everything = dict.fromkeys(body.neutral.hints, SOMETHING)
    assert (await sent(local, name, everything)).status_code == 200
    optional = [field.alias or key for key, field in body.model_fields.items() if not field.is_required()]
    left = {field: None for field in optional if field not in SMALLEST[name][1]}
    assert (await sent(local, name, left)).status_code == 200


@pytest.mark.parametrize("part", PLACES)
async def test_parts_of_a_chat_are_as_the_table_says(local: Local, part: str) -> None:
    neutral = BY_NAME[part].neutral
    hints = await sent(local, "ChatRequest", PLACES[part](dict.fromkeys(neutral.hints, SOMETHING)))
    assert hints.status_code == 200, hints.text
    for field in sorted(neutral.refused):
        answer = await sent(local, "ChatRequest", PLACES[part]({field: SOMETHING}))
        assert answer.status_code == 400, answer.text
        assert f"is not supported: {REASONS[field]}" in answer.json()["error"]["message"]
        assert (await sent(local, "ChatRequest", PLACES[part]({field: None}))).status_code == 200


async def test_a_name_that_only_another_body_has_is_unknown(local: Local) -> None:
    answer = await sent(local, "ChatRequest", {"suffix": None, "conversation": "x"})
    assert answer.status_code == 400
    assert "remove it, or send null" not in answer.json()["error"]["message"]


def served(method: str, path: str) -> bool:
    """Whether an endpoint answers there. Parameters may have other names."""
    return _shape(path) in {
        _shape(own) for own, operations in described()["paths"].items() if method.lower() in operations
    }


def _shape(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


@pytest.mark.parametrize("known", [sorted(openai_endpoints()), SERVERS], ids=["OpenAI", "servers"])
def test_every_endpoint_of_others_is_here_or_has_a_reason(known: list[tuple[str, str]]) -> None:
    assert len(known) > 40
    assert not [at for at in known if not served(*at) and reason_against(at[1]) is None]


def test_no_reason_stands_against_what_is_all_here() -> None:
    known = {*openai_endpoints(), *SERVERS}
    for path in ABSENT:
        assert [at for at in known if f"{at[1]}/".startswith(f"{path}/") and not served(*at)], path


@pytest.mark.parametrize("path", ABSENT)
async def test_an_absent_endpoint_says_why(local: Local, path: str) -> None:
    answer = await local.http.request("PUT", f"{path}/anything")
    if answer.status_code == 405:
        assert answer.headers["allow"]
    else:
        assert answer.status_code == 404
    assert ABSENT[path] in answer.json()["error"]["message"]


async def test_the_page_tells_the_endpoints_that_the_server_tells(local: Local) -> None:
    document = (await local.http.get(DOCUMENT)).json()
    assert set(document["paths"]) == set(described()["paths"])
