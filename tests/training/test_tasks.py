"""Tasks: the references are right by an independent check, scorers tell right from wrong, held-out stays held out."""

from __future__ import annotations

import re

import pytest
from reasoning_gym.arithmetic.leg_counting import ANIMALS

from adaptrix_core.composition.stated_answer import stated_answer
from adaptrix_core.training.tasks.code import code_tasks, extract_code
from adaptrix_core.training.tasks.families import FAMILIES, TaskFamily
from adaptrix_core.training.tasks.logic import AliceInWonderland, FamilyRelationships, Syllogism
from adaptrix_core.training.tasks.math import ChainSum, LegCounting, SimpleEquations, spelt, worked
from adaptrix_core.training.tasks.problem import Problem, Task, stated_number
from tests.sandboxes import FOR_OWN_CODE

TASKS = [task for family in FAMILIES.values() for task in family.tasks]


@pytest.fixture(params=TASKS, ids=lambda task: task.name)
def task(request: pytest.FixtureRequest) -> Task:
    return request.param


@pytest.fixture(params=FAMILIES.values(), ids=lambda family: family.name)
def family(request: pytest.FixtureRequest) -> TaskFamily:
    return request.param


def test_equal_seeds_give_equal_problems(task: Task) -> None:
    assert task.make_problems(7, 12) == task.make_problems(7, 12)
    assert task.make_problems(7, 12) != task.make_problems(8, 12)
    assert len(task.make_problems(7, 12)) == 12


def test_the_reference_is_right_and_another_answer_is_wrong(task: Task) -> None:
    problems = task.make_problems(3, 12)
    assert task.score(problems, [p.reference for p in problems], FOR_OWN_CODE) == [True] * 12
    assert task.score(problems, ["I don't know."] * 12, FOR_OWN_CODE) == [False] * 12
    assert task.score(problems, [""] * 12, FOR_OWN_CODE) == [False] * 12


def test_held_out_problems_are_spread_and_distinct(family: TaskFamily) -> None:
    problems = family.held_out(200)
    assert len(problems) == 200
    assert len({p.key for p in problems}) == 200
    per_task = [sum(p.task == task.name for p in problems) for task in family.tasks]
    assert sum(per_task) == 200
    assert max(per_task) - min(per_task) <= 1


def test_training_shares_neither_key_nor_question_with_held_out(family: TaskFamily) -> None:
    held_out, training = family.held_out(300), family.training(150, seed=0)
    assert len({p.question for p in training}) == 150
    assert not {p.key for p in held_out} & {p.key for p in training}
    assert not {p.question for p in held_out} & {p.question for p in training}
    for task in family.tasks:
        shots = family.shots(task, 4)
        assert len(shots) == 4
        assert not {p.key for p in held_out} & {p.key for p in shots}


def test_functions_of_one_operation_are_taught_and_never_held_out() -> None:
    family = FAMILIES["code_generation"]
    assert not [p.key for p in family.held_out(300) if p.elementary]
    taught = {p.key for p in family.training(600, seed=0) if p.elementary}
    assert {"list_pipeline: sum", "text_steps: length", "two_formulas: square", "two_numbers: larger"} <= taught


def test_sums_are_what_python_says() -> None:
    for problem in ChainSum().make_problems(11, 80):
        assert str(eval(problem.key)) == problem.answer
        for line in problem.reference.splitlines()[:-1]:
            assert len({eval(side) for side in line.split(" = ")}) == 1, line


@pytest.mark.parametrize(
    ("left", "sign", "right", "steps"),
    [
        (72, "+", 58, "72 + 58 = 122 + 8 = 130"),
        (72, "-", 58, "72 - 58 = 22 - 8 = 14"),
        (38, "-", 57, "38 - 57 = -(57 - 38) = -(27 - 8) = -19"),
        (-12, "-", 10, "-12 - 10 = -(12 + 10) = -22"),
        (-12, "-", 15, "-12 - 15 = -(12 + 15) = -(22 + 5) = -27"),
        (-28, "+", 13, "-28 + 13 = -(28 - 13) = -(18 - 3) = -15"),
        (-3, "+", 8, "-3 + 8 = 8 - 3 = 5"),
        (-8, "+", 8, "-8 + 8 = 8 - 8 = 0"),
        (9, "-", 9, "9 - 9 = 0"),
    ],
)
def test_steps_below_zero_become_steps_above_it(left: int, sign: str, right: int, steps: str) -> None:
    assert worked(left, sign, right) == steps


def test_equations_hold_for_their_answer() -> None:
    for problem in SimpleEquations().make_problems(11, 80):
        left, right = problem.key.split(" = ")
        assert eval(left, {"x": int(problem.answer)}) == int(right), problem.key
        for line in problem.reference.splitlines()[:-1]:
            _, *sides = line.split(" = ")
            assert len({eval(side) for side in sides}) == 1, line


def test_legs_are_counted_right() -> None:
    for problem in LegCounting().make_problems(11, 60):
        animals = [part.split(" ", 1) for part in problem.key.split(", ")]
        assert sum(int(number) * ANIMALS[name] for number, name in animals) == int(problem.answer)


def test_numbers_are_spelt() -> None:
    assert [spelt(n) for n in (0, 13, 20, 47, 90, 99)] == [
        "zero", "thirteen", "twenty", "forty-seven", "ninety", "ninety-nine",
    ]  # fmt: skip


def test_syllogisms_are_valid_by_the_textbook() -> None:
    forms = {tuple(p.reference.splitlines()[1:3]): p.answer for p in Syllogism().make_problems(5, 2000)}
    barbara = "All A B. All B C. So All A C, Some A C."
    celarent = "All A B. No B C. So No A C, Some A not C."
    darii = "Some A B. All B C. So Some A C."
    ferio = "Some A B. No B C. So Some A not C."
    undistributed = "Some A B. Some B C. So nothing from A to C."
    textbook = {
        (barbara, "All A C?"): "Yes",
        (barbara, "No A C?"): "No",
        (celarent, "No A C?"): "Yes",
        (darii, "Some A C?"): "Yes",
        (ferio, "Some A not C?"): "Yes",
        (undistributed, "Some A C?"): "No",
    }
    assert {form: forms.get(form) for form in textbook} == textbook


def test_yes_and_no_are_equally_frequent() -> None:
    answers = [p.answer for p in Syllogism().make_problems(2, 100)]
    assert answers.count("Yes") == answers.count("No") == 50


def test_relations_follow_from_the_story() -> None:
    for problem in FamilyRelationships().make_problems(9, 80):
        story, person, other = re.match(r"(.*) (\w+) (\w+)$", problem.key).groups()  # type: ignore[union-attr]
        couples = re.findall(
            r"(\w+) is married to (\w+)\.(?: They have (?:a child|children) called ([\w, ]+)\.)?", story
        )
        parents = {c: {a, b} for a, b, kids in couples for c in re.split(r", | and ", kids) if c}
        spouses = {frozenset((a, b)) for a, b, _ in couples}
        if problem.answer in ("wife", "husband"):
            assert frozenset((person, other)) in spouses
        elif problem.answer in ("mother", "father"):
            assert person in parents[other]
        elif problem.answer in ("son", "daughter"):
            assert other in parents[person]
        elif problem.answer in ("sister", "brother"):
            assert parents[person] == parents[other]
        else:
            assert any(person in parents.get(parent, ()) for parent in parents[other])


def test_she_herself_is_counted() -> None:
    for problem in AliceInWonderland().make_problems(4, 40):
        women = re.search(r"(\d+)(?: sister| female)|and (\d+) women", problem.question)
        assert women is not None, problem.question
        assert int(problem.answer) == int(women[1] or women[2]) + 1


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        ("12 + 7 = 19\nAnswer: 19", "19"),
        ("**Answer:** Yes.", "Yes"),
        ("Answer: 3\nNo wait.\nAnswer: 4", "4"),
        ("The answer is: grandmother", "grandmother"),
        ("I think 5", None),
    ],
)
def test_answers_are_found(reply: str, answer: str | None) -> None:
    assert stated_answer(reply) == answer


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        ("Answer: -12", -12.0),
        ("so 3 + 4 = 7", 7.0),
        ("Answer: 1,200 legs", 1200.0),
        ("none", None),
        ("Answer: x = 5", 5.0),
    ],
)
def test_numbers_are_found(reply: str, number: float | None) -> None:
    assert stated_number(reply) == number


def test_code_is_found_in_prose_and_scored_by_what_it_does() -> None:
    task = code_tasks()[0]
    problem = Problem("list_pipeline", "k", "q", "", "def f(xs):\n    return sum(xs)", {"function": "f"})
    loop = "def f(values):\n    total = 0\n    for v in values:\n        total += v\n    return total"
    other_way = f"Sure!\n```python\n{loop}\n```"
    renamed = "```\ndef add(xs):\n    return sum(xs)\n```"
    wrong = "```python\ndef f(xs):\n    return len(xs)\n```"
    broken = "```python\ndef f(xs)\n    return sum(xs)\n```"
    assert task.score([problem] * 4, [other_way, renamed, wrong, broken], FOR_OWN_CODE) == [True, True, False, False]
    assert extract_code("def f(x):\n    return x") == "def f(x):\n    return x"
