"""Families are found by name and imported one at a time; a package of others can add one, with all that it can be."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from gguf import GGUFWriter
from transformers import SmolLM3Config

from adaptrix_core.base import BaseModelManager
from adaptrix_core.base.families import Family, lookup
from adaptrix_core.base.families.lookup import family_of
from adaptrix_core.base.packed_model import PackedModel
from adaptrix_core.errors import BaseModelError, ExtensionError
from adaptrix_core.extensions import MODEL_FAMILIES
from tests import tiny_models
from tests.base import gguf_files
from tests.engine.peft_cases import CHOICES, TOLERANCE, build_case, logits_of, relative_error
from tests.outside_packages import Install

SMOLLM3 = """
from adaptrix_core.base.families import Family, GGUFArchitecture, PackedLayers
from adaptrix_core.base.families.packed_layers import NORMS

def fields(keys):
    return keys.shape() | {"model_type": "smollm3", "rope_parameters": keys.rope(), "no_rope_layers": [1] * keys.layers}

def halved(name, values, config):
    return values / 2 if name.endswith("norm.weight") else values

family = Family("smollm3", packed=PackedLayers(NORMS), gguf=GGUFArchitecture("smollm3", fields, values=halved))
"""
"""A family that transformers knows and Adaptrix does not; its files are said to have norms of twice the size."""

ROPE = {"rope_type": "default", "rope_theta": 10_000.0}


def configuration() -> SmolLM3Config:
    shape = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2}
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1, "vocab_size": 288, "max_position_embeddings": 64}
    layers = {"intermediate_size": 96, "initializer_range": 0.3, "no_rope_layers": [1] * 4, "rope_parameters": ROPE}
    return SmolLM3Config(**shape, **ids, **layers, tie_word_embeddings=False)


@pytest.fixture
def smollm3(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process in which a package with that family is installed, and its random models in the tests' table."""
    install("smollm3_package", SMOLLM3, MODEL_FAMILIES.group, smollm3="family")
    as_a_new_process_has_it(monkeypatch)
    monkeypatch.setitem(tiny_models.CONFIGS, "smollm3", configuration)
    monkeypatch.setitem(gguf_files.ARCHITECTURES, "smollm3", "smollm3")


def as_a_new_process_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look for installed families anew."""
    fresh = copy.copy(MODEL_FAMILIES)
    vars(fresh).pop("_installed", None)
    vars(fresh)["_loaded"] = {}
    monkeypatch.setattr(lookup, "MODEL_FAMILIES", fresh)


@pytest.mark.parametrize("model_type", MODEL_FAMILIES.names())
def test_every_family_is_where_the_table_says(model_type: str) -> None:
    assert isinstance(family_of(model_type), Family)


def test_only_the_family_that_is_asked_for_is_imported() -> None:
    code = """
import sys
from adaptrix_core.base.families.lookup import family_of
family_of("llama")
print(*(name for name in sys.modules if name.startswith("adaptrix_core.base.") or name == "gguf"))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "adaptrix_core.base.families.llama" in loaded
    others = {f"adaptrix_core.base.families.{name}" for name in ("qwen", "gemma", "phi3", "gpt2", "gpt_neox", "opt")}
    assert not loaded & {*others, "gguf", "adaptrix_core.base.gguf.keys"}


@pytest.mark.usefixtures("smollm3")
def test_a_family_of_another_package_computes_what_peft_computes(tmp_path: Path) -> None:
    case = build_case("smollm3", tmp_path)
    for tokens, adapter, logits in zip(
        case.prompts, CHOICES, case.engine.logits(case.prompts, CHOICES, "chunked"), strict=True
    ):
        assert relative_error(logits, case.peft_logits(tokens, adapter)) < TOLERANCE
    case.engine.loader.close()


@pytest.mark.usefixtures("smollm3")
def test_its_files_are_read_as_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTRIX_CACHE", str(tmp_path / "cache"))
    module = tiny_models.random_module("smollm3", vocab_size=288)
    as_written = copy.deepcopy(module)
    with torch.no_grad():
        for name, weight in as_written.state_dict().items():
            if name.endswith("norm.weight"):
                weight.mul_(2)
    path = gguf_files.write_gguf(tmp_path / "m.gguf", as_written)
    tokens = list(range(2, 40))
    numbers = BaseModelManager(str(path), device="cpu", precision="fp32").load_model()
    assert relative_error(logits_of(numbers.module, tokens), logits_of(module, tokens)) < TOLERANCE
    packed = BaseModelManager(str(path), device="cpu", precision="int8").load_model()
    if isinstance(packed, PackedModel):  # where there are kernels
        norm = packed.weights.vectors["layers.2.post_norm"]
        assert torch.equal(norm, module.state_dict()["model.layers.2.post_attention_layernorm.weight"])


@pytest.mark.usefixtures("smollm3")
def test_an_unknown_family_is_refused_naming_those_of_other_packages_too(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match=r"'bloom' is not known; known families: gemma2.*, smollm3"):
        family_of("bloom")
    path = tmp_path / "m.gguf"
    writer = GGUFWriter(path, "mamba")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    with pytest.raises(BaseModelError, match=r"'mamba'.*not one of llama, qwen2, .*gptneox, smollm3"):
        BaseModelManager(str(path), device="cpu", precision="fp32").load_model()


def test_what_is_no_family_is_refused_naming_its_package(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    install("odd_package", "family = 'smollm3'", MODEL_FAMILIES.group, smollm3="family")
    as_a_new_process_has_it(monkeypatch)
    with pytest.raises(ExtensionError, match=r"'smollm3' of odd_package 1\.0 .*has no modules"):
        family_of("smollm3")
