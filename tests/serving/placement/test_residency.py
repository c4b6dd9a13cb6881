"""What replicas publish about their adapters: small, at once, not too often, and by polling where pushing fails."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deployments.shared import residency_facts
from deployments.shared.residency_facts import (
    MAX_PUBLISHED,
    POLLED,
    ResidencyPublisher,
    decoded,
    encoded,
    places_of,
    short,
)
from tests.serving.conftest import eventually


def package(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def test_device_and_disk_are_told_apart_and_the_host_is_what_is_left() -> None:
    published = encoded({package(0): "device", package(1): "host", package(2): "disk"})
    assert decoded(published) == ({short(package(0))}, {short(package(2))})
    assert encoded({package(2): "disk", package(0): "device"}) == published, "the order of loading changes nothing"


def test_what_is_published_is_bounded() -> None:
    places = {package(number): "device" if number % 2 else "disk" for number in range(20_000)}
    assert len(encoded(places)) < 32 * MAX_PUBLISHED


def test_pushed_facts_come_before_polled_ones_and_nothing_is_known_of_a_new_replica() -> None:
    new, old = encoded({package(0): "device"}), encoded({package(1): "device"})
    assert places_of({new}, {POLLED: old}) == decoded(new)
    assert places_of(set(), {POLLED: old}) == decoded(old)
    assert places_of(set(), {}) == places_of(set(), None) == (frozenset(), frozenset())


@contextmanager
def publishing(places: dict[str, str], push: object) -> Iterator[ResidencyPublisher]:
    publisher = ResidencyPublisher(lambda: places, push)
    publisher.start()
    try:
        yield publisher
    finally:
        publisher.stop()


async def test_changes_are_pushed_at_once_and_a_storm_of_them_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residency_facts, "INTERVAL_S", 0.2)
    places: dict[str, str] = {}
    pushed: list[str] = []
    with publishing(places, pushed.append) as publisher:
        await eventually(lambda: len(pushed) == 1)
        began = asyncio.get_running_loop().time()
        for number in range(1000):  # as many adapters come and go
            places[package(number)] = "device"
            places.pop(package(number - 8), None)
            await asyncio.to_thread(publisher.changed)
        await eventually(lambda: pushed[-1] == encoded(places))
        took = asyncio.get_running_loop().time() - began
        assert len(pushed) <= 3 + took / residency_facts.INTERVAL_S
        publisher.changed()
        await eventually(lambda: not publisher._wake.is_set())
        assert pushed[-1] == encoded(places) != pushed[-2], "the same is not pushed twice"
        assert publisher.polled() == {}


async def test_where_pushing_fails_the_same_facts_can_be_polled() -> None:
    def push(facts: str) -> None:
        raise AttributeError("no such thing in this Ray")

    with publishing({package(0): "device"}, push) as publisher:
        await eventually(lambda: publisher.polled() == {POLLED: encoded({package(0): "device"})})


async def test_an_unchanged_replica_repeats_itself_for_a_new_controller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residency_facts, "REPEAT_S", 0.01)
    monkeypatch.setattr(residency_facts, "INTERVAL_S", 0.0)
    pushed: list[str] = []
    with publishing({package(0): "device"}, pushed.append):
        await eventually(lambda: len(pushed) >= 3)
    assert len(set(pushed)) == 1
