"""Scores one family of problems under every condition: the base, each adapter, and the router's choice.

Every reply is greedy, so the routed system's reply is that of the adapter that the router chose; it is looked up, not
generated again. Knows problems and conditions. Does not know how replies are made (`prompting.py`), nor files.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from adaptrix_core.security.sandbox.run import SandboxKind
from adaptrix_core.training.evaluation.prompting import Generator, Messages, base_prompts, plain
from adaptrix_core.training.tasks.families import TaskFamily
from adaptrix_core.training.tasks.problem import Problem

ZERO_SHOT, FEW_SHOT, ROUTED = "base, zero-shot", "base, few-shot", "routed"
Choose = Callable[[Messages], str | None]
"""The router: messages -> adapter name, or None for the base."""


@dataclass(frozen=True)
class Score:
    """Right answers and their total, with the 95 % Wilson interval (Wilson 1927, equation as in Brown et al. 2001)."""

    right: int
    total: int

    @property
    def share(self) -> float:
        """Right answers per problem, 0 to 1."""
        return self.right / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the share."""
        return wilson(self.right, self.total)

    def __add__(self, other: Score) -> Score:
        return Score(self.right + other.right, self.total + other.total)


@dataclass(frozen=True)
class FamilyResult:
    """One family under every condition, by task; conditions are the two base ones, adapter names, and "routed"."""

    family: str
    scores: Mapping[str, Mapping[str, Score]]
    """condition -> task -> score"""
    choices: Mapping[str, int] = field(default_factory=dict)
    """Number of the router's choices by adapter ("base" for none)."""
    replies: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """condition -> reply to each problem, in the order of the problems"""

    def total(self, condition: str) -> Score:
        """Over all tasks."""
        return sum(self.scores[condition].values(), Score(0, 0))

    def lead_over_base(self) -> dict[str, float]:
        """Per task, and "mean" over tasks: the own adapter's share minus the better base condition's, in points."""
        bases = [c for c in (ZERO_SHOT, FEW_SHOT) if c in self.scores]
        own = self.scores[self.family]
        best = max(bases, key=lambda c: sum(s.share for s in self.scores[c].values()))
        leads = {task: 100 * (own[task].share - max(self.scores[c][task].share for c in bases)) for task in own}
        means = [sum(s.share for s in self.scores[c].values()) / len(own) for c in (self.family, best)]
        return {**leads, "mean": 100 * (means[0] - means[1])}


def wilson(right: int, total: int, z: float = 1.959964) -> tuple[float, float]:
    """The Wilson score interval of a share; (0, 1) for no observations."""
    if not total:
        return 0.0, 1.0
    share, spread = right / total, z * z / total
    centre = (share + spread / 2) / (1 + spread)
    half = z / (1 + spread) * math.sqrt(share * (1 - share) / total + spread / (4 * total))
    return max(0.0, centre - half), min(1.0, centre + half)


def measure(
    family: TaskFamily,
    problems: Sequence[Problem],
    generator: Generator,
    *,
    adapters: Sequence[str],
    shots: int | None,
    max_tokens: int,
    choose: Choose | None = None,
    sandbox: SandboxKind = "bubblewrap",
    on_condition: Callable[[str], None] = lambda condition: None,
) -> FamilyResult:
    """Measure one family's ``problems``: the base (not if ``shots`` is None), each adapter, and as ``choose`` routes.

    Replies that are code are run in ``sandbox``. ``on_condition`` is called with the name of each condition before it
    begins.
    """
    replies: dict[str, Sequence[str]] = {}
    if shots is not None:
        for condition, solved in ((ZERO_SHOT, 0), (FEW_SHOT, shots)):
            on_condition(condition)
            replies[condition] = generator.reply(base_prompts(family, problems, solved), None, max_tokens)
    prompts = [plain(problem) for problem in problems]
    for name in adapters:
        on_condition(name)
        replies[name] = generator.reply(prompts, name, max_tokens)
    counts: dict[str, int] = {}
    if choose is not None:
        on_condition(ROUTED)
        chosen = [choose(prompt) for prompt in prompts]
        counts = dict(Counter(name or "base" for name in chosen))
        replies[ROUTED] = _routed(prompts, chosen, replies, generator, max_tokens)
    scores = {condition: score_by_task(family, problems, said, sandbox) for condition, said in replies.items()}
    return FamilyResult(family.name, scores, counts, replies)


def _routed(
    prompts: Sequence[Messages],
    chosen: Sequence[str | None],
    replies: Mapping[str, Sequence[str]],
    generator: Generator,
    max_tokens: int,
) -> list[str]:
    """The reply of the chosen adapter for each prompt: looked up if it was made before, else generated."""
    routed: dict[int, str] = {i: replies[c][i] for i, c in enumerate(chosen) if c is not None and c in replies}
    for name in {c for i, c in enumerate(chosen) if i not in routed}:
        places = [i for i, c in enumerate(chosen) if c == name]
        made = generator.reply([prompts[i] for i in places], name, max_tokens)
        routed.update(zip(places, made, strict=True))
    return [routed[i] for i in range(len(prompts))]


def score_by_task(
    family: TaskFamily, problems: Sequence[Problem], replies: Sequence[str], sandbox: SandboxKind = "bubblewrap"
) -> dict[str, Score]:
    """Right replies per task, in the family's order of tasks; tasks without problems are left out."""
    scores = {}
    for task in family.tasks:
        pairs = [(p, r) for p, r in zip(problems, replies, strict=True) if p.task == task.name]
        if pairs:
            marks = task.score([p for p, _ in pairs], [r for _, r in pairs], sandbox)
            scores[task.name] = Score(sum(marks), len(marks))
    return scores
