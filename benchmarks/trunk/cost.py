"""What it costs to settle at the cut: the mean and the probes beside a prefill, and the first token in turns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from typing import Any

from adaptrix_core.base.question_tokens import question_ranges
from adaptrix_core.engine import Engine, GenerationRequest, SamplingParams
from adaptrix_core.engine.deferred import Deferred, Means, Settled
from adaptrix_core.injection.mix import constant
from adaptrix_core.routing import prompts
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.message import RoutedMessage
from adaptrix_core.routing.signals.trunk import TrunkReader, TrunkSignal

_ONE = SamplingParams(max_tokens=1, temperature=0.0)


def measured(engine: Engine, cards: Sequence[RouteCard], read: TrunkReader, turns: int) -> dict[str, Any]:
    """Milliseconds to the first token of named and of deferred requests, in turns, and of settling alone."""
    fitted = TrunkSignal(read).fit(cards)
    mixes = {card.name: engine.resolve_mix(card.name) for card in cards}
    settling: list[float] = []
    first: dict[str, list[float]] = {"named": [], "deferred": []}

    def settle(means: Means | None) -> Settled:
        assert means is not None
        began = time.perf_counter()
        odds = fitted.log_odds(RoutedMessage("", trunk_mean=means[-1]))
        settling.append(1000 * (time.perf_counter() - began))
        return Settled(mixes[max(odds, key=lambda name: odds[name])])

    asked = [row.prompt for row in prompts.paraphrases()]
    for number in range(2 * turns):
        kind = ("named", "deferred")[(number + number // 2) % 2]  # either kind first as often as the other
        messages = [{"role": "user", "content": f"{number}. {asked[number // 2 % len(asked)]}"}]
        tokens = engine.encode(messages)
        ranges = question_ranges(engine.base, messages, tokens, turns=1)
        named = (constant(mixes[prompts.paraphrases()[number // 2 % len(asked)].family]),)
        request = (
            GenerationRequest(f"{kind}-{number}", tokens, _ONE, named)
            if kind == "named"
            else GenerationRequest(f"{kind}-{number}", tokens, _ONE, deferred=Deferred(ranges, settle))
        )
        began = time.perf_counter()
        engine.add(request)
        while engine.has_work:
            engine.step()
        if number >= 8:  # the first ones bring adapters to the device
            first[kind].append(1000 * (time.perf_counter() - began))
    medians = {kind: statistics.median(times) for kind, times in first.items()}
    later = medians["deferred"] - medians["named"]
    pairs = [d - n for d, n in zip(first["deferred"], first["named"], strict=False)]
    error = statistics.stdev(pairs) / len(pairs) ** 0.5
    probe = statistics.median(settling)
    print(f"first token, medians: named {medians['named']:.2f} ms, deferred {medians['deferred']:.2f} ms")
    print(f"later by {later:.2f} ms (mean of pairs {statistics.mean(pairs):.2f} +- {error:.2f}, n {len(pairs)})")
    print(f"probes of {len(cards)} adapters: {probe:.3f} ms, {100 * probe / medians['named']:.2f} % of the prefill")
    return {**medians, "later_ms": later, "pair_mean_ms": statistics.mean(pairs), "error_ms": error, "probe_ms": probe}
