"""Revocation lists: only signed ones count, none is ever taken back to an older one, and silence ends confidence."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from adaptrix_core.adapters.package.file_names import REVOCATIONS_FILE, SIGNATURE_FILE
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.trust.keys import read_trusted_keys
from adaptrix_core.adapters.trust.revocation import (
    MAX_LIST_BYTES,
    MAX_NUMBER,
    RevocationList,
    parse_list,
    read_list,
    sign_list,
    verify_list,
)
from adaptrix_core.adapters.trust.revocation_lease import RevocationLease
from adaptrix_core.adapters.trust.signing import sign_snapshot
from adaptrix_core.errors import AdapterNotFound, AdapterRejected, Conflict

BAD, GOOD = "a" * 64, "b" * 64
LEASE_S = 300.0


class Clock:
    """A clock that tests set."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lease(signer: Any, clock: Clock) -> RevocationLease:
    return RevocationLease(signer.trust.trusted_keys_dir, LEASE_S, clock)


def refusal(lease: RevocationLease, package: str) -> str | None:
    """The code with which the lease refuses a package, or None."""
    try:
        lease.require_unrevoked(package)
    except AdapterRejected as error:
        return error.code
    return None


def test_a_signed_list_says_what_was_signed(signer: Any) -> None:
    wanted = RevocationList().with_packages({BAD: "leaks"})
    read = verify_list(sign_list(wanted, signer.private), read_trusted_keys(signer.trust.trusted_keys_dir))
    assert (read.number, read.revoked) == (1, {BAD: "leaks"})
    assert read.with_packages({GOOD: ""}).without([BAD]) == RevocationList(3, {GOOD: ""})
    with pytest.raises(AdapterNotFound):
        read.without([GOOD])


def test_a_list_on_disk_passes_the_signature_tool_s_own_rules(signer: Any, tmp_path: Any) -> None:
    from model_signing import hashing, verifying

    files = sign_list(RevocationList(1, {BAD: ""}), signer.private)
    directory = tmp_path / "revocations"
    directory.mkdir()
    for name, data in files.items():
        (directory / name).write_bytes(data)
    config = verifying.Config().use_elliptic_key_verifier(public_key=signer.public)
    hashed = hashing.Config().set_ignored_paths(paths=[directory / SIGNATURE_FILE])
    config.set_hashing_config(hashed).verify(directory, directory / SIGNATURE_FILE)
    assert read_list(directory) == files
    assert read_list(tmp_path / "nowhere") is None


def changed(files: dict[str, bytes], **fields: object) -> dict[str, bytes]:
    document = {**json.loads(files[REVOCATIONS_FILE]), **fields}
    return {**files, REVOCATIONS_FILE: json.dumps(document).encode()}


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda files: changed(files, revoked={}), "tampered"),
        (lambda files: changed(files, number=7), "tampered"),
        (lambda files: changed(files, number=0), "bad_revocations"),
        (lambda files: changed(files, number=2**53), "bad_revocations"),
        (lambda files: changed(files, revoked={"short": ""}), "bad_revocations"),
        (lambda files: changed(files, other=1), "bad_revocations"),
        (lambda files: {**files, REVOCATIONS_FILE: b"{"}, "bad_revocations"),
        (lambda files: {REVOCATIONS_FILE: files[REVOCATIONS_FILE]}, "bad_revocations"),
        (lambda files: {**files, "more": b""}, "bad_revocations"),
        (lambda files: {**files, SIGNATURE_FILE: b"{}"}, "bad_signature"),
    ],
)
def test_a_list_that_was_touched_is_refused_and_confirms_nothing(
    lease: RevocationLease, signer: Any, damage: Callable[[dict[str, bytes]], dict[str, bytes]], code: str
) -> None:
    files = sign_list(RevocationList(3, {BAD: ""}), signer.private)
    with pytest.raises(AdapterRejected) as refused:
        lease.confirm(damage(files), lease.now())
    assert refused.value.code == code
    assert refusal(lease, GOOD) == "adapter_unconfirmed"


def test_a_list_of_a_stranger_and_a_signature_over_something_else_are_refused(
    lease: RevocationLease, signer: Any, make_signer: Any
) -> None:
    with pytest.raises(AdapterRejected) as refused:
        lease.confirm(sign_list(RevocationList(1, {GOOD: ""}), make_signer("stranger").private), lease.now())
    assert refused.value.code == "untrusted_key"
    files = sign_list(RevocationList(1, {BAD: ""}), signer.private)
    adapter_signature = sign_snapshot(Snapshot("adapter", {"metadata.json": files[REVOCATIONS_FILE]}), signer.private)
    with pytest.raises(AdapterRejected):
        lease.confirm({**files, SIGNATURE_FILE: adapter_signature}, lease.now())


def test_an_older_list_never_comes_back(lease: RevocationLease, signer: Any, clock: Clock) -> None:
    old, new = (
        sign_list(RevocationList(number, {BAD: ""} if number == 2 else {}), signer.private) for number in (1, 2)
    )
    assert lease.confirm(new, clock.now)
    for stale in (old, None, sign_list(RevocationList(2, {}), signer.private)):
        clock.now += 1
        with pytest.raises(Conflict):
            lease.confirm(stale, clock.now)
    assert refusal(lease, BAD) == "adapter_revoked"
    clock.now = 1000.0 + LEASE_S + 1  # what was refused has not renewed the lease
    assert refusal(lease, GOOD) == "adapter_unconfirmed"
    assert refusal(lease, BAD) == "adapter_revoked"


def test_the_same_list_again_renews_the_lease_from_when_it_was_asked_for(
    lease: RevocationLease, signer: Any, clock: Clock
) -> None:
    files = sign_list(RevocationList(1, {BAD: ""}), signer.private)
    assert refusal(lease, GOOD) == "adapter_unconfirmed"
    assert lease.confirm(files, clock.now)
    clock.now += LEASE_S
    assert refusal(lease, GOOD) is None
    assert not lease.confirm(files, asked_at=clock.now - 100)
    clock.now += LEASE_S - 100
    assert refusal(lease, GOOD) is None
    clock.now += 1
    assert refusal(lease, GOOD) == "adapter_unconfirmed"


def test_an_answer_that_was_asked_for_earlier_takes_nothing_from_the_lease(
    lease: RevocationLease, signer: Any, clock: Clock
) -> None:
    files = sign_list(RevocationList(1, {BAD: ""}), signer.private)
    lease.confirm(files, asked_at=clock.now)
    lease.confirm(files, asked_at=clock.now - 200)
    clock.now += LEASE_S
    assert refusal(lease, GOOD) is None


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="no clock here goes on while the machine sleeps")
def test_the_lease_ends_while_the_machine_sleeps(signer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = RevocationLease(signer.trust.trusted_keys_dir, LEASE_S)
    lease.confirm(None, lease.now())
    awake, all_time = time.monotonic, time.clock_gettime
    monkeypatch.setattr(time, "clock_gettime", lambda clock: all_time(clock) + LEASE_S)
    assert refusal(lease, GOOD) == "adapter_unconfirmed"
    monkeypatch.delattr(time, "CLOCK_BOOTTIME")
    assert lease.now() == pytest.approx(awake(), abs=60.0), "a system without such a clock counts what it can"


def test_who_is_refused_learns_why_and_what_to_look_at(lease: RevocationLease, signer: Any, clock: Clock) -> None:
    setting = r"limit 300 s \(adapters\.revocation_max_age_s\)"
    with pytest.raises(AdapterRejected, match=f"has never been confirmed, .*{setting}"):
        lease.require_unrevoked(GOOD)
    lease.confirm(sign_list(RevocationList(4, {BAD: "leaks", GOOD: ""}), signer.private), clock.now)
    for package, reason in ((BAD, "leaks"), (GOOD, "no reason given")):
        with pytest.raises(AdapterRejected, match=rf"package {package} is revoked by list 4 \({reason}\)"):
            lease.require_unrevoked(package)
    clock.now += LEASE_S + 10
    with pytest.raises(AdapterRejected, match=f"was last confirmed 310 s ago, .*{setting}"):
        lease.require_unrevoked(None)


@pytest.mark.parametrize(
    ("later", "code"),
    [
        (RevocationList(6), "revocation_rollback"),
        (RevocationList(7, {GOOD: ""}), "revocation_number_taken"),
        (RevocationList(7, {BAD: "another reason"}), "revocation_number_taken"),
    ],
)
def test_a_list_that_may_not_follow_is_told_the_next_number(later: RevocationList, code: str) -> None:
    with pytest.raises(Conflict, match=r"\b7\b.* sign it as 8$") as refused:
        RevocationList(7, {BAD: ""}).require_successor(later)
    assert refused.value.code == code


def test_a_wall_clock_that_jumps_changes_nothing(signer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = RevocationLease(signer.trust.trusted_keys_dir, LEASE_S)
    lease.confirm(None, lease.now())
    for jump in (10 * 365 * 86400.0, -10 * 365 * 86400.0):
        real = time.time
        monkeypatch.setattr(time, "time", lambda jump=jump, real=real: real() + jump)
        assert refusal(lease, GOOD) is None
        assert not lease.confirm(None, lease.now())


def test_a_huge_list_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(AdapterRejected, match="limit"):
        parse_list({REVOCATIONS_FILE: b" " * (5 << 20), SIGNATURE_FILE: b"{}"})


def test_a_list_may_have_the_size_of_the_limit(signer: Any) -> None:
    files = sign_list(RevocationList(1, {BAD: ""}), signer.private)
    full = {**files, REVOCATIONS_FILE: files[REVOCATIONS_FILE].ljust(MAX_LIST_BYTES)}
    assert parse_list(full) == RevocationList(1, {BAD: ""})
    with pytest.raises(AdapterRejected, match="limit"):
        parse_list({**full, REVOCATIONS_FILE: full[REVOCATIONS_FILE] + b" "})


def test_what_is_wrong_with_a_list_is_said(signer: Any) -> None:
    files = sign_list(RevocationList(1), signer.private)
    with pytest.raises(AdapterRejected, match=f"it has the files a, {SIGNATURE_FILE};"):
        parse_list({SIGNATURE_FILE: b"", "a": b""})
    with pytest.raises(AdapterRejected, match="it has the files none;"):
        parse_list({})
    with pytest.raises(AdapterRejected, match="number"):
        parse_list(changed(files, number=0))
    with pytest.raises(AdapterRejected, match="number") as refused:
        sign_list(RevocationList(0), signer.private)
    assert refused.value.code == "bad_revocations"
    with pytest.raises(AdapterNotFound, match=f"package {GOOD} is not on revocation list 5"):
        RevocationList(5, {BAD: ""}).without([GOOD])


def test_a_directory_with_anything_beside_a_list_is_not_one(signer: Any, tmp_path: Any) -> None:
    for name in (*sign_list(RevocationList(1), signer.private), "more.json"):
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(AdapterRejected, match=r"more\.json") as refused:
        read_list(tmp_path)
    assert refused.value.code == "unexpected_file"


def test_numbers_and_reasons_have_limits_which_are_allowed_themselves(signer: Any) -> None:
    largest = RevocationList(MAX_NUMBER, {BAD: "x" * 1000})
    assert parse_list(sign_list(largest, signer.private)) == largest
    for beyond in (
        RevocationList(MAX_NUMBER + 1),
        RevocationList(1, {BAD: "x" * 1001}),
        RevocationList(1, {"A" * 64: ""}),
    ):
        with pytest.raises(AdapterRejected) as refused:
            sign_list(beyond, signer.private)
        assert refused.value.code == "bad_revocations"
