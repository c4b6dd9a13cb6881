"""A choice that is put off to the cut: who answers is settled by what the trunk has made of the question.

The trunk, the layers below the cut, is the same under every adapter that begins above it. So a request may be computed
through the trunk before its mix is known, and the states that leave it there tell what the question is about. Knows
token ranges and mixes; does not know what the policy goes by.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.mix import Mix

if TYPE_CHECKING:
    from adaptrix_core.engine.request import SamplingParams

Means = NDArray[np.float32]
"""Means of the states at the cut over the tokens of each question, ``(questions, hidden)``."""


@dataclass(frozen=True)
class Settled:
    """Who answers."""

    mix: Mix
    params: SamplingParams | None = None
    """The request's parameters with the defaults of these adapters; None: as they are."""


class SettlingPolicy(Protocol):
    """Settles who answers. Called on the engine's thread between two steps, so it takes well under a millisecond; more
    than once where the row was preempted before its answer began, with the same means up to rounding.
    """

    def __call__(self, means: Means | None, /) -> Settled | None:
        """Who answers, the adapters loaded. None: not known yet; the row then waits, and keeps what it has computed,
        until `EngineCore.ask_again`.

        means: None where there is nothing to go by: no question, no cut, or states that are not finite. An error that
        is raised ends the request.
        """


@dataclass(frozen=True)
class Deferred:
    """What is wanted to settle who answers a request."""

    questions: tuple[tuple[int, int], ...]
    """Token ranges of the prompt, ``(start, stop)``: those of the user's turns, in order, without template tokens."""
    policy: SettlingPolicy

    def check(self, num_tokens: int) -> None:
        """Raise InvalidRequest unless every question lies in a prompt of ``num_tokens`` and has a token."""
        for start, stop in self.questions:
            if not 0 <= start < stop <= num_tokens:
                raise InvalidRequest(
                    f"a question is at tokens {start} to {stop} of a prompt of {num_tokens} tokens; it needs at least "
                    "one of them",
                    param="deferred",
                )
