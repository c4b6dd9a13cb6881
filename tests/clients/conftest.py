"""The server that every client meets, once for the whole run; and the record of what came of it."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from adaptrix_core.routing.embedder import TextEmbedder
from tests.clients.record import Record
from tests.clients.served import Served, served

RECORD = Record()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The default base model, the shipped adapters and the router behind real HTTP, with a key."""
    # Most clients set no limit: an answer of a small model that rambles ends when the cache is full.
    with served(tmp_path_factory.mktemp("clients"), TextEmbedder(), engine={"kv_cache_tokens": 2048}) as made:
        yield made


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note what came of each test that ran, or that could not be set up."""
    report = yield
    if report.when == "call" or report.failed:
        RECORD.note(item, report.passed)
    return report


def pytest_sessionfinish() -> None:
    """Keep the record."""
    RECORD.write()
