"""Measure the memory of conversations.

    python -m benchmarks.memory recall      is the turn that told a fact 60 turns ago in the prompt?
    python -m benchmarks.memory answers     … and is the base model's answer right?
    python -m benchmarks.memory bars        the relevance from which a turn comes back, and what each would cost
    python -m benchmarks.memory topics      conversations of three topics: who answers, and what is remembered

Each ends with one line of JSON.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from adaptrix_core.context.memory.relevance import Relevance, RelevanceByMeaning, RelevanceByWords
from adaptrix_core.routing.embedder import TextEmbedder
from benchmarks.memory import bars, recall, topics
from benchmarks.memory.answers import run_answers


def main() -> None:
    """Run the subcommand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("recall", "answers", "bars", "topics"))
    parser.add_argument("--count", type=int, default=240, help="conversations")
    parser.add_argument("--budget", type=int, default=1024, help="most tokens of a prompt")
    parser.add_argument("--between", type=int, default=60, help="turns between the fact and the question for it")
    given = parser.parse_args()
    result: dict[str, Any]
    if given.action == "topics":
        result = topics.run_topics()
    elif given.action == "answers":
        result = run_answers(memories(), given.count, given.budget, given.between)
    elif given.action == "bars":
        result = bars.run_bars(memories(), given.count, given.between)
    else:
        result = recall.run_recall(memories(), given.count, given.budget, given.between)
    print(json.dumps({"benchmark": f"memory {given.action}", **result}))


def memories() -> dict[str, Relevance | None]:
    """The memories that are compared; None is plain truncation."""
    return {
        "truncation": None,
        "words (TF-IDF)": RelevanceByWords(),
        "embedding": RelevanceByMeaning(TextEmbedder(cache_entries=65536).embed),
    }


if __name__ == "__main__":
    main()
