"""``/v1/batches`` with OpenAI's own client: every line is answered once, as HTTP would, or said to be at fault."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import pytest
import pytest_asyncio

from adaptrix_core.request_limits import MOST
from adaptrix_core.routing.embedder import TextEmbedder
from deployments.generation.ports import PieceStream, Replicas
from deployments.shared.wire import GenerateCall
from tests.serving.batches.lines import CHAT, chat_line, ended, names, outcome, read, submit
from tests.serving.batches.worlds import OPERATOR, Tenants, two_tenants
from tests.serving.conftest import BASE_ID
from tests.serving.inprocess import LocalStore
from tests.serving.tiny import World

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Recorder:
    """The replicas, with a record of what they were asked for."""

    def __init__(self, replicas: Replicas) -> None:
        self.replicas = replicas
        self.calls: list[GenerateCall] = []
        self.running = self.most = 0

    def generate(self, call: GenerateCall) -> PieceStream:
        self.calls.append(call)
        return self._counted(call)

    async def _counted(self, call: GenerateCall) -> Any:
        self.running += call.num_rows
        self.most = max(self.most, self.running)
        stream = self.replicas.generate(call)
        try:
            async for pieces in stream:
                yield pieces
        finally:
            self.running -= call.num_rows
            await stream.aclose()


RECORDERS: list[Recorder] = []


def recorded(store: LocalStore) -> Replicas:
    RECORDERS.append(Recorder(store.worker))
    return RECORDERS[-1]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tenants(
    world: World, embedder: TextEmbedder, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Tenants]:
    limits = {"max_tenant_bytes": "64MiB", "max_object_bytes": "20MiB"}
    async with two_tenants(
        world,
        tmp_path_factory.mktemp("batches"),
        recorded,
        embedder,
        objects=limits,
        batches={"rows_at_once": 6},
        router={"enabled": True},
    ) as made:
        yield made


async def test_every_line_is_answered_in_order_as_http_answers_it(tenants: Tenants) -> None:
    questions = [f"What is {number} + 25?" for number in range(12)]
    lines = [chat_line(f"q{number}", text, seed=number) for number, text in enumerate(questions)]
    batch, answers, errors = await outcome(tenants.ours, lines)
    assert batch.status == "completed"
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (12, 12, 0)
    assert batch.created_at <= batch.in_progress_at <= batch.finalizing_at <= batch.completed_at < batch.expires_at
    assert (errors, batch.error_file_id, batch.errors) == ([], None, None)
    assert names(answers) == [f"q{number}" for number in range(12)]
    for text, answer in zip(questions, answers, strict=True):
        said = await tenants.ours.chat.completions.create(
            model=BASE_ID, messages=[{"role": "user", "content": text}], max_tokens=4, temperature=0
        )
        assert answer["error"] is None
        response = answer["response"]
        assert response["status_code"] == 200
        assert response["body"]["choices"][0]["message"]["content"] == said.choices[0].message.content
        assert response["body"]["object"] == "chat.completion"
    assert len({answer["id"] for answer in answers}) == 12
    file = await tenants.ours.files.retrieve(batch.output_file_id)
    assert (file.purpose, file.filename) == ("batch_output", f"{batch.id}_output.jsonl")


async def test_completions_and_embeddings_run_too(tenants: Tenants) -> None:
    def line(name: str, url: str, **body: Any) -> str:
        return json.dumps({"custom_id": name, "method": "POST", "url": url, "body": body})

    url = "/v1/completions"
    lines = [line("a", url, model="math_reasoning", prompt=["one", "two"], max_tokens=2, n=2)]
    _, (answer,), _ = await outcome(tenants.ours, lines, url)
    assert len(answer["response"]["body"]["choices"]) == 4
    url = "/v1/embeddings"
    _, answers, errors = await outcome(tenants.ours, [line("a", url, model="auto", input="hi"), line("b", url)], url)
    assert len(answers[0]["response"]["body"]["data"][0]["embedding"]) == 384
    assert (names(errors), errors[0]["response"]["status_code"]) == (["b"], 400)


async def test_responses_run_too(tenants: Tenants) -> None:
    body = {"model": BASE_ID, "input": "hi", "max_output_tokens": 3, "store": False}
    line = json.dumps({"custom_id": "a", "method": "POST", "url": "/v1/responses", "body": body})
    _, (answer,), _ = await outcome(tenants.ours, [line], "/v1/responses")
    assert answer["response"]["body"]["object"] == "response"
    assert answer["response"]["body"]["output"][0]["type"] == "message"


async def test_lines_are_counted_by_outcome(tenants: Tenants) -> None:
    async def counted() -> dict[str, float]:
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {OPERATOR}"}) as http:
            text = (await http.get(f"{tenants.url}/metrics")).text
        return {
            name: float(number)
            for name, number in re.findall(r'adaptrix_batch_lines_total{outcome="(\w+)"} (\S+)', text)
        }

    before = await counted()
    await outcome(tenants.ours, [chat_line("a"), "{", chat_line("b")])
    after = await counted()
    assert {name: after[name] - before[name] for name in after} == {"completed": 2, "failed": 1}


BAD_LINES: dict[str, tuple[str, str | None, str, str | None]] = {
    # line, its custom_id as far as it can be told, code, param
    "not JSON": ("{", None, "invalid_json", None),
    "not UTF-8": ("\udcff", None, "invalid_utf8", None),
    "no object": ("[1, 2]", None, "invalid_json", None),
    "no custom_id": (json.dumps({"method": "POST", "url": CHAT, "body": {}}), None, "invalid_request", "custom_id"),
    "a long custom_id": (
        chat_line("x" * (MOST.custom_id_characters + 1)),
        "x" * MOST.custom_id_characters, "invalid_request", "custom_id",
    ),
    "a custom_id again": (chat_line("q0"), "q0", "invalid_request", "custom_id"),
    "another endpoint": (chat_line("b", url="/v1/completions"), "b", "invalid_request", "url"),
    "another method": (chat_line("b").replace("POST", "GET"), "b", "invalid_request", "method"),
    "no body": (json.dumps({"custom_id": "b", "method": "POST", "url": CHAT}), "b", "invalid_request", "body"),
    "an unknown field": (
        json.dumps({**json.loads(chat_line("b")), "color": "red"}), "b", "unsupported_field", "color",
    ),
    "a stream": (chat_line("b", stream=True), "b", "invalid_request", "stream"),
    "an unknown model": (chat_line("b", model="nobody"), "b", "model_not_found", "model"),
    "a bad field of its body": (chat_line("b", temperature=9), "b", "invalid_request", "temperature"),
    "an unknown field of its body": (chat_line("b", color="red"), "b", "unsupported_field", "color"),
    "a prompt over the context": (chat_line("b", "word " * 6000), "b", "context_length_exceeded", None),
    "an urgent line": (chat_line("b", priority=-1), "b", "insufficient_scope", "priority"),
    "a deep line": ('{"custom_id": "b", "body": ' + "[" * 300 + "]" * 300 + "}", None, "json_too_deep", None),
    "a long line": (chat_line("b", "x" * 1_100_000), None, "body_too_large", None),
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD_LINES)
async def test_a_bad_line_goes_to_the_errors_and_the_others_run(tenants: Tenants, bad: str) -> None:
    line, name, code, param = BAD_LINES[bad]
    data = "\n".join([chat_line("q0"), line, chat_line("q1")]).encode("utf-8", "surrogateescape")
    file = await tenants.ours.files.create(file=("lines.jsonl", data), purpose="batch")
    made = await tenants.ours.batches.create(input_file_id=file.id, endpoint=CHAT, completion_window="24h")
    batch = await ended(tenants.ours, made)
    assert batch.status == "completed"
    assert (batch.request_counts.total, batch.request_counts.completed, batch.request_counts.failed) == (3, 2, 1)
    assert names(await read(tenants.ours, batch.output_file_id)) == ["q0", "q1"]
    (error,) = await read(tenants.ours, batch.error_file_id)
    assert (error["custom_id"], error["error"]) == (name, None)
    assert error["response"]["status_code"] >= 400
    told = error["response"]["body"]["error"]
    assert (told["code"], told["param"]) == (code, param if param is not None else told["param"])
    await tenants.ours.files.delete(file.id)


async def test_an_error_is_the_document_that_http_gives(tenants: Tenants) -> None:
    fields: dict[str, Any] = {"temperature": 9}
    _, _, (error,) = await outcome(tenants.ours, [chat_line("a", **fields)])
    body = json.loads(chat_line("a", **fields))["body"]
    with pytest.raises(openai.BadRequestError) as told:
        await tenants.ours.post(CHAT.removeprefix("/v1"), body=body, cast_to=object)
    assert error["response"]["body"] == told.value.response.json()


async def test_one_bad_line_of_thousands_is_one_error(tenants: Tenants) -> None:
    lines = [chat_line(f"q{number}", max_tokens=0, url="/v1/completions") for number in range(2000)]
    lines[777] = "{"
    # All but one are for another endpoint: each is refused without an engine, in order.
    batch, answers, errors = await outcome(tenants.ours, lines)
    assert (batch.request_counts.total, len(answers), len(errors)) == (2000, 0, 2000)
    codes = [error["response"]["body"]["error"]["code"] for error in errors]
    assert [number for number, code in enumerate(codes) if code == "invalid_json"] == [777]


async def test_blank_lines_and_other_line_ends_are_no_lines(tenants: Tenants) -> None:
    lines = ["", chat_line("a") + "\r", "  \r", "", chat_line("b"), ""]
    batch, answers, _ = await outcome(tenants.ours, lines)
    assert (names(answers), batch.request_counts.total) == (["a", "b"], 2)


@pytest.mark.parametrize("data", [b"", b"\n \r\n\n"])
async def test_an_input_without_lines_fails(tenants: Tenants, data: bytes) -> None:
    batch, answers, errors = await outcome(tenants.ours, [data.decode()])
    assert (batch.status, answers, errors) == ("failed", [], [])
    assert batch.failed_at is not None
    assert [fault.code for fault in batch.errors.data] == ["empty_input"]


async def test_too_many_lines_fail_before_any_is_asked(tenants: Tenants) -> None:
    calls = len(RECORDERS[-1].calls)
    batch, answers, errors = await outcome(tenants.ours, ["{"] * (MOST.batch_lines + 1))
    assert (batch.status, answers, errors) == ("failed", [], [])
    assert [(fault.code, fault.line) for fault in batch.errors.data] == [("too_many_lines", MOST.batch_lines + 1)]
    assert len(RECORDERS[-1].calls) == calls


async def test_lines_go_at_the_lowest_priority_with_their_tenants_salt(tenants: Tenants) -> None:
    await tenants.theirs.chat.completions.create(
        model=BASE_ID, messages=[{"role": "user", "content": "hi"}], max_tokens=1
    )
    salt = RECORDERS[-1].calls[-1].salt
    calls = len(RECORDERS[-1].calls)
    await outcome(tenants.theirs, [chat_line("a"), chat_line("b", priority=3)])
    asked = RECORDERS[-1].calls[calls:]
    assert [(call.priority, call.salt) for call in asked] == [(100, salt), (100, salt)]


async def test_no_more_rows_run_at_once_than_the_setting_says(tenants: Tenants) -> None:
    RECORDERS[-1].most = 0
    lines = [chat_line(f"q{number}", n=number % 3 + 1, temperature=1, max_tokens=8) for number in range(20)]
    await asyncio.gather(outcome(tenants.ours, lines), outcome(tenants.theirs, lines))
    assert 3 <= RECORDERS[-1].most <= 6


async def test_metadata_and_the_end_of_its_files_are_the_senders(tenants: Tenants) -> None:
    after = {"anchor": "created_at", "seconds": 7200}
    made = await submit(tenants.ours, [chat_line("a")], metadata={"run": "7"}, output_expires_after=after)
    assert made.metadata == {"run": "7"}
    batch = await ended(tenants.ours, made)
    file = await tenants.ours.files.retrieve(batch.output_file_id)
    assert file.expires_at == file.created_at + 7200


async def test_the_list_turns_its_pages_and_shows_no_one_elses(tenants: Tenants) -> None:
    before = [batch.id async for batch in tenants.theirs.batches.list()]
    made = [(await ended(tenants.theirs, await submit(tenants.theirs, [chat_line("a")]))).id for _ in range(3)]
    assert [batch.id async for batch in tenants.theirs.batches.list(limit=2)] == [*made[::-1], *before]
    assert not {batch.id async for batch in tenants.ours.batches.list()} & set(made)
    for ask in (tenants.ours.batches.retrieve, tenants.ours.batches.cancel):
        with pytest.raises(openai.NotFoundError):
            await ask(made[0])


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"input_file_id": "file-none"}, 404, None),
        ({"input_file_id": "theirs"}, 404, None),
        ({"input_file_id": ""}, 400, "input_file_id"),
        ({"endpoint": "/v1/route"}, 400, "endpoint"),
        ({"completion_window": "1h"}, 400, "completion_window"),
        ({"metadata": {"x" * 65: "y"}}, 400, "metadata"),
        ({"metadata": {str(number): "y" for number in range(17)}}, 400, "metadata"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 60}}, 400, "output_expires_after.seconds"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 10**9}}, 400, "output_expires_after"),
        ({"color": "red"}, 400, "color"),
    ],
)
async def test_a_batch_that_cannot_be_is_refused(
    tenants: Tenants, fields: dict[str, Any], status: int, param: str | None
) -> None:
    file = await tenants.ours.files.create(file=("a", b"{}"), purpose="batch")
    theirs = await tenants.theirs.files.create(file=("a", b"{}"), purpose="batch")
    if fields.get("input_file_id") == "theirs":
        fields = {"input_file_id": theirs.id}
    asked = {"input_file_id": file.id, "endpoint": CHAT, "completion_window": "24h", **fields}
    with pytest.raises(openai.APIStatusError) as told:
        await tenants.ours.post("/batches", body=asked, cast_to=object)
    assert told.value.status_code == status
    assert param is None or str(told.value.param).startswith(param)


async def test_answers_are_no_input(tenants: Tenants) -> None:
    batch, _, _ = await outcome(tenants.ours, [chat_line("a")])
    with pytest.raises(openai.BadRequestError) as told:
        await tenants.ours.batches.create(input_file_id=batch.output_file_id, endpoint=CHAT, completion_window="24h")
    assert told.value.param == "input_file_id"
