"""Reads calls out of an answer's text as it grows: text before them, names, and arguments piece by piece."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto

from adaptrix_core.tools.call_form import CallForm


@dataclass(frozen=True)
class SaidText:
    """A part of the answer that is no call."""

    text: str


@dataclass(frozen=True)
class CallBegun:
    """A call whose name is known. Its arguments follow."""

    index: int
    """0 for the answer's first call."""
    function: str


@dataclass(frozen=True)
class ArgumentsSaid:
    """A further part of the JSON text of a call's arguments."""

    index: int
    text: str


CallEvent = SaidText | CallBegun | ArgumentsSaid


class _At(Enum):
    """The place in the text that the next character is read for."""

    TEXT = auto()
    NAME = auto()
    """Between a call's opening marker and its arguments."""
    ARGUMENTS = auto()
    END = auto()
    """Between a call's arguments and its closing marker."""


@dataclass
class CallReader:
    """Reads one answer. The grammar has made sure that what follows an opening marker is a call (`call_grammar.py`)."""

    form: CallForm
    num_calls: int = 0
    """Calls that have begun."""
    _at: _At = _At.TEXT
    _held: str = ""
    """Text that is read, and not decided upon."""
    _has_begun: bool = False
    _json: _ObjectEnd = field(default_factory=lambda: _ObjectEnd())

    @property
    def is_inside_call(self) -> bool:
        """Whether a call has begun and not ended: it was cut, if nothing follows."""
        return self._at is not _At.TEXT

    def read(self, text: str) -> list[CallEvent]:
        """What the next part of the text says; text that may be the beginning of a call is held back."""
        self._held += text
        events: list[CallEvent] = []
        while self._held and self._step(events):
            pass
        return events

    def finish(self, *, is_cut: bool = False) -> list[CallEvent]:
        """What was held back, once nothing follows. A call that was cut before its arguments is dropped.

        is_cut: whether more would have followed: an answer that is nothing but the beginning of a marker was a call.
        """
        held, self._held = self._held, ""
        was_call = is_cut and not self._has_begun and bool(self.form.opening)
        return [SaidText(held)] if held and self._at is _At.TEXT and not was_call else []

    def _step(self, events: list[CallEvent]) -> bool:
        """Read on at one place; returns whether another may follow."""
        steps = {
            _At.TEXT: self._read_text,
            _At.NAME: self._read_name,
            _At.ARGUMENTS: self._read_arguments,
            _At.END: self._read_end,
        }
        return steps[self._at](events)

    def _read_text(self, events: list[CallEvent]) -> bool:
        marker = self.form.opening or self.form.before_name
        at = self._held.find(marker) if self.form.opening else 0 if self._held.startswith(marker) else -1
        if at >= 0 and not (self._has_begun and not self.form.opening):
            self._say(self._held[:at], events)
            self._held = self._held[at + len(self.form.opening) :]
            self._at = _At.NAME
            return True
        kept = self._beginning_of(marker)
        self._say(self._held[: len(self._held) - kept], events)
        self._held = self._held[len(self._held) - kept :]
        return False

    def _say(self, text: str, events: list[CallEvent]) -> None:
        if text and not (self.num_calls and text.isspace()):  # what stands between calls is no text of the answer
            events.append(SaidText(text))
        self._has_begun = self._has_begun or bool(text)

    def _beginning_of(self, marker: str) -> int:
        """Characters at the end of what is held that may be the beginning of a marker."""
        if not self.form.opening:
            return len(self._held) if not self._has_begun and marker.startswith(self._held) else 0
        longest = min(len(marker) - 1, len(self._held))
        return next((n for n in range(longest, 0, -1) if marker.startswith(self._held[-n:])), 0)

    def _read_name(self, events: list[CallEvent]) -> bool:
        begun = self._held.find(self.form.before_arguments, len(self.form.before_name))
        if begun < 0:
            return False
        events.append(CallBegun(self.num_calls, self._held[len(self.form.before_name) : begun]))
        self.num_calls += 1
        self._held = self._held[begun + len(self.form.before_arguments) :]
        self._at, self._json = _At.ARGUMENTS, _ObjectEnd()
        return True

    def _read_arguments(self, events: list[CallEvent]) -> bool:
        end = self._json.find(self._held)
        said = self._held if end is None else self._held[:end]
        events.append(ArgumentsSaid(self.num_calls - 1, said))
        self._held = self._held[len(said) :]
        if end is not None:
            self._at = _At.END
        return end is not None

    def _read_end(self, events: list[CallEvent]) -> bool:
        rest = self.form.after_arguments + self.form.closing
        if len(self._held) < len(rest):
            return False
        self._held = self._held[len(rest) :]
        self._at, self._has_begun = _At.TEXT, True
        return True


@dataclass
class _ObjectEnd:
    """Finds the end of a JSON object in text that comes in parts."""

    _depth: int = 0
    _is_string: bool = False
    _is_escaped: bool = False

    def find(self, text: str) -> int | None:
        """Index after the object's last character; None where it goes on."""
        for index, character in enumerate(text):
            if self._is_escaped:
                self._is_escaped = False
            elif self._is_string:
                self._is_escaped = character == "\\"
                self._is_string = character != '"'
            elif character == '"':
                self._is_string = True
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                if not self._depth:
                    return index + 1
        return None
