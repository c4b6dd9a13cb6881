"""Make a PEFT adapter, import it as a signed adapter directory, and answer with it.

Any PEFT LoRA directory works the same way; this one is made on the spot with random weights: expect odd answers. On the
command line: `adaptrix import DIR --name my_adapter --sign`.

    python examples/import_peft.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from peft import LoraConfig, get_peft_model

from adaptrix_core import Engine, SamplingParams
from adaptrix_core.adapters import AdapterManager, TrustPolicy, generate_key_pair
from adaptrix_core.adapters.peft.conversion import import_peft
from adaptrix_core.base import BaseModelManager


def main() -> None:
    """From a PEFT directory to an answer."""
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        manager = BaseModelManager("smollm2-135m", optimize="exactness")  # PEFT needs weights as numbers
        base = manager.load_model()
        config = LoraConfig(
            r=8, target_modules=["q_proj", "up_proj"], layers_to_transform=[10, 14, 18], init_lora_weights=False
        )
        peft_model = get_peft_model(base.module, config)
        peft_model.save_pretrained(str(place / "from_peft"))
        peft_model.unload()

        # In a real project the key pair is made once; the private half stays out of the repository.
        generate_key_pair(place / "me.key", place / "trusted" / "me.pub")
        trust = TrustPolicy("require", trusted_keys_dir=place / "trusted")
        metadata, weights = import_peft(place / "from_peft", base, name="imported", description="An example.")
        AdapterManager(place / "adapters", base, trust).save_adapter(metadata, weights, private_key=place / "me.key")

        engine = Engine(base, place / "adapters", trust)
        question = [{"role": "user", "content": "What is the capital of France?"}]
        params = SamplingParams(max_tokens=16, temperature=0.0)
        for choice, answer in zip(
            (None, "imported"), engine.generate([question] * 2, [None, "imported"], params), strict=True
        ):
            print(f"{choice or 'base'}: {answer.text!r}")


if __name__ == "__main__":
    main()
