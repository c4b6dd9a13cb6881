"""Holds an answer back until one is sure enough: who is asked next, and which answer is given in the end.

Whoever asks keeps the attempts and asks `settled` after each. Pure: knows nobody who answers, neither the library's
engine nor a server.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from adaptrix_core.confidence.fallbacks import WITHOUT_AN_ANSWER
from adaptrix_core.errors import InvalidRequest

PARAM = "adaptrix.min_confidence"
SAID = {
    "abstain": "I am not sure enough of an answer to give one.",
    "ask": "I am not sure that I have understood this. Could you put it in other words, or say more?",
}
"""The words in the place of an answer, by fallback."""
AGAIN_TEMPERATURE = 0.7
"""Temperature of a further answer by the same adapter; the greedy one would be the same again."""

A = TypeVar("A")


@dataclass(frozen=True)
class AnswerAttempt(Generic[A]):
    """A whole answer that nobody has seen yet."""

    answer: A
    adapter: str
    """Who gave it, for people."""
    confidence: float | None
    """The calibrated probability that it is right; None where that is not known."""
    is_calibrated: bool
    """Whether its confidence can be known; an answer that was cut off has none all the same."""
    least: float
    """The confidence from which it is sure enough."""
    num_tokens: int
    """Tokens that were generated for it."""

    @property
    def is_sure(self) -> bool:
        """Whether it may be given; where nothing is calibrated for who gave it, it may."""
        return not self.is_calibrated if self.confidence is None else self.confidence >= self.least

    def told(self) -> dict[str, Any]:
        """What is told of it where another one takes its place."""
        return {
            "adapter": self.adapter,
            "confidence": None if self.confidence is None else round(self.confidence, 4),
            "completion_tokens": self.num_tokens,
        }


@dataclass(frozen=True)
class Given(Generic[A]):
    """What comes of the attempts."""

    last: AnswerAttempt[A]
    """The one that is given, or in whose place there are words."""
    others: Sequence[AnswerAttempt[A]]
    """The attempts that are not given, in order; with words, all of them."""
    below_min_confidence: bool = False
    """Whether it is given although it is less sure than was asked for: none was surer."""
    instead_of_an_answer: str | None = None
    """The fallback whose words stand in the place of an answer; None where an answer is given."""

    @property
    def answer(self) -> A | None:
        """The answer that is given; None where words are."""
        return self.last.answer if self.instead_of_an_answer is None else None

    @property
    def words(self) -> str | None:
        """Our own words in the place of an answer; None where one is given."""
        return None if self.instead_of_an_answer is None else SAID[self.instead_of_an_answer]

    @property
    def num_other_tokens(self) -> int:
        """Tokens of the attempts that are not given: they were generated for this answer too."""
        return sum(attempt.num_tokens for attempt in self.others)

    def told(self) -> dict[str, Any]:
        """The marks and the other attempts, as JSON values; those that do not apply are left out."""
        told: dict[str, Any] = {"attempts": [attempt.told() for attempt in self.others]} if self.others else {}
        if self.below_min_confidence:
            told["below_min_confidence"] = True
        if self.instead_of_an_answer is not None:
            told["instead_of_an_answer"] = self.instead_of_an_answer
        return told


def settled(attempts: Sequence[AnswerAttempt[A]], fallbacks: Sequence[str]) -> Given[A] | str:
    """What follows these attempts: what is given, or the fallback that is to answer next.

    attempts: of who was asked, then of the first fallbacks, in order. Raises InvalidRequest (not_calibrated) where the
    first one's confidence cannot be known.
    """
    first, last = attempts[0], attempts[-1]
    if not first.is_calibrated:
        raise InvalidRequest(
            f"nothing is calibrated for {first.adapter!r} on this base model and its layout, so how sure its answer is "
            "cannot be known; `adaptrix calibrate` measures it",
            code="not_calibrated",
            param=PARAM,
        )
    left = fallbacks[len(attempts) - 1 :]
    if last.is_sure:
        return Given(last, attempts[:-1])
    if not left:
        return _surest(attempts)
    if left[0] in WITHOUT_AN_ANSWER:
        return Given(last, attempts, instead_of_an_answer=left[0])
    return left[0]


def again(seed: int | None, temperature: float | None, attempts: int) -> tuple[int | None, float]:
    """Seed and temperature by which who was asked answers again. None: left open.

    attempts: how many there are already; a second further answer is another one than the first.
    """
    return None if seed is None else seed + attempts, temperature or AGAIN_TEMPERATURE


def _surest(attempts: Sequence[AnswerAttempt[A]]) -> Given[A]:
    """The surest of all, marked as not sure enough."""
    chosen = max(attempts, key=lambda attempt: -1.0 if attempt.confidence is None else attempt.confidence)
    return Given(chosen, [attempt for attempt in attempts if attempt is not chosen], below_min_confidence=True)
