"""Archives that are sent to a server: what common programs write is read, what could do harm is refused by name."""

from __future__ import annotations

import gzip
import io
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptrix_core.adapters.package.limits import Limits
from adaptrix_core.errors import AdapterRejected
from deployments.http.tar_upload import files_in

FILES = {"metadata.json": b"{}" * 400, "layer_3.safetensors": b"x" * 700, "signature.json": b""}


def member(name: str, data: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def archive(*members: tuple[tarfile.TarInfo, bytes], format: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def plain(**options: int) -> bytes:
    return archive(*(member(name, data, mtime=1.5) for name, data in FILES.items()), **options)


@pytest.mark.parametrize("format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_what_python_writes_is_read(format: int) -> None:
    assert files_in(plain(format=format)) == FILES


@pytest.mark.parametrize("arguments", [("-C", "{0}", "."), ("-C", "{0}/..", "maths")])
@pytest.mark.parametrize("format", ["gnu", "pax", "ustar"])
def test_what_tar_writes_is_read(tmp_path: Path, arguments: tuple[str, ...], format: str) -> None:
    directory = tmp_path / "maths"
    directory.mkdir()
    for name, data in FILES.items():
        (directory / name).write_bytes(data)
    command = ["tar", f"--format={format}", "-cf", "-", *(part.format(directory) for part in arguments)]
    assert files_in(subprocess.run(command, check=True, capture_output=True).stdout) == FILES


HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "parent": (lambda: archive(member("../metadata.json")), "path_escape"),
    "parent inside": (lambda: archive(member("maths/../../metadata.json")), "path_escape"),
    "absolute": (lambda: archive(member("/etc/metadata.json")), "path_escape"),
    "backslash": (lambda: archive(member("..\\metadata.json")), "path_escape"),
    "nested": (lambda: archive(member("a/b/metadata.json")), "path_escape"),
    "nested directory": (lambda: archive(member("maths/layers", type=tarfile.DIRTYPE)), "unexpected_file"),
    "symlink": (lambda: archive(member("metadata.json", type=tarfile.SYMTYPE, linkname="/etc/passwd")), "symlink"),
    "hard link": (lambda: archive(member("metadata.json", type=tarfile.LNKTYPE, linkname="/etc/passwd")), "symlink"),
    "device": (lambda: archive(member("metadata.json", type=tarfile.CHRTYPE)), "unexpected_file"),
    "pipe": (lambda: archive(member("metadata.json", type=tarfile.FIFOTYPE)), "unexpected_file"),
    "sparse": (lambda: archive(member("metadata.json", type=tarfile.GNUTYPE_SPARSE)), "unexpected_file"),
    "long name": (lambda: archive(member("x" * 300, b""), format=tarfile.GNU_FORMAT), "unexpected_file"),
    "pickle": (lambda: archive(member("adapter_model.bin", b"x")), "unexpected_file"),
    "revocations": (lambda: archive(member("revocations.json", b"{}")), "unexpected_file"),
    "twice": (lambda: archive(member("metadata.json"), member("metadata.json")), "unexpected_file"),
    "two directories": (lambda: archive(member("a/metadata.json"), member("b/README.md")), "unexpected_file"),
    "too many": (lambda: archive(*(member(f"layer_{n}.safetensors") for n in range(9))), "too_large"),
    "too large": (lambda: archive(member("metadata.json", b"x" * 1001)), "too_large"),
    "compressed": (lambda: gzip.compress(plain()), "bad_archive"),
    "truncated": (lambda: plain(format=tarfile.USTAR_FORMAT)[:1000], "bad_archive"),
    "no end": (lambda: plain(format=tarfile.USTAR_FORMAT)[: 512 * 5], "bad_archive"),
    "empty": (lambda: b"", "bad_archive"),
    "claims more than it has": (
        lambda: member("metadata.json", size=1 << 30)[0].tobuf(tarfile.USTAR_FORMAT) + b"x" * 512,
        "bad_archive",
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_archives_are_refused(what: str) -> None:
    make, code = HOSTILE[what]
    with pytest.raises(AdapterRejected) as refused:
        files_in(make(), Limits(max_files=8, max_file_bytes=1000))
    assert refused.value.code == code


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_damage_makes_anything_but_files_or_a_refusal(data: st.DataObject) -> None:
    damaged = bytearray(plain(format=tarfile.USTAR_FORMAT))
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        files = files_in(bytes(damaged))
    except AdapterRejected:
        return
    assert sum(map(len, files.values())) <= len(damaged)
