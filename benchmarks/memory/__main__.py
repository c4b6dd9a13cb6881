"""Measure the memory of conversations.

    python -m benchmarks.memory bars        the relevance from which a turn comes back, on conversations of its own
    python -m benchmarks.memory recall      is the turn that told a fact 60 turns ago in the prompt?
    python -m benchmarks.memory answers     … and is the answer right, by the base model and by whom the router chooses?
    python -m benchmarks.memory topics      conversations of three topics: who answers, and what is remembered
    python -m benchmarks.memory served      the same held with a served system: who answers

`answers --summary-tokens 96` has summaries of what is left out written too. Each ends with one line of JSON, with
counts that add up over parts (`--start 0 --count 30`, `--start 30 --count 30`, …).
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from adaptrix_core.context.memory.relevance import Relevance, RelevanceByMeaning, RelevanceByWords
from adaptrix_core.places import shipped_adapters
from adaptrix_core.routing.calibration import load_calibration
from adaptrix_core.routing.catalogue import cards_in
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.semantic import SemanticRouter
from benchmarks.memory import bars, recall, topics
from benchmarks.memory.answers import run_answers
from benchmarks.memory.conversations import SEED, TURNS_BETWEEN, conversations
from benchmarks.memory.served_topics import run_served_topics

MEMORIES = ("truncation", "words", "embedding")


def main() -> None:
    """Run the subcommand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("bars", "recall", "answers", "topics", "served"))
    parser.add_argument("--count", type=int, default=120, help="conversations")
    parser.add_argument("--start", type=int, default=0, help="number of the first conversation")
    parser.add_argument("--seed", type=int, help="of the conversations; by default bars has one of its own")
    parser.add_argument("--budget", type=int, default=1024, help="most tokens of a prompt")
    parser.add_argument("--between", type=int, default=TURNS_BETWEEN, help="turns between the fact and the question")
    parser.add_argument("--memories", nargs="+", choices=MEMORIES, default=MEMORIES)
    parser.add_argument("--summary-tokens", type=int, help="most tokens of a summary; without it there is none")
    given = parser.parse_args()
    if given.action == "served":
        print(json.dumps({"benchmark": "memory served", **run_served_topics()}))
        return
    embedder = TextEmbedder(cache_entries=65536)
    memories = {name: memory for name, memory in memories_by(embedder).items() if name in given.memories}
    default = bars.SEED if given.action == "bars" else SEED
    seed = default if given.seed is None else given.seed
    result: dict[str, Any] = {"count": given.count, "start": given.start, "seed": seed, "between": given.between}
    told = list(conversations(given.count, given.between, seed, given.start))
    print(f"{given.count} conversations of seed {seed}, {given.between} turns between, budget {given.budget} tokens")
    if given.action == "topics":
        result = topics.run_topics(router_of(embedder), RelevanceByMeaning(embedder.embed))
    elif given.action == "answers":
        result |= run_answers(memories, told, given.budget, given.summary_tokens, router_of(embedder))
    elif given.action == "bars":
        result |= bars.run_bars(memories, told)
    else:
        result |= recall.run_recall(memories, told, given.budget)
    print(json.dumps({"benchmark": f"memory {given.action}", **result}))


def memories_by(embedder: TextEmbedder) -> dict[str, Relevance | None]:
    """The memories that are compared; None is plain truncation."""
    return {"truncation": None, "words": RelevanceByWords(), "embedding": RelevanceByMeaning(embedder.embed)}


def router_of(embedder: TextEmbedder) -> SemanticRouter:
    """The router over the shipped adapters, as a server has it."""
    directory = shipped_adapters()
    return SemanticRouter(embedder, cards_in(directory), load_calibration(directory / "routing.json"))


if __name__ == "__main__":
    main()
