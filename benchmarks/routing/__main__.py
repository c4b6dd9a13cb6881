"""Calibrate the router, measure it on held-out prompts, compare signals and ways of scoring.

    python -m benchmarks.routing weights   --adapters adapters     weights of the signals, by the calibration prompts
    python -m benchmarks.routing calibrate --adapters adapters     writes adapters/routing.json
    python -m benchmarks.routing measure   --adapters adapters     held-out prompts and latency
    python -m benchmarks.routing signals   --adapters adapters     the signals alone and together
    python -m benchmarks.routing defaults  --adapters adapters     what other built-in weights would cost (minutes)
    python -m benchmarks.routing topics                            150 adapters
    python -m benchmarks.routing feedback  --adapters adapters     50 labels, and 50 false ones
    python -m benchmarks.routing learnt    --adapters adapters     50 messages learnt with their text
    python -m benchmarks.routing answers   --adapters adapters     right answers of the routed system (minutes)
    python -m benchmarks.routing index                             a decision over many adapters by a plain matrix
    python -m benchmarks.routing methods   --adapters adapters     why the scorer is what it is

Each ends with one line of JSON. ``--embedder none`` is the router without an embedding model.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping
from pathlib import Path

from adaptrix_core.engine import Engine
from adaptrix_core.places import shipped_adapters
from adaptrix_core.routing import prompts
from adaptrix_core.routing.calibrate import calibrate, with_provenance
from adaptrix_core.routing.calibration import load_calibration
from adaptrix_core.routing.catalogue import RouteCard, cards_in, suggested
from adaptrix_core.routing.embedder import PACKAGED, TextEmbedder
from adaptrix_core.routing.evaluation import measure
from adaptrix_core.routing.semantic import SemanticRouter
from adaptrix_core.routing.trunk.reading import reader_of
from benchmarks.routing.answers import run_answers
from benchmarks.routing.comparison import run_signals, run_weights
from benchmarks.routing.default_weights import run_default_weights
from benchmarks.routing.index import run_index
from benchmarks.routing.labels import run_feedback
from benchmarks.routing.learnt import run_learnt
from benchmarks.routing.methods import run_methods
from benchmarks.routing.topics import run_topics

FILE = "routing.json"
ACTIONS = (
    "weights", "calibrate", "measure", "signals", "defaults", "topics", "feedback", "learnt", "answers", "index",
    "methods",
)  # fmt: skip


def main() -> None:
    """Run the subcommand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "action",
        choices=ACTIONS,
    )
    parser.add_argument("--adapters", type=Path, default=shipped_adapters(), help="directory of adapters")
    parser.add_argument("--embedder", default=PACKAGED, help="the packaged one, a directory, a hub id, or none")
    parser.add_argument("--signals", type=json.loads, help='calibrate: their weights as JSON, {"embedding": 1.0}')
    parser.add_argument("--wrong", action="store_true", help="measure: print every prompt that went wrong, and why")
    given = parser.parse_args()
    embedder = None if given.embedder == "none" else TextEmbedder(given.embedder)
    print(json.dumps({"benchmark": f"routing {given.action}", **run(given, embedder)}))


def run(given: argparse.Namespace, embedder: TextEmbedder | None) -> Mapping[str, object]:
    """The result of the subcommand."""
    if given.action == "index":
        return run_index()
    cards = cards_in(given.adapters)
    if not cards:
        print(f"no adapters in {given.adapters}: taking the cards written for the shipped ones")
        cards = suggested()
    file = given.adapters / FILE
    if given.action == "calibrate":
        return run_calibrate(cards, embedder, file, given.signals)
    if given.action == "measure":
        calibration = load_calibration(file) if file.is_file() else None
        return run_measure(SemanticRouter(embedder, cards, calibration), given.wrong)
    if embedder is None:
        raise SystemExit(f"{given.action} needs an embedder")
    if given.action == "methods":
        return run_methods(cards, embedder)
    if given.action == "defaults":
        return run_default_weights(cards, embedder)
    if given.action == "topics":
        return run_topics(embedder, reader_of(Engine.from_pretrained()))
    if given.action == "feedback":
        return run_feedback(cards, embedder)
    if given.action == "learnt":
        return run_learnt(cards, embedder)
    if given.action == "answers":
        return run_answers(cards, embedder)
    return run_weights(cards, embedder) if given.action == "weights" else run_signals(cards, embedder)


def run_calibrate(
    cards: tuple[RouteCard, ...], embedder: TextEmbedder | None, file: Path, signals: Mapping[str, float] | None
) -> dict[str, object]:
    """Choose thresholds on the calibration prompts and write them."""
    router = SemanticRouter(embedder, cards, signals=signals)
    splits = prompts.out_of_scope("calibration"), prompts.conversations("calibration")
    found = with_provenance(calibrate(router, prompts.in_scope_calibration(), *splits), cards, router)
    found.save(file)
    print(f"wrote {file}; adapters answer from a score of {found.probability(found.accept):.2f} on")
    return found.model_dump(mode="json", exclude={"provenance"})


def run_measure(router: SemanticRouter, show_wrong: bool) -> dict[str, object]:
    """Held-out prompts by set, and how long a decision takes."""
    tallies = measure(router)
    for tally in tallies:
        print(f"{tally.name:34} {tally.right:4} of {tally.total:4}  {100 * tally.share:5.1f} %")
        for line in tally.wrong if show_wrong else ():
            print(f"    {line}")
    fresh, again = latencies(router)
    print(f"one decision, median: {fresh:.1f} ms for a new prompt, {again:.2f} ms for a known one")
    shares = {tally.name: round(tally.share, 4) for tally in tallies}
    return {"shares": shares, "ms_new_prompt": round(fresh, 2), "ms_known_prompt": round(again, 3)}


def latencies(router: SemanticRouter) -> tuple[float, float]:
    """Median milliseconds of `decide` for prompts seen for the first and for the second time."""
    fresh: list[float] = []
    again: list[float] = []
    for prompt in prompts.out_of_scope("test")[:100]:
        messages = [{"role": "user", "content": f"{prompt} Thank you."}]
        for times in (fresh, again):
            started = time.perf_counter()
            router.decide(messages)
            times.append(1000 * (time.perf_counter() - started))
    return statistics.median(fresh), statistics.median(again)


if __name__ == "__main__":
    main()
