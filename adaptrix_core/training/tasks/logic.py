"""Riddles in words: who is whose relative, what follows from two statements, who has how many sisters.

The problems and their answers are reasoning-gym's (`family_relationships`, `syllogism`, `aiw`, small settings), most of
them put into other words, with the brief working that a small model can learn.

Left out, and why: `family_relationships` labels in-laws and nieces by the wrong person's gender and direction, and
`syllogism` has no rule for an undistributed middle term, so problems with a wrong label are drawn again;
`propositional_logic` accepts a copied premise as its conclusion, which tests nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from itertools import combinations, product
from random import Random
from typing import Any

import reasoning_gym
from reasoning_gym.logic.aiw import TaskType

from adaptrix_core.composition.stated_answer import stated_answer
from adaptrix_core.security.sandbox.run import SandboxKind
from adaptrix_core.training.tasks.problem import NumberScored, Problem, with_answer

OWN_WORDS = 0.35
"""Share of the problems that keep reasoning-gym's own wording."""

_RELATIONS = (
    "mother", "father", "sister", "brother", "daughter", "son", "wife", "husband", "grandmother", "grandfather",
)  # fmt: skip
_MARRIED = ("{a} is married to {b}.", "{a} and {b} are married.", "{a} and {b} are a couple.", "{a} married {b}.")
_ONE_CHILD = (
    "They have a child called {c}.",
    "Their only child is {c}.",
    "{c} is their child.",
    "They have one kid, {c}.",
)
_CHILDREN = ("They have children called {c}.", "Their children are {c}.", "{c} are their kids.")
_RELATION_WORDINGS = (
    "What is {p} to {q}?",
    "How is {p} related to {q}?",
    "Who is {p} to {q}?",
    "What relation is {p} to {q}?",
    "In one word, what is {p} to {q}?",
    "{p} is {q}'s what?",
)
_COUPLE = re.compile(r"(\w+) is married to (\w+)\.(?: They have (?:a child|children) called ([\w, ]+)\.)?")


class FamilyRelationships:
    """How one member of a family of three to six is related to another: a single word."""

    name = "family_relationships"
    instruction = 'Name the facts that matter, then finish with a line "Answer: <one word>".'

    def __init__(self, size: tuple[int, int] = (4, 6)) -> None:
        """size: fewest and most members of a family that reasoning-gym is asked for."""
        self._size = size

    def make_problems(self, seed: int, count: int) -> list[Problem]:
        """Problems with the chain of parents, or the couple, as working."""
        problems: list[Problem] = []
        source = reasoning_gym.create_dataset(
            "family_relationships",
            seed=seed,
            size=count * 3,
            min_family_size=self._size[0],
            max_family_size=self._size[1],
        )
        for index, entry in enumerate(source):
            if entry["answer"] in _RELATIONS:
                problems.append(self._problem(entry, Random(seed + index)))
            if len(problems) == count:
                break
        return problems

    def score(self, problems: list[Problem], replies: list[str], sandbox: SandboxKind = "bubblewrap") -> list[bool]:
        """A reply is right when its answer line, or else its last relation word, is the relation."""
        return [_stated_relation(reply) == p.answer for p, reply in zip(problems, replies, strict=True)]

    def _problem(self, entry: dict[str, Any], rng: Random) -> Problem:
        story, _ = entry["question"].split("\n\n")
        person, other = entry["metadata"]["person1"], entry["metadata"]["person2"]
        couples = [(a, b, _names(children)) for a, b, children in _COUPLE.findall(story)]
        question = entry["question"]
        if rng.random() >= OWN_WORDS:
            told = " ".join(_tell(couple, rng) for couple in couples)
            question = f"{told} {rng.choice(_RELATION_WORDINGS).format(p=person, q=other)}"
        working = "\n".join(_relation_facts(person, other, entry["answer"], couples))
        key = f"{story} {person} {other}"
        return Problem(self.name, key, question, with_answer(working, entry["answer"]), entry["answer"])


_Couple = tuple[str, str, list[str]]


def _names(listed: str) -> list[str]:
    return re.split(r", | and ", listed) if listed else []


def _tell(couple: _Couple, rng: Random) -> str:
    a, b, children = couple
    told = rng.choice(_MARRIED).format(a=a, b=b)
    if not children:
        return told
    wordings = _ONE_CHILD if len(children) == 1 else _CHILDREN
    listed = children[0] if len(children) == 1 else f"{', '.join(children[:-1])} and {children[-1]}"
    return f"{told} {rng.choice(wordings).format(c=listed)}"


def _relation_facts(person: str, other: str, relation: str, couples: list[_Couple]) -> list[str]:
    """Parent-to-child facts on the way from one person to the other, then what they make the person."""
    parents = {child: (a, b) for a, b, children in couples for child in children}
    gender = "a woman" if relation in ("mother", "sister", "daughter", "wife", "grandmother") else "a man"
    closing = f"{person} is {gender}."
    if relation in ("wife", "husband"):
        return [f"{person} and {other} are married.", closing]
    if relation in ("mother", "father"):
        return [f"{other} is a child of {person}.", closing]
    if relation in ("daughter", "son"):
        return [f"{person} is a child of {other}.", closing]
    if relation in ("sister", "brother"):
        return [f"{person} and {other} are children of {parents[person][0]}.", closing]
    middle = next(parent for parent in parents[other] if person in parents.get(parent, ()))
    return [f"{other} is a child of {middle}. {middle} is a child of {person}.", closing]


def _stated_relation(reply: str) -> str | None:
    stated = stated_answer(reply)
    words = re.findall(r"[a-z]+(?:-in-law)?", (reply if stated is None else stated).lower())
    known = [word for word in words if word in _RELATIONS]
    return known[-1] if known else None


_SYLLOGISM_WORDINGS = (
    "{p1}. {p2}. Does it follow that {c}?",
    "{p1}. {p2}. Can we conclude that {c}?",
    "Suppose {p1l} and {p2l}. Is it then certain that {c}?",
    "If {p1l} and {p2l}, must it be true that {c}? Yes or no?",
    "Given: {p1}. {p2}. Is this conclusion valid: {c}?",
    "We know that {p1l}. We also know that {p2l}. Does that mean {c}?",
)
_STATEMENT = re.compile(r"^(All|No|Some) (\w+) are (not )?(\w+)$")


class Syllogism:
    """Two quantified statements and a third: does it follow? Yes or No, equally often."""

    name = "syllogism"
    instruction = 'Think briefly, then finish with a line "Answer: Yes" or "Answer: No".'

    def make_problems(self, seed: int, count: int) -> list[Problem]:
        """Problems with the terms named A, B, C, and in that short form what follows from the premises, as working."""
        half = count // 2
        wanted = {"Yes": count - half, "No": half}
        problems: list[Problem] = []
        source = reasoning_gym.create_dataset("syllogism", seed=seed, size=count * 4, invalid_ratio=0.5)
        for index, entry in enumerate(source):
            statements = tuple(_parsed(entry["metadata"][name]) for name in ("premise1", "premise2", "conclusion"))
            valid = _follows(*_lettered(statements)[1])
            if wanted[entry["answer"]] and valid == (entry["answer"] == "Yes"):
                wanted[entry["answer"]] -= 1
                problems.append(self._problem(entry, Random(seed + index)))
            if len(problems) == count:
                break
        return problems

    def score(self, problems: list[Problem], replies: list[str], sandbox: SandboxKind = "bubblewrap") -> list[bool]:
        """A reply is right when its answer line, or else its last yes or no, is the answer."""
        return [_stated_verdict(reply) == p.answer for p, reply in zip(problems, replies, strict=True)]

    def _problem(self, entry: dict[str, Any], rng: Random) -> Problem:
        first, second, conclusion = (entry["metadata"][k] for k in ("premise1", "premise2", "conclusion"))
        question = entry["question"]
        if rng.random() >= OWN_WORDS:
            question = rng.choice(_SYLLOGISM_WORDINGS).format(
                p1=first, p2=second, p1l=_lower(first), p2l=_lower(second), c=_lower(conclusion)
            )
        working = _syllogism_working(map(_parsed, (first, second, conclusion)))
        key = f"{first}. {second}. {conclusion}"
        return Problem(self.name, key, question, with_answer(working, entry["answer"]), entry["answer"])


_Statement = tuple[str, str, bool, str]
"""Quantifier, subject, whether negated, predicate: "Some A are not B" is ``("Some", "A", True, "B")``."""


def _parsed(statement: str) -> _Statement:
    match = _STATEMENT.match(statement)
    assert match is not None, statement
    return match[1], match[2], bool(match[3]), match[4]


def _lettered(statements: Iterable[_Statement]) -> tuple[dict[str, str], list[_Statement]]:
    """The same statements about A, B, C, in the order in which the terms appear, and each term's letter."""
    letters: dict[str, str] = {}
    renamed = []
    for quantifier, subject, negated, predicate in statements:
        for term in (subject, predicate):
            if term not in letters:
                letters[term] = "ABC"[len(letters)]
        renamed.append((quantifier, letters[subject], negated, letters[predicate]))
    return letters, renamed


@cache
def _follows(first: _Statement, second: _Statement, conclusion: _Statement) -> bool:
    """Whether the conclusion holds in every world where the premises do and every term has members.

    A world says which of the eight combinations of "is an A", "is a B", "is a C" have members; all 255 are tried.
    """
    kinds = [dict(zip("ABC", member, strict=True)) for member in product((False, True), repeat=3)]
    for size in range(1, len(kinds) + 1):
        for world in combinations(kinds, size):
            inhabited = all(any(kind[term] for kind in world) for term in "ABC")
            premises = inhabited and _holds(first, world) and _holds(second, world)
            if premises and not _holds(conclusion, world):
                return False
    return True


def _holds(statement: _Statement, world: tuple[dict[str, bool], ...]) -> bool:
    quantifier, subject, negated, predicate = statement
    found = {kind[predicate] for kind in world if kind[subject]}
    if quantifier == "All":
        return False not in found
    if quantifier == "No":
        return True not in found
    return (not negated) in found


_FROM_A_TO_C: tuple[_Statement, ...] = (
    ("All", "A", False, "C"),
    ("No", "A", False, "C"),
    ("Some", "A", False, "C"),
    ("Some", "A", True, "C"),
)


def _lower(statement: str) -> str:
    return statement[0].lower() + statement[1:]


def _syllogism_working(statements: Iterable[_Statement]) -> str:
    """The terms as letters, the premises in short form with what follows from A to C, then the statement asked for."""
    letters, (first, second, conclusion) = _lettered(statements)
    named = ", ".join(f"{letter} {term}" for term, letter in letters.items())
    known = [_short(statement) for statement in _FROM_A_TO_C if _follows(first, second, statement)]
    said = ", ".join(known) or "nothing from A to C"
    return f"{named}.\n{_short(first)}. {_short(second)}. So {said}.\n{_short(conclusion)}?"


def _short(statement: _Statement) -> str:
    quantifier, subject, negated, predicate = statement
    return f"{quantifier} {subject} {'not ' if negated else ''}{predicate}"


def _stated_verdict(reply: str) -> str | None:
    stated = stated_answer(reply)
    words = re.findall(r"\b(yes|no|valid|invalid)\b", (reply if stated is None else stated).lower())
    if not words:
        return None
    chosen = words[-1] if stated is None else words[0]
    return "Yes" if chosen in ("yes", "valid") else "No"


_SIBLINGS = re.compile(
    r"^(\w+) has (\d+) (brothers|sisters) and she also has (\d+) (?:brothers|sisters)\. .* (\w+)'s brother"
)
_FRIENDS = re.compile(r"^(\w+) has (\d+) male friends and she also has (\d+) female friends\. .* does (\w+),")
_SIBLING_WORDINGS = (
    "{f} has {brothers} and {sisters}. How many sisters does {f}'s brother have?",
    "A girl named {f} has {sisters} and {brothers}. How many sisters does her brother have?",
    "{f} is a girl with {brothers} and {sisters}. How many sisters does each of her brothers have?",
    "If {f} has {sisters} and {brothers}, how many sisters does one of her brothers have?",
)
_FRIEND_WORDINGS = (
    "{f} has {males} male and {females} female friends, who are all friends with each other and nobody else. "
    "{m} is one of the men. How many female friends does {m} have?",
    "{f}'s friends are {males} men and {females} women. They are all friends of one another, with no other friends. "
    "How many female friends does {m}, a male friend of {f}, have?",
)


class AliceInWonderland(NumberScored):
    """How many sisters a girl's brother has, how many female friends a woman's male friend has: count her, too."""

    name = "aiw"
    instruction = 'Think briefly, then finish with a line "Answer: <number>".'

    def __init__(self, most: int = 6) -> None:
        """most: siblings or friends of one kind."""
        self._most = most

    def make_problems(self, seed: int, count: int) -> list[Problem]:
        """Problems with the one step that is easily forgotten as working."""
        source = reasoning_gym.create_dataset(
            "aiw",
            seed=seed,
            size=count,
            task_types=[TaskType.SIBLINGS, TaskType.FRIENDS],
            task_type_weights=[0.6, 0.4],
            max_entities=self._most,
        )
        return [self._problem(entry, Random(seed + i)) for i, entry in enumerate(source)]

    def _problem(self, entry: dict[str, Any], rng: Random) -> Problem:
        own = rng.random() < OWN_WORDS
        if match := _SIBLINGS.match(entry["question"]):
            woman, first, kind, second, _ = match.groups()
            brothers, sisters = (int(first), int(second)) if kind == "brothers" else (int(second), int(first))
            told = {"brothers": _counted(brothers, "brother"), "sisters": _counted(sisters, "sister")}
            question = rng.choice(_SIBLING_WORDINGS).format(f=woman, **told)
            working = f"Her brother has her {sisters} sisters and {woman} herself: {sisters} + 1 = {sisters + 1}"
        else:
            match = _FRIENDS.match(entry["question"])
            assert match is not None, entry["question"]
            woman, males, females, man = match.groups()
            question = rng.choice(_FRIEND_WORDINGS).format(f=woman, m=man, males=males, females=females)
            working = f"{man} has the {females} female friends and {woman} herself: {females} + 1 = {int(females) + 1}"
        question = entry["question"] if own else question
        return Problem(self.name, entry["question"], question, with_answer(working, entry["answer"]), entry["answer"])


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
