"""What is written is what is read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import adaptrix_core
from adaptrix_core.adapters import TrustPolicy, describe, package_digest, read_package, sign_package, write_package
from adaptrix_core.adapters.package.limits import DEFAULT_LIMITS
from adaptrix_core.adapters.package.metadata import parse_metadata
from adaptrix_core.errors import AdapterRejected
from adaptrix_core.injection.lora import LoraWeights

OFF = TrustPolicy("off")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_weights_survive_a_round_trip_bit_for_bit(tmp_path, base, make_weights, dtype):
    weights = make_weights(base, dtype=dtype)
    written = write_package(tmp_path / "a", describe(weights, base.info, "a", description="x"), weights)
    adapter = read_package(tmp_path / "a", base.info, base.points, trust=OFF)
    assert adapter.weights_digest == weights.weights_digest
    assert adapter.metadata == written
    for point, values in weights.points.items():
        loaded = adapter.weights.points[point]
        assert torch.equal(loaded.lora_a, values.lora_a)
        assert torch.equal(loaded.lora_b, values.lora_b)
        assert loaded.scaling == values.scaling
    assert (adapter.signer, adapter.warnings) == (None, ())


def test_invocation_tokens_survive_and_change_the_digest(tmp_path, base, make_weights):
    plain = make_weights(base)
    activated = LoraWeights(plain.points, invocation_tokens=(5, 6, 7))
    write_package(tmp_path / "a", describe(activated, base.info, "a"), activated)
    adapter = read_package(tmp_path / "a", base.info, base.points, trust=OFF)
    assert adapter.weights.invocation_tokens == (5, 6, 7)
    assert adapter.weights_digest != plain.weights_digest


def test_weights_that_share_memory_are_written(tmp_path, base, make_weights):
    query, up = (1, "self_attn.q_proj"), (1, "mlp.up_proj")
    points = dict(make_weights(base, [query, up]).points)
    points[up] = replace(points[up], lora_a=points[query].lora_a)
    weights = LoraWeights(points)
    write_package(tmp_path / "a", describe(weights, base.info, "a"), weights)
    read = read_package(tmp_path / "a", base.info, base.points, trust=TrustPolicy("off")).weights
    assert torch.equal(read.points[up].lora_a, points[query].lora_a)
    assert torch.equal(read.points[query].lora_a, points[query].lora_a)


def test_one_file_per_layer_and_nothing_else(tmp_path, base, make_weights):
    weights = make_weights(base)
    write_package(tmp_path / "a", describe(weights, base.info, "a"), weights)
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [
        "layer_1.safetensors",
        "layer_2.safetensors",
        "metadata.json",
    ]


def test_rewriting_drops_layers_of_the_old_version(tmp_path, base, make_weights):
    old, new = make_weights(base), make_weights(base, [(3, "mlp.down_proj")], seed=1)
    write_package(tmp_path / "a", describe(old, base.info, "a"), old)
    write_package(tmp_path / "a", describe(new, base.info, "a"), new)
    assert read_package(tmp_path / "a", base.info, base.points, trust=OFF).weights_digest == new.weights_digest
    assert not (tmp_path / "a" / "layer_1.safetensors").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


def test_package_digest_ignores_the_signature_but_no_other_byte(tmp_path, base, make_weights, signer):
    weights = make_weights(base)
    write_package(tmp_path / "a", describe(weights, base.info, "a"), weights)
    unsigned = package_digest(tmp_path / "a")
    assert sign_package(tmp_path / "a", signer.private) == unsigned
    assert package_digest(tmp_path / "a") == unsigned
    (tmp_path / "a" / "README.md").write_text("hello")
    assert package_digest(tmp_path / "a") != unsigned


def test_a_copied_package_has_the_same_digest_and_signature(tmp_path, base, make_weights, signer):
    weights = make_weights(base)
    write_package(tmp_path / "a", describe(weights, base.info, "a"), weights, private_key=signer.private)
    shutil.copytree(tmp_path / "a", tmp_path / "elsewhere")
    adapter = read_package(tmp_path / "elsewhere", base.info, base.points, trust=signer.trust)
    assert adapter.signer == "release"
    assert adapter.package_digest == package_digest(tmp_path / "a")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_could_not_be_read_back_are_not_written(tmp_path, base, make_weights, value):
    weights = make_weights(base)
    weights.points[1, "self_attn.q_proj"].lora_a[0, 0] = value
    with pytest.raises(AdapterRejected) as refused:
        write_package(tmp_path / "a", describe(weights, base.info, "a"), weights)
    assert refused.value.code == "non_finite"
    assert list(tmp_path.iterdir()) == []


def test_a_rank_that_no_load_would_take_is_not_written(tmp_path, base, make_weights):
    weights = make_weights(base, rank=DEFAULT_LIMITS.max_rank + 1)
    with pytest.raises(AdapterRejected) as refused:
        write_package(tmp_path / "a", describe(weights, base.info, "a"), weights)
    assert refused.value.code == "bad_rank"
    assert list(tmp_path.iterdir()) == []


def test_an_adapter_without_points_is_refused(base):
    with pytest.raises(AdapterRejected) as refused:
        describe(LoraWeights({}), base.info, "a")
    assert refused.value.code == "no_tensors"


@pytest.mark.parametrize("name", ["", "Auto", "auto", "a b", "../a", "-a", "x" * 65, "a/b", "ä", "base"])
def test_names_that_urls_or_paths_could_misread_are_refused(base, make_weights, name):
    with pytest.raises(AdapterRejected) as refused:
        describe(make_weights(base), base.info, name)
    assert refused.value.code == "bad_metadata"


def test_another_quantisation_warns_or_is_refused_under_exact(tmp_path, base, make_weights):
    weights = make_weights(base)
    write_package(tmp_path / "a", describe(weights, base.info, "a"), weights)
    requantised = replace(base.info, digest="0" * 64)
    adapter = read_package(tmp_path / "a", requantised, base.points, trust=OFF)
    assert [warning.split(":")[0] for warning in adapter.warnings] == ["base_digest"]
    with pytest.raises(AdapterRejected) as refused:
        read_package(tmp_path / "a", requantised, base.points, trust=OFF, base_match="exact")
    assert refused.value.code == "base_mismatch"


def test_two_bases_of_one_shape_are_told_apart(tmp_path, base, make_base, make_weights):
    instruct = make_base(lineage="test/llama-instruct", seed=1)
    assert instruct.info.signature == base.info.signature
    weights = make_weights(base)
    write_package(tmp_path / "a", describe(weights, base.info, "a"), weights)
    with pytest.raises(AdapterRejected) as refused:
        read_package(tmp_path / "a", instruct.info, instruct.points, trust=OFF)
    assert refused.value.code == "base_mismatch"
    assert "test/llama-instruct" in refused.value.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(field=st.text(min_size=1, max_size=12), value=JSON, data=st.data())
def test_any_change_to_metadata_parses_or_is_refused_with_its_code(base, make_weights, field, value, data):
    good = json.loads(describe(make_weights(base), base.info, "a").to_json())
    key = data.draw(st.sampled_from([field, *good]))
    good[key] = value
    code = "parsed"
    try:
        parse_metadata(json.dumps(good).encode(), "a")
    except AdapterRejected as refused:
        code = refused.code
    assert code in ("parsed", "bad_metadata")


def test_importing_the_adapters_package_does_not_import_the_signing_library():
    script = "import sys, adaptrix_core.adapters; print('model_signing' in sys.modules)"
    root = Path(adaptrix_core.__file__).parents[1]
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=root)
    assert done.stdout.strip() == "False"
