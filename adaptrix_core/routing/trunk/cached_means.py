"""The means of texts that were read once through a base model's trunk, kept in the cache directory.

A file holds those of one list of texts, such as an adapter's examples, under a name that is the digest of the texts and
of all that the means depend on: base model, layout of its weights, cut and chat template. So a file for another base is
never found, and one that is not what its name says is read anew. Knows files; does not know engines.
"""

from __future__ import annotations

import hashlib
import logging
import struct
from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from adaptrix_core.cache_dir import cache_root
from adaptrix_core.engine import Engine
from adaptrix_core.replaced_file import replaced_file
from adaptrix_core.routing.message import Vectors

log = logging.getLogger(__name__)

_FORMAT = b"adaptrix-trunk-means-1"


class CachedMeans:
    """The files of one base model, layout and cut."""

    def __init__(self, engine: Engine, directory: Path | None = None) -> None:
        """directory: ``trunk-means`` in the cache directory if None."""
        info = engine.base.info
        template = getattr(engine.base.tokenizer, "chat_template", None)
        self._identity = [info.digest, info.layout, str(engine.options.cut), str(template)]
        self._hidden = info.hidden_size
        self._directory = directory or cache_root() / "trunk-means"

    def find(self, texts: Sequence[str]) -> Vectors | None:
        """The means of these texts, ``(texts, hidden)``; None where they are not kept, or the file is broken."""
        path = self._path(texts)
        try:
            with np.load(path, allow_pickle=False) as kept:
                means = np.asarray(kept["means"], np.float32)
                if str(kept["name"]) != path.stem or means.shape != (len(texts), self._hidden):
                    raise ValueError(f"it has {means.shape} numbers under the name {kept['name']}")
        except FileNotFoundError:
            return None
        except (OSError, EOFError, ValueError, KeyError, BadZipFile) as error:
            log.warning("means of routing examples are read again, as %s cannot be used: %s", path, error)
            return None
        return means if np.isfinite(means).all() else None

    def keep(self, texts: Sequence[str], means: Vectors) -> None:
        """Write the file of these texts; a disk that has no room only costs reading them again."""
        path = self._path(texts)
        try:
            with replaced_file(path) as file:
                np.savez(file, means=means, name=np.array(path.stem))
        except OSError as error:
            log.warning("means of routing examples are not kept: %s", error)

    def _path(self, texts: Sequence[str]) -> Path:
        total = hashlib.sha256(_FORMAT)
        for field in (*self._identity, *texts):
            data = field.encode("utf-8", "surrogatepass")
            total.update(struct.pack(">Q", len(data)) + data)
        return self._directory / f"{total.hexdigest()}.npz"
