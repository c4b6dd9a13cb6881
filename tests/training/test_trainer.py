"""Training on tiny random models: it learns, it resumes, it leaves the base alone, and shortcuts change nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from adaptrix_core.adapters import base_warnings, import_peft
from adaptrix_core.errors import AdaptrixError, ConfigError, TrainingStopped
from adaptrix_core.training.config import TrainConfig
from adaptrix_core.training.examples.conversation import LearntConversation
from adaptrix_core.training.examples.encoding import encode_examples
from adaptrix_core.training.examples.packing import Example
from adaptrix_core.training.trainer import TrainingStep, train_examples
from tests.tiny_models import byte_tokenizer, random_base, random_prompts

PREFIX = (5, 6, 7)


def tiny_examples(count: int = 12) -> list[Example]:
    """Short examples whose answer is three tokens."""
    return [Example(i, (*PREFIX, *own), 3) for i, own in enumerate(random_prompts([9] * count, seed=5))]


def tiny_config(directory: Path, **changes: object) -> TrainConfig:
    """Two layers of the four, three epochs of three steps."""
    settings: dict[str, object] = {
        "name": "tiny", "output_dir": directory, "data": "in memory", "epochs": 3, "batch_size": 4, "rank": 4,
        "alpha": 8.0, "layers": (2, 3), "learning_rate": 5e-3, "checkpoint_every": 2,
    }  # fmt: skip
    return TrainConfig(**{**settings, **changes})  # type: ignore[arg-type]


def weights_in(directory: Path) -> dict[str, torch.Tensor]:
    return load_file(directory / "adapter_model.safetensors")


def assert_same_weights(one: Path, other: Path, tolerance: float = 0.0) -> None:
    first, second = weights_in(one), weights_in(other)
    assert first.keys() == second.keys()
    for name, tensor in first.items():
        assert torch.allclose(tensor, second[name], rtol=0, atol=tolerance), name


def test_it_learns_the_answers(tmp_path: Path) -> None:
    result = train_examples(random_base(), tiny_examples(), tiny_config(tmp_path, epochs=30))
    assert result.final_loss < 0.5 * result.steps[0].loss
    assert result.layers == (2, 3)


def test_the_loss_is_the_mean_cross_entropy_of_answer_tokens(tmp_path: Path) -> None:
    base, examples = random_base(), tiny_examples(4)
    with torch.no_grad():
        total = 0.0
        for example in examples:
            logits = base.module(torch.tensor([example.token_ids])).logits[0, -4:-1]
            total += torch.nn.functional.cross_entropy(
                logits, torch.tensor(example.token_ids[-3:]), reduction="sum"
            ).item()
    result = train_examples(base, examples, tiny_config(tmp_path, epochs=1))
    assert result.steps[0].loss == pytest.approx(total / 12, rel=1e-4)


def test_the_base_is_as_it_was(tmp_path: Path) -> None:
    base = random_base()
    before = {name: tensor.clone() for name, tensor in base.module.state_dict().items()}
    train_examples(base, tiny_examples(), tiny_config(tmp_path, epochs=1, gradient_checkpointing=True))
    after = base.module.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not base.module.training
    assert not any(p.requires_grad for p in base.module.parameters())


@pytest.mark.parametrize("variant", ["llama", "gpt2", "qwen3"])
def test_reusing_the_trunk_changes_nothing(variant: str, tmp_path: Path) -> None:
    kept = train_examples(random_base(variant), tiny_examples(), tiny_config(tmp_path / "a"))
    fresh = train_examples(random_base(variant), tiny_examples(), tiny_config(tmp_path / "b", reuse_trunk=False))
    assert_same_weights(tmp_path / "a", tmp_path / "b", tolerance=1e-4)
    assert kept.steps[-1].loss == pytest.approx(fresh.steps[-1].loss, rel=1e-3)
    assert kept.trunk_layer_tokens_reused > kept.trunk_layer_tokens > 0
    assert fresh.trunk_layer_tokens == fresh.trunk_layer_tokens_reused == 0


def test_gradient_checkpointing_changes_nothing(tmp_path: Path) -> None:
    train_examples(random_base(), tiny_examples(), tiny_config(tmp_path / "a"))
    train_examples(random_base(), tiny_examples(), tiny_config(tmp_path / "b", gradient_checkpointing=True))
    assert_same_weights(tmp_path / "a", tmp_path / "b", tolerance=1e-5)


class StoppedError(Exception):
    """What interrupts a run in a test."""


def test_a_run_that_is_cut_off_goes_on_where_its_checkpoint_was(tmp_path: Path) -> None:
    def stop(step: TrainingStep, total: int) -> None:
        if step.number == 4:
            raise StoppedError

    train_examples(random_base(), tiny_examples(), tiny_config(tmp_path / "whole"))
    with pytest.raises(StoppedError):
        train_examples(random_base(), tiny_examples(), tiny_config(tmp_path / "cut"), stop)
    taken: list[int] = []
    train_examples(
        random_base(), tiny_examples(), tiny_config(tmp_path / "cut"), lambda step, total: taken.append(step.number)
    )
    assert taken == [4, 5, 6, 7, 8]  # the checkpoint was after four steps; the fifth had none
    assert_same_weights(tmp_path / "whole", tmp_path / "cut", tolerance=5e-4)  # the trunk is summed in another order


def test_a_run_that_is_asked_to_stop_keeps_every_step(tmp_path: Path) -> None:
    taken: list[int] = []
    with pytest.raises(TrainingStopped, match=r"tiny stopped after 3 of 9 steps.*the same command"):
        train_examples(
            random_base(),
            tiny_examples(),
            tiny_config(tmp_path / "cut", checkpoint_every=100),
            lambda step, total: taken.append(step.number),
            should_stop=lambda: len(taken) == 3,
        )
    result = train_examples(
        random_base(),
        tiny_examples(),
        tiny_config(tmp_path / "cut"),
        lambda step, total: taken.append(step.number),
    )
    assert taken == list(range(9))
    assert result.first_step == 3
    train_examples(random_base(), tiny_examples(), tiny_config(tmp_path / "whole"))
    assert_same_weights(tmp_path / "whole", tmp_path / "cut", tolerance=5e-4)  # the trunk is summed in another order


def test_a_run_that_has_ended_is_not_trained_again(tmp_path: Path) -> None:
    def forbidden(step: TrainingStep, total: int) -> None:
        raise StoppedError

    examples = tiny_examples(10)
    first = train_examples(random_base(), examples[:8], tiny_config(tmp_path), held_out=examples[8:])
    again = train_examples(random_base(), examples[:8], tiny_config(tmp_path), forbidden, held_out=examples[8:])
    assert again.first_step == len(first.steps) == 6
    assert again.final_loss == pytest.approx(first.final_loss, abs=1e-5)
    assert [v.steps for v in again.validation] == [v.steps for v in first.validation]
    for other in (tiny_config(tmp_path, learning_rate=1e-3), tiny_config(tmp_path, epochs=4)):
        with pytest.raises(StoppedError):
            train_examples(random_base(), examples[:8], other, forbidden, held_out=examples[8:])
    with pytest.raises(StoppedError):
        train_examples(random_base(seed=1), examples[:8], tiny_config(tmp_path), forbidden, held_out=examples[8:])


def test_a_full_disk_ends_the_run_and_leaves_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = torch.save

    def full(state: dict[str, list[object]], path: Path) -> None:
        if len(state["steps"]) > 2:
            path.write_bytes(b"half a checkpoint")
            raise RuntimeError("[enforce fail at inline_container.cc:603] . PytorchStreamWriter failed writing file")
        save(state, path)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(AdaptrixError, match=r"no checkpoint could be written.*after 4 steps") as raised:
        train_examples(random_base(), tiny_examples(), tiny_config(tmp_path))
    assert raised.value.code == "checkpoint_failed"
    monkeypatch.setattr(torch, "save", save)
    assert [path.name for path in tmp_path.glob("checkpoint*")] == ["checkpoint.pt"]
    assert train_examples(random_base(), tiny_examples(), tiny_config(tmp_path)).first_step == 2


def test_a_loss_that_is_not_a_number_ends_the_run_at_once(tmp_path: Path) -> None:
    base = random_base()
    with torch.no_grad():
        base.module.get_output_embeddings().weight[:] = float("inf")
    with pytest.raises(AdaptrixError, match="diverged") as raised:
        train_examples(base, tiny_examples(), tiny_config(tmp_path))
    assert raised.value.code == "training_diverged"


def test_what_is_saved_names_the_base_and_no_place(tmp_path: Path) -> None:
    base = random_base()
    base.module.config._name_or_path = base.module.name_or_path = str(tmp_path / "cache")
    train_examples(base, tiny_examples(), tiny_config(tmp_path / "run"))
    settings = json.loads((tmp_path / "run" / "adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == base.info.lineage
    assert base_warnings(tmp_path / "run", base) == ()


@pytest.mark.integration
def test_a_run_that_is_killed_goes_on(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from tests.training.test_trainer import *\n"
        "def slow(step, total): print(step.number, flush=True); time.sleep(0.2)\n"
        "train_examples(random_base(), tiny_examples(), tiny_config(Path(sys.argv[1])), slow)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "cut")],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert child.stdout is not None
    for line in child.stdout:
        if line.strip() == "5":
            os.kill(child.pid, signal.SIGKILL)
            break
    assert child.wait() == -signal.SIGKILL
    child.stdout.close()
    train_examples(random_base(), tiny_examples(), tiny_config(tmp_path / "whole"))
    train_examples(random_base(), tiny_examples(), tiny_config(tmp_path / "cut"))
    assert_same_weights(tmp_path / "whole", tmp_path / "cut", tolerance=5e-4)  # the trunk is summed in another order


@pytest.mark.parametrize("change", ["settings", "data"])
def test_a_checkpoint_of_another_run_is_refused(change: str, tmp_path: Path) -> None:
    def stop(step: TrainingStep, total: int) -> None:
        if step.number == 3:
            raise StoppedError

    config, examples = tiny_config(tmp_path), tiny_examples()
    with pytest.raises(StoppedError):
        train_examples(random_base(), examples, config, stop)
    if change == "settings":
        config = replace(config, learning_rate=1e-3)
    else:
        examples[0] = replace(examples[0], token_ids=(*PREFIX, *([9] * 9)))
    with pytest.raises(ConfigError, match="other settings or data"):
        train_examples(random_base(), examples, config)


def test_what_is_saved_is_what_was_trained(tmp_path: Path) -> None:
    base = random_base()
    result = train_examples(base, tiny_examples(), tiny_config(tmp_path, modules=("self_attn.q_proj", "mlp.up_proj")))
    metadata, weights = import_peft(tmp_path, base, name="tiny")
    assert set(weights.points) == {(layer, m) for layer in (2, 3) for m in ("self_attn.q_proj", "mlp.up_proj")}
    assert sum(w.lora_a.numel() + w.lora_b.numel() for w in weights.points.values()) == result.trainable_parameters
    assert metadata.points["2.self_attn.q_proj"].scaling == 2.0


def test_examples_end_with_the_end_token_and_long_ones_are_left_out() -> None:
    tokenizer = byte_tokenizer()
    base = random_base(tokenizer=tokenizer)
    pairs = [LearntConversation.of_pair("Say a.", "a"), LearntConversation.of_pair("Say a lot.", "a " * 200)]
    (example,) = encode_examples(base, pairs, max_tokens=60)
    assert example.index == 0
    assert example.token_ids[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(example.token_ids[-example.answer_length : -1]) == "a"
    with pytest.raises(ConfigError, match="none of 2 examples is that short"):
        encode_examples(base, pairs, max_tokens=3)


def test_examples_longer_than_the_attention_window_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="window is 6"):
        train_examples(random_base("mistral"), tiny_examples(), tiny_config(tmp_path))


def test_a_run_can_start_from_an_earlier_one_of_the_same_shape(tmp_path: Path) -> None:
    first = train_examples(random_base(), tiny_examples(), tiny_config(tmp_path / "a", epochs=30))
    second = train_examples(
        random_base(), tiny_examples(), tiny_config(tmp_path / "b", epochs=1, init_from=first.directory)
    )
    assert second.steps[0].loss < 0.7 * first.steps[0].loss
    with pytest.raises(ConfigError, match="other layers, modules or rank"):
        train_examples(random_base(), tiny_examples(), tiny_config(tmp_path / "c", rank=2, init_from=first.directory))
    with pytest.raises(ConfigError, match="init_from"):
        tiny_config(tmp_path / "d", init_from=tmp_path / "nowhere")
