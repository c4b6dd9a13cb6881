"""Prompt files: what is read, what is refused, and that one failure leaves the other answers alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from adaptrix_core.cli.commands.batch import chat_many, read_requests
from adaptrix_core.cli.target import Answer, TargetRequest
from adaptrix_core.errors import AdaptrixError, InvalidRequest

TEMPLATE = TargetRequest(messages=({"role": "system", "content": "be brief"},), model="auto", max_tokens=5)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_text_file_is_one_prompt_a_line_after_the_system_message(tmp_path: Path) -> None:
    requests = read_requests(write(tmp_path / "p.txt", "one\n\n  two  \n"), TEMPLATE)
    assert [request.messages[-1]["content"] for request in requests] == ["one", "two"]
    assert all(request.messages[0]["content"] == "be brief" and request.max_tokens == 5 for request in requests)


def test_json_lines_take_prompt_or_messages_and_a_model(tmp_path: Path) -> None:
    lines = '{"prompt": "hi", "model": "math"}\n{"messages": [{"role": "user", "content": "yo"}]}\n'
    first, second = read_requests(write(tmp_path / "p.jsonl", lines), TEMPLATE)
    assert (first.model, first.messages[-1]["content"]) == ("math", "hi")
    assert (second.model, second.messages) == ("auto", [{"role": "user", "content": "yo"}])


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{", "line 2: not JSON"),
        ('{"text": "hi"}', "either prompt or messages"),
        ('{"prompt": "a", "messages": []}', "either prompt or messages"),
        ('{"prompt": "a", "temprature": 1}', "unknown fields temprature"),
        ("[1]", "needs an object"),
        ('{"prompt": null}', "line 2: prompt is null; it must be text"),
        ('{"prompt": "a", "model": 5}', "line 2: model is 5; it must be text"),
        ('{"messages": "hi"}', "line 2: messages must be a list of"),
        ('{"messages": []}', "line 2: messages must be a list of"),
        ('{"messages": [1]}', "line 2: messages must be a list of"),
        ('{"messages": [{"role": "user"}]}', "line 2: messages must be a list of"),
        ('{"messages": [{"role": "user", "content": null}]}', "line 2: messages must be a list of"),
        ('{"messages": [{"role": "user", "content": "a", "nmae": "b"}]}', "line 2: messages must be a list of"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    path = write(tmp_path / "p.jsonl", '{"prompt": "fine"}\n' + line + "\n")
    with pytest.raises(InvalidRequest, match=complaint):
        read_requests(path, TEMPLATE)


def test_an_empty_file_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="holds no prompts; write one a line"):
        read_requests(write(tmp_path / "p.txt", "\n\n"), TEMPLATE)


def test_bytes_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "p.txt"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidRequest, match="not UTF-8"):
        read_requests(path, TEMPLATE)


class Recorder:
    """A target that answers after all permitted requests have arrived, and fails on the word ``bad``."""

    def __init__(self) -> None:
        self.under_way = 0
        self.most_under_way = 0

    async def chat(self, request: TargetRequest) -> Answer:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.sleep(0)
        self.under_way -= 1
        text = request.messages[-1]["content"]
        if text == "bad":
            raise AdaptrixError("no")
        return Answer(
            text=text.upper(),
            adapter="base",
            package_digests=None,
            route_score=None,
            finish_reason="stop",
            num_prompt_tokens=1,
            num_completion_tokens=1,
            first_token_s=0.0,
            duration_s=0.0,
        )


def test_answers_keep_the_order_and_a_failure_stays_in_its_place() -> None:
    target, done = Recorder(), []
    requests = [TEMPLATE.asking(text) for text in ("a", "bad", "c", "d", "e")]
    outcomes = asyncio.run(chat_many(target, requests, concurrency=2, on_done=done.append))  # type: ignore[arg-type]
    assert [getattr(outcome, "text", "failed") for outcome in outcomes] == ["A", "failed", "C", "D", "E"]
    assert target.most_under_way == 2
    assert len(done) == 5
