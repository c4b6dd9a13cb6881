"""PEFT in and out, against PEFT itself: equal logits, and nothing taken in that we would compute differently."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable

import pytest
import safetensors.torch
import torch
from peft import PeftModel

from adaptrix_core.adapters import (
    AdapterManager,
    TrustPolicy,
    base_warnings,
    export_peft,
    import_peft,
    is_peft_directory,
    usable_name,
)
from adaptrix_core.errors import AdapterRejected
from adaptrix_core.injection.lora import LoraWeights, PointWeights
from tests.adapters.peft_directories import (
    TOKENS,
    assert_equal_logits,
    edit_config,
    edit_tensors,
    make_peft,
    our_logits,
)

FUSED = {"gpt2": ["c_attn"], "phi3": ["qkv_proj", "gate_up_proj"], "gpt_neox": ["query_key_value"]}
MODULES = {
    "llama": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    "gpt2": ["c_attn", "attn.c_proj", "c_fc", "mlp.c_proj"],
    "phi3": ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"],
    "gpt_neox": ["query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"],
    "opt": ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"],
}
CONFIGS: dict[str, Callable[[str], dict]] = {
    "all modules": lambda family: {"target_modules": MODULES[family]},
    "two layers": lambda family: {"target_modules": MODULES[family], "layers_to_transform": [1, 3]},
    "one layer, given as a number": lambda family: {"target_modules": MODULES[family][:1], "layers_to_transform": 2},
    "all-linear": lambda family: {"target_modules": "all-linear"},
    "a regular expression": lambda family: {"target_modules": rf".*\.[12]\..*({'|'.join(MODULES[family][:2])})"},
    "without some": lambda family: {"target_modules": "all-linear", "exclude_modules": MODULES[family][1:]},
    "rsLoRA": lambda family: {"target_modules": MODULES[family], "use_rslora": True},
    "patterns": lambda family: {
        "target_modules": MODULES[family],
        # Patterns that don't overlap: PEFT sorts them when it saves, so the first match may change.
        "rank_pattern": {MODULES[family][0]: 5, rf"1\..*{MODULES[family][1]}": 2},
        "alpha_pattern": {MODULES[family][-1]: 7, MODULES[family][0]: 3},
    },
    "rsLoRA with patterns": lambda family: {
        "target_modules": MODULES[family],
        "use_rslora": True,
        "rank_pattern": {MODULES[family][0]: 5},
        "alpha_pattern": {MODULES[family][0]: 3},
    },
    "layers by pattern": lambda family: {
        "target_modules": MODULES[family],
        "layers_to_transform": [2],
        "layers_pattern": "h" if family == "gpt2" else "layers",
    },
}


@pytest.mark.parametrize("family", MODULES)
@pytest.mark.parametrize("config", CONFIGS)
def test_an_adapter_computes_the_same_in_peft_imported_and_exported_again(tmp_path, make_base, family, config):
    base = make_base(family)
    theirs = make_peft(base, tmp_path / "peft", **CONFIGS[config](family))
    _, weights = import_peft(tmp_path / "peft", base, "x")
    assert_equal_logits(our_logits(base, weights), theirs, base)
    export_peft(weights, base, tmp_path / "out")
    loaded = PeftModel.from_pretrained(copy.deepcopy(base.module), tmp_path / "out").eval()
    with torch.inference_mode():
        assert_equal_logits(loaded(TOKENS).logits[0], theirs, base)
    again = import_peft(tmp_path / "out", base, "x")[1]
    assert again.points.keys() == weights.points.keys()
    for point, value in weights.points.items():
        assert torch.equal(again.points[point].lora_a, value.lora_a)
        assert torch.equal(again.points[point].lora_b, value.lora_b)
        assert again.points[point].scaling == pytest.approx(value.scaling, rel=1e-12)


@pytest.mark.parametrize("family", FUSED)
def test_parts_of_a_fused_module_that_share_one_a_are_exported_with_one_a(tmp_path, make_base, family):
    base = make_base(family)
    make_peft(base, tmp_path / "peft", target_modules=FUSED[family])
    _, weights = import_peft(tmp_path / "peft", base, "x")
    export_peft(weights, base, tmp_path / "out")
    before = safetensors.torch.load_file(tmp_path / "peft" / "adapter_model.safetensors")
    after = safetensors.torch.load_file(tmp_path / "out" / "adapter_model.safetensors")
    assert before.keys() == after.keys()
    for key, tensor in before.items():
        assert torch.equal(after[key], tensor)


@pytest.mark.parametrize("family", FUSED)
@pytest.mark.parametrize("same_scaling", [True, False])
def test_parts_with_their_own_rank_and_a_are_stacked_block_by_block(tmp_path, make_base, family, same_scaling):
    base = make_base(family)
    generator = torch.Generator().manual_seed(0)
    points = {}
    for index, (name, rank) in enumerate([("self_attn.q_proj", 3), ("self_attn.v_proj", 2)]):
        spec = base.points[1, name]
        points[1, name] = PointWeights(
            torch.randn(rank, spec.d_in, generator=generator),
            torch.randn(spec.d_out, rank, generator=generator),
            1.5 if same_scaling else 1.5 + index,
        )
    weights = LoraWeights(points)
    export_peft(weights, base, tmp_path / "out")
    loaded = PeftModel.from_pretrained(copy.deepcopy(base.module), tmp_path / "out").eval()
    with torch.inference_mode():
        assert_equal_logits(our_logits(base, weights), loaded(TOKENS).logits[0], base)
    again = import_peft(tmp_path / "out", base, "x")[1]
    assert {point: value.rank for point, value in again.points.items()} == {
        (1, "self_attn.q_proj"): 3,
        (1, "self_attn.v_proj"): 2,
    }
    if same_scaling:
        assert again.weights_digest == weights.weights_digest
    assert_equal_logits(our_logits(base, again), our_logits(base, weights), base)


def test_an_arbitrary_set_of_points_survives_export(tmp_path, base, make_weights):
    weights = make_weights(base, [(0, "self_attn.q_proj"), (2, "mlp.down_proj"), (3, "self_attn.q_proj")])
    export_peft(weights, base, tmp_path / "out")
    assert import_peft(tmp_path / "out", base, "x")[1].weights_digest == weights.weights_digest
    loaded = PeftModel.from_pretrained(copy.deepcopy(base.module), tmp_path / "out").eval()
    with torch.inference_mode():
        assert_equal_logits(our_logits(base, weights), loaded(TOKENS).logits[0], base)


def test_a_few_layers_are_exported_the_way_other_servers_read(tmp_path, base, make_weights):
    weights = make_weights(base, [(1, "self_attn.q_proj"), (2, "self_attn.q_proj")])
    export_peft(weights, base, tmp_path / "out")
    config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
    assert (config["layers_to_transform"], config["target_modules"]) == ([1, 2], ["self_attn.q_proj"])


KEY = "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight"
PREFIX = "base_model.model.model.layers.1.self_attn.q_proj"

UNSUPPORTED = {
    "use_dora": True,
    "bias": "lora_only",
    "modules_to_save": ["lm_head"],
    "lora_bias": True,
    "trainable_token_indices": [1, 2],
    "target_parameters": ["mlp.experts"],
    "megatron_config": {"tensor_parallel": 2},
    "layer_replication": [[0, 4], [2, 5]],
    "use_qalora": True,
    "arrow_config": {"top_k": 3},
    "kasa_config": {"rank": 2},
    "velora_config": {"groups": 2},
    "monteclora_config": {"samples": 4},
    "corda_config": {"method": "ipm"},
    "lora_ga_config": {"scale": "stable"},
    "loftq_config": {"loftq_bits": 4},
    "use_bdlora": {"nblocks": 2},
    "ensure_weight_tying": True,
    "init_lora_weights": "pissa",
    "peft_type": "LOHA",
    "task_type": "SEQ_CLS",
    "a_field_of_the_future": {"on": True},
}


@pytest.mark.parametrize("feature", UNSUPPORTED)
def test_a_peft_feature_that_we_lack_is_refused_by_name(plain, base, feature):
    edit_config(plain, **{feature: UNSUPPORTED[feature]})
    with pytest.raises(AdapterRejected) as refused:
        import_peft(plain, base, "x")
    assert refused.value.code == "unsupported_peft_feature"
    assert feature in refused.value.message


def test_all_unsupported_features_are_named_at_once(plain, base):
    edit_config(plain, use_dora=True, bias="all")
    with pytest.raises(AdapterRejected, match=r"use_dora.*bias|bias.*use_dora"):
        import_peft(plain, base, "x")


@pytest.mark.parametrize(
    ("feature", "config"),
    [
        ("use_dora", {"use_dora": True}),
        ("bias", {"bias": "all"}),
        ("modules_to_save", {"modules_to_save": ["ln_f"]}),
        ("trainable_token_indices", {"trainable_token_indices": {"wte": [1, 2]}}),
    ],
)
def test_tensors_of_such_a_feature_are_refused_by_name_even_if_the_config_hides_it(
    tmp_path, make_base, feature, config
):
    base = make_base("gpt2")
    make_peft(base, tmp_path / "peft", target_modules=["c_fc"], **config)
    edit_config(tmp_path / "peft", use_dora=False, bias="none", modules_to_save=None, trainable_token_indices=None)
    with pytest.raises(AdapterRejected) as refused:
        import_peft(tmp_path / "peft", base, "x")
    assert refused.value.code == "unsupported_peft_feature"
    assert feature in refused.value.message


HOSTILE = {
    "a rank that the tensors lack": ("bad_rank", lambda p: edit_config(p, r=5)),
    "a rank pattern that the tensors lack": ("bad_rank", lambda p: edit_config(p, rank_pattern={"q_proj": 2})),
    "rank zero": ("bad_peft", lambda p: edit_config(p, r=0)),
    "a rank that is text": ("bad_peft", lambda p: edit_config(p, r="4")),
    "an infinite alpha": ("bad_peft", lambda p: edit_config(p, lora_alpha=float("inf"))),
    "a broken pattern": ("bad_peft", lambda p: edit_config(p, target_modules="(")),
    "a pattern that takes forever": ("bad_peft", lambda p: edit_config(p, target_modules="(.*)+x")),
    "config that is not JSON": ("bad_peft", lambda p: (p / "adapter_config.json").write_text("{")),
    "config that is a list": ("bad_peft", lambda p: (p / "adapter_config.json").write_text("[]")),
    "pickled weights": (
        "bad_peft",
        lambda p: (p / "adapter_model.safetensors").rename(p / "adapter_model.bin"),
    ),
    "no weights": ("missing_file", lambda p: (p / "adapter_model.safetensors").unlink()),
    "a layer that config does not select": ("unexpected_tensor", lambda p: edit_config(p, layers_to_transform=[1])),
    "a module without its tensors": ("missing_tensor", lambda p: edit_config(p, target_modules=["q_proj", "k_proj"])),
    "A without B": ("missing_tensor", lambda p: edit_tensors(p, lambda t: t.pop(KEY))),
    "a tensor that is not LoRA": ("unexpected_tensor", lambda p: edit_tensors(p, lambda t: t.update(x=torch.ones(1)))),
    "a layer past the depth": (
        "layer_out_of_range",
        lambda p: edit_tensors(
            p, lambda t: t.update({k.replace("layers.1", "layers.9"): t.pop(k) for k in list(t) if "layers.1" in k})
        ),
    ),
    "the output layer": (
        "unknown_module",
        lambda p: edit_tensors(
            p,
            lambda t: t.update(
                {k.replace("model.layers.1.self_attn.q_proj", "lm_head"): t.pop(k) for k in list(t) if "layers.1" in k}
            ),
        ),
    ),
    "the wrong width": ("bad_shape", lambda p: edit_tensors(p, lambda t: t.update({KEY: torch.zeros(4, 31)}))),
    "float64": ("bad_dtype", lambda p: edit_tensors(p, lambda t: t.update({KEY: t[KEY].double()}))),
    "NaN": ("non_finite", lambda p: edit_tensors(p, lambda t: t[KEY].fill_(float("nan")))),
    "nothing": ("no_tensors", lambda p: edit_tensors(p, lambda t: t.clear())),
    "one module twice": (
        "bad_peft",
        lambda p: edit_tensors(p, lambda t: t.update({KEY.replace("lora_A.", "lora_A.default."): t[KEY].clone()})),
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_malformed_peft_directory_is_refused_with_its_code(plain, base, case):
    code, spoil = HOSTILE[case]
    spoil(plain)
    with pytest.raises(AdapterRejected) as refused:
        import_peft(plain, base, "x")
    assert refused.value.code == code, refused.value.message


def test_another_base_name_is_a_warning(plain, base):
    edit_config(plain, base_model_name_or_path="somebody/else")
    (warning,) = base_warnings(plain, base)
    assert "somebody/else" in warning
    edit_config(plain, base_model_name_or_path=base.info.lineage)
    assert base_warnings(plain, base) == ()


def test_under_require_a_peft_directory_is_refused_with_the_command_to_import_it(plain, base, tmp_path):
    manager = AdapterManager(tmp_path / "adapters", base, TrustPolicy("require", tmp_path / "keys"))
    with pytest.raises(AdapterRejected) as refused:
        manager.load_adapter(plain)
    assert refused.value.code == "signature_missing"
    assert f"adaptrix import {plain} --sign" in refused.value.message


def test_under_off_a_peft_directory_loads_as_it_is_and_under_warn_with_a_warning(plain, base, tmp_path):
    off = AdapterManager(tmp_path, base, TrustPolicy("off"))
    adapter = off.load_adapter(plain)
    assert (adapter.name, adapter.signer) == ("peft", None)
    assert adapter.weights_digest == import_peft(plain, base, "x")[1].weights_digest
    assert off.load_adapter("peft").weights_digest == adapter.weights_digest, "also by name, under the root"
    warn = AdapterManager(tmp_path, base, TrustPolicy("warn", tmp_path / "keys"))
    assert any(w.startswith("signature_missing") for w in warn.load_adapter(plain).warnings)


def test_an_imported_adapter_saved_and_signed_loads_under_require(plain, base, tmp_path, signer):
    metadata, weights = import_peft(plain, base, usable_name("My LoRA (v2)"), description="imported")
    manager = AdapterManager(tmp_path / "adapters", base, signer.trust)
    manager.save_adapter(metadata, weights, private_key=signer.private)
    adapter = manager.load_adapter("my-lora-v2")
    assert (adapter.weights_digest, adapter.signer) == (weights.weights_digest, "release")
    assert not is_peft_directory(manager.path_of("my-lora-v2"))
    assert is_peft_directory(plain)
