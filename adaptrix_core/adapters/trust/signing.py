"""OpenSSF Model Signing over a `Snapshot`: sign, and verify against trusted keys.

The signature covers every other file of the directory by SHA-256; signatures made here are accepted by `model_signing
verify key`, and those of `model_signing sign key` are accepted here. Both work on bytes in memory, never on paths, so
the verified bytes are the loaded ones. Not covered: keyless (Sigstore) and certificate signatures, and time: an old,
validly signed version passes until it is revoked.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from adaptrix_core.adapters.package.file_names import SIGNATURE_FILE
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.trust.keys import TrustedKey, check_private_key
from adaptrix_core.errors import AdapterRejected


def sign_snapshot(snapshot: Snapshot, private_key: Path) -> bytes:
    """The contents of signature.json for ``snapshot``. Raises AdapterNotFound (no key) or AdapterRejected (bad_key)."""
    check_private_key(private_key)
    from model_signing import signing  # takes a second to import, which only signing needs

    from adaptrix_core.adapters.trust.snapshot_hashing import SnapshotHashing

    with TemporaryDirectory(prefix="adaptrix-sign-") as scratch:
        target = Path(scratch) / SIGNATURE_FILE
        config = signing.Config().use_elliptic_key_signer(private_key=private_key)
        config.set_hashing_config(SnapshotHashing(snapshot)).sign(Path(snapshot.origin), target)
        return target.read_bytes()


def verify_snapshot(snapshot: Snapshot, keys: Sequence[TrustedKey]) -> TrustedKey:
    """The trusted key that signed exactly these files.

    Raises AdapterRejected: signature_missing, bad_signature, untrusted_key, tampered, missing_file, unexpected_file,
    path_escape.
    """
    bundle = snapshot.files.get(SIGNATURE_FILE)
    if bundle is None:
        raise AdapterRejected(
            f"{snapshot.origin}: no {SIGNATURE_FILE}; sign it with `adaptrix sign {snapshot.origin}`",
            code="signature_missing",
        )
    hint, payload = _open_bundle(bundle, snapshot.origin)
    candidates = [key for key in keys if hint in ("", key.fingerprint)]
    if not candidates:
        known = ", ".join(f"{key.name} ({key.fingerprint[:12]})" for key in keys) or "none"
        raise AdapterRejected(
            f"{snapshot.origin}: signed by key {hint[:12] or 'unknown'}, which is not trusted; trusted keys: {known}. "
            "If you trust its owner, copy the public key to the trusted keys (a server's: adapters.trusted_keys_dir; "
            "`adaptrix verify` names the directory)",
            code="untrusted_key",
        )
    for key in candidates:
        verdict = _verify_with(key, snapshot, bundle)
        if verdict == "good":
            return key
        if verdict == "other_files":
            raise _difference(snapshot, payload)
    code = "bad_signature" if hint else "untrusted_key"
    raise AdapterRejected(
        f"{snapshot.origin}: {SIGNATURE_FILE} was not made by the key that it names; sign the adapter again", code=code
    )


def _open_bundle(bundle: bytes, origin: str) -> tuple[str, dict[str, Any]]:
    """Key hint and statement, not authenticated yet, but with their shapes checked for all later steps."""
    try:
        parsed = json.loads(bundle)
        hint = parsed["verificationMaterial"]["publicKey"].get("hint") or ""
        payload = json.loads(base64.b64decode(parsed["dsseEnvelope"]["payload"], validate=True))
        resources = [(str(r["name"]), str(r["digest"])) for r in payload["predicate"]["resources"]]
        method = payload["predicate"]["serialization"]
        plain = method["method"] == "files" and method["hash_type"] == "sha256"
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _bad_bundle(origin, f"{type(error).__name__}: {error}") from error
    if not isinstance(hint, str) or len(resources) != len(dict(resources)):
        raise _bad_bundle(origin, "key hint or file list is malformed")
    if not plain:
        raise _bad_bundle(origin, f"it hashes by {method}; sign whole files with SHA-256, the default")
    return hint, payload


def _bad_bundle(origin: str, what: str) -> AdapterRejected:
    return AdapterRejected(
        f"{origin}: {SIGNATURE_FILE} is not an OpenSSF key signature: {what}; sign the adapter again",
        code="bad_signature",
    )


def _verify_with(key: TrustedKey, snapshot: Snapshot, bundle: bytes) -> Literal["good", "bad", "other_files"]:
    """The library's verdict; "good" only if it succeeds."""
    from model_signing import verifying

    from adaptrix_core.adapters.trust.snapshot_hashing import SnapshotHashing

    hashing_config = SnapshotHashing(snapshot)
    with TemporaryDirectory(prefix="adaptrix-verify-") as scratch:
        signature_path = Path(scratch) / SIGNATURE_FILE
        signature_path.write_bytes(bundle)
        config = verifying.Config().use_elliptic_key_verifier(public_key=key.path)
        try:
            config.set_hashing_config(hashing_config).verify(Path(snapshot.origin), signature_path)
        except Exception:  # a hostile bundle makes the library's parsers raise anything; all of it means "no"
            return "other_files" if hashing_config.was_asked else "bad"
    return "good"


def _difference(snapshot: Snapshot, payload: Mapping[str, Any]) -> AdapterRejected:
    """Why a good signature does not fit these files. Only words the refusal: the library has already said no."""
    signed = {str(r["name"]): str(r["digest"]) for r in payload["predicate"]["resources"]}
    actual = snapshot.file_digests
    findings: tuple[tuple[str, str, Iterable[str]], ...] = (
        ("path_escape", "the signature names paths outside:", [name for name in signed if _escapes(name)]),
        ("missing_file", "signed files are missing:", signed.keys() - actual.keys()),
        ("unexpected_file", "files are not covered by the signature:", actual.keys() - signed.keys()),
        ("tampered", "files are not what was signed:", [n for n in signed if signed[n] != actual.get(n)]),
    )
    for code, what, names in findings:
        if names:
            listed = ", ".join(sorted(names)[:5])
            return AdapterRejected(
                f"{snapshot.origin}: {what} {listed}; restore the signed files or sign again", code=code
            )
    return AdapterRejected(
        f"{snapshot.origin}: the signature is for other files than these; restore the signed files or sign again",
        code="tampered",
    )


def _escapes(name: str) -> bool:
    return "/" in name or "\\" in name or name in ("", ".", "..")
