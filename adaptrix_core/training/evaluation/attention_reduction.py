"""Weights of a mix reduced by attention: an adapter counts less, the more it disturbs what the main one attends to.

The main adapter is the one with the largest weight. On its own prompts, each other adapter's disturbance is the share
of attention that it moves when it joins the main one, relative to the share that the main one moves in the base model
(total variation distance, `context/comparison.py`). The other's weight is multiplied by one minus that, and is zero
where it moves as much as the main one does by itself. Answers were not measured to gain by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from adaptrix_core.context.comparison import attention_drift, check_finite
from adaptrix_core.engine import Engine
from adaptrix_core.engine.compute.inspected import InspectedRun
from adaptrix_core.engine.engine import Prompt

MOST_PROMPTS = 8
"""Prompts of the main adapter that are looked at; its first ones."""


def reduced_by_attention(
    engine: Engine, mix: Mapping[str, float], prompts: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """The weights of ``mix`` by adapter name, those of all adapters but the main one reduced; of equals the first.

    prompts: by adapter name, what it is for. Costs two runs of each prompt, and one for each other adapter. Raises as
    `ContextValidator.compare`.
    """
    main = max(mix, key=lambda name: abs(mix[name]))
    asked = [[{"role": "user", "content": text}] for text in prompts[main][:MOST_PROMPTS]]
    own = 0.0
    moved = dict.fromkeys((name for name in mix if name != main), 0.0)
    for prompt in asked:
        alone = _run(engine, prompt, {main: mix[main]})
        own += _drift(engine, _run(engine, prompt, {}), alone)
        for name in moved:
            moved[name] += _drift(engine, alone, _run(engine, prompt, {main: mix[main], name: mix[name]}))
    return {name: weight if name == main or not own else weight * max(0.0, 1 - moved[name] / own)
            for name, weight in mix.items()}  # fmt: skip


def _run(engine: Engine, prompt: Prompt, mix: Mapping[str, float]) -> InspectedRun:
    run = engine.inspect(prompt, dict(mix))
    check_finite(run, "+".join(mix) or None)
    return run


def _drift(engine: Engine, one: InspectedRun, other: InspectedRun) -> float:
    return float(attention_drift(one, other, range(engine.base.info.num_layers)).mean())
