"""Compositions are packages: named, versioned, signed over their parts' digests, and used by name as adapters are."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from adaptrix_core import SamplingParams
from adaptrix_core.adapters.package.contents import sign_package
from adaptrix_core.adapters.package.file_names import METADATA_FILE, SIGNATURE_FILE
from adaptrix_core.adapters.trust.revocation import sign_list
from adaptrix_core.adapters.trust.revocation_directory import RevocationBoard
from adaptrix_core.composition.manifests.making import made
from adaptrix_core.digests import PackageDigest
from adaptrix_core.errors import (
    AdapterExists,
    AdapterNotFound,
    AdapterRejected,
    AdaptrixError,
    Conflict,
    InvalidRequest,
)
from adaptrix_core.sampling import SamplingDefaults
from tests.composition.conftest import Shelf
from tests.tiny_models import random_prompts

PROMPTS = random_prompts([9, 14])
HALVES = {"parallel": {"a": 0.5, "b": 0.5}}


def logits(shelf: Shelf, choice: Any) -> torch.Tensor:
    return torch.cat(shelf.engine().logits(PROMPTS, choice))


def refused(shelf: Shelf, choice: Any = "mix") -> AdaptrixError:
    with pytest.raises(AdaptrixError) as caught:
        shelf.engine().resolve_mix(choice)
    return caught.value


def rewritten(directory: Path, shelf: Shelf | None = None, **fields: Any) -> None:
    """Change fields of a metadata.json, and sign again where a shelf has the key."""
    path = directory / METADATA_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **fields}))
    if shelf is not None:
        sign_package(directory, shelf.key)


def revoke(shelf: Shelf, package: PackageDigest) -> None:
    board = RevocationBoard(shelf.state, shelf.manager.trust.trusted_keys_dir)
    board.open()
    board.put_in_force(sign_list(board.list.with_packages({package: "it colludes"}), shelf.key))


@pytest.mark.parametrize("name", ["mix", "mix@latest", "mix@1.2.0"])
def test_a_composition_is_the_mix_of_its_parts_by_any_of_its_names(shelf: Shelf, name: str) -> None:
    shelf.composition("mix", {"parallel": {"a": 0.7, "b@1.0.0": -0.4}}, version="1.2.0")
    torch.testing.assert_close(logits(shelf, name), logits(shelf, {"a": 0.7, "b": -0.4}), rtol=0, atol=1e-5)
    assert not torch.allclose(logits(shelf, name), logits(shelf, "a"), atol=1e-3)


def test_it_is_generated_with_and_listed_as_an_adapter_is(shelf: Shelf) -> None:
    shelf.composition("mix", HALVES, description="Both at once", routing_examples=("Do both",), license="MIT")
    engine, params = shelf.engine(), SamplingParams(max_tokens=8, temperature=0.0, ignore_eos=True)
    by_name, by_hand = engine.generate(PROMPTS[:1] * 2, ["mix", {"a": 0.5, "b": 0.5}], params)
    assert by_name.token_ids == by_hand.token_ids
    listed = {metadata.identity: metadata for metadata in shelf.manager.list_adapters()}
    assert listed["mix@1.0.0"].routing_examples == ("Do both",)
    assert shelf.manager.validate_adapter("mix").ok


def test_who_a_question_may_be_about_is_a_part_held_to_its_digest(shelf: Shelf) -> None:
    asks = {"conditional": [{"if": {"about": "c"}, "then": "a"}], "else": None}
    signed = shelf.composition("asks", asks)
    parts = json.loads((signed / METADATA_FILE).read_text())["parts"]
    assert parts.keys() == {"a", "c"}
    shelf.adapter("c", seed=9)
    error = refused(shelf, "asks")
    assert error.code == "changed_part"
    assert "c@1.0.0" in error.message


def test_a_question_is_about_no_composition_in_a_manifest(shelf: Shelf) -> None:
    shelf.composition("mix", HALVES)
    with pytest.raises(
        AdapterRejected, match="a rule is about 'mix', which is a composition; name one of its"
    ) as caught:
        shelf.composition("asks", {"conditional": [{"if": {"about": "mix"}, "then": "a"}], "else": None})
    assert caught.value.code == "bad_composition"


def test_compositions_nest_and_weights_multiply_and_add_up(shelf: Shelf) -> None:
    shelf.composition("inner", {"parallel": {"a": 0.5, "b": 1.0}})
    shelf.composition("outer", {"parallel": {"inner": 0.4, "a": 0.1, "c": 0.3}})
    plain = {"a": 0.4 * 0.5 + 0.1, "b": 0.4, "c": 0.3}
    torch.testing.assert_close(logits(shelf, "outer"), logits(shelf, plain), rtol=0, atol=1e-5)
    doubled = {"outer": 0.5, "c": 0.1}
    wanted = {"a": 0.15, "b": 0.2, "c": 0.25}
    torch.testing.assert_close(logits(shelf, doubled), logits(shelf, wanted), rtol=0, atol=1e-5)


def test_a_part_with_other_contents_than_the_signed_is_refused_with_both_digests(shelf: Shelf) -> None:
    shelf.composition("mix", HALVES)
    signed = shelf.manager.load_adapter("a").package_digest
    shelf.adapter("a", seed=9)  # the same name, version and signer
    found = shelf.manager.load_adapter("a").package_digest
    error = refused(shelf)
    assert error.code == "changed_part"
    assert signed in error.message
    assert found in error.message
    assert "mix@1.0.0" in error.message


def test_a_part_that_is_replaced_while_an_engine_runs_is_not_mixed_in(shelf: Shelf) -> None:
    shelf.composition("mix", HALVES)
    engine = shelf.engine()
    engine.resolve_mix("mix")
    other = shelf.adapter("a", seed=9)
    engine.unload_adapter("a@1.0.0")
    engine.load_adapter(other)
    with pytest.raises(AdapterRejected, match="was signed") as caught:
        engine.resolve_mix("mix")
    assert caught.value.code == "changed_part"


def test_a_part_of_a_nested_composition_is_held_to_its_digest_too(shelf: Shelf) -> None:
    shelf.composition("inner", HALVES)
    shelf.composition("outer", {"parallel": {"inner": 1.0, "c": 1.0}})
    shelf.composition("inner", {"parallel": {"a": 5.0, "b": 0.5}})
    error = refused(shelf, "outer")
    assert error.code == "changed_part"
    assert "inner@1.0.0" in error.message


def test_a_part_that_is_not_there_is_named(shelf: Shelf) -> None:
    shelf.composition("mix", HALVES)
    shelf.manager.delete_adapter("b")
    error = refused(shelf)
    assert error.code == "missing_part"
    assert "b@1.0.0" in error.message


def test_a_newer_version_of_a_part_changes_nothing(shelf: Shelf) -> None:
    shelf.composition("mix", HALVES)
    before = logits(shelf, "mix")
    shelf.adapter("a", seed=9, version="2.0.0")
    torch.testing.assert_close(logits(shelf, "mix"), before, rtol=0, atol=0)


def test_cycles_are_refused_with_the_way_round(shelf: Shelf) -> None:
    first = shelf.composition("first", HALVES)
    shelf.composition("second", {"parallel": {"first": 1.0}})
    signed = shelf.manager.load_package("second").package_digest
    part = {"version": "1.0.0", "package_digest": signed, "weights_digest": None}
    rewritten(first, shelf, composition={"parallel": {"second": 1.0}}, parts={"second": part})
    error = refused(shelf, "first")
    assert error.code == "cyclic_composition"
    assert "first@1.0.0 -> second@1.0.0 -> first@1.0.0" in error.message
    rewritten(first, shelf, composition={"parallel": {"first": 1.0}}, parts={"first": part})
    error = refused(shelf, "first")
    assert error.code == "cyclic_composition"
    assert "first@1.0.0 -> first@1.0.0" in error.message


def test_too_deep_nesting_is_refused_with_the_way_down(shelf: Shelf) -> None:
    shelf.composition("m1", HALVES)
    for level in range(2, 5):
        shelf.composition(f"m{level}", {"parallel": {f"m{level - 1}": 1.0}})
    shelf.engine().resolve_mix("m4")
    with pytest.raises(AdapterRejected, match=r"m5@1.0.0 -> m4@1.0.0 -> m3@1.0.0 -> m2@1.0.0 -> m1@1.0.0") as caught:
        shelf.composition("m5", {"parallel": {"m4": 1.0}})
    assert caught.value.code == "bad_composition"


def test_too_many_parts_in_all_are_refused(shelf: Shelf) -> None:
    for number in range(16):
        shelf.adapter(f"p{number}", seed=20 + number)
    shelf.composition("wide", {"parallel": {f"p{number}": 1.0 for number in range(16)}})
    with pytest.raises(AdapterRejected, match="at most 16"):
        shelf.composition("wider", {"parallel": {**{f"p{number}": 1.0 for number in range(16)}, "a": 1.0}})
    shelf.composition("widest", {"parallel": {"wide": 1.0, "a": 1.0}})
    error = refused(shelf, "widest")
    assert error.code == "bad_composition"
    assert "17" in error.message


@pytest.mark.parametrize(
    "composition",
    [
        {"parallel": {"a": 0.5}},
        {"parallel": {"a": 0.5, "b": 0.5, "c": 0.5}},
        {"paralel": {"a": 0.5, "b": 0.5}},
        {"parallel": {"a": "much", "b": 0.5}},
        {"parallel": {"a": 9.0, "b": 0.5}},
    ],
)
def test_what_no_strategy_makes_of_exactly_the_parts_is_refused(shelf: Shelf, composition: Any) -> None:
    rewritten(shelf.composition("mix", HALVES), shelf, composition=composition)
    assert refused(shelf).code == "bad_composition"


@pytest.mark.parametrize(
    "metadata",
    [
        '"composition": {"parallel": {"a": NaN}}',
        '"composition": {"parallel": {"a": 1e999}}',
        f'"composition": {"[" * 5000}{"]" * 5000}',
        f'"composition": {{"parallel": {"[" * 40}{"]" * 40}}}',
        f'"composition": {{"parallel": [{",".join(["0"] * 2000)}]}}',
        '"composition": {}',
        '"composition": null',
        '"composition": {"parallel": {"../a": 1}}, "parts": {"../a": {"version": "1"}}',
        '"parts": {}',
        '"weights_digest": "0"',
        '"name": "auto"',
        '"parts": {"a": {"version": "1.0.0", "package_digest": "zz", "weights_digest": null}}',
    ],
)
def test_hostile_manifests_are_refused_before_anything_is_computed(shelf: Shelf, metadata: str) -> None:
    path = shelf.composition("mix", HALVES) / METADATA_FILE
    path.write_text(path.read_text().rstrip().removesuffix("}") + f",{metadata}}}")
    report = shelf.manager.validate_adapter(path.parent)
    assert "bad_metadata" in [code for code, _ in report.faults]
    with pytest.raises(AdapterRejected):
        shelf.engine().load_adapter(path.parent)


def test_a_metadata_file_over_its_limit_is_not_read(shelf: Shelf) -> None:
    path = shelf.composition("mix", HALVES) / METADATA_FILE
    path.write_bytes(path.read_bytes() + b" " * (1024 * 1024))
    assert [code for code, _ in shelf.manager.validate_adapter(path.parent).faults] == ["too_large"]


def test_weights_beside_a_manifest_are_refused(shelf: Shelf) -> None:
    directory = shelf.composition("mix", HALVES)
    layer = next(shelf.manager.path_of("a").glob("layer_*"))
    (directory / layer.name).write_bytes(layer.read_bytes())
    with pytest.raises(AdapterRejected) as caught:
        sign_package(directory, shelf.key)
    assert caught.value.code == "unexpected_file"


def test_an_unsigned_composition_and_one_that_was_changed_are_refused(shelf: Shelf) -> None:
    directory = shelf.composition("mix", HALVES, sign=False)
    assert refused(shelf).code == "signature_missing"
    sign_package(directory, shelf.key)
    shelf.engine().resolve_mix("mix")
    rewritten(directory, composition={"parallel": {"a": 0.9, "b": 0.1}})
    assert refused(shelf).code == "tampered"


def test_a_signature_of_an_untrusted_key_is_refused(shelf: Shelf, new_key: Any) -> None:
    sign_package(shelf.composition("mix", HALVES), new_key("stranger"))
    assert refused(shelf).code == "untrusted_key"


def test_a_signature_of_a_part_does_not_fit(shelf: Shelf) -> None:
    directory = shelf.composition("mix", HALVES)
    (directory / SIGNATURE_FILE).write_bytes((shelf.manager.path_of("a") / SIGNATURE_FILE).read_bytes())
    assert refused(shelf).code in ("tampered", "missing_file")


def test_a_part_of_a_signer_that_is_not_trusted_is_refused_though_the_composition_is_signed(
    shelf: Shelf, new_key: Any
) -> None:
    shelf.composition("mix", HALVES)
    sign_package(shelf.manager.path_of("a"), new_key("stranger"))
    assert refused(shelf).code == "untrusted_key"


def test_another_trusted_key_takes_no_name_by_a_composition(shelf: Shelf, new_key: Any) -> None:
    partner = new_key("partner")
    trusted = shelf.manager.trust.trusted_keys_dir / "partner.pub"
    trusted.write_bytes(partner.with_suffix(".pub").read_bytes())
    theirs = replace(shelf, key=partner)
    with pytest.raises(Conflict) as caught:
        theirs.composition("a", {"parallel": {"b": 1.0, "c": 1.0}}, version="2.0.0")
    assert caught.value.code == "name_owned"
    directory = theirs.composition("d", {"parallel": {"b": 1.0, "c": 1.0}})
    rewritten(directory, theirs, name="a", version="2.0.0")
    directory.rename(directory.with_name("a@2.0.0"))
    torch.testing.assert_close(logits(shelf, "a"), logits(shelf, "a@1.0.0"), rtol=0, atol=0)


def test_a_composition_or_a_part_that_is_revoked_is_refused(shelf: Shelf) -> None:
    shelf.composition("mix", HALVES)
    shelf.composition("other", {"parallel": {"b": 1.0, "c": 1.0}})
    digest = shelf.manager.load_package("mix").package_digest
    revoke(shelf, digest)
    assert refused(shelf).code == "adapter_revoked"
    shelf.engine().resolve_mix("other")
    digest = shelf.manager.load_adapter("b").package_digest
    revoke(shelf, digest)
    assert refused(shelf, "other").code == "adapter_revoked"


def test_sampling_is_the_compositions_own_then_its_strongest_parts(shelf: Shelf) -> None:
    shelf.adapter("a", 1, sampling=SamplingDefaults(temperature=0.25))
    shelf.adapter("b", 2, sampling=SamplingDefaults(temperature=0.75))
    shelf.composition("mix", {"parallel": {"a": 0.4, "b": 0.6}})
    assert shelf.engine().sampling_defaults("mix").temperature == 0.75
    shelf.composition("mix", {"parallel": {"a": 0.4, "b": 0.6}}, sampling=SamplingDefaults(temperature=0.5))
    assert shelf.engine().sampling_defaults("mix").temperature == 0.5


def test_a_loaded_name_means_one_thing(shelf: Shelf) -> None:
    directory = shelf.composition("mix", HALVES)
    engine = shelf.engine()
    engine.load_adapter("a")
    with pytest.raises(AdapterExists):
        engine.load_adapter(directory, name="a")
    engine.load_adapter(directory, name="halves")
    assert engine.resolve_mix("halves") == engine.resolve_mix("mix")
    with pytest.raises(AdapterExists):
        engine.load_adapter(shelf.manager.path_of("c"), name="halves")
    engine.unload_adapter("halves")
    with pytest.raises(AdapterNotFound):
        engine.resolve_mix("halves")
    engine.resolve_mix("a")  # parts stay


def test_where_weights_are_needed_a_composition_is_refused_by_name(shelf: Shelf) -> None:
    shelf.composition("mix", HALVES)
    with pytest.raises(AdapterRejected, match=r"a@1\.0\.0, b@1\.0\.0") as caught:
        shelf.manager.load_adapter("mix")
    assert caught.value.code == "is_composition"


def test_a_composition_is_made_of_good_parts_of_one_base_only(shelf: Shelf) -> None:
    with pytest.raises(AdapterNotFound, match=r"did you mean|there are"):
        shelf.composition("mix", {"parallel": {"aa": 1.0, "b": 1.0}})
    with pytest.raises(InvalidRequest, match="parallel"):
        shelf.composition("mix", {"parallell": {"a": 1.0}})
    (shelf.manager.path_of("b") / SIGNATURE_FILE).unlink()
    with pytest.raises(AdapterRejected) as caught:
        shelf.composition("mix", HALVES)
    assert caught.value.code == "signature_missing"


def test_a_version_that_is_there_is_kept_unless_overwritten(shelf: Shelf) -> None:
    shelf.composition("mix", HALVES)

    other = made(shelf.manager, "mix", {"parallel": {"a": 1.0, "b": 0.5}})
    with pytest.raises(AdapterExists):
        shelf.manager.save_composition(other, private_key=shelf.key)
    shelf.manager.save_composition(made(shelf.manager, "mix", HALVES), private_key=shelf.key)


@pytest.mark.parametrize(
    "composition",
    [
        {"sequential": ["a", "b"], "plan": ["first", "second {0}"]},
        {"parallel": ["a", "b", None], "combine": "vote", "samples": 2},
        {"hierarchical": [{"adapter": "a", "layers": "early"}, {"adapter": "b", "layers": [2, 4]}]},
    ],
)
def test_any_strategy_is_computed_under_a_name_as_it_is_by_hand(llama_shelf: Shelf, composition: Any) -> None:
    llama_shelf.composition("deep", composition)
    engine, params = llama_shelf.engine(), SamplingParams(max_tokens=6, temperature=0.0, ignore_eos=True)
    by_name, by_hand = engine.generate(["the quick brown fox"] * 2, ["deep", composition], params)
    assert by_name.token_ids == by_hand.token_ids
    streamed = [event.token_id for event in engine.stream("the quick brown fox", "deep", params)]
    assert [token for token in streamed if token is not None][-6:] == list(by_hand.token_ids)
    llama_shelf.adapter("a", seed=9)
    assert refused_generation(llama_shelf, "deep").code == "changed_part"


def refused_generation(shelf: Shelf, choice: Any) -> AdaptrixError:
    with pytest.raises(AdaptrixError) as caught:
        shelf.engine().generate(["the fox"], choice)
    return caught.value


def test_a_sequence_stands_in_no_mix_and_has_no_sampling_of_its_own(shelf: Shelf) -> None:
    shelf.composition("steps", {"sequential": ["a", "b"]})
    with pytest.raises(AdapterRejected, match=r"steps@1\.0\.0: a composition that is sequential") as caught:
        shelf.composition("outer", {"parallel": {"steps": 0.5, "c": 0.5}})
    assert caught.value.code == "bad_composition"
    assert refused(shelf, {"steps": 0.5}).code == "bad_composition"
    with pytest.raises(AdapterRejected, match="sampling defaults"):
        shelf.composition("greedy", {"sequential": ["a", "b"]}, sampling=SamplingDefaults(temperature=0.0))
