"""Defaults are the same from every directory, and another base model's catalogue decides nothing."""

from __future__ import annotations

import logging
import sysconfig
import tomllib
from pathlib import Path

import pytest

from adaptrix_core import places
from adaptrix_core.adapters import AdapterManager, TrustPolicy, generate_key_pair
from adaptrix_core.base import BaseModelManager
from adaptrix_core.base.source import EMBEDDED
from adaptrix_core.config import load_settings
from adaptrix_core.config.section import BUILT_IN_MODELS
from adaptrix_core.engine import Engine, SamplingParams
from adaptrix_core.engine.cache.cut import catalogue_cut
from adaptrix_core.errors import AdapterRejected
from adaptrix_core.native import why_not
from adaptrix_core.routing.embedder import PACKAGED
from tests.tiny_models import random_base, random_module

SHIPPED = places.shipped_adapters()
NAMES = sorted(path.parent.name for path in SHIPPED.glob("*/metadata.json"))
SIGNERS = {"tool_use": "adaptrix_tools"}
"""Where it is not ``adaptrix``."""


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory in which every name that a default could mean is taken by something else."""
    for name in ("adapters/trusted_keys", "runs/adapter-store", *BUILT_IN_MODELS):
        (tmp_path / "work" / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def test_settings_are_the_same_from_every_directory(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from_there = load_settings({})
    monkeypatch.chdir(places.project_root())
    assert load_settings({}) == from_there
    assert from_there.adapters.dir == SHIPPED


def test_a_built_in_name_is_never_a_path(elsewhere: Path) -> None:
    assert {*EMBEDDED, PACKAGED} == BUILT_IN_MODELS
    settings = load_settings({}, root=Path.cwd())
    assert {settings.base.model, settings.router.embedder} == BUILT_IN_MODELS


@pytest.mark.parametrize("layers", [1, 2, 10, 11])
def test_a_base_of_any_depth_has_a_cut_of_its_own(layers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped adapters begin at layer 10 of another base."""
    monkeypatch.chdir(places.project_root())
    random_module(num_hidden_layers=layers).save_pretrained(tmp_path / "small")
    engine = Engine.from_pretrained(str(tmp_path / "small"), "cpu", "fp32")
    assert engine.stats()["cut"] == (None if layers == 1 else max(1, layers // 3))
    assert len(engine.generate([[5, 6, 7]], params=SamplingParams(max_tokens=4, ignore_eos=True))[0].token_ids) == 4
    engine.loader.close()


def test_a_cut_comes_from_adapters_for_this_base_alone() -> None:
    base = random_base(num_hidden_layers=30)
    assert min(min(m.target_layers) for m in AdapterManager(SHIPPED).list_adapters()) == 10
    assert catalogue_cut(SHIPPED, random_base(num_hidden_layers=24)) == 8
    assert catalogue_cut(SHIPPED, base) == 10, "a third of the depth"


@pytest.mark.parametrize("name", NAMES)
def test_shipped_adapters_are_trusted_by_their_own_key(name: str, elsewhere: Path) -> None:
    """Though the user trusts nobody; also where they were copied to, under another name."""
    snapshot = AdapterManager(SHIPPED).snapshot(name)
    signer = SIGNERS.get(name, "adaptrix")
    assert TrustPolicy().check(snapshot).signer == signer
    (elsewhere / "copied").mkdir()
    for file, data in snapshot.files.items():
        (elsewhere / "copied" / file).write_bytes(data)
    assert TrustPolicy().check(AdapterManager(elsewhere).snapshot(elsewhere / "copied")).signer == signer


def test_the_projects_key_counts_for_what_it_ships_and_for_nothing_else(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = AdapterManager(SHIPPED).snapshot(NAMES[0])
    with pytest.raises(AdapterRejected) as own_policy:
        TrustPolicy("require", elsewhere / "no-keys").check(snapshot)
    assert own_policy.value.code == "untrusted_key"
    # An installation that ships other adapters, under the same names and with the same key.
    (elsewhere / "installed").mkdir()
    (elsewhere / "installed" / places.CONFIG_FILE).touch()
    keys = elsewhere / "installed" / "adapters" / "trusted_keys"
    keys.mkdir(parents=True)
    (keys / "adaptrix.pub").write_bytes((places.shipped_keys() / "adaptrix.pub").read_bytes())
    (elsewhere / "installed" / "adapters" / NAMES[0]).mkdir()
    monkeypatch.setattr(places, "project_root", lambda: elsewhere / "installed")
    with pytest.raises(AdapterRejected) as not_shipped:
        TrustPolicy().check(snapshot)
    assert not_shipped.value.code == "untrusted_key"


def test_a_users_own_keys_count_beside_the_projects(elsewhere: Path) -> None:
    from adaptrix_core.adapters import package_digest, sign_package

    snapshot = AdapterManager(SHIPPED).snapshot(NAMES[0])
    directory = elsewhere / NAMES[0]
    directory.mkdir()
    for file, data in snapshot.files.items():
        (directory / file).write_bytes(data)
    generate_key_pair(elsewhere / "me.key", places.default_trusted_keys() / "me.pub")
    sign_package(directory, elsewhere / "me.key")
    again = AdapterManager(elsewhere).snapshot(directory)
    assert again.package_digest == snapshot.package_digest == package_digest(directory)
    assert TrustPolicy().check(again).signer == "me"
    assert TrustPolicy().check(snapshot).signer == "adaptrix"


@pytest.mark.slow
@pytest.mark.parametrize(("optimize", "layout"), [("auto", "int4"), ("exactness", None)])
def test_a_quantised_file_is_computed_in_its_own_form_unless_exactness_is_asked_for(
    optimize: str, layout: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    if layout is not None and (reason := why_not()) is not None:
        pytest.skip(f"no kernels here: {reason}")
    with caplog.at_level(logging.INFO, logger="adaptrix_core.base.manager"):
        base = BaseModelManager(device="cpu", optimize=optimize).load_model()  # type: ignore[arg-type]
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith(f"base model smollm2-135m: weights as {base.layout}: ")
    if layout is not None:
        assert base.layout.startswith(layout)
        assert "the form that its file has (Q4_1, Q8_0)" in line
    else:
        assert base.layout == "float32"  # also where the processor computes bfloat16
        assert "optimize is exactness" in line


def test_an_installed_package_keeps_its_things_in_the_environment(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wheel brings every shipped adapter to where an installation looks for it."""
    project = tomllib.loads((places.project_root() / "pyproject.toml").read_text())
    monkeypatch.setattr(places, "project_root", lambda: elsewhere / "site-packages")
    monkeypatch.setenv("XDG_STATE_HOME", str(elsewhere / "state"))
    installed = places.shipped_adapters().relative_to(sysconfig.get_path("data"))
    brought = project["tool"]["setuptools"]["data-files"]
    assert {str(installed / name) for name in (*NAMES, "trusted_keys")} <= set(brought)
    assert places.default_state_dir() == elsewhere / "state" / "adaptrix" / "adapter-store"
