"""The line editor, key by key, and what typing ahead amounts to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from adaptrix_core.cli.conversation.line_source import EditorSource, is_open, without_quotes
from adaptrix_core.cli.conversation.log_keeper import LogKeeper
from adaptrix_core.cli.conversation.quiet_terminal import readable
from adaptrix_core.cli.output import Output
from adaptrix_core.errors import ServerUnavailable

ENTER, ALT_ENTER, CTRL_C, CTRL_D = "\r", "\x1b\r", "\x03", "\x04"

Type = Callable[..., str | None]


@pytest.fixture
def editor() -> Iterator[Type]:
    """``editor(keys)`` -> the entry that these keys amount to."""

    async def fails() -> list[str]:
        raise ServerUnavailable("nobody is there")

    with asyncio.Runner() as runner, create_pipe_input() as keyboard:
        output = Output(quiet=True)
        suggest = {"/use": fails}
        source = EditorSource(runner, output, LogKeeper(None, output), suggest, keyboard, DummyOutput())

        def read(keys: str, typed_ahead: str = "") -> str | None:
            keyboard.send_text(keys)
            return source.read(typed_ahead)

        yield read


@pytest.mark.parametrize(
    ("keys", "entry"),
    [
        (f"hello{ENTER}", "hello"),
        (f"one{ALT_ENTER}two{ENTER}", "one\ntwo"),
        (f"one\\{ENTER}two{ENTER}", "one\ntwo"),
        (f'"""one{ENTER}two{ENTER}"""{ENTER}', "one\ntwo"),
        (f"\x1b[200~pasted\r\nlines\x1b[201~{ENTER}", "pasted\nlines"),
        (f"dropped{CTRL_C}kept{ENTER}", "kept"),
        (f"{CTRL_D}", None),
        (f"/use x{ENTER}", "/use x"),
        (f" /use is what?{ENTER}", " /use is what?"),
    ],
)
def test_keys(editor: Type, keys: str, entry: str | None) -> None:
    assert editor(keys) == entry


def test_what_was_typed_ahead_can_be_edited(editor: Type) -> None:
    assert editor(f"!{ENTER}", typed_ahead="and then") == "and then!"


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        (b"", ""),
        (b"abc\x7fd", "abd"),
        (b"\x7f\x7fa", "a"),
        ("größer\r".encode(), "größer"),
        (b"a\rb\r\r", "a\nb"),
        (b"a\x1b[A\x1b[1;5Cb\x1bOHc\x1b", "abc"),
        (b"\x04\x01\ta\x00", "a"),
        (b"cut \xe4\xbd", "cut "),
    ],
)
def test_typed_bytes_become_text(typed: bytes, text: str) -> None:
    assert readable(typed) == text


@pytest.mark.parametrize(
    ("entry", "opened", "inside"),
    [
        ("plain", False, "plain"),
        ('"""', True, ""),
        ('"""a', True, "a"),
        ('"""a"""', False, "a"),
        ('""""""', False, ""),
        ('"""a\nb\n"""', False, "a\nb"),
        ('say """x"""', False, 'say """x"""'),
    ],
)
def test_blocks_of_three_quotes(entry: str, opened: bool, inside: str) -> None:
    assert is_open(entry) == opened
    assert without_quotes(entry) == inside
