"""Reads an uploaded archive into the files of one adapter, or refuses it; writes nothing under names from the archive.

The archive is a plain tar of one flat directory. It is read here and not by `tarfile`, which understands much that an
adapter never needs: links, devices, sparse files, chains of extended headers. Anything but a plain file is refused, and
sizes in the headers must lie within the received bytes, so nothing expands. Extended headers, which common tar programs
write for timestamps, are skipped: an adapter's names and sizes need none.
"""

from __future__ import annotations

from collections.abc import Iterator

from adaptrix_core.adapters.package.file_names import is_package_file
from adaptrix_core.adapters.package.limits import DEFAULT_LIMITS, Limits
from adaptrix_core.errors import AdapterRejected

BLOCK = 512
_FILE, _DIRECTORY, _SKIPPED = (b"0", b"\0"), b"5", (b"x", b"g")
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd", b"PK": "zip"}


def files_in(archive: bytes, limits: Limits = DEFAULT_LIMITS) -> dict[str, bytes]:
    """Names and contents of the files in a tar archive.

    Raises AdapterRejected: bad_archive, path_escape, symlink, unexpected_file, too_large.
    """
    for magic, name in _COMPRESSED.items():
        if archive.startswith(magic):
            raise _bad(f"it is compressed ({name})")
    files: dict[str, bytes] = {}
    tops: set[str] = set()
    for path, kind, content in _members(archive):
        parts = [part for part in path.split("/") if part not in ("", ".")]
        if path.startswith("/") or ".." in parts or "\\" in path or len(parts) > 2:
            raise AdapterRejected(f"the archive holds {path[:80]!r}, outside of one flat directory", code="path_escape")
        if kind == _DIRECTORY and len(parts) < 2:
            continue
        if kind not in _FILE:
            code = "symlink" if kind in (b"1", b"2") else "unexpected_file"
            raise AdapterRejected(f"the archive holds {path[:80]!r}, which is not a plain file", code=code)
        tops.add(parts[0] if len(parts) == 2 else "")
        name = parts[-1] if parts else ""
        if not is_package_file(name) or name in files or len(tops) > 1:
            raise AdapterRejected(
                f"the archive holds {path[:80]!r}, which an adapter's directory does not have, or holds it twice",
                code="unexpected_file",
            )
        if len(files) == limits.max_files or len(content) > limits.max_file_bytes:
            raise AdapterRejected(
                f"the archive holds more than {limits.max_files} files, or one of over {limits.max_file_bytes} bytes",
                code="too_large",
            )
        files[name] = content
    return files


def _members(archive: bytes) -> Iterator[tuple[str, bytes, bytes]]:
    """(path, type, contents) of each member, extended headers left out."""
    at = 0
    while at < len(archive):
        header = archive[at : at + BLOCK]
        if not any(header):
            return
        if len(header) < BLOCK or sum(header[:148]) + sum(header[156:]) + 8 * 32 != _octal(header[148:156]):
            raise _bad(f"there is no header at byte {at}")
        size, kind = _octal(header[124:136]), header[156:157]
        start = at + BLOCK
        if start + size > len(archive):
            raise _bad(f"it ends at byte {len(archive)}, within a file of {size} bytes")
        if kind not in _SKIPPED:
            prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
            name = _text(header[:100])
            yield (f"{prefix}/{name}" if prefix else name), kind, archive[start : start + size]
        at = start + -(-size // BLOCK) * BLOCK
    raise _bad("it has no end mark")


def _octal(field: bytes) -> int:
    text = field.strip(b" \0")
    if not text or not all(byte in b"01234567" for byte in text):
        raise _bad(f"a header has the number {field[:12]!r}")
    return int(text, 8)


def _text(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "replace")


def _bad(what: str) -> AdapterRejected:
    return AdapterRejected(
        f"the body is not a plain tar archive: {what}; send `tar -cf - -C DIR .`, or use `adaptrix publish DIR`",
        code="bad_archive",
    )
