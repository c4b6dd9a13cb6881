"""Logs a conversation as it proceeds. An unusable log causes one warning and no failed answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from adaptrix_core.cli.logs.place import VARIABLE
from adaptrix_core.cli.output import Output
from adaptrix_core.errors import LogUnusable

if TYPE_CHECKING:
    from adaptrix_core.cli.conversation.dialogue import Dialogue
    from adaptrix_core.cli.logs.logbook import Logbook

RECALLED = 1000
"""Most questions of earlier conversations that the editor recalls."""

Result = TypeVar("Result")


class LogKeeper:
    """Writes one conversation to the log, from its first answer on."""

    def __init__(self, book: Logbook | None, output: Output, number: int | None = None) -> None:
        """book: None keeps no log. number: of the conversation that is continued."""
        self._book = book
        self._output = output
        self._number = number

    def add(self, dialogue: Dialogue) -> None:
        """Log the last turn; all of them where the conversation is not in the log yet."""
        turns = dialogue.turns[-1:] if self._number is not None else dialogue.turns
        is_new = self._book is not None and not self._book.path.exists()
        self._number = self._try(
            lambda book: book.record(
                self._number,
                turns,
                model=dialogue.template.model,
                system=dialogue.system,
                sampling=dialogue.sampling(),
            )
        )
        if is_new and self._book is not None:
            self._output.note(
                f"questions and answers are kept in {self._book.path}: `adaptrix logs` shows them, --no-log or "
                f"{VARIABLE}=off keeps none"
            )

    def withdraw_last(self) -> None:
        """Remove the last turn from the log."""
        if (number := self._number) is not None:
            self._try(lambda book: book.withdraw_last(number))

    def rewrite(self, dialogue: Dialogue) -> None:
        """Log the conversation anew, where it was logged: an earlier turn is gone from it."""
        if (number := self._number) is None:
            return
        self._try(lambda book: book.delete(number))
        self._number = None
        if dialogue.turns:
            self.add(dialogue)

    def begin_anew(self) -> None:
        """Log the next turns as another conversation."""
        self._number = None

    def questions(self) -> Sequence[str]:
        """Earlier questions, newest first."""
        return self._try(lambda book: book.questions(RECALLED)) or ()

    def _try(self, action: Callable[[Logbook], Result]) -> Result | None:
        if self._book is None:
            return None
        try:
            return action(self._book)
        except LogUnusable as error:
            self._output.warn(f"{error.message}; this conversation is not logged any further")
            self._book = None
            return None
