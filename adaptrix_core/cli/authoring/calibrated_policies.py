"""The policies whose curves `calibrate` is to measure: what is asked for, and what their fallbacks say."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import click

from adaptrix_core.cli.authoring.calibrated_choice import Terms

if TYPE_CHECKING:
    from adaptrix_core.engine import Engine
    from adaptrix_core.training.calibration.answers import MarkedAnswer
    from adaptrix_core.training.calibration.calibrate import FallbackAnswers

Collects = Callable[[Terms, int | None], "list[MarkedAnswer]"]
"""(mix, seed; None for greedy) -> its marked answers to all questions."""

_SEED = 1
"""Of what the fallback ``again`` says."""


def policies_asked(given: Sequence[str]) -> list[tuple[str, ...]]:
    """Lists of fallbacks, each once. Raises UsageError for one that cannot be measured."""
    from adaptrix_core.confidence.fallbacks import AGAIN, WITHOUT_AN_ANSWER, fault_in

    asked = dict.fromkeys(tuple(name.strip() for name in text.split(",")) for text in given)
    for policy in asked:
        if (fault := fault_in(policy)) is not None:
            raise click.UsageError(f"--policy: {fault}")
        if words := [name for name in policy if name in WITHOUT_AN_ANSWER]:
            raise click.UsageError(f"--policy: {words[0]!r} gives no answer that could be right; leave it out")
        if policy.count(AGAIN) > 1:
            raise click.UsageError(f"--policy: one further answer is measured; name {AGAIN!r} once")
    return list(asked)


def adapters_in(policies: Sequence[Sequence[str]]) -> list[str]:
    """The names of adapters among their fallbacks, each once."""
    from adaptrix_core.confidence.fallbacks import adapters_among

    return list(dict.fromkeys(name for policy in policies for name in adapters_among(policy)))


def fallback_terms(name: str) -> Terms:
    """The mix of a fallback that is an adapter."""
    from adaptrix_core.injection.mix import Term

    return (Term(name),)


def fallback_answers(
    engine: Engine, terms: Terms, policies: Sequence[Sequence[str]], collect: Collects
) -> dict[str, FallbackAnswers]:
    """What each fallback says, with its calibration where it has one. terms: who is calibrated, and answers again."""
    from adaptrix_core.adapters.reference import BASE
    from adaptrix_core.confidence.fallbacks import AGAIN
    from adaptrix_core.engine.confidence.judged import answerer_in
    from adaptrix_core.training.calibration.calibrate import FallbackAnswers

    def found() -> Iterator[tuple[str, FallbackAnswers]]:
        engine.calibrations.refresh()
        info = engine.base.info
        for name in dict.fromkeys(name for policy in policies for name in policy):
            if name == AGAIN:
                yield name, FallbackAnswers(collect(terms, _SEED))
            else:
                mix = () if name == BASE else fallback_terms(name)
                calibration = engine.calibrations.find(info.digest, info.layout, answerer_in(engine, mix or None))
                yield name, FallbackAnswers(collect(mix, None), calibration)

    return dict(found())
