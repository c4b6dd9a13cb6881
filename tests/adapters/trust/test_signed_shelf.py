"""A shelf of signed documents of any kind: read once, again where files have changed, and no more than a bound."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pytest
from pydantic import BaseModel

from adaptrix_core.adapters import generate_key_pair
from adaptrix_core.adapters.trust import signed_shelf
from adaptrix_core.adapters.trust.keys import TrustedKey
from adaptrix_core.adapters.trust.signed_document import SignedDocument
from adaptrix_core.adapters.trust.signed_shelf import SignedPlace, SignedShelf
from adaptrix_core.errors import AdapterRejected


class Note(BaseModel):
    text: str


NOTE = SignedDocument("note.json", 100_000, lambda name, why: AdapterRejected(f"{name}: {why}", code="bad_signature"))


class Notes(SignedShelf[str]):
    kind = "note"
    file_name = "note.json"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.taken: list[list[str]] = []

    def _read(self, directory: Path, keys: Sequence[TrustedKey] | None) -> str:
        return NOTE.read(directory, keys, Note)[0].text

    def _take(self, documents: Sequence[str]) -> None:
        self.taken.append(list(documents))


@pytest.fixture
def places(tmp_path: Path) -> list[SignedPlace]:
    """Two directories with notes of one trusted signer."""
    generate_key_pair(tmp_path / "own.key", tmp_path / "trusted" / "own.pub")
    for directory, name in (("first", "b"), ("first", "a"), ("second", "c")):
        NOTE.write(Note(text=name), tmp_path / directory / name, tmp_path / "own.key")
    return [SignedPlace(tmp_path / directory, (tmp_path / "trusted",)) for directory in ("first", "second")]


def test_documents_are_taken_in_the_order_of_places_and_names_and_read_again_only_after_a_change(
    places: list[SignedPlace], tmp_path: Path
) -> None:
    shelf = Notes(places, poll_s=0.0)
    shelf.refresh()
    shelf.refresh()
    assert shelf.taken == [["a", "b", "c"]]
    NOTE.write(Note(text="new"), tmp_path / "first" / "a", tmp_path / "own.key")
    shelf.refresh()
    assert shelf.taken == [["a", "b", "c"], ["new", "b", "c"]]


def test_nothing_is_looked_at_again_before_its_time(places: list[SignedPlace], tmp_path: Path) -> None:
    clock = [0.0]
    shelf = Notes(places, poll_s=5.0, now=lambda: clock[0])
    shelf.refresh()
    NOTE.write(Note(text="new"), tmp_path / "second" / "d", tmp_path / "own.key")
    clock[0] = 4.9
    shelf.refresh()
    assert len(shelf.taken) == 1
    clock[0] = 5.0
    shelf.refresh()
    assert shelf.taken[-1] == ["a", "b", "c", "new"]


def test_a_broken_key_costs_the_documents_that_it_may_vouch_for_and_says_why(places: list[SignedPlace]) -> None:
    (places[0].keys[0] / "broken.pub").write_text("no key")
    shelf = Notes(places, poll_s=0.0)
    shelf.refresh()
    assert shelf.taken == [[]]
    assert set(shelf.refused) == {"a", "b", "c"}
    assert all("broken" in why for why in shelf.refused.values())


def test_a_directory_with_too_many_is_read_in_part_and_the_log_says_so_once(
    places: list[SignedPlace], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(signed_shelf, "MOST_DOCUMENTS", 1)
    shelf = Notes(places, poll_s=0.0)
    with caplog.at_level(logging.WARNING):
        shelf.refresh()
        shelf.refresh()
    assert shelf.taken == [["a", "c"]]
    assert [record.message for record in caplog.records] == [
        f"{places[0].directory} has 2 files of the kind note; the first 1 are read"
    ]
