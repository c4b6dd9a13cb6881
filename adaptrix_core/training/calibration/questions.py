"""The questions that an adapter's confidence is calibrated on: of its task family, or somebody's own examples."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from adaptrix_core.errors import ConfigError
from adaptrix_core.security.sandbox.run import SandboxKind, check_sandbox
from adaptrix_core.training.evaluation.scorers import Scorer
from adaptrix_core.training.examples.conversation import LearntConversation
from adaptrix_core.training.tasks.families import FAMILIES
from adaptrix_core.training.tasks.problem import Problem
from adaptrix_core.training.tasks.shifted.problem_sets import calibration_problems, scorer_of


@dataclass(frozen=True)
class CalibrationQuestion:
    """A conversation to answer."""

    messages: tuple[Mapping[str, str], ...]
    kind: str
    """``held-out``, ``hard`` or ``free`` for problems of a family, ``data`` for examples."""
    group: str
    """Questions of one group are never divided between fitting and testing."""
    task: str = ""


@dataclass(frozen=True)
class QuestionSet:
    """Questions, and how answers to them are marked."""

    questions: Sequence[CalibrationQuestion]
    mark: Callable[[Sequence[int], Sequence[str]], Sequence[bool]]
    """(numbers of questions, an answer to each) -> whether each is right."""
    described: Mapping[str, object]
    """For the record: where the questions come from, and how many of each kind there are."""


def family_questions(
    family: str, held_out: int, hard: int, free: int, sandbox: SandboxKind = "bubblewrap"
) -> QuestionSet:
    """So many problems of each kind at most. sandbox: what answers that are code are run in.

    Raises ConfigError for a name that is no family of problems, SandboxUnavailable where answers could not be run.
    """
    if family not in FAMILIES:
        raise ConfigError(
            [
                f"{family!r} is no family of problems; name one by --family ({', '.join(FAMILIES)}), or give --data "
                "FILE with examples"
            ]
        )
    if FAMILIES[family].runs_replies:
        check_sandbox(sandbox)
    chosen = calibration_problems(family, held_out, hard, free)
    questions = [
        CalibrationQuestion(({"role": "user", "content": one.problem.question},), one.kind, one.group, one.problem.task)
        for one in chosen
    ]

    def mark(numbers: Sequence[int], answers: Sequence[str]) -> Sequence[bool]:
        return _marked(family, [chosen[number].problem for number in numbers], answers, sandbox)

    return QuestionSet(questions, mark, {"family": family, **_counts(questions)})


def data_questions(
    conversations: Sequence[LearntConversation], scorer: Scorer, described: Mapping[str, object]
) -> QuestionSet:
    """A user's own examples; each is a group of its own. Raises ConfigError for examples with functions."""
    faults = [
        f"example {number + 1} has functions or their calls; confidence is calibrated on answers in text"
        for number, one in enumerate(conversations)
        if one.toolset is not None or not isinstance(one.reply.get("content"), str)
    ]
    if faults:
        raise ConfigError(faults[:5])
    questions = [
        CalibrationQuestion(tuple(dict(message) for message in one.messages), "data", str(number))
        for number, one in enumerate(conversations)
    ]

    def mark(numbers: Sequence[int], answers: Sequence[str]) -> Sequence[bool]:
        wanted = (str(conversations[number].reply["content"]) for number in numbers)
        return [scorer(answer, reference) for answer, reference in zip(answers, wanted, strict=True)]

    return QuestionSet(questions, mark, {**described, **_counts(questions)})


def _marked(family: str, problems: Sequence[Problem], answers: Sequence[str], sandbox: SandboxKind) -> list[bool]:
    by_task: dict[str, list[int]] = defaultdict(list)
    for place, problem in enumerate(problems):
        by_task[problem.task].append(place)
    right = [False] * len(problems)
    for places in by_task.values():
        task = scorer_of(problems[places[0]], family)
        marks = task.score([problems[place] for place in places], [answers[place] for place in places], sandbox)
        for place, mark in zip(places, marks, strict=True):
            right[place] = mark
    return right


def _counts(questions: Sequence[CalibrationQuestion]) -> dict[str, int]:
    counts: dict[str, int] = defaultdict(int)
    for question in questions:
        counts[question.kind] += 1
    return dict(counts)
