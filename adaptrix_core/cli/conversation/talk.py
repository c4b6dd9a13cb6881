"""Holds a conversation: reads entry after entry until the input ends or the user leaves.

A failed answer or command is reported and leaves the conversation unchanged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from adaptrix_core.cli.conversation.commands import COMMANDS, run_command
from adaptrix_core.cli.conversation.dialogue import Dialogue
from adaptrix_core.cli.conversation.line_source import LineSource, line_source
from adaptrix_core.cli.conversation.log_keeper import LogKeeper
from adaptrix_core.cli.conversation.quiet_terminal import quiet_terminal, typed_ahead
from adaptrix_core.cli.conversation.sampling import NAMES
from adaptrix_core.cli.conversation.talk_memory import TalkMemory
from adaptrix_core.cli.logs.turn import LoggedTurn
from adaptrix_core.cli.session import Session
from adaptrix_core.cli.target import AdapterRow, Answer, Message, Room, Target, TargetRequest
from adaptrix_core.errors import AdaptrixError, ContextLengthExceeded, InvalidRequest

if TYPE_CHECKING:
    from adaptrix_core.cli.conversation.completion import Suggest

STOPPED = "stopped"
"""Finish reason of an answer that Ctrl-C ended."""


def converse(session: Session, dialogue: Dialogue, log: LogKeeper) -> None:
    """Read questions and commands until the input ends."""
    # One event loop for the whole conversation: connections and a local engine belong to it.
    with asyncio.Runner() as runner:
        target = session.target()
        runner.run(target.__aenter__())
        try:
            Talk(session, target, dialogue, log, runner).run()
        finally:
            runner.run(target.__aexit__(None, None, None))


class Talk:
    """A conversation under way; the commands work on it."""

    def __init__(
        self,
        session: Session,
        target: Target,
        dialogue: Dialogue,
        log: LogKeeper,
        runner: asyncio.Runner,
        source: LineSource | None = None,
    ) -> None:
        """source: of entries; by default the terminal or standard input."""
        self.output = session.output
        self.dialogue = dialogue
        self.opening_system = dialogue.system
        """The system message that the conversation began with."""
        self._target = target
        self._log = log
        self._runner = runner
        self._source = source or line_source(runner, session.output, log, self._suggestions())
        self.memory = TalkMemory(self._measured, self._embedded)
        self._typed_ahead = ""
        self._unanswered: str | None = None
        self._leaving = False

    def run(self) -> None:
        """Run until the user leaves or the input ends."""
        going_on = f", going on after {len(self.dialogue.turns)} answers" if self.dialogue.turns else ""
        self.output.note(f"talking to {self.dialogue.template.model}{going_on}; /help lists the commands")
        with self._source.session():
            while not self._leaving:
                try:
                    entry = self._source.read(self._typed_ahead)
                    self._typed_ahead = ""
                    self._act_on(entry)
                except KeyboardInterrupt:
                    if not self._source.is_interactive:
                        raise
                    self.output.note("stopped; /quit or Ctrl-D leaves")

    def ask(self, question: str) -> None:
        """Ask a question and show its answer; both become part of the conversation."""
        self._unanswered = question
        turn = self._answered(question)
        if turn is not None:
            self._keep(turn)

    def again(self) -> None:
        """Ask the last question again and replace its answer, if any. Raises InvalidRequest without a question."""
        if self._unanswered is not None:
            self.ask(self._unanswered)
            return
        before = self._last_turn()
        self.dialogue.turns.pop()
        after = None
        try:
            after = self._answered(before.question)
        finally:
            if after is None:
                self.dialogue.turns.append(before)
        if after is not None:
            self._log.withdraw_last()
            self._keep(after)
            if after.answer == before.answer and after.finish_reason != STOPPED:
                self.output.note("the same answer: nothing was left to chance; /set temperature 0.8 varies answers")

    def forget(self, number: int) -> LoggedTurn:
        """Take a turn, numbered from 1, out of the conversation and its log. Raises InvalidRequest."""
        if not 1 <= number <= len(self.dialogue.turns):
            raise InvalidRequest(
                f"there is no answer {number}; the conversation has {len(self.dialogue.turns)}, from 1"
            )
        turn = self.dialogue.turns.pop(number - 1)
        self.memory.forget(number - 1)
        self._log.rewrite(self.dialogue)
        return turn

    def undo(self) -> LoggedTurn:
        """Take the last turn back. Raises InvalidRequest where there is none."""
        turn = self._last_turn()
        self.dialogue.turns.pop()
        self.memory.forget(len(self.dialogue.turns))
        self._unanswered = None
        self._log.withdraw_last()
        return turn

    def begin_anew(self, system: str | None, turns: Iterable[LoggedTurn]) -> None:
        """Switch to another conversation, with ``turns`` as its past."""
        self.dialogue.system = system
        self.dialogue.turns = list(turns)
        self.memory.begin_anew()
        self._unanswered = None
        self._log.begin_anew()

    def leave(self) -> None:
        """End the conversation after the current entry."""
        self._leaving = True

    def check_model(self, model: str) -> None:
        """Raise AdaptrixError, with the nearest names, unless ``model`` can answer."""
        self._runner.run(self._target.check_model(model))

    def adapters(self) -> list[AdapterRow]:
        """Every adapter that the target knows."""
        return self._runner.run(self._target.adapters())

    def _measured(self, messages: Sequence[Message]) -> Room:
        return self._runner.run(self._target.measure(messages))

    def _embedded(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        return self._runner.run(self._target.embed(texts)).vectors

    def _act_on(self, entry: str | None) -> None:
        """Run a command or ask a question; None: the end of the input."""
        try:
            if entry is None:
                self.leave()
            elif not _is_text(entry):
                raise InvalidRequest("what was typed is not UTF-8 text; type it again")
            elif entry.startswith("/"):
                run_command(self, entry.rstrip())
            elif question := entry.strip():
                self.ask(question)
        except AdaptrixError as error:
            self.output.warn(error.message)

    def _answered(self, question: str) -> LoggedTurn | None:
        """Ask and show the answer; None where there was none. Of an answer that Ctrl-C ends, the shown part counts."""
        pieces: list[str] = []
        try:
            request = self.memory.asking(self.dialogue, question)
            answer = self._streamed_if_it_fits(request, question, pieces)
        except KeyboardInterrupt:
            if not pieces:
                self.output.note("stopped before the answer began; /again asks once more")
                return None
            answer = _partial("".join(pieces))
            self.output.note("stopped; the answer counts as far as it came, /undo takes it back")
        else:
            self.output.note(answer.footer())
        return LoggedTurn.of(question, self.dialogue.template.model, answer)

    def _streamed_if_it_fits(self, request: TargetRequest, question: str, pieces: list[str]) -> Answer:
        """The answer; of a conversation that is too long, some turns are left out first."""
        try:
            return self._streamed(request, pieces)
        except AdaptrixError as error:
            if error.code != ContextLengthExceeded.code or pieces or not self.dialogue.turns:
                raise
        request = self.memory.shortened(self.dialogue.asking(question))
        self.output.note(
            f"the conversation is longer than the context: {len(self.memory.left_out)} of {len(self.dialogue.turns)} "
            "answers are left out for now, those that matter least to the question"
        )
        return self._streamed(request, pieces)

    def _keep(self, turn: LoggedTurn) -> None:
        self._unanswered = None
        self.dialogue.turns.append(turn)
        self._log.add(self.dialogue)

    def _last_turn(self) -> LoggedTurn:
        if not self.dialogue.turns:
            raise InvalidRequest("no question has been asked yet; ask one first")
        return self.dialogue.turns[-1]

    def _streamed(self, request: TargetRequest, pieces: list[str]) -> Answer:
        """The answer, shown while it arrives; ``pieces`` gets its text so far, also if it fails."""

        def show(piece: str) -> None:
            pieces.append(piece)
            self.output.text(piece)

        with quiet_terminal():
            try:
                return self._runner.run(self._target.chat(request, on_text=show))
            finally:
                self._typed_ahead = typed_ahead()
                if pieces:
                    self.output.text("\n")

    def _suggestions(self) -> dict[str, Suggest]:
        async def models() -> list[str]:
            return await self._target.model_names()

        async def settings() -> tuple[str, ...]:
            return NAMES

        sources: dict[str, Suggest] = {"models": models, "settings": settings, "path": "path", "": None}
        return {command.name: sources[command.suggests] for command in COMMANDS}


def _is_text(entry: str) -> bool:
    """Whether it can be sent: invalid bytes arrive as lone surrogates."""
    return not any("\ud800" <= character <= "\udfff" for character in entry)


def _partial(text: str) -> Answer:
    """The record of a stopped answer."""
    return Answer(
        text=text,
        adapter="",
        package_digests=None,
        route_score=None,
        finish_reason=STOPPED,
        num_prompt_tokens=0,
        num_completion_tokens=0,
        first_token_s=0.0,
        duration_s=0.0,
    )
