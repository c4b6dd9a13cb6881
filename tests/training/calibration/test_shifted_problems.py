"""Problems unlike those of training: their answers are right, and none is a training or a held-out problem."""

from __future__ import annotations

import pytest

from adaptrix_core.training.tasks.families import FAMILIES
from adaptrix_core.training.tasks.shifted.problem_sets import KindOfProblem, calibration_problems, scorer_of
from tests.sandboxes import FOR_OWN_CODE


@pytest.fixture(params=FAMILIES, scope="module")
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def problems(family: str) -> list[KindOfProblem]:
    return calibration_problems(family, held_out=30, hard=40, free=80)


def test_every_reference_is_marked_right_and_no_answer_wrong(family: str, problems: list[KindOfProblem]) -> None:
    for task in FAMILIES[family].tasks:
        mine = [one.problem for one in problems if one.problem.task == task.name][::4]
        marks = scorer_of(mine[0], family)
        assert all(marks.score(mine, [one.reference for one in mine], FOR_OWN_CODE))
        assert not any(marks.score(mine, ["I don't know."] * len(mine), FOR_OWN_CODE))


def test_they_are_as_many_as_asked_all_different_and_the_same_every_time(
    family: str, problems: list[KindOfProblem]
) -> None:
    assert [sum(one.kind == kind for one in problems) for kind in ("held-out", "hard", "free")] == [30, 40, 80]
    assert len({one.problem.question for one in problems}) == len(problems)
    assert calibration_problems(family, held_out=30, hard=40, free=80) == problems


def test_a_kind_that_is_not_asked_for_is_left_out(family: str) -> None:
    for counts in ((5, 0, 5), (0, 5, 5), (5, 5, 0)):
        kinds = [one.kind for one in calibration_problems(family, *counts)]
        assert tuple(kinds.count(kind) for kind in ("held-out", "hard", "free")) == counts


def test_a_free_wording_is_a_group_and_a_held_out_problem_is_one_by_itself(problems: list[KindOfProblem]) -> None:
    free = {one.group for one in problems if one.kind == "free"}
    assert 30 <= len(free) < 80, "every wording has its turn"
    held_out = [one.group for one in problems if one.kind == "held-out"]
    assert len(set(held_out)) == len(held_out)


def test_no_free_or_hard_question_is_a_training_question(family: str, problems: list[KindOfProblem]) -> None:
    trained = {one.question for one in FAMILIES[family].training(600, seed=0)}
    assert not trained & {one.problem.question for one in problems}
