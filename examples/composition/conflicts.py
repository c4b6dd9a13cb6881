"""Measure whether two adapters get along in a mix, before anybody is served by it.

python examples/composition/conflicts.py

On the command line that is `adaptrix conflicts math_reasoning logical_reasoning --weights 0.5,0.5`.
"""

from __future__ import annotations

from adaptrix_core import Engine
from adaptrix_core.config.composition_section import CompositionSettings
from adaptrix_core.training.evaluation.interference import InterferenceMeter, loaded_adapters

MIXES = ({"math_reasoning": 0.5, "logical_reasoning": 0.5}, {"math_reasoning": 1.0, "logical_reasoning": 0.25})


def main() -> None:
    """Say for each mix what it does to answers that the adapters give alone, and whether it is over the limit."""
    engine = Engine.from_pretrained("smollm2-135m")
    limit = CompositionSettings().conflict_limit
    adapters = loaded_adapters(engine, tuple(MIXES[0]))
    prompts = {name: adapter.metadata.routing_examples[:3] for name, adapter in adapters.items()}
    meter = InterferenceMeter(engine, prompts, max_tokens=24, use_cache=False)
    for mix in MIXES:
        found = meter.measure(mix)
        print(
            f"{mix}: conflict {found.score:.2f}, {'over' if found.score > limit else 'within'} the limit of {limit:g}"
        )
        for name, effect in found.effects.items():
            lost = f"expected to lose {effect.answers_lost:.0%} of its right answers"
            print(f"  {name}: {lost}; {effect.tokens_kept:.0%} of its tokens stay the likeliest")


if __name__ == "__main__":
    main()
