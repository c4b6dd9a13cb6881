"""The task signal: which task a message is, by a small set of questions for each, and who is good at that task.

After LORAUTER (arXiv:2601.21795): tasks are told apart by their questions, adapters are chosen by what they were
measured to do. A task that an adapter does no better than the base model speaks for the base. An adapter's own
examples, and the messages that somebody has labelled as its own, make tasks that it is good at; those that nobody but
the base model should answer join the background. Knows cards and embeddings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adaptrix_core.routing import prompts
from adaptrix_core.routing.catalogue import RouteCard, RouteTask
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.message import RoutedMessage, Vectors
from adaptrix_core.routing.signals.kept_vectors import KeptVectors

INVERSE_PENALTY = 10.0
"""``C`` of the regression between tasks, whose questions are near to one another."""
EXAMPLES_A_TASK = 8
"""Examples of an adapter that make one task, about."""
LEAST = 1e-4
"""Least probability, so that log-odds stay finite."""


@dataclass(frozen=True, eq=False)
class FittedTasks:
    """The tasks of one catalogue."""

    names: tuple[str, ...]
    tasks: tuple[str, ...]
    """Of each row of ``weights`` but the last, which is the background."""
    weights: Vectors
    """``(tasks + 1, dimension)``"""
    intercepts: Vectors
    good: NDArray[np.float32]
    """``(tasks, adapters)``: 1 where the adapter is better at the task than the base model."""

    def log_odds(self, message: RoutedMessage) -> Mapping[str, float]:
        """See `FittedSignal`: the probability of all tasks that the adapter is good at."""
        if message.embedding is None or not self.tasks:
            return {}
        shares = np.clip(self._probabilities(message.embedding)[:-1] @ self.good, LEAST, 1 - LEAST)
        return dict(zip(self.names, np.log(shares / (1 - shares)).tolist(), strict=True))

    def reason(self, adapter: str, message: RoutedMessage) -> str:
        """See `FittedSignal`: the likeliest task, or that there is none."""
        if message.embedding is None or adapter not in self.names:
            return ""
        likeliest = int(self._probabilities(message.embedding).argmax())
        return (
            f"likeliest task {self.tasks[likeliest]!r}"
            if likeliest < len(self.tasks)
            else "likelier an everyday message than any task"
        )

    def _probabilities(self, embedding: Vectors) -> Vectors:
        margins = self.weights @ embedding + self.intercepts
        powers = np.exp(margins - margins.max())
        return np.asarray(powers / powers.sum(), np.float32)


class TaskSignal:
    """Tells tasks apart, against the background of ordinary messages."""

    def __init__(self, embedder: TextEmbedder) -> None:
        self._dimension = embedder.dimension
        self._vectors = KeptVectors(embedder, of="tasks")
        self._known: dict[RouteCard, list[RouteTask]] = {}

    def fit(self, cards: Sequence[RouteCard]) -> FittedTasks:
        """See `RouterSignal`. The regression is fitted anew; only new and changed cards are embedded and divided."""
        told = [card for card in cards if card.texts or card.tasks or card.labelled_right]
        made = {card: self._known.get(card) or self._made(card) for card in told}
        tasks: dict[str, tuple[str, ...]] = {}
        good: dict[str, set[str]] = {}
        for card in told:
            for task in (*card.tasks, *made[card]):
                tasks.setdefault(task.name, task.questions)
                if task.is_good:
                    good.setdefault(task.name, set()).add(card.name)
        names = tuple(card.name for card in told)
        table = np.array([[name in good.get(task, ()) for name in names] for task in tasks], np.float32)
        background = (*prompts.background(), *_for_the_base(told))
        weights, intercepts = self._regression(list(tasks.values()), background)
        self._known = made
        if told:  # a router begins with an empty catalogue: what is kept serves the one that follows
            self._vectors.keep([*background, *(text for questions in tasks.values() for text in questions)])
        return FittedTasks(names, tuple(tasks), weights, intercepts, table)

    def _made(self, card: RouteCard) -> list[RouteTask]:
        """Tasks of an adapter's examples and own messages: those that are near to one another."""
        from sklearn.cluster import KMeans

        texts = (*card.texts, *card.labelled_right)
        if not texts:
            return []
        number = max(1, len(texts) // EXAMPLES_A_TASK)
        found = KMeans(number, n_init=3, random_state=0).fit_predict(self._vectors.embed(texts))
        return [
            RouteTask(f"{card.name} {place + 1}", tuple(t for t, at in zip(texts, found, strict=True) if at == place))
            for place in range(number)
        ]

    def _regression(self, tasks: Sequence[Sequence[str]], background: Sequence[str]) -> tuple[Vectors, Vectors]:
        from sklearn.linear_model import LogisticRegression

        if not tasks:
            return np.zeros((1, self._dimension), np.float32), np.zeros(1, np.float32)
        groups = [*(self._vectors.embed(questions) for questions in tasks), self._vectors.embed(background)]
        labels = np.repeat(np.arange(len(groups)), [len(rows) for rows in groups])
        model = LogisticRegression(C=INVERSE_PENALTY, class_weight="balanced", max_iter=300)
        model.fit(np.concatenate(groups), labels)
        if len(groups) == 2:  # scikit-learn keeps one row for two classes: that of the second one
            rows, offsets = np.stack([-model.coef_[0], model.coef_[0]]) / 2, np.array([-1, 1]) * model.intercept_[0] / 2
            return rows.astype(np.float32), offsets.astype(np.float32)
        return model.coef_.astype(np.float32), model.intercept_.astype(np.float32)


def _for_the_base(cards: Sequence[RouteCard]) -> tuple[str, ...]:
    """Messages that were labelled, and are no adapter's."""
    owned = {text for card in cards for text in card.labelled_right}
    wrong = (text for card in cards for text in card.labelled_wrong)
    return tuple(dict.fromkeys(text for text in wrong if text not in owned))
