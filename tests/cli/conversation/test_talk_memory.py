"""Conversations on the terminal that outlast the context: what is sent, said about it, exported and forgotten."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from adaptrix_core.cli.conversation.dialogue import Dialogue
from adaptrix_core.cli.conversation.exported import write_export
from adaptrix_core.cli.logs.turn import LoggedTurn
from adaptrix_core.cli.target import TargetRequest
from tests.cli.stand_in_server import StandIn, stand_in

Adaptrix = Callable[..., Result]
FILLER = "the quick brown fox jumps over the lazy dog"
CONTEXT = 1000
LONG = [f"{number} {FILLER} {'ab' * number}".strip() for number in range(16)]


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as state:
        yield state


@pytest.fixture
def talk(adaptrix: Adaptrix, server: StandIn) -> Callable[..., str]:
    """``talk("hi", "/undo", …)`` -> what was noted on stderr."""

    def run(*entries: str, arguments: tuple[object, ...] = ("--no-log",)) -> str:
        lines = "".join(f"{entry}\n" for entry in entries)
        done = adaptrix("query", "--url", server.url, *arguments, input=lines)
        assert done.exit_code == 0, done.output
        return done.stderr

    return run


def test_a_conversation_that_is_too_long_goes_on_without_some_turns(talk: Callable[..., str], server: StandIn) -> None:
    server.context = CONTEXT
    noted = talk(*LONG)
    assert noted.count("the conversation is longer than the context") == 1
    assert len(server.bodies) == len(LONG)
    questions = [content for role, content in server.last_messages if role == "user"]
    assert questions[-2:] == LONG[-2:]
    assert questions == [question for question in LONG if question in questions]
    assert len(questions) < len(LONG) - 2
    assert all(sum(len(m["content"]) for m in body["messages"]) <= CONTEXT for body in server.bodies)


def test_a_question_that_is_too_long_is_refused_and_the_conversation_stands(
    talk: Callable[..., str], server: StandIn
) -> None:
    server.context = 300
    assert "question alone" in talk("hi", "x" * 400, "again")
    assert [content for role, content in server.last_messages if role == "user"] == ["hi", "again"]


def test_a_conversation_without_a_past_says_what_the_server_says(talk: Callable[..., str], server: StandIn) -> None:
    server.context = 10
    assert "the prompt is too long" in talk("x" * 20)


def test_a_forgotten_turn_is_sent_no_more_and_is_gone_from_the_log(
    talk: Callable[..., str], server: StandIn, adaptrix: Adaptrix
) -> None:
    noted = talk("a secret", "something else", "/forget 1", "and now", arguments=())
    assert "forgotten: a secret" in noted
    assert [content for role, content in server.last_messages if role == "user"] == ["something else", "and now"]
    logged = json.loads(adaptrix("logs", "--json").stdout)
    assert "a secret" not in json.dumps(logged)
    assert "nothing logged holds 'secret'" in adaptrix("logs", "--search", "secret").output


@pytest.mark.parametrize("number", ["0", "2", "x", "-1", "9" * 30, "²"])
def test_a_turn_that_is_not_there_is_not_forgotten(talk: Callable[..., str], server: StandIn, number: str) -> None:
    noted = talk("hi", f"/forget {number}", "and?")
    assert "no answer" in noted or "takes the number" in noted
    assert [content for role, content in server.last_messages if role == "user"] == ["hi", "and?"]


def test_what_is_exported_is_what_the_library_goes_on_with(
    talk: Callable[..., str], server: StandIn, tmp_path: Path
) -> None:
    file = tmp_path / "export.json"
    server.context = CONTEXT
    noted = talk("/system Be short.", *LONG, f"/export {file}", f"/export {file}")
    assert f"wrote {len(LONG)} answers" in noted
    assert "is there already" in noted
    document = json.loads(file.read_text())
    assert (document["form"], document["system"]) == (1, "Be short.")
    assert [turn["question"] for turn in document["turns"]] == LONG
    assert {turn["answered_by"] for turn in document["turns"]} == {"math_reasoning"}
    assert document["left_out"]
    assert set(document["turns"][0]) == {"question", "answer", "answered_by", "asked_at"}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_base_model_is_exported_as_the_library_names_it(tmp_path: Path) -> None:
    turns = [LoggedTurn(question="hi", answer="hello", model="auto", adapter=by) for by in ("base", "math_reasoning")]
    write_export(Dialogue(TargetRequest(messages=[], model="auto"), turns=turns), [], tmp_path / "export.json")
    document = json.loads((tmp_path / "export.json").read_text())
    assert [turn["answered_by"] for turn in document["turns"]] == ["", "math_reasoning"]
