"""A conversation on a pseudo-terminal: the keyboard during an answer, Ctrl-C, history, completion, several lines."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.stand_in_server import StandIn, stand_in
from tests.cli.terminal import Terminal, terminal

CTRL_C, CTRL_D, ALT_ENTER, UP, TAB = "\x03", "\x04", "\x1b\r", "\x1b[A", "\t"
READY = "/help lists the commands"


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as state:
        yield state


@pytest.fixture
def screen(server: StandIn) -> Iterator[Terminal]:
    with terminal("query", "--url", server.url) as running:
        running.expect(READY)
        running.wait(running.is_editing, "the editor")
        yield running


def ask(screen: Terminal, server: StandIn, question: str = "what is it?") -> None:
    """Ask, and come back while the answer is held after its first piece."""
    server.hold_after = 1
    server.go_on.clear()
    screen.type(f"{question}\r")
    screen.expect("four")
    screen.wait(server.held.is_set, "the answer to be held")


def test_what_is_typed_during_an_answer_is_offered_afterwards_and_not_mixed_in(
    screen: Terminal, server: StandIn
) -> None:
    ask(screen, server)
    assert screen.is_quiet()
    screen.type("and\x1b[D now\x7fw?\r")
    server.go_on.set()
    assert screen.expect("two\n") == "ty two\n"
    screen.expect("[math_reasoning")
    screen.expect("and now?")
    assert len(server.bodies) == 1, "a question typed blindly is not sent"
    server.hold_after = None
    screen.type("\r")
    screen.expect("[math_reasoning")
    assert server.last_messages[-1] == ("user", "and now?")
    screen.type(CTRL_D)
    assert screen.ended() == 0
    assert screen.echoes()


def test_ctrl_c_ends_the_answer_and_not_the_conversation(screen: Terminal, server: StandIn) -> None:
    ask(screen, server)
    screen.type(CTRL_C)
    screen.expect("stopped; the answer counts as far as it came")
    screen.wait(server.client_left.is_set, "the server to see that nobody listens")
    server.hold_after = None
    screen.type("and then?\r")
    screen.expect("[math_reasoning")
    assert server.last_messages == [("user", "what is it?"), ("assistant", "four"), ("user", "and then?")]
    screen.wait(screen.is_editing, "the editor")
    screen.type(f"half a question{CTRL_C}")
    screen.expect("Ctrl-D leaves")
    screen.type("/quit\r")
    assert screen.ended() == 0
    assert screen.echoes()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_the_terminal_is_put_back_when_the_command_is_killed_during_an_answer(
    screen: Terminal, server: StandIn, number: signal.Signals
) -> None:
    ask(screen, server)
    assert not screen.echoes()
    screen.process.send_signal(number)
    assert screen.ended() == -number
    assert screen.echoes()


def test_a_failed_answer_leaves_the_terminal_and_the_conversation_as_they_were(
    screen: Terminal, server: StandIn
) -> None:
    server.refuse = {"message": "not today", "code": "invalid_request"}
    screen.type("hello\r")
    screen.expect("warning: not today")
    server.refuse = None
    screen.type("/again\r")
    screen.expect("[math_reasoning")
    assert server.last_messages == [("user", "hello")]
    screen.type(CTRL_D)
    assert screen.ended() == 0
    assert screen.echoes()


def test_an_answer_cannot_command_the_terminal(screen: Terminal, server: StandIn) -> None:
    server.pieces = ["safe\x1b", "]0;title\x07 \x9b2J", "end"]
    screen.type("hi\r")
    screen.expect("safe]0;title 2Jend")
    assert "]0;title\x07" not in screen.written


def test_typed_bytes_that_are_no_text_are_refused(screen: Terminal, server: StandIn) -> None:
    screen.press(b"\xff\xfe\r")
    screen.expect("warning: what was typed is not UTF-8 text")
    screen.type("hello\r")
    screen.expect("[math_reasoning")


def test_tab_completes_commands_and_names(screen: Terminal, server: StandIn) -> None:
    for begun, offered, rest, done in (
        ("/us", "/use", " ", ""),
        ("ma", "math_reasoning", "\r", "talking to math_reasoning"),
        ("/set tem", "temperature", " 0.5\r", "temperature is 0.5"),
    ):
        screen.type(begun)
        screen.expect(offered)
        screen.type(f"{TAB}{rest}")
        screen.expect(done)
    screen.type("hi\r")
    screen.expect("[math_reasoning")
    assert (server.bodies[-1]["model"], server.bodies[-1]["temperature"]) == ("math_reasoning", 0.5)


def test_up_recalls_questions_of_earlier_conversations(server: StandIn, tmp_path: Path) -> None:
    log = {"ADAPTRIX_LOGS": str(tmp_path / "logs.db")}
    for keys, wanted in (
        ("first\rsecond\r/quit\r", ["first", "second"]),
        (f"{UP}{UP} again\r/quit\r", ["first again"]),
    ):
        server.bodies.clear()
        with terminal("query", "--url", server.url, environment=log) as screen:
            screen.wait(screen.is_editing, "the editor")
            for entry in keys.splitlines(keepends=True):
                screen.type(entry)
                if not entry.startswith("/"):
                    screen.expect("[math_reasoning")
            assert screen.ended() == 0
        assert [body["messages"][-1]["content"] for body in server.bodies] == wanted


def test_several_lines_are_one_question(screen: Terminal, server: StandIn) -> None:
    for keys in (f"one{ALT_ENTER}two\r", "one\\\rtwo\r", '"""one\rtwo"""\r'):
        screen.type(keys)
        screen.expect("[math_reasoning")
        assert server.last_messages[-1] == ("user", "one\ntwo")
