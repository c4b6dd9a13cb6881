"""The real embedding model, loaded once; routers over it are cheap."""

from __future__ import annotations

import pytest
from hypothesis import settings

from adaptrix_core.routing.catalogue import suggested
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.semantic import SemanticRouter

# A shared machine may stall any single example; the properties have no time in them.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")


@pytest.fixture(scope="session")
def embedder() -> TextEmbedder:
    """The packaged MiniLM."""
    return TextEmbedder()


@pytest.fixture(scope="session")
def shipped(embedder: TextEmbedder) -> SemanticRouter:
    """A router over the three shipped cards with the default numbers, not to be changed."""
    return SemanticRouter(embedder, suggested())
