"""Sources of questions: an editor on a terminal, or plain lines of a pipe or file."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Protocol

from adaptrix_core.cli.conversation.quiet_terminal import quiet_terminal
from adaptrix_core.cli.output import Output

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import History
    from prompt_toolkit.input import Input
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
    from prompt_toolkit.output import Output as Screen

    from adaptrix_core.cli.conversation.completion import Suggest
    from adaptrix_core.cli.conversation.log_keeper import LogKeeper

BLOCK = '"""'
"""Begins and ends a question of several lines."""


class LineSource(Protocol):
    """Gives one entry, a question or a command, at a time."""

    is_interactive: bool
    """Whether a person gives the entries."""

    def session(self) -> AbstractContextManager[None]:
        """Context in which entries are read and acted on."""
        ...

    def read(self, typed_ahead: str = "") -> str | None:
        """The next entry, unchanged; None at the end of the input. typed_ahead: text to begin editing with."""
        ...


def line_source(runner: asyncio.Runner, output: Output, log: LogKeeper, suggest: Mapping[str, Suggest]) -> LineSource:
    """The editor on a terminal that can show one, plain lines elsewhere."""
    if sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb":
        return EditorSource(runner, output, log, suggest)
    return PlainSource()


class PlainSource:
    """Lines of standard input. A line that begins with three quotes goes on until a line that ends with them."""

    def __init__(self) -> None:
        self.is_interactive = sys.stdin.isatty()

    def session(self) -> AbstractContextManager[None]:
        """See `LineSource`."""
        return nullcontext()

    def read(self, typed_ahead: str = "") -> str | None:
        """See `LineSource`; a pipe has nothing typed ahead."""
        lines: list[str] = []
        while (line := self._line("... " if lines else "> ")) is not None:
            lines.append(line)
            entry = "\n".join(lines)
            if not is_open(entry):
                return without_quotes(entry)
        return without_quotes("\n".join(lines)) if lines else None

    def _line(self, prompt: str) -> str | None:
        if self.is_interactive:
            sys.stderr.write(prompt)
            sys.stderr.flush()
        line = sys.stdin.readline()
        return line.removesuffix("\n") if line else None


class EditorSource:
    """A line editor: history, completion, and entries of several lines.

    Enter sends; Alt-Enter, a backslash before Enter, or an open block of three quotes go on with another line.
    """

    is_interactive = True

    def __init__(
        self,
        runner: asyncio.Runner,
        output: Output,
        log: LogKeeper,
        suggest: Mapping[str, Suggest],
        keyboard: Input | None = None,
        screen: Screen | None = None,
    ) -> None:
        """keyboard, screen: prompt_toolkit's input and output, instead of the terminal's."""
        from adaptrix_core.cli.conversation.completion import command_completer

        self._runner = runner
        self._output = output
        self._session: PromptSession[str] = _prompt_session()(
            message="> ",
            multiline=True,
            prompt_continuation="  ",
            history=_history(log),
            completer=command_completer(suggest),
            complete_while_typing=True,
            key_bindings=_keys(),
            enable_open_in_editor=True,
            input=keyboard,
            output=screen,
        )

    def session(self) -> AbstractContextManager[None]:
        """See `LineSource`: the editor alone shows typed text."""
        return quiet_terminal()

    def read(self, typed_ahead: str = "") -> str | None:
        """See `LineSource`. Ctrl-C drops the typed text and asks again."""
        while True:
            try:
                entry = self._runner.run(self._session.prompt_async(default=typed_ahead))
            except EOFError:
                return None
            except KeyboardInterrupt:
                self._output.note("/quit or Ctrl-D leaves")
                typed_ahead = ""
                continue
            return without_quotes(entry.replace("\\\n", "\n"))


def is_open(entry: str) -> bool:
    """Whether a block of three quotes is still open."""
    text = entry.strip()
    return text.startswith(BLOCK) and (len(text) < 2 * len(BLOCK) or not text.endswith(BLOCK))


def without_quotes(entry: str) -> str:
    """The inside of a block of three quotes; anything else as it is."""
    text = entry.strip()
    if not text.startswith(BLOCK):
        return entry
    return text.removeprefix(BLOCK).removesuffix(BLOCK).strip("\n")


def _prompt_session() -> type[PromptSession[str]]:
    from prompt_toolkit import PromptSession

    return PromptSession


def _keys() -> KeyBindings:
    from prompt_toolkit.key_binding import KeyBindings

    keys = KeyBindings()

    @keys.add("enter")
    def _send_or_go_on(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        before = buffer.document.text_before_cursor
        if before.endswith("\\") or is_open(buffer.text):
            buffer.insert_text("\n")
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    def _go_on(event: KeyPressEvent) -> None:
        event.current_buffer.insert_text("\n")

    return keys


def _history(log: LogKeeper) -> History:
    from prompt_toolkit.history import History

    class LoggedQuestions(History):
        """Recalls the questions in the log. Stores nothing itself: questions are logged with their answers."""

        def load_history_strings(self) -> Iterable[str]:
            return dict.fromkeys(log.questions())

        def store_string(self, string: str) -> None:
            return None

    return LoggedQuestions()
