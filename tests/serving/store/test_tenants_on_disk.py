"""Whose an adapter is, on disk: kept over restarts, apart for each tenant, and never taken for public."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adaptrix_core.errors import Conflict
from deployments.shared.entry import PUBLIC, Audience, Entry, LoadCall
from deployments.store.disk import StoreFiles
from deployments.store.standing import refuse_conflicting, refuse_foreign, with_standing
from tests.serving.store.test_standing import OURS, THEIRS, Known
from tests.serving.store.test_standing import entry as plain
from tests.serving.tiny import World

ACME, BETA = Audience("acme", ("beta",)), Audience("beta")


def opened(world: World, state: Path) -> tuple[StoreFiles, tuple[Entry, ...]]:
    files = StoreFiles(world.shipped, state)
    return files, files.open()


def whose(entries: tuple[Entry, ...]) -> set[tuple[str, str, tuple[str, ...]]]:
    return {(entry.name, entry.tenant, entry.shared_with) for entry in entries if not entry.shipped}


def test_whose_it_is_survives_a_restart(world: World, tmp_path: Path) -> None:
    files, _ = opened(world, tmp_path)
    package = str(world.write_adapter(tmp_path / "made", "extra", 5))
    entries = [files.commit(files.stage(LoadCall("extra", package, audience=who))) for who in (ACME, BETA, PUBLIC)]
    assert whose(opened(world, tmp_path)[1]) == {("extra", "acme", ("beta",)), ("extra", "beta", ()), ("extra", "", ())}
    files.remove([entries[0]])
    files.share([Audience("beta", ("acme",)).of(entries[1])])
    assert whose(opened(world, tmp_path)[1]) == {("extra", "beta", ("acme",)), ("extra", "", ())}


def test_an_index_without_tenants_is_read_and_written_as_ever(world: World, tmp_path: Path) -> None:
    files, _ = opened(world, tmp_path)
    package = str(world.write_adapter(tmp_path / "made", "extra", 5))
    committed = files.commit(files.stage(LoadCall("extra", package)))
    (item,) = json.loads((tmp_path / "catalogue" / "index.json").read_text())["loaded"]
    assert item == {"name": "extra", "bundle": committed.bundle_digest, "loaded_at": committed.loaded_at}
    assert whose(opened(world, tmp_path)[1]) == {("extra", "", ())}


def test_a_private_copy_of_an_unloaded_shipped_adapter_stays_private(world: World, tmp_path: Path) -> None:
    files, entries = opened(world, tmp_path)
    files.remove([entry for entry in entries if entry.name == "math_reasoning"])
    files.commit(files.take_shipped(LoadCall("math_reasoning", "math_reasoning", audience=BETA)))
    assert files.unloaded(set()) == ("math_reasoning",)
    assert whose(opened(world, tmp_path)[1]) == {("math_reasoning", "beta", ())}


def test_names_belong_to_signers_for_each_tenant_apart() -> None:
    known = Known({"a": OURS, "b": THEIRS}, {"x": (OURS.key,)})
    ours, theirs = plain("x", "1.0", "a"), BETA.of(plain("x", "2.0", "b"))
    judged = with_standing([ours, theirs], known, set(), set(), is_owned=True)
    assert [entry.withheld for entry in judged] == [None, None]
    refuse_foreign(theirs, THEIRS, [ours], known)
    refuse_conflicting(theirs, [Audience("acme").of(ours)], known, allow_downgrade=False)
    known.owned["~beta/x"] = (OURS.key,)
    with pytest.raises(Conflict) as caught:
        refuse_foreign(theirs, THEIRS, [ours], known)
    assert caught.value.code == "name_owned"


def test_a_tenant_takes_no_public_name_and_a_public_one_is_never_in_a_tenants_way() -> None:
    mine, public = BETA.of(plain("x", "1.0", "a")), plain("x", "1.0", "b")
    with pytest.raises(Conflict) as caught:
        refuse_conflicting(mine, [public], Known(), allow_downgrade=False)
    assert caught.value.code == "name_taken"
    refuse_conflicting(public, [mine], Known(), allow_downgrade=False)
    refuse_conflicting(mine, [ACME.of(public)], Known(), allow_downgrade=False)
