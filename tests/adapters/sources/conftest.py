"""A place of each source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from tests.adapters.sources.fake_hub import FakeHub, fake_hub
from tests.adapters.sources.places import HubPlace, LocalPlace, Place, UrlPlace


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    with fake_hub(monkeypatch) as hub:
        yield hub


@pytest.fixture(params=["local", "url", "hub"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """An empty root of each source."""
    if request.param == "local":
        yield LocalPlace(tmp_path / "adapters")
    elif request.param == "hub":
        yield HubPlace(request.getfixturevalue("hub"))
    else:
        yield UrlPlace("bucket")
        fsspec.filesystem("memory").rm("/bucket", recursive=True)
