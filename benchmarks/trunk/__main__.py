"""Routing from the trunk: choose its thresholds, measure it beside the embedder, and what it costs.

    python -m benchmarks.trunk calibrate     thresholds of the trunk alone, and of embedder and trunk together
    python -m benchmarks.trunk measure       held-out prompts, the kept set, few examples, follow-ups
    python -m benchmarks.trunk cost          settling, and the first token of a deferred request, in turns
    python -m benchmarks.trunk first_token   the first token of `auto` over HTTP beside that of a named adapter

Each ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json

from adaptrix_core.engine import Engine
from adaptrix_core.places import shipped_adapters
from adaptrix_core.routing.catalogue import cards_in
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.trunk.reading import reader_of
from benchmarks.trunk import accuracy, cost, first_token


def main() -> None:
    """Run the subcommand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("calibrate", "measure", "cost", "first_token"))
    parser.add_argument("--base", default="smollm2-135m", help="the base model")
    parser.add_argument("--turns", type=int, default=40, help="cost: requests of each kind")
    parser.add_argument("--pairs", type=int, default=150, help="first_token: pairs of requests to each system")
    given = parser.parse_args()
    if given.action == "first_token":
        print(json.dumps({"benchmark": "trunk first_token", **first_token.measured(given.pairs)}))
        return
    engine = Engine.from_pretrained(given.base)
    cards = tuple(card for card in cards_in(shipped_adapters()) if card.examples)
    read = reader_of(engine)
    print(f"{engine.base.info.name}, {engine.base.info.layout}, cut at layer {engine.options.cut}")
    if given.action == "calibrate":
        result = accuracy.calibrated(cards, TextEmbedder(), read)
    elif given.action == "measure":
        result = accuracy.measured(cards, TextEmbedder(), read)
    else:
        result = cost.measured(engine, cards, read, given.turns)
    print(json.dumps({"benchmark": f"trunk {given.action}", "cut": engine.options.cut, **result}))


if __name__ == "__main__":
    main()
