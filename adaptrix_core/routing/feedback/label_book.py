"""The labels of every owner on disk, bounded: the latest ones of each, and the owners that labelled last.

    <state_dir>/routing/labels/<digest of the owner>.json

Knows files and bounds. One process writes them.
"""

from __future__ import annotations

import json
import logging
import math
import threading
from collections import OrderedDict
from hashlib import blake2b
from pathlib import Path

from adaptrix_core.routing.feedback.labels import RouteLabel

logger = logging.getLogger(__name__)

LABELS_KEPT = 256
"""Labels of one owner that count: the latest ones, so that a flood costs its sender alone, and no more than this."""
OWNERS_KEPT = 1024
"""Owners whose labels are kept: those that labelled last."""
_MOST_BYTES = 256 * 1024


class LabelBook:
    """Labels by owner, the same after a restart. Safe to share between threads."""

    def __init__(self, state_dir: Path) -> None:
        """Reads what is there; a file that cannot be read counts as none, with a warning."""
        self._directory = state_dir / "routing" / "labels"
        self._lock = threading.Lock()
        files = sorted(self._directory.glob("*.json"), key=lambda path: path.stat().st_mtime)
        self._labels: OrderedDict[str, tuple[RouteLabel, ...]] = OrderedDict(
            (path.stem, _read(path)) for path in files[-OWNERS_KEPT:]
        )

    def of(self, owner: bytes) -> tuple[RouteLabel, ...]:
        """The labels of this owner, the oldest first."""
        return self._labels.get(_name(owner), ())

    def add(self, owner: bytes, label: RouteLabel) -> tuple[RouteLabel, ...]:
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

    def _write(self, name: str, labels: tuple[RouteLabel, ...]) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        partial = self._directory / f"{name}.partial"
        partial.write_text(json.dumps([[one.right, one.best, one.margin, one.basis] for one in labels]))
        partial.replace(self._directory / f"{name}.json")


def _name(owner: bytes) -> str:
    return blake2b(owner, digest_size=16).hexdigest()


def _read(path: Path) -> tuple[RouteLabel, ...]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES} bytes")
        labels = [
            RouteLabel(right, best, float(margin), basis) for right, best, margin, basis in json.loads(path.read_text())
        ]
        if not all(_is_sound(label) for label in labels):
            raise ValueError("it holds something that is no label")
    except (OSError, ValueError, TypeError, RecursionError) as error:
        logger.warning("labels of the router are left out, as %s cannot be read: %s", path, error)
        return ()
    return tuple(labels[-LABELS_KEPT:])


def _is_sound(label: RouteLabel) -> bool:
    names = isinstance(label.best, str) and isinstance(label.basis, str)
    return names and (label.right is None or isinstance(label.right, str)) and math.isfinite(label.margin)
