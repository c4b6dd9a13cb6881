"""Signatures over files in memory: which are refused, with which code, and what the refusal says."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from adaptrix_core.adapters.package.file_names import SIGNATURE_FILE
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.trust import snapshot_hashing
from adaptrix_core.adapters.trust.keys import TrustedKey, read_trusted_keys
from adaptrix_core.adapters.trust.signing import sign_snapshot, verify_snapshot
from adaptrix_core.errors import AdapterRejected

FILES = {"metadata.json": b"{}", "layer_1.safetensors": b"one", "layer_2.safetensors": b"two"}


@pytest.fixture
def keys(signer: Any) -> tuple[TrustedKey, ...]:
    return read_trusted_keys(signer.trust.trusted_keys_dir)


@pytest.fixture
def signed(signer: Any) -> Callable[..., dict[str, bytes]]:
    """``signed(files)`` -> these files and a good signature over them."""

    def sign(files: dict[str, bytes] = FILES) -> dict[str, bytes]:
        return {**files, SIGNATURE_FILE: sign_snapshot(Snapshot("maths", files), signer.private)}

    return sign


def refusal(files: dict[str, bytes], keys: tuple[TrustedKey, ...]) -> AdapterRejected:
    with pytest.raises(AdapterRejected) as refused:
        verify_snapshot(Snapshot("maths", files), keys)
    assert refused.value.message.startswith("maths: "), "a refusal names what is refused"
    return refused.value


@pytest.mark.parametrize("name", ["/etc/passwd", "layers/1", "..\\1", "..", "."])
def test_a_trusted_signature_over_a_path_is_refused(
    signed: Callable[..., dict[str, bytes]], keys: tuple[TrustedKey, ...], name: str
) -> None:
    signature = signed({**FILES, name: b""})[SIGNATURE_FILE]
    refused = refusal({**FILES, SIGNATURE_FILE: signature}, keys)
    assert refused.code == "path_escape"
    assert f": {name};" in refused.message


@pytest.mark.parametrize(
    ("change", "code", "named"),
    [
        ({"layer_1.safetensors": b"other"}, "tampered", ": layer_1.safetensors;"),
        ({"layer_1.safetensors": b"two", "layer_2.safetensors": b"one"}, "tampered", ": layer_1.safetensors, layer_2."),
        ({"README.md": b""}, "unexpected_file", ": README.md;"),
        ({f"{n}.md": b"" for n in range(7)}, "unexpected_file", ": 0.md, 1.md, 2.md, 3.md, 4.md;"),
        ({"layer_2.safetensors": None}, "missing_file", ": layer_2.safetensors;"),
    ],
)
def test_the_files_that_differ_from_what_was_signed_are_named_and_no_others(
    signed: Callable[..., dict[str, bytes]],
    keys: tuple[TrustedKey, ...],
    change: dict[str, bytes | None],
    code: str,
    named: str,
) -> None:
    files = {name: data for name, data in {**signed(), **change}.items() if data is not None}
    refused = refusal(files, keys)
    assert (refused.code, named in refused.message) == (code, True), refused.message


def test_the_same_digits_by_another_hash_are_not_the_same_files(
    signed: Callable[..., dict[str, bytes]], keys: tuple[TrustedKey, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = snapshot_hashing.Digest
    with monkeypatch.context() as patch:
        patch.setattr(snapshot_hashing, "Digest", lambda algorithm, value: digest("blake2b", value))
        files = signed()
    assert refusal(files, keys).code == "tampered"


def test_stray_characters_in_a_statement_are_refused(
    signed: Callable[..., dict[str, bytes]], keys: tuple[TrustedKey, ...]
) -> None:
    files = signed()
    bundle = json.loads(files[SIGNATURE_FILE])
    payload = bundle["dsseEnvelope"]["payload"]
    bundle["dsseEnvelope"]["payload"] = f"{payload[:8]}!{payload[8:]}"
    refused = refusal({**files, SIGNATURE_FILE: json.dumps(bundle).encode()}, keys)
    assert refused.code == "bad_signature"
    assert "is not an OpenSSF key signature" in refused.message


def edited(files: dict[str, bytes], edit: Callable[[dict[str, Any], dict[str, Any]], None]) -> dict[str, bytes]:
    """With ``edit(bundle, statement)`` applied to the signature file, and the statement put back into the bundle."""
    bundle = json.loads(files[SIGNATURE_FILE])
    statement = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    edit(bundle, statement)
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    return {**files, SIGNATURE_FILE: json.dumps(bundle).encode()}


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (lambda _, s: s["predicate"]["serialization"].update(hash_type="blake2b"), "it hashes by .*blake2b"),
        (lambda _, s: s["predicate"]["serialization"].update(method="shards"), "it hashes by .*shards"),
        (lambda _, s: s["predicate"]["resources"].append(s["predicate"]["resources"][0]), "file list is malformed"),
        (lambda b, _: b["verificationMaterial"]["publicKey"].update(hint=["a"]), "key hint .* is malformed"),
        (lambda b, _: b["verificationMaterial"].update(publicKey="a"), "AttributeError: "),
        (lambda _, s: s["predicate"].pop("resources"), "KeyError: 'resources'"),
        (lambda _, s: s["predicate"]["resources"][0].pop("digest"), "KeyError: 'digest'"),
    ],
)
def test_a_signature_of_another_form_is_refused_before_it_is_verified(
    signed: Callable[..., dict[str, bytes]],
    keys: tuple[TrustedKey, ...],
    edit: Callable[[dict[str, Any], dict[str, Any]], None],
    named: str,
) -> None:
    for known in (keys, ()):
        refused = refusal(edited(signed(), edit), known)
        assert refused.code == "bad_signature"
        with pytest.raises(AdapterRejected, match=named):
            raise refused


def test_who_signs_with_a_strange_key_learns_which_one_and_which_are_trusted(
    signed: Callable[..., dict[str, bytes]], keys: tuple[TrustedKey, ...]
) -> None:
    (ours,) = keys
    others = tuple(replace(ours, name=name, fingerprint=digit * 64) for name, digit in (("x", "1"), ("y", "2")))
    message = refusal(signed(), others).message
    assert f"signed by key {ours.fingerprint[:12]}, " in message
    assert f"trusted keys: x ({'1' * 12}), y ({'2' * 12}). " in message
    nameless = edited(signed(), lambda bundle, _: bundle["verificationMaterial"]["publicKey"].pop("hint"))
    assert "signed by key unknown, which is not trusted; trusted keys: none. " in refusal(nameless, ()).message


def test_a_signature_that_claims_another_key_is_refused(
    signed: Callable[..., dict[str, bytes]], keys: tuple[TrustedKey, ...], make_signer: Any
) -> None:
    others = read_trusted_keys(make_signer("other").trust.trusted_keys_dir)
    claim = {"hint": others[0].fingerprint}
    files = edited(signed(), lambda bundle, _: bundle["verificationMaterial"]["publicKey"].update(claim))
    refused = refusal(files, (*keys, *others))
    assert (refused.code, "not made by the key that it names" in refused.message) == ("bad_signature", True)


def test_without_a_signature_the_command_that_makes_one_is_named(keys: tuple[TrustedKey, ...]) -> None:
    refused = refusal(FILES, keys)
    assert (refused.code, "`adaptrix sign maths`" in refused.message) == ("signature_missing", True)
