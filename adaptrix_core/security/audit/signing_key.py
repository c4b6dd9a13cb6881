"""The key that signs checkpoints: Ed25519, made at first use, used for nothing else.

It is not the key that signs adapters: that one lies with whoever publishes them, this one with the server. The public
half is a PEM file beside it, for whoever verifies; give them a copy that the server's machine cannot change.
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from adaptrix_core.errors import AdaptrixError, ConfigError

PUBLIC_SUFFIX = ".pub"


def public_key_of(private: Path) -> Path:
    """Where the public half of a private key lies."""
    return private.with_suffix(PUBLIC_SUFFIX)


def key_at(path: Path) -> Ed25519PrivateKey:
    """The private key in ``path``, which is made, with mode 0600, where there is none; its public half beside it.

    Raises ConfigError for a file that is no such key, OSError.
    """
    if not path.exists():
        _make(path)
    key = _read_private(path)
    public = public_key_of(path)
    pem = _public_pem(key.public_key())
    if not public.exists() or public.read_bytes() != pem:
        public.write_bytes(pem)
    return key


def read_public_key(path: Path) -> Ed25519PublicKey:
    """The public key in a PEM file. Raises AdaptrixError (key_not_found), ConfigError."""
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except FileNotFoundError:
        raise AdaptrixError(
            f"no public key {str(path)!r}; name the one that was copied from the server with --key",
            code="key_not_found",
        ) from None
    except (OSError, ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError([f"public key {str(path)!r} cannot be read: {error}"]) from error
    if not isinstance(key, Ed25519PublicKey):
        raise ConfigError([f"public key {str(path)!r} is not an Ed25519 key: checkpoints are signed with one"])
    return key


def raw_bytes(key: Ed25519PublicKey) -> bytes:
    """The 32 bytes of a public key."""
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def _make(path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # The mode is set at creation: at no moment can others read the file. Never over a key that somebody else made.
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())


def _read_private(path: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError([f"audit key {str(path)!r} cannot be read: {error}; restore it"]) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError([f"audit key {str(path)!r} is not an Ed25519 key; name another place, where one is made"])
    return key


def _public_pem(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
