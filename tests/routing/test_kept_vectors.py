"""The catalogue's vectors on disk: a second router embeds nothing, and a file that doesn't fit is made anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adaptrix_core.routing.catalogue import RouteCard, suggested
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.message import RoutedMessage
from adaptrix_core.routing.signals.embedding import EmbeddingSignal
from adaptrix_core.routing.signals.kept_vectors import KeptVectors
from adaptrix_core.routing.vote import Vote


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache directory of the test's own."""
    monkeypatch.setenv("ADAPTRIX_CACHE", str(tmp_path))
    return tmp_path / "routing" / "vectors"


class Counting(TextEmbedder):
    """Counts the texts that its model is run on."""

    ran = 0

    def _run(self, texts: list[str]):  # type: ignore[no-untyped-def]
        self.ran += len(texts)
        return super()._run(texts)


def test_a_second_router_embeds_nothing_and_says_the_same(cache: Path) -> None:
    first, second = Counting(), Counting()
    before = EmbeddingSignal(first).fit(suggested())
    after = EmbeddingSignal(second).fit(suggested())
    assert first.ran > 100
    assert second.ran == 1  # the probe
    message = RoutedMessage("What is 2 + 2?", second.embed(["What is 2 + 2?"])[0])
    assert after.log_odds(message) == pytest.approx(before.log_odds(message))


@pytest.mark.parametrize("signals", [{"embedding": 1.0}, {"tasks": 1.0}, {"embedding": 0.5, "tasks": 0.5}])
def test_a_second_router_embeds_nothing_whichever_signals_vote(cache: Path, signals: dict[str, float]) -> None:
    Vote(signals, TextEmbedder()).fit(suggested())
    second = Counting()
    Vote(signals, second).fit(suggested())
    assert second.ran == 1  # the probe


def test_a_changed_card_costs_its_new_texts_alone_and_old_ones_are_forgotten(cache: Path) -> None:
    EmbeddingSignal(Counting()).fit(suggested())
    (file,) = cache.iterdir()
    with np.load(file) as kept:
        size = len(kept["digests"])
    counting = Counting()
    EmbeddingSignal(counting).fit([*suggested()[:2], RouteCard("boats", "Knows boats.")])
    assert counting.ran == 2  # the probe, and the new card's text
    with np.load(file) as kept:
        assert len(kept["digests"]) == size - len(suggested()[2].texts) + 1


def test_vectors_of_another_model_of_the_same_name_are_not_taken(cache: Path) -> None:
    vectors = KeptVectors(TextEmbedder())
    vectors.embed(["a cat"])
    vectors.keep(["a cat"])
    (file,) = cache.iterdir()
    with np.load(file) as kept:
        arrays = dict(kept)
    np.savez(file, **{**arrays, "probe": -arrays["probe"]})
    counting = Counting()
    KeptVectors(counting).embed(["a cat"])
    assert counting.ran == 2


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"x" * 99])
def test_a_broken_file_is_made_anew(cache: Path, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    EmbeddingSignal(TextEmbedder()).fit(suggested())
    (file,) = cache.iterdir()
    file.write_bytes(content)
    EmbeddingSignal(TextEmbedder()).fit(suggested())
    assert "cannot be read" in caplog.text
    assert len(KeptVectors(TextEmbedder())._known) > 100


def test_a_cache_that_cannot_be_written_is_told_and_no_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ADAPTRIX_CACHE", str(tmp_path / "file"))
    assert EmbeddingSignal(TextEmbedder()).fit(suggested()).cards
    assert "are not kept" in caplog.text
