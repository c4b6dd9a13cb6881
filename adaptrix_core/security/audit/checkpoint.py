"""Checkpoints: signed statements of how long the log is, and of the hash of its last line.

In the form of a C2SP signed note (https://c2sp.org/signed-note), with an Ed25519 signature:

    adaptrix/audit/<log id>
    <lines>
    <base64 of the last line's SHA-256>
    <time, ISO 8601, UTC>

    — adaptrix/audit/<log id> <base64 of key hash and signature>

The first line, which is signed too, says which log is meant: a note of another one, or another thing signed by the same
key, is never taken for it. Whoever holds one can tell whether a log still begins with what it began with then.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from adaptrix_core.security.audit.signing_key import raw_bytes

ORIGIN = "adaptrix/audit/"
_ED25519 = b"\x01"
"""The signature's type in a C2SP note, which enters the key's hash."""
_HINT_BYTES = 4
_NOTE = re.compile(
    r"(?P<text>adaptrix/audit/(?P<log_id>[0-9a-f]{16})\n(?P<size>0|[1-9][0-9]{0,15})\n(?P<head>[A-Za-z0-9+/]{43}=)\n"
    r"(?P<time>[0-9T:.Z+-]{1,40})\n)\n— (?P<name>\S+) (?P<signature>[A-Za-z0-9+/=]{1,200})\n"
)


@dataclass(frozen=True)
class Checkpoint:
    """A log as it was at one moment."""

    log_id: str
    """16 hexadecimal digits, chosen when the log began."""
    size: int
    """Lines."""
    head: str
    """SHA-256 (hex) of the last of them; zeros where there is none."""
    time: str


class BadCheckpoint(ValueError):
    """A note that is no checkpoint, or that no key vouches for; the message says which."""


def sign(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> str:
    """The signed note."""
    text = _text(checkpoint)
    name = ORIGIN + checkpoint.log_id
    signature = _key_hash(name, key.public_key()) + key.sign(text.encode())
    return f"{text}\n— {name} {base64.b64encode(signature).decode()}\n"


def open_note(note: str, keys: Sequence[Ed25519PublicKey]) -> Checkpoint:
    """The checkpoint in a note that one of ``keys`` has signed. Raises BadCheckpoint."""
    found = _NOTE.fullmatch(note)
    if found is None or found["name"] != ORIGIN + found["log_id"]:
        raise BadCheckpoint("it is not in the form of a checkpoint")
    try:
        signature = base64.b64decode(found["signature"], validate=True)
        head = base64.b64decode(found["head"], validate=True)
    except binascii.Error as error:
        raise BadCheckpoint(f"it is not in the form of a checkpoint ({error})") from error
    hint, signature = signature[:_HINT_BYTES], signature[_HINT_BYTES:]
    named = [key for key in keys if _key_hash(found["name"], key) == hint]
    if not named:
        raise BadCheckpoint("it was signed by another key than those that are given")
    if not any(_is_signed(found["text"], signature, key) for key in named):
        raise BadCheckpoint("its signature is wrong")
    return Checkpoint(found["log_id"], int(found["size"]), head.hex(), found["time"])


def notes_in(text: str) -> list[str]:
    """Every note in a text that is in the form of a checkpoint, in their order; none of them is verified."""
    return [found[0] for found in _NOTE.finditer(text)]


def _text(checkpoint: Checkpoint) -> str:
    head = base64.b64encode(bytes.fromhex(checkpoint.head)).decode()
    return f"{ORIGIN}{checkpoint.log_id}\n{checkpoint.size}\n{head}\n{checkpoint.time}\n"


def _is_signed(text: str, signature: bytes, key: Ed25519PublicKey) -> bool:
    try:
        key.verify(signature, text.encode())
    except InvalidSignature:
        return False
    return True


def _key_hash(name: str, key: Ed25519PublicKey) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + raw_bytes(key)).digest()[:_HINT_BYTES]
