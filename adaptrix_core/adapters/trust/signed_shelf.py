"""Signed documents that are at hand: read and verified once, and anew where files have changed.

One that cannot be relied upon is left out, and the reason logged: what it tells then counts as not known. What
documents are found by, each kind says itself.
"""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

from adaptrix_core.adapters.trust.keys import PUBLIC_KEY_SUFFIX, TrustedKey, read_trusted_keys
from adaptrix_core.errors import AdaptrixError

logger = logging.getLogger(__name__)

MOST_DOCUMENTS = 1000
"""Documents that are read of one directory, in the order of their names."""

Read = TypeVar("Read")


@dataclass(frozen=True)
class SignedPlace:
    """A directory of signed documents, each in a directory of its own, and the directories of keys that may vouch for
    them."""

    directory: Path
    keys: tuple[Path, ...]


@dataclass
class SignedShelf(ABC, Generic[Read]):
    """The documents of one kind in some places."""

    places: Sequence[SignedPlace]
    trust: str = "require"
    """``off`` looks at no signatures; otherwise a document without one of a trusted key is left out."""
    poll_s: float = 5.0
    """Seconds for which the files are not looked at again."""
    now: Callable[[], float] = time.monotonic
    refused: dict[str, str] = field(default_factory=dict)
    """By directory, why a document was left out."""

    kind: ClassVar[str]
    """What such a document is called in the log."""
    file_name: ClassVar[str]

    def __post_init__(self) -> None:
        self._stamps: object = None
        self._looked_at: float | None = None
        self._looking = threading.Lock()

    @abstractmethod
    def _read(self, directory: Path, keys: Sequence[TrustedKey] | None) -> Read:
        """Read one document, as `SignedDocument.read` does."""

    @abstractmethod
    def _take(self, documents: Sequence[Read]) -> None:
        """Hold these instead of those before, at once for all threads: of all places in order, by name in each."""

    @property
    def is_due(self) -> bool:
        """Whether `refresh` would look at the files."""
        return self._looked_at is None or self.now() - self._looked_at >= self.poll_s

    def refresh(self) -> None:
        """Read what has changed on disk, if the last look is long enough ago. For any thread; takes a second where
        something has changed."""
        with self._looking:
            if self.is_due:
                self._look()
                self._looked_at = self.now()

    def _look(self) -> None:
        listed = [(place, sorted(place.directory.glob(f"[!.]*/{self.file_name}"))) for place in self.places]
        keys = [
            key
            for place in self.places
            for directory in place.keys
            for key in sorted(directory.glob(f"*{PUBLIC_KEY_SUFFIX}"))
        ]
        stamps = [(path, _stamp(path)) for path in (*(file for _, files in listed for file in files), *keys)]
        if stamps != self._stamps:
            self._take(self._read_all(listed))
            self._stamps = stamps

    def _read_all(self, listed: Sequence[tuple[SignedPlace, Sequence[Path]]]) -> list[Read]:
        documents = []
        self.refused = {}
        for place, files in listed:
            if len(files) > MOST_DOCUMENTS:
                told = (place.directory, len(files), self.kind, MOST_DOCUMENTS)
                logger.warning("%s has %d files of the kind %s; the first %d are read", *told)
            for directory in (file.parent for file in files[:MOST_DOCUMENTS]):
                try:
                    documents.append(self._read(directory, None if self.trust == "off" else _keys(place)))
                except AdaptrixError as error:
                    self.refused[directory.name] = f"{error.code}: {error.message}"
                    logger.warning("%s %s is left out: %s", self.kind, directory, error.message)
        return documents


def _stamp(path: Path) -> int | None:
    """What changes with a file; None where it has just gone, or leads nowhere."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def _keys(place: SignedPlace) -> list[TrustedKey]:
    return [key for directory in place.keys for key in read_trusted_keys(directory)]
