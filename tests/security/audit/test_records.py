"""A line has one form, whatever its texts hold; keys and checkpoints are what they say."""

from __future__ import annotations

import base64
import json
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from shutil import which

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from adaptrix_core.errors import AdaptrixError, ConfigError
from adaptrix_core.security.audit.checkpoint import BadCheckpoint, Checkpoint, open_note, sign
from adaptrix_core.security.audit.record import (
    LINE_BYTES,
    START,
    Actor,
    AuditEvent,
    MalformedLine,
    read_line,
    record_of,
)
from adaptrix_core.security.audit.shipping import checkpoints_file
from adaptrix_core.security.audit.signing_key import key_at, public_key_of, read_public_key

ANYTHING = st.text(st.characters(codec=None, exclude_categories=()), max_size=2000)


@given(ANYTHING, ANYTHING, st.dictionaries(ANYTHING, ANYTHING | st.integers(-(2**60), 2**60), max_size=20))
def test_a_line_is_read_as_it_was_written_whatever_its_texts_hold(
    text: str, other: str, details: dict[str, str | int]
) -> None:
    actor = Actor.model_construct(tenant=text, key_id=other)
    record = record_of(AuditEvent(other, "done", actor, text, other, text, details), 7, "2027-01-01T00:00:00Z", START)
    line = record.line()
    assert read_line(line) == record
    assert len(line) < LINE_BYTES
    assert line.isascii()
    assert line.count(b"\n") == 1
    assert not any(byte < 0x20 for byte in line[:-1])


@pytest.mark.parametrize(
    "other",
    [
        lambda line: line[:-1],
        lambda line: line + b"\n",
        lambda line: line.replace(b":", b": ", 1),
        lambda line: line.replace(b'"seq":0', b'"seq":0.0'),
        lambda line: line.replace(b'"seq":0', b'"seq":true'),
        lambda line: line.replace(b'"seq":0', b'"seq":-1'),
        lambda line: line.replace(b"{", b'{"action":"first",', 1),
        lambda line: line.replace(b"\\u00fc", "\u00fc".encode()),
        lambda line: line.replace(b'"done"', b'"perhaps"'),
        lambda line: b"[" + line[:-1] + b"]\n",
    ],
)
def test_a_line_in_any_other_form_is_none(other: Callable[[bytes], bytes]) -> None:
    line = record_of(AuditEvent("a.b", "done", target="\u00fcber"), 0, "now", START).line()
    assert read_line(line).target == "\u00fcber"
    assert other(line) != line
    with pytest.raises(MalformedLine):
        read_line(other(line))


def test_a_long_text_is_cut_and_says_so() -> None:
    record = record_of(AuditEvent("a.b", "done", target="x" * 10_000), 0, "now", START)
    assert record.target.endswith("... and 9488 characters")


def test_a_key_is_made_once_readable_by_its_owner_alone_with_its_public_half_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "audit.key"
    key = key_at(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = key_at(path)
    assert again.public_key() == key.public_key() == read_public_key(public_key_of(path))
    public_key_of(path).unlink()
    key_at(path)
    assert read_public_key(public_key_of(path)) == key.public_key()


def test_a_file_that_is_no_such_key_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "audit.key"
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for contents in (b"", b"nothing", other):
        path.write_bytes(contents)
        with pytest.raises(ConfigError):
            key_at(path)
        assert path.read_bytes() == contents
    with pytest.raises(ConfigError):
        read_public_key(path)
    with pytest.raises(AdaptrixError, match="no public key"):
        read_public_key(tmp_path / "none.pub")


def test_a_checkpoint_is_what_was_signed_and_nothing_else(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    checkpoint = Checkpoint("0123456789abcdef", 42, "ab" * 32, "2027-01-01T00:00:00Z")
    note = sign(checkpoint, key)
    assert open_note(note, [Ed25519PrivateKey.generate().public_key(), key.public_key()]) == checkpoint
    worse = [
        note.replace("\n42\n", "\n43\n"),
        note.replace("0123456789abcdef", "fedcba9876543210"),
        note.replace("2027", "2026"),
        note + "more",
        note.replace("\n\n", "\nmore\n\n"),
        note.replace("—", "-"),
        "",
        note[:-10],
    ]
    for altered in worse:
        with pytest.raises(BadCheckpoint):
            open_note(altered, [key.public_key()])
    with pytest.raises(BadCheckpoint, match="another key"):
        open_note(note, [Ed25519PrivateKey.generate().public_key()])


@pytest.mark.skipif(which("openssl") is None, reason="needs openssl")
def test_anybody_with_openssl_can_verify_a_checkpoint(tmp_path: Path) -> None:
    key = key_at(tmp_path / "audit.key")
    note = sign(Checkpoint("0123456789abcdef", 42, "ab" * 32, "2027-01-01T00:00:00Z"), key)
    text, signature = note.split("\n\n— adaptrix/audit/0123456789abcdef ")
    (tmp_path / "text").write_text(f"{text}\n")
    (tmp_path / "signature").write_bytes(base64.b64decode(signature)[4:])
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", str(tmp_path / "audit.pub"), "-rawin"]
    files = ["-in", str(tmp_path / "text"), "-sigfile", str(tmp_path / "signature")]
    subprocess.run([*command, *files], check=True, capture_output=True)


def test_checkpoints_are_found_as_notes_in_shipped_lines_and_in_a_servers_log(tmp_path: Path) -> None:
    note = sign(Checkpoint("0123456789abcdef", 42, "ab" * 32, "2027-01-01T00:00:00Z"), Ed25519PrivateKey.generate())
    line = json.dumps({"time": "2027", "message": "audit checkpoint", "audit_checkpoint": note})
    ecs = json.dumps({"message": "audit checkpoint", "adaptrix": {"audit_checkpoint": note}})
    for text in (note, f"mail headers\n\n{note}\nbye", f'{{"message": "x"}}\nnot JSON\n{line}\n{line[:-9]}', ecs):
        (tmp_path / "file").write_text(text)
        assert checkpoints_file(tmp_path / "file") == [note]
    (tmp_path / "file").write_text("nothing")
    with pytest.raises(AdaptrixError, match="no checkpoint"):
        checkpoints_file(tmp_path / "file")
