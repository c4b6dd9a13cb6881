"""A vote on answers: the answer that most of them come to, whatever the working around it.

Self-consistency (arXiv:2203.11171), over the parts of a composition and over samples of one part.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from adaptrix_core.composition.stated_answer import answer_of


@dataclass(frozen=True)
class Ballot:
    """One answer that votes."""

    text: str
    score: float
    """How sure it is: the sum of its tokens' log-probabilities."""
    weight: float = 1.0


def winner_of(ballots: Sequence[Ballot]) -> int:
    """The number of the ballot whose text is the group's.

    The answer with the largest sum of weights wins, of equal ones that with the likeliest ballot; its likeliest ballot
    stands for it, of equally likely ones the first.
    """
    weights: defaultdict[str, float] = defaultdict(float)
    best: dict[str, int] = {}
    for number, ballot in enumerate(ballots):
        answer = normalised(answer_of(ballot.text))
        weights[answer] += ballot.weight
        if answer not in best or ballot.score > ballots[best[answer]].score:
            best[answer] = number
    return best[max(best, key=lambda answer: (round(weights[answer], 9), ballots[best[answer]].score))]


def normalised(answer: str) -> str:
    """An answer in the form in which answers are compared: case, spaces and a closing full stop don't count.

    A number is compared as a number: 1600, 1,600 and 1600.0 are one answer.
    """
    text = " ".join(answer.casefold().split()).rstrip(".")
    try:
        return repr(float(text.replace(",", "")))
    except ValueError:
        return text
