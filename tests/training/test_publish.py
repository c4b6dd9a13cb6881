"""From a run to a served adapter: what is published is what was trained, signed, small, and loads under `require`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from adaptrix_core.adapters import AdapterManager, TrustPolicy, generate_key_pair
from adaptrix_core.engine import Engine
from adaptrix_core.training.config import TrainConfig
from adaptrix_core.training.publish import publish, record_metrics
from adaptrix_core.training.run import train
from adaptrix_core.training.run_report import LOSS_CURVE
from tests.tiny_models import byte_tokenizer, random_base


@pytest.mark.integration
def test_a_trained_adapter_is_published_signed_and_served(tmp_path: Path) -> None:
    data = tmp_path / "pairs.jsonl"
    data.write_text("".join(json.dumps({"prompt": f"Say {c}.", "completion": c * 3}) + "\n" for c in "abcdefgh"))
    config = TrainConfig(
        name="letters", output_dir=tmp_path / "run", data=str(data), epochs=20, batch_size=4, rank=4, alpha=8.0,
        layers=(1, 2), learning_rate=1e-2,
    )  # fmt: skip
    base = random_base(tokenizer=byte_tokenizer())
    result = train(config, base)
    assert (tmp_path / "run" / LOSS_CURVE).read_bytes().startswith(b"\x89PNG")
    assert result.final_loss < result.steps[0].loss

    private, public = tmp_path / "signing.key", tmp_path / "trusted" / "me.pub"
    generate_key_pair(private, public)
    published = tmp_path / "adapters" / "letters"
    metadata = publish(
        tmp_path / "run",
        published,
        base,
        config,
        description="Letters.",
        routing_examples=["Say a."],
        private_key=private,
    )
    assert metadata.training["steps"] == len(result.steps) == 40
    assert metadata.training["layers"] == [1, 2]
    assert metadata.target_layers == (1, 2)

    engine = Engine(base, tmp_path / "adapters", TrustPolicy("require", public.parent))
    assert engine.load_adapter("letters").signer == "me"
    recorded = record_metrics(engine.manager, "letters", {"held_out": {"right": 3}}, private)
    assert recorded.performance_metrics == {"held_out": {"right": 3}}
    again = AdapterManager(tmp_path / "adapters", base, TrustPolicy("require", public.parent)).load_adapter("letters")
    assert (again.weights_digest, again.signer, again.metadata) == (metadata.weights_digest, "me", recorded)
    prompt = base.encode_chat([{"role": "user", "content": "Say c."}])
    (served,) = engine.logits([prompt], adapters="letters")
    (unadapted,) = engine.logits([prompt])
    with torch.no_grad():
        reference = PeftModel.from_pretrained(
            random_base(tokenizer=byte_tokenizer()).module, str(tmp_path / "run")
        ).eval()
        wanted = reference(torch.tensor([prompt])).logits[0]
    scale = wanted.abs().max().item()
    # Published in bfloat16, so equal to about three digits of the update, and far from the base.
    assert (served - wanted).abs().max().item() < 0.02 * scale
    assert (unadapted - wanted).abs().max().item() > 0.1 * scale
