"""The server that every client meets, once for the whole run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adaptrix_core.routing.embedder import TextEmbedder
from tests.clients.served import Served, served


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The default base model, the shipped adapters and the router behind real HTTP, with a key."""
    # Most clients set no limit: an answer of a small model that rambles ends when the cache is full.
    with served(tmp_path_factory.mktemp("clients"), TextEmbedder(), engine={"kv_cache_tokens": 2048}) as made:
        yield made
