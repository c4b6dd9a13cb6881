"""How sure an answer is, as whoever answers tells it, and the answers before it that were not sure enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True)
class ToldConfidence:
    """Of one answer. Names and meanings are those of the HTTP API (docs/confidence.md)."""

    confidence: float | None
    """The calibrated probability that it is right; None where that is not known."""
    attempts: Sequence[Mapping[str, Any]] = ()
    """The other answers that were tried: ``adapter``, ``confidence`` and ``completion_tokens`` of each."""
    below_min_confidence: bool = False
    """Whether it is given although it is less sure than was asked for: none was surer."""
    instead_of_an_answer: str | None = None
    """The fallback, ``abstain`` or ``ask``, where the text is no answer but says that there is none."""
    answerer: str | None = None
    """Who gave it, as a calibration of a local engine's names it; None where nothing is calibrated, and of a server."""

    @classmethod
    def of(cls, member: Mapping[str, Any]) -> Self:
        """From the ``adaptrix`` member of a finished choice."""
        return cls(
            member.get("confidence"),
            member.get("attempts", ()),
            member.get("below_min_confidence", False),
            member.get("instead_of_an_answer"),
        )

    def as_dict(self) -> dict[str, Any]:
        """The JSON form; marks that do not apply are left out, as over HTTP."""
        marks = {
            "below_min_confidence": self.below_min_confidence,
            "instead_of_an_answer": self.instead_of_an_answer,
            "attempts": [dict(attempt) for attempt in self.attempts],
        }
        confidence = None if self.confidence is None else round(self.confidence, 4)
        return {"confidence": confidence, **{name: mark for name, mark in marks.items() if mark}}

    def who(self, adapter: str) -> str:
        """Who answered, in words; ``adapter`` did, unless there is no answer."""
        return adapter if self.instead_of_an_answer is None else f"no answer: {self.instead_of_an_answer}"

    def in_words(self) -> str:
        """How sure it is, and what else was tried, for a line of text."""
        listed = ", ".join(f"{one['adapter']} {_sureness(one['confidence'])}" for one in self.attempts)
        if self.instead_of_an_answer is not None:
            return f"{len(self.attempts)} not sure enough: {listed}"
        below = ", not sure enough" if self.below_min_confidence else ""
        others = f" · {len(self.attempts) + 1} attempts, the others: {listed}" if self.attempts else ""
        return f"confidence {_sureness(self.confidence)}{below}{others}"


def _sureness(confidence: float | None) -> str:
    return "unknown" if confidence is None else f"{confidence:.2f}"
