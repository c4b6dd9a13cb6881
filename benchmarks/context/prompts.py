"""The engine and the prompts that the benchmarks of context share."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path

from adaptrix_core.engine import Engine, EngineOptions
from adaptrix_core.engine.cache.cut import catalogue_cut
from adaptrix_core.places import shipped_adapters
from adaptrix_core.routing.prompts import out_of_scope
from adaptrix_core.training.tasks.families import FAMILIES
from benchmarks.harness import report
from benchmarks.harness.workload import load_base, make_engine

Messages = list[dict[str, str]]


def parser(description: str | None, count: int) -> argparse.ArgumentParser:
    """A parser with the options of both. count: prompts of a kind."""
    made = report.with_precision(report.parser(description, repeats=1))
    made.add_argument("--adapters", type=Path, default=shipped_adapters(), help="directory of adapters")
    made.add_argument("--prompts", type=int, default=count, help="prompts of each kind (default: %(default)s)")
    made.add_argument("--rows", type=Path, metavar="FILE", help="keep rows here; those in it are not measured again")
    return made


def engine_of(given: argparse.Namespace) -> Engine:
    """The base model in the layout that was asked for, over the adapters."""
    base = load_base(given.precision)
    return make_engine(base, given.adapters, EngineOptions(cut=catalogue_cut(given.adapters, base), max_wait_s=None))


def asked(text: str) -> Messages:
    """A user's message."""
    return [{"role": "user", "content": text}]


def kinds_of_prompts(mix: Mapping[str, float], count: int) -> Iterator[tuple[str, list[Messages]]]:
    """(what they are, ``count`` prompts), as far as there are such."""
    others = [name for name in FAMILIES if name not in mix]
    for kind, families in (("own problems", list(mix)), ("others' problems", others)):
        if families:
            problems = [p for name in families for p in FAMILIES[name].held_out(count // len(families))]
            yield kind, [asked(problem.question) for problem in problems]
    yield "out of scope", [asked(text) for text in out_of_scope("test")[:count]]
