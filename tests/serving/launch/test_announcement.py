"""`serve run` says where the service is once it answers, in one line, and not before."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

from adaptrix_core.errors import AdaptrixError
from deployments.ingress import announcement


class Store:
    """Is down, then has no replica, then one."""

    def __init__(self) -> None:
        self.asked = 0

    async def overview(self) -> tuple[None, list[str]]:
        self.asked += 1
        if self.asked == 1:
            raise AdaptrixError("the store restarts")
        return None, ["a report"] if self.asked == 3 else []

    async def is_asleep(self) -> bool:
        return False


async def test_the_line_comes_when_requests_can_be_served(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(announcement, "POLL_S", 0.0)
    monkeypatch.setattr(announcement, "logger", logging.getLogger("announced"))
    store = Store()
    services: Any = SimpleNamespace(store=store, router=None)
    with caplog.at_level(logging.INFO):
        await announcement.announce(services, "http://127.0.0.1:8000")
    assert store.asked == 3
    assert [record.getMessage() for record in caplog.records] == ["Adaptrix is ready at http://127.0.0.1:8000"]
