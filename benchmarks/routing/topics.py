"""The router with 150 adapters: how often it finds the right one, by signal and number of examples."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np

from adaptrix_core.routing import prompts
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.semantic import SemanticRouter
from adaptrix_core.routing.signals.trunk import TrunkReader
from benchmarks.routing.topic_set import Topic, topics

NUMBERS_OF_EXAMPLES = (1, 2, 5, 12)
COMPARED: Mapping[str, Mapping[str, float]] = {
    "embedding": {"embedding": 1.0},
    "keywords": {"keywords": 1.0},
    "embedding + keywords": {"embedding": 0.5, "keywords": 0.5},
    "tasks": {"tasks": 1.0},
    "classifier": {"classifier": 1.0},
    "embedding + tasks": {"embedding": 0.5, "tasks": 0.5},
    "embedding + classifier": {"embedding": 0.5, "classifier": 0.5},
    "trunk": {"trunk": 1.0},
    "embedding + trunk": {"embedding": 0.5, "trunk": 0.5},
    "embedding + 0.25 trunk": {"embedding": 1.0, "trunk": 0.25},
}


def cards_of(asked: tuple[Topic, ...], examples: int) -> tuple[RouteCard, ...]:
    """An adapter for each topic, with so many of its examples."""
    return tuple(RouteCard(topic.name, "", topic.examples[:examples]) for topic in asked)


def run_topics(embedder: TextEmbedder, read: TrunkReader) -> dict[str, object]:
    """Top-1, top-3 and AUROC against the out-of-scope test prompts. read: through the base model's trunk."""
    from sklearn.metrics import roc_auc_score

    asked = topics()
    names = [topic.name for topic in asked]
    questions = [(question, place) for place, topic in enumerate(asked) for question in topic.questions]
    outside = prompts.out_of_scope("test")
    texts = [*(question for question, _ in questions), *outside]
    wanted = np.array([place for _, place in questions])
    result: dict[str, object] = {}
    print(f"{len(asked)} adapters, {len(questions)} questions, {len(outside)} prompts out of scope")
    print(f"{'signals':24} examples  top-1 (SE)      top-3  AUROC  seconds to fit")
    for called, weights in COMPARED.items():
        for examples in NUMBERS_OF_EXAMPLES:
            router = SemanticRouter(embedder, (), signals=weights, trunk=read)
            embedder.embed([text for card in cards_of(asked, examples) for text in card.texts])
            started = time.perf_counter()
            router.update(cards_of(asked, examples))
            seconds = time.perf_counter() - started
            margins = router.margins(texts)
            rows = np.stack([margins[name] for name in names], axis=1)
            inside, best = rows[: len(wanted)], rows.max(axis=1)
            ranks = (inside > inside[np.arange(len(wanted)), wanted][:, None]).sum(axis=1)
            top1, top3 = float((ranks < 1).mean()), float((ranks < 3).mean())
            auroc = float(roc_auc_score(np.arange(len(texts)) < len(wanted), best))
            error = (top1 * (1 - top1) / len(wanted)) ** 0.5
            print(f"{called:24} {examples:8}  {top1:.3f} ({error:.3f})  {top3:.3f}  {auroc:.3f}  {seconds:.2f}")
            result[f"{called}, {examples}"] = {"top1": round(top1, 4), "top3": round(top3, 4), "auroc": round(auroc, 4)}
    return {"adapters": len(asked), "questions": len(questions), "rows": result}
