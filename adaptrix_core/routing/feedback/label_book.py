"""The labels of every owner on disk, bounded: the latest ones of each, and the owners that labelled last.

    <state_dir>/routing/labels/<digest of the owner>.json     of decisions
    <state_dir>/routing/answers/<digest of the owner>.json    of answers

Knows files and bounds. One process writes them.
"""

from __future__ import annotations

import json
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from adaptrix_core.replaced_file import replaced_file

logger = logging.getLogger(__name__)

LABELS_KEPT = 256
"""Labels of one owner that count: the latest ones, so that a flood costs its sender alone, and no more than this."""
OWNERS_KEPT = 1024
"""Owners whose labels are kept: those that labelled last."""
_MOST_BYTES = 256 * 1024


class Label(Protocol):
    """One label."""

    def as_row(self) -> list[Any]:
        """As JSON."""


L = TypeVar("L", bound=Label)


class LabelBook(Generic[L]):
    """Labels by owner, the same after a restart. Safe to share between threads."""

    def __init__(self, directory: Path, of_row: Callable[[list[Any]], L]) -> None:
        """Reads what is there; a file that cannot be read counts as none, with a warning.

        of_row: a label from its `as_row`; ValueError or TypeError where that is none.
        """
        self._directory = directory
        self._lock = threading.Lock()
        files = sorted(self._directory.glob("*.json"), key=lambda path: path.stat().st_mtime)
        self._labels: OrderedDict[str, tuple[L, ...]] = OrderedDict(
            (path.stem, _read(path, of_row)) for path in files[-OWNERS_KEPT:]
        )

    def of(self, owner: bytes) -> tuple[L, ...]:
        """The labels of this owner, the oldest first."""
        return self._labels.get(_name(owner), ())

    def add(self, owner: bytes, label: L) -> tuple[L, ...]:
        """Keep one more; all that count now. Raises OSError where the disk cannot be written to."""
        name = _name(owner)
        with self._lock:
            labels = (*self._labels.get(name, ()), label)[-LABELS_KEPT:]
            self._write(name, labels)
            self._labels[name] = labels
            self._labels.move_to_end(name)
            while len(self._labels) > OWNERS_KEPT:
                gone, _ = self._labels.popitem(last=False)
                (self._directory / f"{gone}.json").unlink(missing_ok=True)
        return labels

    def _write(self, name: str, labels: tuple[L, ...]) -> None:
        with replaced_file(self._directory / f"{name}.json") as file:
            file.write(json.dumps([label.as_row() for label in labels]).encode())


def _name(owner: bytes) -> str:
    return blake2b(owner, digest_size=16).hexdigest()


def _read(path: Path, of_row: Callable[[list[Any]], L]) -> tuple[L, ...]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES} bytes")
        labels = [of_row(row) for row in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError, RecursionError) as error:
        logger.warning("labels of the router are left out, as %s cannot be read: %s", path, error)
        return ()
    return tuple(labels[-LABELS_KEPT:])
