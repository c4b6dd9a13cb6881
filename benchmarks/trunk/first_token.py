"""How much later the first token of `auto` comes over HTTP than that of a named adapter, with the trunk and without.

Two systems, one after the other, each started as `make serve` does. Each is asked in pairs, one question to the adapter
that it is for and one to `auto`, with either first as often as the other; every question is new to the system. What is
compared is the difference inside of a pair, so that what disturbs the machine disturbs both.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adaptrix_core.places import project_root
from adaptrix_core.routing import prompts
from benchmarks.harness import report
from benchmarks.harness.intervals import Interval, of_values
from benchmarks.harness.streams import stream
from benchmarks.harness.trunk_vote import wait_for_trunk_vote
from loadtest.system import read_config, serving

WARM_UP = 8
"""Pairs that are not counted: they bring adapters to the device."""
MOST_LATER_MS = 2.0
"""The target."""
SYSTEMS: Mapping[str, bool] = {"with the trunk": True, "without": False}


def measured(pairs: int) -> dict[str, Any]:
    """Milliseconds to the first token, by system, and the differences in pairs. Prints a table."""
    times = {name: _of_system(trunk, pairs) for name, trunk in SYSTEMS.items()}
    later = {name: of_values([auto - named for named, auto in both]) for name, both in times.items()}
    columns = ("system", "named, ms", "auto, ms", "auto later by, ms")
    rows = [(name, *(each.text(2) for each in _kinds(both)), later[name].text(2)) for name, both in times.items()]
    report.table("First token over HTTP, medians with 95 % intervals", columns, rows)
    what = "ms of auto after named, with the trunk"
    report.show_checks([report.Check(what, later["with the trunk"], MOST_LATER_MS, at_most=True)])
    return {
        name: {
            **{kind: each.median for kind, each in zip(("named_ms", "auto_ms"), _kinds(both), strict=True)},
            "later_ms": [later[name].median, later[name].low, later[name].high],
            "pairs": len(both),
        }
        for name, both in times.items()
    }


def _kinds(pairs: list[tuple[float, float]]) -> tuple[Interval, Interval]:
    named, auto = zip(*pairs, strict=True)
    return of_values(named), of_values(auto)


def _of_system(trunk: bool, pairs: int) -> list[tuple[float, float]]:
    """(named, auto) of each pair, in milliseconds."""
    with tempfile.TemporaryDirectory() as name:
        config = read_config(project_root() / "serve_config.yaml", Path(name))
        config["applications"][0]["args"].setdefault("router", {})["trunk"] = trunk
        with serving(config, Path(name)) as url:
            if trunk:
                wait_for_trunk_vote(url)
            return asyncio.run(_pairs(url, pairs))


async def _pairs(url: str, pairs: int) -> list[tuple[float, float]]:
    asked, found = list(prompts.paraphrases()), []
    for pair in range(WARM_UP + pairs):
        row = asked[pair % len(asked)]
        pair_ms: dict[str, float] = {}
        for kind in ("named", "auto")[:: 1 if pair % 2 else -1]:
            number = 1000 + 2 * pair + (kind == "auto")  # as many tokens in either, and no beginning in common
            question = {"role": "user", "content": f"{number}. {row.prompt}"}
            body = {"model": row.family if kind == "named" else "auto", "messages": [question], "max_tokens": 1}
            pair_ms[kind] = 1000 * (await stream(url, "/v1/chat/completions", body)).first_token_s
        found.append((pair_ms["named"], pair_ms["auto"]))
    return found[WARM_UP:]
