"""Vectors of the catalogue's texts on disk, so that a router starts without embedding them again.

    <cache directory>/routing/vectors/<digest of the embedder's name>.npz
    <cache directory>/routing/vectors/<digest of the embedder's name>-<signal>.npz

One plain matrix for each embedder and signal, with the texts of the catalogue that was fitted last: a search structure
would pay from some hundred thousand adapters on (docs/routing.md has the measurement). Of users' messages those alone
are kept that an operator has had the router learn.
"""

from __future__ import annotations

import logging
import threading
import zipfile
from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from adaptrix_core.cache_dir import cache_root
from adaptrix_core.replaced_file import replaced_file
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.message import Vectors

logger = logging.getLogger(__name__)

_PROBE = "Is this still the same embedding model?"
_SAME = 0.999
"""Least cosine of the probe's vectors, of then and now, at which the embedder counts as the same."""


class KeptVectors:
    """Embeds a catalogue's texts, each one once."""

    def __init__(self, embedder: TextEmbedder, of: str = "") -> None:
        """of: the signal whose texts are kept apart from those of the embedding signal; it may have others."""
        self._embedder = embedder
        name = _digest(embedder.source) + (f"-{of}" if of else "")
        self._file = cache_root() / "routing" / "vectors" / f"{name}.npz"
        self._lock = threading.Lock()
        self._probe = embedder.embed([_PROBE])[0]
        self._known = self._read()
        self._on_disk = set(self._known)

    def embed(self, texts: Sequence[str]) -> Vectors:
        """``(len(texts), dimension)`` float32 rows of length 1, in order."""
        digests = [_digest(text) for text in texts]
        new = {digest: text for digest, text in zip(digests, texts, strict=True) if digest not in self._known}
        if new:
            self._known |= dict(zip(new, self._embedder.embed(list(new.values())), strict=True))
        return (
            np.stack([self._known[d] for d in digests])
            if texts
            else np.empty((0, self._embedder.dimension), np.float32)
        )

    def keep(self, texts: Sequence[str]) -> None:
        """Write the vectors of ``texts``, which were embedded, and forget all others; nothing where that is kept."""
        wanted = {_digest(text) for text in texts}
        with self._lock:
            if wanted == self._on_disk:
                return
            self._known = {digest: row for digest, row in self._known.items() if digest in wanted}
            try:
                self._write()
                self._on_disk = wanted
            except OSError as error:
                logger.warning("the vectors of the router's catalogue are not kept: %s", error)

    def _write(self) -> None:
        rows = list(self._known.values())
        matrix = np.stack(rows) if rows else np.empty((0, self._embedder.dimension), np.float32)
        with replaced_file(self._file) as out:
            np.savez(out, digests=np.array(list(self._known)), rows=matrix, probe=self._probe)

    def _read(self) -> dict[str, Vectors]:
        """What is kept; nothing where the file is broken, or another model's of the same name."""
        try:
            with np.load(self._file, allow_pickle=False) as kept:
                digests, rows, probe = kept["digests"].tolist(), kept["rows"], kept["probe"]
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            logger.warning("the router embeds its catalogue anew, as %s cannot be read: %s", self._file, error)
            return {}
        dimension = self._embedder.dimension
        sound = rows.dtype == np.float32 and rows.shape == (len(digests), dimension) and probe.shape == (dimension,)
        if not sound or not np.isfinite(rows).all() or float(probe @ self._probe) < _SAME:
            return {}
        return dict(zip(digests, rows, strict=True))


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
