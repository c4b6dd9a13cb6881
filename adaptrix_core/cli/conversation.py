"""A conversation on the terminal: one question a line, the history goes along, a few commands start with a slash."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace

from adaptrix_core.cli.session import Session
from adaptrix_core.cli.target import Answer, ChatRequest, Message, Target
from adaptrix_core.errors import AdaptrixError

HELP = """\
/use MODEL    answer with MODEL from now on (auto, base, an adapter, or a mix)
/adapters     list the adapters
/reset        forget the conversation
/help         this text
/quit         leave (Ctrl-D does too; Ctrl-C stops an answer)"""


def converse(session: Session, template: ChatRequest) -> None:
    """Read questions until the input ends. One failed answer is reported and the conversation goes on."""
    # One event loop for the whole conversation: connections and a local engine belong to it.
    with asyncio.Runner() as runner:
        target = session.target()
        runner.run(target.__aenter__())
        try:
            _Conversation(session, target, template, runner).run()
        finally:
            runner.run(target.__aexit__(None, None, None))


class _Conversation:
    def __init__(self, session: Session, target: Target, template: ChatRequest, runner: asyncio.Runner) -> None:
        self._output = session.output
        self._target = target
        self._template = template
        self._runner = runner
        self._history: list[Message] = list(template.messages)

    def run(self) -> None:
        self._output.note(f"talking to {self._template.model}; /help lists the commands")
        while (line := self._read()) is not None:
            if line in ("/quit", "/exit"):
                return
            if line.startswith("/"):
                self._command(line)
            elif line:
                self._ask(line)

    def _read(self) -> str | None:
        try:
            return input("> " if sys.stdin.isatty() else "").strip()
        except EOFError:
            return None

    def _command(self, line: str) -> None:
        name, _, argument = line.partition(" ")
        if name == "/use" and argument:
            self._template = replace(self._template, model=argument.strip())
            self._output.note(f"talking to {self._template.model}")
        elif name == "/adapters":
            rows = self._runner.run(self._target.adapters())
            self._output.note("\n".join(f"{row.name}@{row.version}  {row.description}" for row in rows) or "none")
        elif name == "/reset":
            self._history = list(self._template.messages)
            self._output.note("forgotten")
        elif name == "/help":
            self._output.note(HELP)
        else:
            self._output.note(f"no command {line!r}\n{HELP}")

    def _ask(self, text: str) -> None:
        asked: list[Message] = [*self._history, {"role": "user", "content": text}]
        try:
            answer: Answer = self._runner.run(
                self._target.chat(replace(self._template, messages=asked), on_text=self._output.text)
            )
        except AdaptrixError as error:
            self._output.warn(error.message)
            return
        except KeyboardInterrupt:
            self._output.text("\n")
            self._output.note("stopped; the question is not part of the conversation")
            return
        self._output.text("\n")
        self._output.note(answer.footer())
        self._history = [*asked, {"role": "assistant", "content": answer.text}]
