"""Measures shipped adapters: held-out problems, hand-written paraphrases, and prompts that none of them should answer.

Runs on an `Engine`, with a router if one is given. Conditions and the marking of replies are the business of
`scoring.py` and of the tasks; tables and JSON are `report.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from adaptrix_core.engine import Engine
from adaptrix_core.errors import ConfigError
from adaptrix_core.routing.prompts import Paraphrase, out_of_scope, paraphrases
from adaptrix_core.routing.semantic import SemanticRouter
from adaptrix_core.security.sandbox.run import SandboxKind, check_sandbox
from adaptrix_core.training.evaluation.prompting import EngineGenerator, Generator, Messages
from adaptrix_core.training.evaluation.remembered import RememberedReplies
from adaptrix_core.training.evaluation.scoring import Choose, FamilyResult, Score, measure
from adaptrix_core.training.tasks.families import FAMILIES, HELD_OUT_PER_TASK
from adaptrix_core.training.tasks.problem import Problem


@dataclass(frozen=True)
class EvaluateConfig:
    """Settings of an evaluation. Raises :class:`ConfigError` on construction, naming every fault."""

    adapters: tuple[str, ...] = tuple(FAMILIES)
    """Adapter names; each is also the name of the family that it was trained for."""
    problems: int = 200
    """Held-out problems per family, spread evenly over its tasks."""
    shots: int = 4
    """Solved examples that the base model gets in its few-shot condition."""
    max_tokens: int = 128
    batch_size: int = 32
    replies_file: Path | None = None
    """File of replies, from which an interrupted evaluation continues; None keeps none."""
    sandbox: SandboxKind = "bubblewrap"
    """What replies that are code are run in."""

    def __post_init__(self) -> None:
        most = HELD_OUT_PER_TASK * min(len(family.tasks) for family in FAMILIES.values())
        faults = [
            f"adapters contains {name!r}: no task family of that name; there are {', '.join(FAMILIES)} "
            "(with --data FILE, any adapter is measured on your own examples)"
            for name in self.adapters
            if name not in FAMILIES
        ]
        if not self.adapters:
            faults.append(f"adapters is empty: name at least one of {', '.join(FAMILIES)}")
        for field, least, limit in (
            ("problems", 1, most),
            ("shots", 0, 16),
            ("max_tokens", 1, 4096),
            ("batch_size", 1, 1024),
        ):
            if not least <= getattr(self, field) <= limit:
                faults.append(f"{field} is {getattr(self, field)}: it must be {least} to {limit}")
        if faults:
            raise ConfigError(faults)

    def check_sandbox(self) -> None:
        """Raise SandboxUnavailable unless the replies that will have to be run can be."""
        if any(FAMILIES[name].runs_replies for name in self.adapters):
            check_sandbox(self.sandbox)


@dataclass(frozen=True)
class Evaluation:
    """One result per family, on held-out problems and on paraphrases; and the out-of-scope prompts left to the base."""

    held_out: tuple[FamilyResult, ...]
    paraphrased: tuple[FamilyResult, ...]
    to_base: Score | None


def evaluate(
    config: EvaluateConfig, engine: Engine, router: SemanticRouter | None = None, console: Console | None = None
) -> Evaluation:
    """Measure as ``config`` says; the engine must be able to load the adapters by name. Progress goes to ``console``.

    Without a router, only the base and the adapters themselves are measured. Raises SandboxUnavailable before it
    begins, where replies are code and ``config.sandbox`` does not work here.
    """
    config.check_sandbox()
    console = console or Console(stderr=True)
    generator = generator_of(engine, config.replies_file, config.batch_size)
    choose = None if router is None else chooser(router)
    held_out: list[FamilyResult] = []
    paraphrased: list[FamilyResult] = []
    for name in config.adapters:
        family = FAMILIES[name]
        written = [as_problem(p) for p in paraphrases() if p.family == name]
        if not console.is_terminal:
            console.print(f"{name}: {config.problems} held-out problems, then paraphrases", highlight=False)
        with console.status(f"{name}: held-out problems") as status:
            held_out.append(
                measure(
                    family,
                    family.held_out(config.problems),
                    generator,
                    adapters=config.adapters,
                    shots=config.shots,
                    max_tokens=config.max_tokens,
                    choose=choose,
                    sandbox=config.sandbox,
                    on_condition=status.update,
                )
            )
            status.update(f"{name}: paraphrases")
            paraphrased.append(
                measure(
                    family,
                    written,
                    generator,
                    adapters=(name,),
                    shots=None,
                    max_tokens=config.max_tokens,
                    choose=choose,
                    sandbox=config.sandbox,
                )
            )
        own = held_out[-1].total(name)
        console.print(f"{name}: {own.right} of {own.total} held-out problems right", highlight=False)
    to_base = None if choose is None else left_to_base(choose, out_of_scope("test"))
    return Evaluation(tuple(held_out), tuple(paraphrased), to_base)


def generator_of(engine: Engine, replies_file: Path | None, batch_size: int = 32) -> Generator:
    """Greedy replies from ``engine``; those in the file are not generated again."""
    generator = EngineGenerator(engine, batch_size)
    if replies_file is None:
        return generator
    return RememberedReplies(generator, replies_file, _weights_of(engine), batch_size)


def chooser(router: SemanticRouter) -> Choose:
    """The router's choice for a conversation; a deferred decision counts as the base."""

    def choose(messages: Messages) -> str | None:
        decision = router.decide(messages)
        return decision.adapter

    return choose


def left_to_base(choose: Choose, prompts: Sequence[str]) -> Score:
    """The prompts that the router leaves to the base model, as a score."""
    return Score(sum(choose([{"role": "user", "content": p}]) is None for p in prompts), len(prompts))


def as_problem(paraphrase: Paraphrase) -> Problem:
    """A hand-written prompt as a problem of its task, so that the task's own scorer marks it."""
    facts: dict[str, object] = {}
    if paraphrase.function is not None:
        facts = {"function": paraphrase.function, "arguments": paraphrase.arguments}
    return Problem(paraphrase.task, paraphrase.prompt, paraphrase.prompt, paraphrase.answer, paraphrase.answer, facts)


def _weights_of(engine: Engine) -> Callable[[str | None], str]:
    def weights_of(adapter: str | None) -> str:
        return engine.base.info.digest if adapter is None else engine.loader.load(adapter).weights_digest

    return weights_of
