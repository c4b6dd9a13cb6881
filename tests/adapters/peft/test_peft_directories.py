"""What people give in place of a PEFT directory is called by its name, with what to do next; what it brings is told."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from adaptrix_core.adapters import AdapterManager, TrustPolicy, base_warnings, import_peft
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.peft.directory import peft_snapshot
from adaptrix_core.adapters.sources.local import LocalDirectory
from adaptrix_core.base import BaseModel
from adaptrix_core.errors import AdapterRejected
from deployments.store.package_files import read_directory
from tests.adapters.peft_directories import edit_config, edit_tensors
from tests.tiny_models import byte_tokenizer, random_module

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
PREFIX = "base_model.model.model.layers.1.self_attn.q_proj"


def refusal(call: Callable[[], object]) -> AdapterRejected:
    with pytest.raises(AdapterRejected) as refused:
        call()
    return refused.value


def move_to(plain: Path, module: str) -> None:
    edit_tensors(
        plain, lambda t: t.update({k.replace("model.layers.1.self_attn.q_proj", module): t.pop(k) for k in [*t]})
    )


def as_mlx(plain: Path) -> None:
    (plain / "adapter_model.safetensors").rename(plain / "adapters.safetensors")
    (plain / "adapter_config.json").write_text(json.dumps({"fine_tune_type": "lora", "lora_parameters": {"rank": 8}}))


SPOILT: dict[str, tuple[str, Callable[[Path], object], tuple[str, ...]]] = {
    "LoRA on the head": ("unknown_module", lambda p: move_to(p, "lm_head"), ("output head", "without the head")),
    "a git-lfs pointer": (
        "bad_safetensors",
        lambda p: (p / "adapter_model.safetensors").write_text(POINTER),
        ("git-lfs pointer", "git lfs pull"),
    ),
    "a config that is a pointer": (
        "bad_peft",
        lambda p: (p / "adapter_config.json").write_text(POINTER),
        ("git-lfs pointer", "git lfs pull"),
    ),
    "mlx": ("bad_peft", as_mlx, ("mlx-lm", "mlx_lm.fuse")),
    "pickled weights": (
        "bad_peft",
        lambda p: (p / "adapter_model.safetensors").rename(p / "adapter_model.bin"),
        ("pickle", "save_pretrained"),
    ),
    "names of torchtune": (
        "unexpected_tensor",
        lambda p: edit_tensors(p, lambda t: t.update({"layers.0.attn.q_proj.lora_a.weight": torch.ones(1, 1)})),
        ("torchtune", "PEFT's format"),
    ),
    "names without PEFT's prefix": (
        "unexpected_tensor",
        lambda p: edit_tensors(p, lambda t: t.update({"model.layers.0.q.lora_A.weight": torch.ones(1, 1)})),
        ("base_model.model.", "with PEFT"),
    ),
    "a whole embedding": (
        "unsupported_peft_feature",
        lambda p: edit_tensors(p, lambda t: t.update({"base_model.model.model.embed_tokens.weight": torch.ones(2, 2)})),
        ("whole embedding", "tokens were added"),
    ),
}


@pytest.mark.parametrize("case", SPOILT)
def test_a_refusal_names_the_true_cause_and_the_next_step(plain: Path, base: BaseModel, case: str) -> None:
    code, spoil, said = SPOILT[case]
    spoil(plain)
    error = refusal(lambda: import_peft(plain, base, "x"))
    assert error.code == code
    assert all(part in error.message for part in said), error.message


def checkpoints(directory: Path, plain: Path) -> None:
    for step in (20, 100):
        shutil.copytree(plain, directory / f"checkpoint-{step}")


OTHERS: dict[str, tuple[Callable[[Path, Path], object], tuple[str, ...]]] = {
    "a parent of checkpoints": (checkpoints, ("2 adapters", "checkpoint-20, checkpoint-100", "run/checkpoint-100'")),
    "torchtune": (lambda d, _: (d / "adapter_0.pt").write_bytes(b"x"), ("torchtune", "FullModelHFCheckpointer")),
    "a GGUF adapter": (lambda d, _: (d / "lora.gguf").write_bytes(b"GGUF"), ("llama.cpp", "PEFT directory")),
    "mlx": (lambda d, _: (d / "adapters.npz").write_bytes(b"x"), ("mlx_lm.fuse",)),
    "a whole model": (lambda d, _: random_module().save_pretrained(d), ("whole model", "base model")),
}


@pytest.mark.parametrize("case", OTHERS)
def test_another_directory_is_called_what_it_is(plain: Path, base: BaseModel, tmp_path: Path, case: str) -> None:
    make, said = OTHERS[case]
    run = tmp_path / "run"
    run.mkdir()
    make(run, plain)
    manager = AdapterManager(None, base, TrustPolicy("off"))
    for read in (manager.load_adapter, read_directory):
        error = refusal(lambda read=read: read(run))
        assert error.code == "not_an_adapter"
        assert all(part in error.message for part in said), error.message


def test_a_pointer_in_place_of_our_own_layer_file_is_called_so(base: BaseModel, tmp_path: Path, make_weights) -> None:
    from adaptrix_core.adapters import describe

    manager = AdapterManager(tmp_path, base, TrustPolicy("off"))
    weights = make_weights(base)
    manager.save_adapter(describe(weights, base.info, "mine"), weights)
    (tmp_path / "mine" / "layer_1.safetensors").write_text(POINTER)
    assert "git lfs pull" in refusal(lambda: manager.load_adapter("mine")).message


def test_signing_or_checking_a_peft_directory_says_that_it_is_imported_first(plain: Path, base: BaseModel) -> None:
    (fault,) = AdapterManager(None, base).validate_adapter(plain).faults
    assert fault[0] == "not_an_adapter"
    assert f"adaptrix import {plain} --sign" in fault[1]


def test_messages_about_a_download_call_it_what_the_user_called_it(plain: Path, base: BaseModel) -> None:
    edit_config(plain, use_dora=True)
    error = refusal(lambda: import_peft(peft_snapshot(LocalDirectory(plain), origin="org/name@v1"), base, "x"))
    assert error.message.startswith("org/name@v1: ")
    assert plain.name not in error.message.split(":")[0]


# --- the tokenizer that an adapter brings -----------------------------------------------------------------------------

TEMPLATE = "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}"


def tokenizer(template: str = TEMPLATE, **changes: str) -> PreTrainedTokenizerFast:
    made = byte_tokenizer()
    made.chat_template = template
    for name, value in changes.items():
        setattr(made, name, value)
    return made


@pytest.fixture
def spoken(plain: Path) -> tuple[Path, BaseModel]:
    """A PEFT directory, and a base with a tokenizer and a template of its own (its weights do not matter here)."""
    own = tokenizer()
    return plain, BaseModel.from_module(random_module(vocab_size=len(own)), own)


def told(directory: Path | Snapshot, base: BaseModel) -> list[str]:
    return [warning for warning in base_warnings(directory, base) if warning.startswith("peft_tokenizer:")]


def legacy_files(directory: Path) -> None:
    own = {"chat_template": "other", "added_tokens_decoder": {"9": {"content": "<|new|>"}}, "eos_token": "<|new|>"}
    (directory / "tokenizer_config.json").write_text(json.dumps(own))


BRINGS: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "a template": (lambda d: tokenizer("other").save_pretrained(d), ("a chat template",)),
    "an end token": (lambda d: tokenizer(eos_token="the").save_pretrained(d), ("end tokens (the)",)),
    "an end token id": (
        lambda d: (d / "generation_config.json").write_text('{"eos_token_id": [0, 7]}'),
        ("end tokens (7)",),
    ),
    "added tokens": (
        lambda d: (lambda own: (own.add_tokens(["<|a|>", "<|b|>"]), own.save_pretrained(d)))(tokenizer()),
        ("added tokens (<|a|>, <|b|>)",),
    ),
    "files of older versions": (legacy_files, ("a chat template and end tokens (<|new|>) and added tokens (<|new|>)",)),
}


@pytest.mark.parametrize("case", BRINGS)
def test_one_line_tells_what_of_an_adapters_own_tokenizer_is_left_aside(spoken, case: str) -> None:
    directory, base = spoken
    make, said = BRINGS[case]
    make(directory)
    (warning,) = told(directory, base)
    assert all(part in warning for part in said), warning
    copied = peft_snapshot(LocalDirectory(directory))
    rest = Snapshot(directory.name, dict(copied.files))
    assert told(rest, base) == [warning], "what travels says the same"


def test_the_bases_own_tokenizer_beside_an_adapter_is_no_cause_to_warn(spoken) -> None:
    directory, base = spoken
    tokenizer().save_pretrained(directory)
    assert told(directory, base) == []


def test_a_vocabulary_of_any_size_is_not_read_for_its_added_tokens(spoken) -> None:
    directory, base = spoken
    added = [{"id": 9, "content": "<|new|>", "special": True}]
    head = json.dumps({"version": "1.0", "added_tokens": added})[:-1]
    (directory / "tokenizer.json").write_text(head + ', "model": ' + "[" * 50_000_000)
    before = time.process_time()
    (warning,) = told(directory, base)
    assert "added tokens (<|new|>)" in warning
    assert time.process_time() - before < 0.5


@pytest.mark.parametrize(
    "name", ["tokenizer_config.json", "tokenizer.json", "generation_config.json", "adapter_tokenizer.json"]
)
@pytest.mark.parametrize(
    "content",
    ["[" * 50_000, "[1]", '"added_tokens": [', '{"eos_token_id": "x", "eos_token": 3, "chat_template": 3}', ""],
)
def test_no_content_of_these_files_stops_a_load(spoken, name: str, content: str) -> None:
    directory, base = spoken
    (directory / name).write_text(content)
    assert told(directory, base) == []


def test_a_directory_written_from_a_snapshot_makes_the_same_snapshot(spoken, tmp_path: Path) -> None:
    directory, _ = spoken
    tokenizer("other").save_pretrained(directory)
    first = peft_snapshot(LocalDirectory(directory))
    (tmp_path / "copy").mkdir()
    for name, data in first.files.items():
        (tmp_path / "copy" / name).write_bytes(data)
    assert peft_snapshot(LocalDirectory(tmp_path / "copy")).package_digest == first.package_digest


@pytest.mark.parametrize("field", [{"merge_weights": True}, {"lora_dtype": "float32"}, {"lorap_lr_ratio": 16.0}])
def test_fields_that_say_nothing_of_the_result_are_accepted(plain: Path, base: BaseModel, field: dict) -> None:
    before = import_peft(plain, base, "x")[1]
    edit_config(plain, **field)
    assert import_peft(plain, base, "x")[1].weights_digest == before.weights_digest
