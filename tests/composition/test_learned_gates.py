"""A learned gate is part of a composition's package: signed with it, bound to its parts, refused for any others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from adaptrix_core import SamplingParams
from adaptrix_core.adapters.gates.gate_file import gate_metadata
from adaptrix_core.adapters.package.contents import sign_package
from adaptrix_core.adapters.package.file_names import GATE_FILE, METADATA_FILE
from adaptrix_core.composition.manifests.making import made
from adaptrix_core.composition.parts import Group
from adaptrix_core.errors import AdapterRejected
from adaptrix_core.injection import Term
from adaptrix_core.injection.gate import Gate, PointGate, gate_mix
from adaptrix_core.injection.learned_gate import LearnedGate, bound
from adaptrix_core.injection.mix import LEAST_TEMPERATURE, WantedGate
from tests.composition.conftest import Shelf
from tests.composition.test_manifests import logits, revoke
from tests.tiny_models import random_prompts

PARTS = ("b", "a")
GATED = {"parallel": list(PARTS), "combine": "gate"}
PROMPTS = random_prompts([9, 14])


def random_gate(shelf: Shelf, names: tuple[str, ...] = PARTS, seed: int = 5, top_k: int | None = None) -> Gate:
    """A gate over adapters of the shelf, in this order, that weighs tokens very differently."""
    generator = torch.Generator().manual_seed(seed)
    points = shelf.manager.load_adapter(names[0]).weights.points
    made_points = {
        point: PointGate(
            torch.randn(len(names), own.lora_a.shape[1], generator=generator),
            torch.randn(len(names), generator=generator) * 0.3,
            (True,) * len(names),
        )
        for point, own in points.items()
    }
    return Gate(made_points, len(names), top_k=top_k)


def learned(shelf: Shelf, gate: Gate, names: tuple[str, ...] = PARTS) -> LearnedGate:
    return bound(gate, [shelf.manager.load_adapter(name).weights_digest for name in names])


def gated(shelf: Shelf, name: str = "mix", gate: Gate | None = None, **fields: Any) -> Path:
    """A signed composition of two adapters under a learned gate."""
    own = learned(shelf, gate or random_gate(shelf))
    metadata = made(shelf.manager, name, GATED, gate=gate_metadata(own, {"steps": 3}), **fields)
    return shelf.manager.save_composition(metadata, own, private_key=shelf.key, overwrite=True)


def changed(shelf: Shelf, directory: Path, change: Any) -> None:
    """Change the tensors of a gate's file in place, and sign again."""
    path = directory / GATE_FILE
    tensors = safetensors.torch.load(path.read_bytes())
    change(tensors)
    path.write_bytes(safetensors.torch.save(tensors))
    sign_package(directory, shelf.key)


def code_of(shelf: Shelf, choice: Any = "mix") -> str:
    with pytest.raises(AdapterRejected) as caught:
        shelf.engine().resolve_mix(choice)
    return caught.value.code


@pytest.mark.parametrize("top_k", [None, 1])
def test_a_stored_gate_computes_what_it_did_when_it_was_learned(shelf: Shelf, top_k: int | None) -> None:
    gate = random_gate(shelf, top_k=top_k)
    gated(shelf, gate=gate)
    by_hand = gate_mix([Term(name) for name in PARTS], gate)
    # Terms are added up in another order, so numbers are equal to the tolerance that the project states.
    torch.testing.assert_close(logits(shelf, "mix"), logits(shelf, by_hand), rtol=0, atol=1e-4)
    arrow = logits(shelf, {"parallel": list(PARTS), "combine": "gate"})
    assert not torch.allclose(logits(shelf, "mix"), arrow, atol=1e-3)


def test_it_is_the_same_in_whatever_order_parts_are_named(shelf: Shelf) -> None:
    gate = random_gate(shelf)
    swapped = Gate(
        {p: PointGate(at.directions.flip(0), at.offsets.flip(0), at.acting[::-1]) for p, at in gate.points.items()}, 2
    )
    assert learned(shelf, gate) == learned(shelf, swapped, PARTS[::-1])


def test_it_generates_by_name_and_inside_of_a_mix(shelf: Shelf) -> None:
    gate = random_gate(shelf)
    gated(shelf, gate=gate)
    params = SamplingParams(max_tokens=8, temperature=0.0, ignore_eos=True)
    engine, by_hand = shelf.engine(), gate_mix([Term(name) for name in PARTS], gate)
    named, built = engine.generate(PROMPTS[:1] * 2, ["mix", by_hand], params)
    assert named.token_ids == built.token_ids
    halved = gate_mix([Term(name, 0.5) for name in PARTS], gate)
    torch.testing.assert_close(
        logits(shelf, {"mix": 0.5, "c": 0.2}), logits(shelf, (*halved, Term("c", 0.2))), rtol=0, atol=1e-5
    )


def test_it_is_part_of_another_composition(shelf: Shelf) -> None:
    gate = random_gate(shelf)
    gated(shelf, "inner", gate)
    shelf.composition("outer", {"parallel": {"inner": 1.0, "c": 0.3}})
    by_hand = (*gate_mix([Term(name) for name in PARTS], gate), Term("c", 0.3))
    torch.testing.assert_close(logits(shelf, "outer"), logits(shelf, by_hand), rtol=0, atol=1e-5)
    shelf.composition("choice", {"conditional": [{"if": {"marker": "x"}, "then": "c"}], "else": "inner"})
    part = shelf.engine().compositions.part("choice")
    assert isinstance(part, Group)
    assert {isinstance(term.gated, WantedGate) and term.gated.learned for term in part.rows[0].mix} == {
        learned(shelf, gate)
    }


def test_its_keys_and_values_are_its_own(shelf: Shelf) -> None:
    gated(shelf, "first", random_gate(shelf, seed=5))
    gated(shelf, "second", random_gate(shelf, seed=6))
    engine = shelf.engine()
    prompt = random_prompts([40])[0]

    def branch_hits(name: str) -> int:
        before = engine.prefixes.hit_tokens[-1]
        engine.generate([prompt], name, SamplingParams(max_tokens=1, ignore_eos=True))
        return engine.prefixes.hit_tokens[-1] - before

    assert [branch_hits(name) for name in ("first", "second")] == [0, 0]
    assert all(branch_hits(name) > 0 for name in ("first", "second"))


def test_what_it_came_to_is_written_in_the_manifest(shelf: Shelf) -> None:
    directory = gated(shelf)
    gate = json.loads((directory / METADATA_FILE).read_text())["gate"]
    assert gate["training"] == {"steps": 3}
    assert gate["gate_digest"] == learned(shelf, random_gate(shelf)).gate.gate_digest
    assert shelf.manager.validate_adapter("mix").ok


def _nan(tensors: dict[str, Tensor]) -> None:
    next(iter(tensors.values()))[0] = float("nan")


def _infinite(tensors: dict[str, Tensor]) -> None:
    next(iter(tensors.values()))[0] = float("inf")


def _huge_direction(tensors: dict[str, Tensor]) -> None:
    next(t for name, t in tensors.items() if name.endswith("direction"))[:] = 1e35


def _huge_offset(tensors: dict[str, Tensor]) -> None:
    next(t for name, t in tensors.items() if name.endswith("offset"))[0] = -9.0


def _short(tensors: dict[str, Tensor]) -> None:
    name = next(name for name in tensors if name.endswith("direction"))
    tensors[name] = tensors[name][:-1].clone()


def _square(tensors: dict[str, Tensor]) -> None:
    name = next(name for name in tensors if name.endswith("direction"))
    tensors[name] = tensors[name].view(2, -1).clone()


def _half(tensors: dict[str, Tensor]) -> None:
    name = next(iter(tensors))
    tensors[name] = tensors[name].half()


def _without_offset(tensors: dict[str, Tensor]) -> None:
    del tensors[next(name for name in tensors if name.endswith("offset"))]


def _further(tensors: dict[str, Tensor]) -> None:
    tensors["bias"] = torch.zeros(1)


def _other_module(tensors: dict[str, Tensor]) -> None:
    for name in [name for name in tensors if "q_proj" in name]:
        tensors[name.replace("q_proj", "z_proj")] = tensors.pop(name)


def _other_numbers(tensors: dict[str, Tensor]) -> None:
    next(iter(tensors.values())).mul_(1.5)


def _other_adapter(tensors: dict[str, Tensor]) -> None:
    digest = next(iter(tensors)).partition(".")[0]
    for name in [name for name in tensors if name.startswith(digest)]:
        tensors[name.replace(digest, "0" * 64)] = tensors.pop(name)


def _empty(tensors: dict[str, Tensor]) -> None:
    tensors.clear()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (_nan, "non_finite"),
        (_infinite, "non_finite"),
        (_huge_direction, "bad_gate"),
        (_huge_offset, "bad_gate"),
        (_short, "bad_shape"),
        (_square, "bad_shape"),
        (_half, "bad_dtype"),
        (_without_offset, "unexpected_tensor"),
        (_further, "unexpected_tensor"),
        (_other_module, "unknown_module"),
        (_other_numbers, "digest_mismatch"),
        (_other_adapter, "bad_gate"),
        (_empty, "no_tensors"),
    ],
)
def test_a_file_that_is_no_gate_over_these_parts_is_refused(shelf: Shelf, change: Any, code: str) -> None:
    changed(shelf, gated(shelf), change)
    assert code_of(shelf) == code
    assert code in {fault for fault, _ in shelf.manager.validate_adapter("mix").faults}


def test_a_gate_that_was_changed_after_signing_is_refused(shelf: Shelf) -> None:
    path = gated(shelf) / GATE_FILE
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    assert code_of(shelf) == "tampered"


def test_a_gate_of_other_parts_is_refused(shelf: Shelf) -> None:
    directory = gated(shelf)
    other = learned(shelf, random_gate(shelf, ("a", "c")), ("a", "c"))
    metadata = made(shelf.manager, "other", {**GATED, "parallel": ["a", "c"]}, gate=gate_metadata(other, {}))
    foreign = shelf.manager.save_composition(metadata, other, private_key=shelf.key)
    (directory / GATE_FILE).write_bytes((foreign / GATE_FILE).read_bytes())
    sign_package(directory, shelf.key)
    assert code_of(shelf) == "bad_gate"


def test_a_gate_that_leaves_out_a_point_of_an_adapter_is_refused(shelf: Shelf) -> None:
    gate = random_gate(shelf)
    points = dict(gate.points)
    points.popitem()
    gated(shelf, gate=Gate(points, 2))
    assert code_of(shelf) == "bad_gate"


def test_a_part_that_changes_takes_its_gate_with_it(shelf: Shelf) -> None:
    gated(shelf)
    shelf.adapter("a", seed=9)
    assert code_of(shelf) == "changed_part"


def test_a_revoked_one_is_refused(shelf: Shelf) -> None:
    gated(shelf)
    revoke(shelf, shelf.manager.snapshot("mix").package_digest)
    assert code_of(shelf) == "adapter_revoked"


@pytest.mark.parametrize(
    "composition",
    [
        {"parallel": ["a", "b"]},
        {"parallel": ["a", "b"], "combine": "gate", "top_k": 1},
        {"parallel": ["a", {"part": {"parallel": ["b", "c"], "combine": "gate"}}]},
        {"conditional": [{"if": {"marker": "x"}, "then": "a"}], "else": "b"},
    ],
)
def test_a_gate_that_the_composition_does_not_use_is_refused(shelf: Shelf, composition: dict[str, Any]) -> None:
    own = learned(shelf, random_gate(shelf))
    with pytest.raises(AdapterRejected, match="learned") as caught:
        made(shelf.manager, "mix", composition, gate=gate_metadata(own, {}))
    assert caught.value.code == "bad_composition"


def test_a_manifest_and_its_files_agree_on_whether_there_is_a_gate(shelf: Shelf) -> None:
    directory = gated(shelf)
    contents = (directory / GATE_FILE).read_bytes()
    (directory / GATE_FILE).unlink()
    with pytest.raises(AdapterRejected, match="make it anew") as caught:
        sign_package(directory, shelf.key)
    assert caught.value.code == "missing_file"
    plain = shelf.composition("plain", {"parallel": ["a", "b"], "combine": "gate"})
    (plain / GATE_FILE).write_bytes(contents)
    with pytest.raises(AdapterRejected) as caught:
        sign_package(plain, shelf.key)
    assert caught.value.code == "unexpected_file"
    (shelf.manager.path_of("c") / GATE_FILE).write_bytes(contents)
    with pytest.raises(AdapterRejected, match="belongs to a composition"):
        sign_package(shelf.manager.path_of("c"), shelf.key)


def test_no_temperature_makes_a_share_that_is_no_number(shelf: Shelf) -> None:
    gate = Gate(random_gate(shelf).points, 2, temperature=LEAST_TEMPERATURE)
    at = next(iter(gate.points.values()))
    weights = gate.weights_at(at, torch.randn(7, at.directions.shape[1]) * 1e28)
    assert torch.isfinite(weights).all()
