"""One grammar for adapters and mixes: what is written is read, and everybody reads it alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptrix_core.adapters import AdapterManager, DynamicLoader, describe
from adaptrix_core.adapters.reference import AdapterReference, mix_label, parse_mix, version_key
from adaptrix_core.errors import AdapterNotFound, AdapterRejected, InvalidRequest
from adaptrix_core.injection.injector import LayerInjector
from adaptrix_core.injection.mix import Term
from deployments.shared.catalogue import View
from deployments.shared.entry import Entry

names = st.from_regex(r"\A[a-z0-9][a-z0-9._-]{0,20}\Z")
numbers = st.integers(0, 999)
weights = st.floats(-8, 8, allow_nan=False).map(lambda weight: float(f"{weight:g}"))
terms = st.builds(Term, names, weights, st.none() | st.frozensets(st.integers(0, 99), min_size=1, max_size=4))


@given(st.lists(terms, min_size=1, max_size=8, unique_by=lambda term: term.adapter))
def test_a_mix_is_read_as_it_is_written(mix: list[Term[str]]) -> None:
    assert parse_mix(mix_label(mix), "org/base") == tuple(mix)
    assert parse_mix(f"org/base:{mix_label(mix)}", "org/base") == tuple(mix)


@given(name=names, version=st.lists(numbers, min_size=1, max_size=3).map(lambda parts: ".".join(map(str, parts))))
def test_a_name_may_have_a_version_and_latest_is_none_in_particular(name: str, version: str) -> None:
    assert AdapterReference.parse(name) == AdapterReference.parse(f"{name}@latest") == AdapterReference(name)
    assert AdapterReference.parse(f"{name}@{version}") == AdapterReference(name, version)
    assert AdapterReference(name).means(name, version)
    assert AdapterReference(name, version).means(name, version)
    assert not AdapterReference(name, version).means(f"{name}x", version)


@pytest.mark.parametrize("text", ["", "Upper", "a b", "-a", "a@x", "a@1.2.3.4", "a@01", "x" * 65])
def test_what_cannot_be_a_name_is_not_found(text: str) -> None:
    with pytest.raises(AdapterNotFound, match="not an adapter name"):
        AdapterReference.parse(text)


@pytest.mark.parametrize("text", ["../a", "a/b", "..", "c:\\a"])
def test_a_path_is_no_name(text: str) -> None:
    with pytest.raises(AdapterRejected) as caught:
        AdapterReference.parse(text)
    assert caught.value.code == "path_escape"


@pytest.mark.parametrize(
    "text", ["a**2", "a*", "+a", "a+", "a*1[", "a*1[]", "a*1[x]", "a[1]b", "a*1[1][2]", "a*9", "a+a", "a*1[-1]", ""]
)
def test_what_is_no_mix_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_mix(text, "org/base")
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    ("text", "message"),
    [("a+*2", "has an empty name"), ("a+b]c", "'b]c' is no term of a mix"), ("a*x", "'x' is not a weight")],
)
def test_the_message_says_what_is_wrong_with_a_term(text: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        parse_mix(text, "org/base")


def test_versions_are_ordered_by_number() -> None:
    assert sorted(["1.10", "2", "1.9", "1.9.1"], key=version_key) == ["1.9", "1.9.1", "1.10", "2"]


@pytest.mark.parametrize(("text", "version"), [("red", "1.10"), ("red@latest", "1.10"), ("red@1.9", "1.9")])
def test_catalogue_manager_and_loader_read_references_alike(
    text: str, version: str, tmp_path: Path, base, make_weights, signer
) -> None:
    manager = AdapterManager(tmp_path, base, signer.trust)
    for number, written in enumerate(("1.9", "1.10")):
        weights = make_weights(base, seed=number)
        manager.save_adapter(describe(weights, base.info, "red", version=written), weights, private_key=signer.private)
    entries = tuple(Entry("red", written, written, written) for written in ("1.9", "1.10"))
    found = View(entries).find(text)
    assert found is not None
    loader = DynamicLoader(manager, LayerInjector(base), host_budget_bytes=10**9, device_budget_bytes=10**9)
    try:
        assert manager.get_adapter_metadata(text).version == found.version == version
        assert loader.load(text).version == loader.load(text).version == version
        assert loader.residency(text) == "host"
        loader.unload(text)
        assert loader.residency(text) == "disk"
    finally:
        loader.close()
