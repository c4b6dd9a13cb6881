"""Give a sequence of adapters a name and a signature, and ask it as one asks an adapter.

python examples/composition/named_sequence.py

On the command line that is `adaptrix compose two_steps --file two_steps.json --sign`; `adaptrix publish` then sends its
directory to a server.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from adaptrix_core import Engine, SamplingParams
from adaptrix_core.adapters import AdapterManager, TrustPolicy, generate_key_pair
from adaptrix_core.composition.manifests.making import made
from adaptrix_core.places import shipped_adapters, shipped_keys

COMPOSITION = {"sequential": ["math_reasoning", "math_reasoning"], "plan": "auto"}
QUESTION = "How many legs do 3 dogs have? Then add 5 to the result."


def main() -> None:
    """Sign a composition over a copy of the shipped adapter with a key of our own, and let it answer in two steps."""
    with TemporaryDirectory() as place:
        keys, catalogue = Path(place) / "trusted_keys", Path(place) / "adapters"
        shutil.copytree(shipped_keys(), keys)
        shutil.copytree(shipped_adapters() / "math_reasoning", catalogue / "math_reasoning")
        key = Path(place) / "ours.key"
        generate_key_pair(key, keys / "ours.pub")

        trust = TrustPolicy("require", keys)
        manager = AdapterManager(catalogue, None, trust)
        manifest = made(manager, "two_steps", COMPOSITION, description="Sums that need two steps")
        print("signed:", manager.save_composition(manifest, private_key=key).name, manifest.identity)

        engine = Engine.from_pretrained("smollm2-135m", adapters_dir=catalogue, trust=trust)
        params = SamplingParams(max_tokens=96, temperature=0.0)
        (answer,) = engine.generate([[{"role": "user", "content": QUESTION}]], "two_steps", params)
        for number, step in enumerate(answer.made_of):
            print(f"step {number}: {step.text!r}")


if __name__ == "__main__":
    main()
