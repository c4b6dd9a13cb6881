"""Which files of a directory belong into its snapshot, how much of each, and how they are read under these rules.

One loop for every source of bytes (a local directory, a URL, files in memory), so that none forgets a limit. Knows
names, kinds and sizes, not contents, and opens nothing itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from adaptrix_core.adapters.package.limits import Limits
from adaptrix_core.errors import AdapterRejected


@dataclass(frozen=True)
class FileRule:
    """The rule for one file name."""

    use: Literal["whole", "beginning", "leave", "refuse"]
    """``whole``: all of it, or the directory is refused. ``beginning``: as much as there is room for, and nothing of
    what is no plain file. ``leave``: not read. ``refuse``: no directory with such a file is read."""
    max_bytes: int = 0
    """Largest size (``whole``), or number of bytes that are read (``beginning``)."""


LEAVE, REFUSE = FileRule("leave"), FileRule("refuse")

FileRules = Callable[[str], FileRule]
"""The rule for a file, by its name."""


@dataclass(frozen=True)
class FileFacts:
    """What is known of a file before it is read."""

    kind: Literal["file", "link", "other"]
    """``other``: a directory, a device, …"""
    size: int | None
    """Bytes; None where the source does not tell."""


def read_by_rules(
    origin: str,
    names: Iterable[str],
    look: Callable[[str], FileFacts],
    read: Callable[[str, int], bytes],
    rules: FileRules,
    limits: Limits,
) -> dict[str, bytes]:
    """The contents of the files that ``rules`` want of ``names``, by name.

    origin: the directory's name, for messages. look: raises OSError. read: at most so many bytes of a file, also where
    it has grown since ``look`` or become a link; raises OSError.
    Raises AdapterRejected (symlink, unexpected_file, too_large), and the OSErrors of files that are wanted whole.
    """
    wanted = [(name, rule) for name in sorted(names) if (rule := rules(name)) != LEAVE]
    if len(wanted) > limits.max_files:
        raise AdapterRejected(f"{origin}: {len(wanted)} files, limit {limits.max_files}", code="too_large")
    files: dict[str, bytes] = {}
    room = limits.max_total_bytes
    for name, rule in wanted:
        if rule.use == "beginning":
            data = _beginning(name, look, read, min(rule.max_bytes, room))
            if data is None:
                continue
        else:
            data = _whole(origin, name, look(name), read, rule, min(rule.max_bytes, room))
        files[name] = data
        room -= len(data)
    return files


def _beginning(
    name: str, look: Callable[[str], FileFacts], read: Callable[[str, int], bytes], allowed: int
) -> bytes | None:
    try:
        return read(name, allowed) if look(name).kind == "file" else None
    except OSError:
        return None


def _whole(
    origin: str, name: str, facts: FileFacts, read: Callable[[str, int], bytes], rule: FileRule, allowed: int
) -> bytes:
    if facts.kind == "link":
        raise AdapterRejected(f"{origin}: {name!r} is a symbolic link; adapters hold plain files only", code="symlink")
    if rule == REFUSE or facts.kind != "file":
        kind = "not a plain file" if facts.kind != "file" else "not a file that an adapter has"
        raise AdapterRejected(f"{origin}: {name!r} is {kind}; remove it", code="unexpected_file")
    size = facts.size or 0
    data = read(name, allowed + 1) if size <= allowed else b""
    if max(size, len(data)) > allowed:
        raise AdapterRejected(f"{origin}: {name!r} has {max(size, len(data))} bytes, limit {allowed}", code="too_large")
    return data
