"""How often the trunk, the embedder and both together say who should answer, and from how few examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from adaptrix_core.adapters.residency.tiers import Residency
from adaptrix_core.routing import prompts
from adaptrix_core.routing.calibrate import calibrate
from adaptrix_core.routing.calibration import TRUNK_ALONE, WITH_TRUNK
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.conversation import Message, user_turns
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.evaluation import Decides, measure
from adaptrix_core.routing.policy import NOTHING_KNOWN, Decision
from adaptrix_core.routing.semantic import SemanticRouter
from adaptrix_core.routing.signals.trunk import FittedTrunk, TrunkReader, TrunkSignal
from adaptrix_core.routing.trunk.clear_reading import clear_decision

DRAWS = 20
"""Draws of examples for each number of them."""
EXAMPLES = (1, 2, 5)

Cards = Sequence[RouteCard]


def routers(cards: Cards, embedder: TextEmbedder, read: TrunkReader) -> dict[str, SemanticRouter]:
    """The ways to decide that are compared."""
    return {
        "embedder": SemanticRouter(embedder, cards),
        "trunk": SemanticRouter(None, cards, TRUNK_ALONE, trunk=read),
        "embedder and trunk": SemanticRouter(embedder, cards, WITH_TRUNK, trunk=read),
    }


@dataclass
class TrunkFirst:
    """As a replica decides: a first question about which the trunk is clear by it alone, all else by all signals."""

    both: SemanticRouter
    trunk: FittedTrunk
    read: TrunkReader
    asked: int = 0
    """Decisions for which the other signals were asked."""

    @property
    def catalogue(self) -> tuple[RouteCard, ...]:
        """See `Decides`."""
        return self.both.catalogue

    def messages(self, texts: Sequence[str]) -> None:
        """See `Decides`."""
        self.both.messages(texts)

    def decide(
        self,
        messages: Sequence[Message],
        previous: str | None = None,
        residency: Mapping[str, Residency] = NOTHING_KNOWN,
    ) -> Decision:
        """See `Decides`."""
        turns = user_turns(messages)
        if previous is None and len(turns) == 1:
            decision = clear_decision(self.trunk.names, self.trunk, self.read(turns))
            if decision is not None:
                return decision
        self.asked += 1
        return self.both.decide(messages, previous, residency)


def calibrated(cards: Cards, embedder: TextEmbedder, read: TrunkReader) -> dict[str, Any]:
    """Thresholds by the calibration prompts alone, for `routing/calibration.py`."""
    sets = prompts.in_scope_calibration(), prompts.out_of_scope("calibration"), prompts.conversations("calibration")
    found = {
        name: calibrate(router, *sets).model_dump(exclude={"provenance"})
        for name, router in routers(cards, embedder, read).items()
        if name != "embedder"
    }
    for name, numbers in found.items():
        print(name, {key: round(value, 3) if isinstance(value, float) else value for key, value in numbers.items()})
    return found


def measured(cards: Cards, embedder: TextEmbedder, read: TrunkReader) -> dict[str, Any]:
    """Shares of right decisions on the sets that nothing was chosen by, with their standard errors."""
    result: dict[str, Any] = {}
    alone = routers(cards, embedder, read)
    trunk_first = TrunkFirst(alone["embedder and trunk"], TrunkSignal(read).fit(cards), read)
    ways: dict[str, Decides] = {**alone, "trunk first": trunk_first}
    for name, router in ways.items():
        print(name)
        tallies = {tally.name: tally for tally in measure(router)}
        shares = {tally.name: (tally.right, tally.total) for tally in tallies.values()}
        kept = _decided(router, prompts.kept())
        for label, rows in (("kept", kept), ("rewordings", _decided(router, prompts.rewordings()))):
            shares[label] = sum(row.adapter == adapter for row, adapter in rows), len(rows)
        for said, (good, total) in shares.items():
            share = good / total
            print(f"  {said:34} {good:4} of {total:4}  {share:.3f} +- {(share * (1 - share) / total) ** 0.5:.3f}")
        for row, adapter in kept:
            if row.adapter != adapter:
                print(f"    kept: {row.prompt!r}: {adapter}, not {row.adapter}")
        result[name] = {said: [good, total] for said, (good, total) in shares.items()}
    result["other signals asked"] = _asked(trunk_first)
    result["auroc"] = _few_examples(cards, embedder, read)
    return result


def _decided(router: Decides, rows: Sequence[prompts.Labelled]) -> list[tuple[prompts.Labelled, str | None]]:
    return [(row, router.decide([{"role": "user", "content": row.prompt}]).adapter) for row in rows]


def _asked(router: TrunkFirst) -> Mapping[str, list[int]]:
    """By set, for how many of its first questions the other signals were asked, and how many there are."""
    sets = {
        "paraphrases": [row.prompt for row in prompts.paraphrases()],
        "rewordings": [row.prompt for row in prompts.rewordings()],
        "out of scope": prompts.out_of_scope("test"),
        "kept": [row.prompt for row in prompts.kept()],
    }
    found = {}
    for name, texts in sets.items():
        router.asked = 0
        for text in texts:
            router.decide([{"role": "user", "content": text}])
        found[name] = [router.asked, len(texts)]
        print(f"  other signals asked, {name:13} {router.asked:4} of {len(texts):4}")
    return found


def _few_examples(cards: Cards, embedder: TextEmbedder, read: TrunkReader) -> Mapping[str, Any]:
    """How well the best margin tells in scope from out of scope (AUROC): means of `DRAWS` draws of examples."""
    generator, found = np.random.default_rng(0), {}
    inside, outside = [row.prompt for row in prompts.paraphrases()], list(prompts.out_of_scope("test"))
    for count in EXAMPLES:
        values: dict[str, list[float]] = {}
        for _ in range(DRAWS):
            few = [_with_examples(card, generator.permutation(len(card.examples))[:count].tolist()) for card in cards]
            for name, router in routers(few, embedder, read).items():
                scores = [np.max(list(router.margins(texts).values()), axis=0) for texts in (inside, outside)]
                values.setdefault(name, []).append(_auroc(*scores))
        for name, draws in values.items():
            mean, error = float(np.mean(draws)), float(np.std(draws, ddof=1) / len(draws) ** 0.5)
            print(f"{count} examples, {name:20} AUROC {mean:.4f} +- {error:.4f}")
            found[f"{name}, {count}"] = [round(mean, 4), round(error, 4)]
    return found


def _with_examples(card: RouteCard, chosen: Sequence[int]) -> RouteCard:
    return replace(card, description="", examples=tuple(card.examples[i] for i in chosen))


def _auroc(inside: Any, outside: Any) -> float:
    from sklearn.metrics import roc_auc_score

    labels = np.repeat([1, 0], [len(inside), len(outside)])
    return float(roc_auc_score(labels, np.concatenate([inside, outside])))
