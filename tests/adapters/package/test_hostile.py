"""Every way to make a bad adapter is refused with its own code, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adaptrix_core.adapters import (
    AdapterManager,
    TrustPolicy,
    describe,
    export_peft,
    generate_key_pair,
    read_package,
    sign_package,
    write_package,
)
from adaptrix_core.adapters.package.file_rules import FileRule
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.sources.local import LocalDirectory
from adaptrix_core.adapters.trust.keys import read_trusted_keys
from adaptrix_core.adapters.trust.revocation import RevocationList, sign_list
from adaptrix_core.adapters.trust.revocation_directory import RevocationBoard, revocations_directory
from adaptrix_core.error_codes import PACKAGE
from adaptrix_core.errors import AdapterExists, AdapterRejected
from tests.adapters.hostile_corpus import SIGNED, UNSIGNED, edit_bundle

DOCUMENTED = set(PACKAGE)


@pytest.fixture
def good(tmp_path, base, make_weights, signer):
    """A manager whose root holds one good signed adapter, ``good``."""
    manager = AdapterManager(tmp_path / "adapters", base, signer.trust)
    weights = make_weights(base)
    manager.save_adapter(describe(weights, base.info, "good"), weights, private_key=signer.private)
    return manager


def assert_refused_and_harmless(manager: AdapterManager, path: Path, code: str) -> None:
    before = sorted(p.name for p in path.parent.iterdir())
    with pytest.raises(AdapterRejected) as refused:
        manager.load_adapter(path)
    assert refused.value.code == code, refused.value.message
    assert sorted(p.name for p in path.parent.iterdir()) == before
    assert manager.load_adapter("good").name == "good"


@pytest.mark.parametrize("case", UNSIGNED)
def test_a_malformed_adapter_is_refused_whether_signatures_are_checked_or_not(
    case, tmp_path, base, make_weights, signer, good
):
    code, spoil = UNSIGNED[case]
    weights = make_weights(base, seed=1)
    manager = AdapterManager(tmp_path / "work", base, TrustPolicy("off"))
    manager.save_adapter(describe(weights, base.info, "bad"), weights)
    spoil(tmp_path / "work" / "bad")
    with pytest.raises(AdapterRejected) as refused:
        manager.load_adapter(tmp_path / "work" / "bad")
    assert refused.value.code == code, refused.value.message
    assert not manager.validate_adapter(tmp_path / "work" / "bad").ok
    with pytest.raises(AdapterRejected):
        good.load_adapter(tmp_path / "work" / "bad")
    assert good.load_adapter("good").name == "good"


@pytest.mark.parametrize("case", SIGNED)
def test_an_adapter_that_is_not_what_was_signed_is_refused(case, tmp_path, base, make_weights, signer, good):
    code, spoil = SIGNED[case]
    weights = make_weights(base, seed=1)
    good.save_adapter(describe(weights, base.info, "bad"), weights, private_key=signer.private)
    spoil(good.root / "bad")
    assert_refused_and_harmless(good, good.root / "bad", code)
    warned = AdapterManager(good.root, base, TrustPolicy("warn", signer.trust.trusted_keys_dir)).validate_adapter(
        "good"
    )
    assert (warned.ok, warned.signer, warned.warnings) == (True, "release", ())


@pytest.mark.parametrize("case", ["oversize_header", "bad_dtype", "non_finite", "bad_shape", "base_mismatch"])
def test_a_valid_signature_does_not_excuse_bad_contents(case, base, make_weights, signer, good):
    """Even a trusted signer's adapter is checked: signing says who made it, not that it fits."""
    spoil = next(spoil for code, spoil in UNSIGNED.values() if code == case)
    weights = make_weights(base, seed=1)
    good.save_adapter(describe(weights, base.info, "bad"), weights)
    spoil(good.root / "bad")
    sign_anything(good.root / "bad", signer.private)
    assert_refused_and_harmless(good, good.root / "bad", case)


def sign_anything(path: Path, private_key: Path) -> None:
    from adaptrix_core.adapters.trust.signing import sign_snapshot

    snapshot = LocalDirectory(path).snapshot(lambda name: FileRule("whole", 1 << 30))
    (path / "signature.json").write_bytes(sign_snapshot(snapshot, private_key))


def test_a_signature_by_a_key_that_is_not_trusted_is_refused(base, make_weights, make_signer, good):
    weights = make_weights(base, seed=1)
    stranger = make_signer("stranger")
    good.save_adapter(describe(weights, base.info, "bad"), weights, private_key=stranger.private)
    assert_refused_and_harmless(good, good.root / "bad", "untrusted_key")


def test_a_signature_that_claims_a_trusted_key_is_refused(base, make_weights, make_signer, signer, good):
    weights = make_weights(base, seed=1)
    good.save_adapter(describe(weights, base.info, "bad"), weights, private_key=make_signer("stranger").private)
    (trusted,) = read_trusted_keys(signer.public.parent)

    def claim(bundle: dict) -> None:
        bundle["verificationMaterial"]["publicKey"]["hint"] = trusted.fingerprint

    edit_bundle(good.root / "bad", claim)
    assert_refused_and_harmless(good, good.root / "bad", "bad_signature")


def test_without_a_key_hint_the_signature_itself_decides(base, make_weights, make_signer, signer, good):
    strange = make_signer("stranger").private
    for name, private, code in (("mine", signer.private, None), ("bad", strange, "untrusted_key")):
        weights = make_weights(base, seed=1)
        good.save_adapter(describe(weights, base.info, name), weights, private_key=private)
        edit_bundle(good.root / name, lambda b: b["verificationMaterial"]["publicKey"].pop("hint"))
        if code is None:
            assert good.load_adapter(name).signer == "release"
        else:
            assert_refused_and_harmless(good, good.root / name, code)


@pytest.mark.parametrize("policy", ["require", "warn", "off"])
def test_a_revoked_package_is_refused_under_every_policy_and_after_resigning(
    policy, tmp_path, base, make_weights, make_signer, signer, good
):
    weights = make_weights(base, seed=1)
    good.save_adapter(describe(weights, base.info, "bad"), weights, private_key=signer.private)
    revoked = RevocationList(1, {good.load_adapter("bad").package_digest: "leaks training data"})
    RevocationBoard(tmp_path, signer.trust.trusted_keys_dir).put_in_force(sign_list(revoked, signer.private))
    trust = TrustPolicy(policy, signer.trust.trusted_keys_dir, revocations_dir=revocations_directory(tmp_path))
    strict = AdapterManager(good.root, base, trust)
    assert_refused_and_harmless(strict, good.root / "bad", "adapter_revoked")
    sign_package(good.root / "bad", signer.private)
    assert_refused_and_harmless(strict, good.root / "bad", "adapter_revoked")


@pytest.mark.parametrize("case", SIGNED)
def test_under_warn_a_bad_signature_is_a_warning_and_never_a_signer(case, tmp_path, base, make_weights, signer, good):
    code, spoil = SIGNED[case]
    weights = make_weights(base, seed=1)
    good.save_adapter(describe(weights, base.info, "bad"), weights, private_key=signer.private)
    spoil(good.root / "bad")
    report = AdapterManager(good.root, base, TrustPolicy("warn", signer.trust.trusted_keys_dir)).validate_adapter(
        good.root / "bad"
    )
    assert report.signer is None
    assert report.warnings[0].startswith(code + ":")


def test_the_documented_list_of_codes_covers_every_case():
    codes = {code for code, _ in (*UNSIGNED.values(), *SIGNED.values())} | {
        "adapter_revoked",
        "untrusted_key",
        "path_escape",
    }
    assert codes <= DOCUMENTED


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_file_with_random_damage_loads_or_is_refused_never_anything_else(data, base, make_weights):
    """Bytes are changed, removed or inserted anywhere; no parser of ours or of a library may let another error out."""
    weights = make_weights(base)
    files = dict(FUZZED.setdefault("files", package_files(base, weights)))
    name = data.draw(st.sampled_from(sorted(files)))
    content = bytearray(files[name])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, min(len(content), 400)))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    files[name] = bytes(content)
    policy = TrustPolicy(data.draw(st.sampled_from(["off", "warn"])), Path("no-such-keys"))
    code = "loaded"
    try:
        read_package(Snapshot("fuzzed", files), base.info, base.points, trust=policy)
    except AdapterRejected as refused:
        code = refused.code
    assert code in DOCUMENTED | {"loaded"}


FUZZED: dict[str, dict[str, bytes]] = {}


def package_files(base, weights) -> dict[str, bytes]:
    with TemporaryDirectory() as scratch:
        directory = Path(scratch) / "a"
        keys = (Path(scratch) / "k.key", Path(scratch) / "k.pub")
        generate_key_pair(*keys)
        write_package(directory, describe(weights, base.info, "a"), weights, private_key=keys[0])
        return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_writing_over_a_directory_of_other_things_is_refused(tmp_path, base, make_weights):
    weights = make_weights(base)
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.txt").write_text("years of work")
    for write in (
        lambda: write_package(tmp_path / "papers", describe(weights, base.info, "a"), weights),
        lambda: export_peft(weights, base, tmp_path / "papers"),
    ):
        with pytest.raises(AdapterExists, match=r"thesis\.txt"):
            write()
    assert (tmp_path / "papers" / "thesis.txt").read_text() == "years of work"
