"""Signing keys: their places, how they are made, and their fingerprints.

A private key lies in the user's configuration directory, mode 0600, never in a repository. A trusted key is a public
key, one PEM file, in a directory of such files. Knows keys, not signatures.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from adaptrix_core.errors import AdapterNotFound, AdapterRejected, AdaptrixError, ConfigError
from adaptrix_core.places import config_directory

PUBLIC_KEY_SUFFIX = ".pub"
_CURVES = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
"""The elliptic curves that OpenSSF Model Signing supports."""


@dataclass(frozen=True)
class TrustedKey:
    """A public key whose signatures are accepted."""

    name: str
    """File name without the suffix; reported as the signer."""
    path: Path
    fingerprint: str
    """SHA-256 (hex) of the public key's PEM: the key hint of an OpenSSF bundle."""


def default_private_key() -> Path:
    """The private key that signs by default."""
    return config_directory() / "keys" / "signing.key"


def generate_key_pair(private: Path, public: Path) -> TrustedKey:
    """Write a new P-256 pair as PEM; the private file has mode 0600. Neither may exist (AdaptrixError, key_exists)."""
    for path in (private, public):
        if path.exists():
            raise AdaptrixError(f"key file {str(path)!r} exists; a key is never overwritten", code="key_exists")
    key = ec.generate_private_key(ec.SECP256R1())
    private.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    public.parent.mkdir(parents=True, exist_ok=True)
    private_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # The mode is set at creation: at no moment can others read the file.
    fd = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(private_pem)
    public.write_bytes(_public_pem(key.public_key()))
    return read_public_key(public)


def check_private_key(path: Path) -> str:
    """Raise the errors of signing with ``path`` beforehand, such as before a long training.

    Returns the fingerprint of the public half. AdapterNotFound (key_not_found), AdapterRejected (bad_key).
    """
    if not path.is_file():
        raise AdapterNotFound(
            f"no private key {str(path)!r}; `adaptrix sign --new-key` makes one (with --key, at another place)",
            code="key_not_found",
        )
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise AdapterRejected(
            f"{path.name}: not an unencrypted elliptic-curve private key ({error})", code="bad_key"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, _CURVES):
        raise AdapterRejected(f"{path.name}: not an elliptic-curve private key (P-256, P-384 or P-521)", code="bad_key")
    return sha256(_public_pem(key.public_key())).hexdigest()


def read_public_key(path: Path) -> TrustedKey:
    """Read one PEM public key. ConfigError where it is not an elliptic-curve public key."""
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError([f"trusted key {path.name!r} cannot be read: {error}"]) from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise ConfigError([f"trusted key {path.name!r} is not an elliptic-curve public key (P-256, P-384 or P-521)"])
    return TrustedKey(path.stem, path, sha256(_public_pem(key)).hexdigest())


def read_trusted_keys(directory: Path) -> tuple[TrustedKey, ...]:
    """Every ``*.pub`` of the directory, sorted by name; none where it does not exist. ConfigError for a broken key."""
    return tuple(read_public_key(path) for path in sorted(directory.glob(f"*{PUBLIC_KEY_SUFFIX}")))


def _public_pem(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
