"""The revocation list on disk is what every load goes by; where it cannot be relied upon, nothing is loaded."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adaptrix_core.adapters import TrustPolicy
from adaptrix_core.adapters.package import atomic
from adaptrix_core.adapters.package.file_names import REVOCATIONS_FILE, SIGNATURE_FILE
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.trust.revocation import RevocationList, sign_list
from adaptrix_core.adapters.trust.revocation_directory import (
    RevocationBoard,
    read_shared_list,
    revocations_directory,
)
from adaptrix_core.config import load_settings
from adaptrix_core.errors import AdapterRejected, ConfigError, Conflict

SNAPSHOT = Snapshot("copied", {"metadata.json": b"{}"})
BAD = SNAPSHOT.package_digest


@pytest.fixture
def board(signer: Any, tmp_path: Path) -> RevocationBoard:
    return RevocationBoard(tmp_path, signer.trust.trusted_keys_dir)


@pytest.fixture
def off(signer: Any, tmp_path: Path) -> TrustPolicy:
    """Looks at no signature of an adapter, but at the list."""
    return TrustPolicy("off", signer.trust.trusted_keys_dir, revocations_dir=revocations_directory(tmp_path))


@pytest.mark.parametrize(("reason", "told"), [("leaks", "leaks"), ("", "no reason given")])
def test_a_revoked_package_is_refused_with_its_reason(
    off: TrustPolicy, board: RevocationBoard, signer: Any, reason: str, told: str
) -> None:
    off.check(SNAPSHOT)
    board.put_in_force(sign_list(RevocationList(1, {BAD: reason}), signer.private))
    with pytest.raises(AdapterRejected, match=rf"copied: .*{BAD} is revoked by list 1 \({told}\)") as refused:
        off.check(SNAPSHOT)
    assert refused.value.code == "adapter_revoked"
    board.put_in_force(sign_list(RevocationList(2), signer.private))
    off.check(SNAPSHOT)


def test_settings_have_the_list_of_their_state_directory(signer: Any, tmp_path: Path) -> None:
    keys = signer.trust.trusted_keys_dir
    adapters = load_settings({"adapters": {"state_dir": str(tmp_path), "trusted_keys_dir": str(keys)}}).adapters
    wanted = TrustPolicy("require", keys.resolve(), revocations_dir=revocations_directory(tmp_path.resolve()))
    assert TrustPolicy.of(adapters) == wanted


def _unreadable(directory: Path) -> None:
    (directory / REVOCATIONS_FILE).write_bytes(b"{")


def _without_a_signature(directory: Path) -> None:
    (directory / SIGNATURE_FILE).unlink()


def _a_file(directory: Path) -> None:
    directory.rename(directory.with_name("away"))
    directory.write_text(BAD)


def _a_link_to_nowhere(directory: Path) -> None:
    directory.rename(directory.with_name("away"))
    directory.symlink_to(directory.with_name("unmounted"))


@pytest.mark.parametrize("spoil", [_unreadable, _without_a_signature, _a_file, _a_link_to_nowhere])
def test_nothing_is_loaded_by_a_list_that_cannot_be_read(
    off: TrustPolicy, board: RevocationBoard, signer: Any, tmp_path: Path, spoil: Callable[[Path], None]
) -> None:
    board.put_in_force(sign_list(RevocationList(1), signer.private))
    spoil(revocations_directory(tmp_path))
    with pytest.raises(ConfigError, match="revocation list"):
        off.check(SNAPSHOT)


def test_nothing_is_loaded_by_a_list_that_a_stranger_signed(
    off: TrustPolicy, board: RevocationBoard, signer: Any, make_signer: Any
) -> None:
    board.put_in_force(sign_list(RevocationList(1), signer.private))
    with pytest.raises(ConfigError, match="not trusted"):
        replace(off, trusted_keys_dir=make_signer("stranger").trust.trusted_keys_dir).check(SNAPSHOT)


def test_a_list_is_found_whose_writer_died_between_two_renames(
    off: TrustPolicy, board: RevocationBoard, signer: Any, tmp_path: Path
) -> None:
    board.put_in_force(sign_list(RevocationList(1, {BAD: ""}), signer.private))
    os.rename(revocations_directory(tmp_path), tmp_path / ".old-revocations")
    with pytest.raises(AdapterRejected):
        off.check(SNAPSHOT)


def test_what_another_process_has_put_on_disk_is_not_lost(board: RevocationBoard, signer: Any, tmp_path: Path) -> None:
    board.open()
    other = RevocationBoard(tmp_path, signer.trust.trusted_keys_dir)
    other.put_in_force(sign_list(RevocationList(2, {BAD: ""}), signer.private))
    with pytest.raises(Conflict) as refused:
        board.put_in_force(sign_list(RevocationList(2), signer.private))
    assert refused.value.code == "revocation_number_taken"
    assert board.list == other.list, "whoever asks for the list in force gets it"
    board.put_in_force(sign_list(board.list.with_packages({"a" * 64: ""}), signer.private))
    assert set(board.list.revoked) == {BAD, "a" * 64}


@pytest.mark.parametrize("number", [4, 5])
def test_a_list_on_disk_that_is_not_later_takes_nothing_back(
    board: RevocationBoard, signer: Any, tmp_path: Path, number: int
) -> None:
    assert board.files is None
    in_force = board.put_in_force(sign_list(RevocationList(5, {BAD: ""}), signer.private))
    other = sign_list(RevocationList(number), signer.private)
    for name, data in other.items():
        (revocations_directory(tmp_path) / name).write_bytes(data)
    with pytest.raises(Conflict):
        board.put_in_force(other)
    board.open()
    assert board.list == in_force


def test_a_list_that_is_there_is_read_without_a_hand_on_the_disk(
    off: TrustPolicy, board: RevocationBoard, signer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def recover(directory: Path) -> None:
        raise AssertionError(f"{directory} may be in the midst of a write")

    board.put_in_force(sign_list(RevocationList(1), signer.private))
    monkeypatch.setattr(atomic, "recover", recover)
    off.check(SNAPSHOT)


def test_the_shared_list_is_the_published_one_or_none_and_no_directory_is_an_error(
    board: RevocationBoard, signer: Any, tmp_path: Path
) -> None:
    assert read_shared_list(tmp_path) is None
    published = sign_list(RevocationList(1, {BAD: ""}), signer.private)
    board.put_in_force(published)
    assert read_shared_list(tmp_path) == published
    with pytest.raises(FileNotFoundError, match="unmounted"):
        read_shared_list(tmp_path / "unmounted")


def test_a_list_can_be_published_over_one_that_cannot_be_read(
    board: RevocationBoard, off: TrustPolicy, signer: Any, tmp_path: Path
) -> None:
    board.put_in_force(sign_list(RevocationList(1), signer.private))
    _unreadable(revocations_directory(tmp_path))
    board.put_in_force(sign_list(RevocationList(2, {BAD: ""}), signer.private))
    with pytest.raises(AdapterRejected):
        off.check(SNAPSHOT)
