"""Two-step problems over the shipped families, with exact answers: the second step needs the answer of the first.

First steps are held-out problems of the adapters' own tasks; wordings are `two_step_wordings.py`'s. Equal seeds give
equal problems.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from adaptrix_core.composition.planning.plan import Plan
from adaptrix_core.training.tasks.code import FunctionTask, code_tasks
from adaptrix_core.training.tasks.families import HELD_OUT_SEED
from adaptrix_core.training.tasks.logic import AliceInWonderland
from adaptrix_core.training.tasks.math import ChainSum, LegCounting, SimpleEquations
from adaptrix_core.training.tasks.problem import Problem, Task
from benchmarks.composition import two_step_wordings as wordings

MATH, LOGIC, CODE = "math_reasoning", "logical_reasoning", "code_generation"
DRAWN = 600
"""Problems that first steps are taken from: enough to find small answers among them."""

_AIW = AliceInWonderland()
_SUM = ChainSum()
_LEGS = LegCounting()
_EQUATIONS = SimpleEquations()
_FUNCTIONS: FunctionTask = code_tasks()[3]
_NAMES = ("Lea", "Nora", "Ida", "Mia", "Ella", "Greta")
_ANIMALS = ("dogs", "cows", "horses", "ducks", "spiders", "cats", "ants", "sheep")
_LEGS_OF = {"ducks": 2, "spiders": 8, "ants": 6}

Wordings = tuple[str, ...]
Half = Callable[[Wordings], Wordings]
"""`wordings.worked_on` or `wordings.kept_aside`."""


@dataclass(frozen=True)
class TwoStepProblem:
    """A question, how a perfect planner would divide it, whose steps these are, and the problems of both steps."""

    kind: str
    question: str
    plan: Plan
    """An oracle's."""
    adapters: tuple[str, str]
    first: Problem
    second: Problem
    """With the true first answer in its question."""
    task: Task
    """Of the second step; marks replies to the whole question."""


@dataclass(frozen=True)
class _Follow:
    """A second step by itself. ``{n}`` in ``asked`` is the first answer."""

    asked: str
    answer: str
    task: Task
    facts: dict[str, object]


def two_step_problems(count: int, seed: int, half: Half) -> list[TwoStepProblem]:
    """``count`` problems, spread evenly over the kinds, with wordings of one half."""
    rng = Random(seed)
    makers = (_siblings_then_sum, _siblings_then_legs, _sum_then_siblings, _equation_then_siblings, _sum_then_function,
              _legs_then_sum)  # fmt: skip
    pools = {task.name: _pool(task, seed) for task in (_AIW, _SUM, _LEGS, _EQUATIONS)}
    return [makers[number % len(makers)](rng, pools, half) for number in range(count)]


def _pool(task: Task, seed: int) -> list[Problem]:
    return [p for p in task.make_problems(HELD_OUT_SEED + 1_000 * seed, DRAWN) if not p.elementary]


_Pools = dict[str, list[Problem]]


def _drawn(rng: Random, pools: _Pools, task: Task, least: int, most: int) -> Problem:
    return rng.choice([p for p in pools[task.name] if least <= int(p.answer) <= most])


def _siblings_then_sum(rng: Random, pools: _Pools, half: Half) -> TwoStepProblem:
    first = _drawn(rng, pools, _AIW, 1, 9)
    return _then_sum("siblings, then a sum", rng, first, LOGIC, half)


def _legs_then_sum(rng: Random, pools: _Pools, half: Half) -> TwoStepProblem:
    if rng.random() < 0.5:
        return _then_sum("legs or a sum, then a sum", rng, _drawn(rng, pools, _LEGS, 2, 60), MATH, half)
    first = _drawn(rng, pools, _SUM, 1, 90)
    k = rng.randint(2, 40)
    wording = rng.choice(half(wordings.ADD_AFTER_AN_OBJECT))
    follow = _Follow(f"What is {{n}} + {k}?", str(int(first.answer) + k), _SUM, {})
    question = wording.format(what=first.key, k=k)
    return _problem("legs or a sum, then a sum", question, f"What is {first.key}?", first, follow, (MATH, MATH))


def _then_sum(kind: str, rng: Random, first: Problem, adapter: str, half: Half) -> TwoStepProblem:
    value = int(first.answer)
    if value > 3 and rng.random() < 0.4:
        k = rng.randint(1, value - 1)
        wording, follow = rng.choice(half(wordings.SUBTRACT_AFTER_A_QUESTION)), (f"What is {{n}} - {k}?", value - k)
    else:
        k = rng.randint(2, 40)
        wording, follow = rng.choice(half(wordings.ADD_AFTER_A_QUESTION)), (f"What is {{n}} + {k}?", value + k)
    asked = _Follow(follow[0], str(follow[1]), _SUM, {})
    question = wording.format(q=first.question, k=k)
    return _problem(kind, question, first.question, first, asked, (adapter, MATH))


def _siblings_then_legs(rng: Random, pools: _Pools, half: Half) -> TwoStepProblem:
    first = _drawn(rng, pools, _AIW, 1, 5)
    animal = rng.choice(_ANIMALS)
    asked = rng.choice((f"How many legs do {{n}} {animal} have in total?", f"A farm has {{n}} {animal}. What is the "
                        "total number of legs?", f"There are {{n}} {animal} in a room. How many legs is that "
                        "altogether?"))  # fmt: skip
    follow = _Follow(asked, str(int(first.answer) * _LEGS_OF.get(animal, 4)), _LEGS, {})
    return _asked_next("siblings, then legs", rng, first, follow, (LOGIC, MATH), half, what=None)


def _sum_then_siblings(rng: Random, pools: _Pools, half: Half) -> TwoStepProblem:
    first = _drawn(rng, pools, _SUM, 2, 7)
    return _asked_next("a sum, then siblings", rng, first, _siblings(rng, first), (MATH, LOGIC), half, first.key)


def _equation_then_siblings(rng: Random, pools: _Pools, half: Half) -> TwoStepProblem:
    first = _drawn(rng, pools, _EQUATIONS, 2, 7)
    return _asked_next("an equation, then siblings", rng, first, _siblings(rng, first), (MATH, LOGIC), half, what=None)


def _siblings(rng: Random, first: Problem) -> _Follow:
    name, brothers = rng.choice(_NAMES), rng.randint(2, 6)
    asked = rng.choice((f"{name} has {brothers} brothers and {{n}} sisters. How many sisters does {name}'s brother "
                        "have?", f"A girl named {name} has {{n}} sisters and {brothers} brothers. How many sisters "
                        "does her brother have?"))  # fmt: skip
    return _Follow(asked, str(int(first.answer) + 1), _AIW, {})


def _sum_then_function(rng: Random, pools: _Pools, half: Half) -> TwoStepProblem:
    first = _drawn(rng, pools, _SUM, 2, 30)
    name = rng.choice(("func", "shift", "my_value", "get_result"))
    asked = f"Write a Python function `{name}(x)` that returns x plus {{n}}."
    source = f"def {name}(x):\n    return x + {first.answer}"
    follow = _Follow(asked, source, _FUNCTIONS, {"function": name})
    return _asked_next("a sum, then a function", rng, first, follow, (MATH, CODE), half, first.key)


def _asked_next(
    kind: str, rng: Random, first: Problem, follow: _Follow, adapters: tuple[str, str], half: Half, what: str | None
) -> TwoStepProblem:
    """what: the first step as an object; None where it is a question only."""
    usable = [w for w in half(wordings.ASK_WITH_THE_ANSWER) if what is not None or "{what}" not in w]
    wording = rng.choice(usable)
    counted = "that number" if follow.task is _FUNCTIONS else "that many"
    that_many = follow.asked.format(n=counted)
    lower = that_many if that_many.split()[0] in _NAMES else that_many[0].lower() + that_many[1:]
    question = wording.format(
        q=first.question if "{what}" not in wording else "",
        what=what,
        that_many=that_many,
        that_many_lower=lower,
        with_n=follow.asked.format(n="n"),
    )
    oracle = f"What is {what}?" if "{what}" in wording else first.question
    return _problem(kind, question, oracle, first, follow, adapters)


def _problem(
    kind: str, question: str, oracle: str, first: Problem, follow: _Follow, adapters: tuple[str, str]
) -> TwoStepProblem:
    plan = Plan((oracle, follow.asked.replace("{n}", "{0}")))
    asked = plan.steps[1].replace("{0}", first.answer)
    second = Problem(follow.task.name, question, asked, follow.answer, follow.answer, follow.facts)
    return TwoStepProblem(kind, question, plan, adapters, first, second, follow.task)


def marked(problems: Sequence[TwoStepProblem], replies: Sequence[str]) -> list[bool]:
    """Whether each reply gives the answer of its problem's second step."""
    return [p.task.score([p.second], [reply])[0] for p, reply in zip(problems, replies, strict=True)]
