"""Calibrate the router, measure it on held-out prompts, or compare ways of scoring.

    python -m benchmarks.routing calibrate --adapters adapters     writes adapters/routing.json
    python -m benchmarks.routing measure   --adapters adapters     held-out prompts and latency
    python -m benchmarks.routing methods   --adapters adapters     why the scorer is what it is

Each ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from adaptrix_core.places import shipped_adapters
from adaptrix_core.routing import prompts
from adaptrix_core.routing.calibrate import OUT_OF_SCOPE_TO_BASE, calibrate, lowest_that_rejects, with_provenance
from adaptrix_core.routing.calibration import Calibration, load_calibration
from adaptrix_core.routing.catalogue import RouteCard, cards_in, suggested
from adaptrix_core.routing.embedder import PACKAGED, TextEmbedder
from adaptrix_core.routing.evaluation import measure
from adaptrix_core.routing.message import Vectors
from adaptrix_core.routing.scorer import fit_scorer
from adaptrix_core.routing.semantic import SemanticRouter

FILE = "routing.json"


def main() -> None:
    """Run the subcommand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("calibrate", "measure", "methods"))
    parser.add_argument("--adapters", type=Path, default=shipped_adapters(), help="directory of adapters")
    parser.add_argument("--embedder", default=PACKAGED, help="the packaged one, a directory or a hub id")
    parser.add_argument("--wrong", action="store_true", help="measure: print every prompt that went wrong, and why")
    given = parser.parse_args()
    cards = cards_in(given.adapters)
    if not cards:
        print(f"no adapters in {given.adapters}: taking the cards written for the shipped ones")
        cards = suggested()
    embedder = TextEmbedder(given.embedder)
    if given.action == "calibrate":
        result = run_calibrate(cards, embedder, given.adapters / FILE)
    elif given.action == "measure":
        file = given.adapters / FILE
        result = run_measure(
            SemanticRouter(embedder, cards, load_calibration(file) if file.is_file() else None), given.wrong
        )
    else:
        result = run_methods(cards, embedder)
    print(json.dumps({"benchmark": f"routing {given.action}", **result}))


def run_calibrate(cards: tuple[RouteCard, ...], embedder: TextEmbedder, file: Path) -> dict[str, object]:
    """Choose thresholds on the calibration prompts and write them."""
    router = SemanticRouter(embedder, cards, Calibration(embedder=embedder.source))
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


Scores = Callable[[Vectors, Vectors], Vectors]
"""(queries, examples of one adapter) -> one score per query."""


def methods(background: Vectors) -> dict[str, Scores]:
    """The ways of scoring that were considered."""

    def nearest(queries: Vectors, texts: Vectors, k: int) -> Vectors:
        scores: Vectors = np.sort(queries @ texts.T, axis=1)[:, -k:].mean(axis=1)
        return scores

    return {
        "cosine to the nearest example": lambda q, e: nearest(q, e, 1),
        "mean cosine of the nearest 3": lambda q, e: nearest(q, e, 3),
        "... minus the background's nearest": lambda q, e: nearest(q, e, 1) - nearest(q, background, 1),
        "... minus the background's nearest 3": lambda q, e: nearest(q, e, 3) - nearest(q, background, 3),
        "logistic regression (the router's)": lambda q, e: fit_scorer(e, background).margins(q),
    }


def run_methods(cards: tuple[RouteCard, ...], embedder: TextEmbedder) -> dict[str, object]:
    """For each way of scoring: a threshold from the calibration prompts, then recall and rejection on both splits."""
    examples = {card.name: embedder.embed(card.texts) for card in cards}
    names = list(examples)
    splits = {
        "calibration": [(row.prompt, row.adapter or "") for row in prompts.in_scope_calibration()],
        "test": [(row.prompt, row.family) for row in prompts.paraphrases()],
    }
    inside = {
        split: (embedder.embed([p for p, _ in rows]), [names.index(a) for _, a in rows])
        for split, rows in splits.items()
    }
    outside = {
        "calibration": embedder.embed(prompts.out_of_scope("calibration")),
        "test": embedder.embed(prompts.out_of_scope("test")),
    }
    print(f"{'':38} calibration: recall  to base | test: recall  to base")
    result: dict[str, object] = {}
    for name, score in methods(embedder.embed(prompts.background())).items():

        def scored(queries: Vectors, score: Scores = score) -> Vectors:
            return np.stack([score(queries, texts) for texts in examples.values()], axis=1)

        rows, wanted = inside["calibration"]
        right = scored(rows)[np.arange(len(wanted)), wanted]
        threshold = lowest_that_rejects(right, scored(outside["calibration"]).max(axis=1), OUT_OF_SCOPE_TO_BASE)
        line = []
        for split, (queries, owners) in inside.items():
            values = scored(queries)
            recall = float(((values.argmax(axis=1) == owners) & (values.max(axis=1) >= threshold)).mean())
            line += [recall, float((scored(outside[split]).max(axis=1) < threshold).mean())]
        print(f"{name:38} {line[0]:19.3f} {line[1]:8.3f} | {line[2]:12.3f} {line[3]:8.3f}")
        result[name] = [round(value, 4) for value in line]
    return {"columns": ["calibration recall", "calibration base", "test recall", "test base"], "rows": result}


if __name__ == "__main__":
    main()
