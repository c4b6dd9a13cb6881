"""Metric labels stay few, follow what is used, and never come back in a way that would make a counter run backwards."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from adaptrix_core.observe.top_labels import OTHER, TopLabels


def test_the_first_names_get_labels_and_the_next_one_shares_the_rest() -> None:
    labels = TopLabels(2, dropped=list[str]().append)
    assert [labels.use(name) for name in ("a", "b", "c", "a", "d")] == ["a", "b", OTHER, "a", OTHER]


def test_a_name_that_is_used_much_more_takes_the_place_of_the_least_used() -> None:
    dropped: list[str] = []
    labels = TopLabels(2, dropped.append)
    for name in ("busy", "busy", "busy", "idle", "idle"):
        labels.use(name)
    given_labels = [labels.use("new") for _ in range(4)]
    assert given_labels == [OTHER, OTHER, OTHER, "new"]
    assert dropped == ["idle"]
    assert (labels.label_of("idle"), labels.label_of("busy")) == (OTHER, "busy")


def test_reserved_labels_are_never_a_names_own() -> None:
    labels = TopLabels(3, dropped=list[str]().append, reserved=("mix",))
    assert [labels.use(name) for name in ("mix", OTHER, "a")] == [OTHER, OTHER, "a"]


def test_past_favourites_make_room() -> None:
    dropped: list[str] = []
    labels = TopLabels(1, dropped.append)
    for _ in range(8_000):
        labels.use("yesterday")
    uses = 0
    while labels.use("today") == OTHER:
        uses += 1
    assert dropped == ["yesterday"]
    assert uses < 12_000, "without forgetting it takes twice as many uses as yesterday's"


@given(st.lists(st.integers(0, 30), max_size=300), st.integers(1, 5))
def test_whatever_is_used_there_are_never_more_labels_than_allowed(uses: list[int], limit: int) -> None:
    alive: set[str] = set()
    labels = TopLabels(limit, alive.discard)
    for use in uses:
        label = labels.use(f"a{use}")
        if label != OTHER:
            alive.add(label)
        assert len(alive) <= limit
