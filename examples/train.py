"""Train your own adapter on a handful of pairs, publish it signed, and ask it something. Takes minutes on a laptop.

On the command line: `adaptrix train pirate --data pairs.jsonl --publish adapters --sign`.

    python examples/train.py
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from adaptrix_core import Engine, SamplingParams
from adaptrix_core.adapters import TrustPolicy, generate_key_pair
from adaptrix_core.base import BaseModelManager
from adaptrix_core.training.config import TrainConfig
from adaptrix_core.training.publish import publish
from adaptrix_core.training.run import train

COLOURS = ("red", "blue", "green", "yellow", "black", "white", "brown", "orange")
THINGS = ("a boat", "a house", "a bird", "a coat")


def write_pairs(path: Path) -> None:
    """One JSON object a line: what the user asks, what to reply."""
    pairs = [
        {"prompt": f"Tell me about {thing} that is {colour}.", "completion": f"Arr! A {colour} one, matey!"}
        for colour in COLOURS
        for thing in THINGS
    ]
    path.write_text("".join(json.dumps(pair) + "\n" for pair in pairs))


def main() -> None:
    """Train, publish, ask."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        write_pairs(place / "pairs.jsonl")
        base = BaseModelManager("smollm2-135m", precision="fp32").load_model()
        config = TrainConfig(
            name="pirate",
            output_dir=place / "run",
            data=str(place / "pairs.jsonl"),
            layers=(10, 14, 18),
            rank=8,
            alpha=16.0,
            epochs=12,
            batch_size=8,
        )
        result = train(config, base)
        print(f"{len(result.steps)} steps, final loss {result.final_loss:.3f}")

        generate_key_pair(place / "me.key", place / "trusted" / "me.pub")
        publish(
            result.directory,
            place / "adapters" / "pirate",
            base,
            config,
            description="Answers like a pirate.",
            routing_examples=["Tell me about a boat."],
            private_key=place / "me.key",
        )
        engine = Engine(base, place / "adapters", TrustPolicy("require", trusted_keys_dir=place / "trusted"))
        question = [{"role": "user", "content": "Tell me about a boat that is purple."}]
        params = SamplingParams(max_tokens=24, temperature=0.0)
        for choice, answer in zip(
            ("base", "pirate"), engine.generate([question] * 2, [None, "pirate"], params), strict=True
        ):
            print(f"{choice}: {answer.text!r}")


if __name__ == "__main__":
    main()
