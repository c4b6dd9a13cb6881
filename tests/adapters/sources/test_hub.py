"""The hub: what a location means there, and that only what is wanted is downloaded, from one commit."""

from __future__ import annotations

import pytest

from adaptrix_core.adapters.package.contents import snapshot_adapter, snapshot_package
from adaptrix_core.adapters.package.limits import Limits
from adaptrix_core.adapters.sources.hub import HubDirectory
from adaptrix_core.adapters.sources.opening import open_directory
from adaptrix_core.errors import AdapterNotFound, AdapterRejected
from tests.adapters.sources.fake_hub import FakeHub

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@pytest.mark.parametrize(
    ("location", "meant"),
    [
        ("hub://org/name", HubDirectory("org/name", None)),
        ("hub://org/name/", HubDirectory("org/name", None)),
        ("hub://org/name@v1", HubDirectory("org/name", "v1")),
        ("hub://org/name@refs/pr/1", HubDirectory("org/name", "refs/pr/1")),
        ("hub://org/name/deep/er@v1", HubDirectory("org/name", "v1", ("deep", "er"))),
    ],
)
def test_a_location_names_a_repository_a_directory_and_a_revision(location: str, meant: HubDirectory) -> None:
    directory = open_directory(location)
    assert directory == meant
    assert open_directory(directory.location) == meant


@pytest.mark.parametrize("wrong", ["hub://name", "hub://", "hub://org/name@", "hub://org/name/../x", "hub:///name"])
def test_another_location_is_refused_with_the_form(wrong: str) -> None:
    with pytest.raises(AdapterNotFound, match=r"hub://org/name\[/directory\]\[@revision\]"):
        open_directory(wrong)


def test_a_revision_stays_what_it_was(hub: FakeHub) -> None:
    first = hub.commit("org/lora", {CONFIG: b"1", WEIGHTS: b"old"})
    hub.commit("org/lora", {CONFIG: b"1", WEIGHTS: b"new"})
    assert snapshot_adapter(open_directory("hub://org/lora")).files[WEIGHTS] == b"new"
    old = snapshot_adapter(open_directory(f"hub://org/lora@{first}"))
    assert old.files[WEIGHTS] == b"old"
    assert old.origin == "lora"


def test_only_what_matters_of_a_repository_is_downloaded(hub: FakeHub) -> None:
    hub.commit("org/lora", {CONFIG: b"1", WEIGHTS: b"2", "optimizer.pt": b"3", "README.md": b"4", "runs/log": b"5"})
    snapshot_adapter(open_directory("hub://org/lora"))
    assert hub.downloaded == [CONFIG, WEIGHTS]


def test_a_package_may_fill_a_repository_although_the_hub_adds_a_file(hub: FakeHub) -> None:
    hub.commit("org/maths", {"metadata.json": b"{}", "layer_1.safetensors": b"1"})
    snapshot = snapshot_adapter(open_directory("hub://org/maths"))
    assert set(snapshot.files) == {"metadata.json", "layer_1.safetensors"}


def test_what_is_too_large_is_not_downloaded(hub: FakeHub) -> None:
    hub.commit("org/maths", {"metadata.json": b"{}", "layer_1.safetensors": b"x" * 100})
    with pytest.raises(AdapterRejected) as refused:
        snapshot_package(open_directory("hub://org/maths"), Limits(max_file_bytes=99))
    assert refused.value.code == "too_large"
    hub.commit("org/lora", {CONFIG: b"1", WEIGHTS: b"2", "tokenizer.json": b"x" * 100})
    assert set(snapshot_adapter(open_directory("hub://org/lora"), Limits(max_file_bytes=99)).files) == {CONFIG, WEIGHTS}
    assert not {"layer_1.safetensors", "tokenizer.json"} & set(hub.downloaded)


def test_a_name_that_leads_elsewhere_is_never_written(hub: FakeHub) -> None:
    hub.commit("org/lora", {CONFIG: b"1", WEIGHTS: b"2", "../escaped": b"3", "..": b"4", "a/../../escaped": b"5"})
    root = open_directory("hub://org/lora")
    assert [directory.name for directory in root.directories()] == []
    assert list(root.file_names()) == [CONFIG, WEIGHTS]
    with pytest.raises((AdapterNotFound, AdapterRejected)):
        root.child("..").read_file("escaped", 10)
    assert "../escaped" not in hub.downloaded


def test_what_the_hub_does_not_have_is_not_found_and_named_as_it_was_asked_for(hub: FakeHub) -> None:
    hub.commit("org/lora", {CONFIG: b"1"})
    for location in ("hub://org/none", "hub://org/lora@v9"):
        with pytest.raises(AdapterNotFound, match=f"'{location.removeprefix('hub://')}' could not be fetched"):
            snapshot_adapter(open_directory(location))
    with pytest.raises(AdapterNotFound, match="no directory 'hub://org/lora/deeper'"):
        snapshot_adapter(open_directory("hub://org/lora/deeper"))
    with pytest.raises(OSError, match="could not be fetched"):
        open_directory("hub://org/none").stamps()
