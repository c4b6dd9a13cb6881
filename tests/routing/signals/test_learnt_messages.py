"""Messages that are learnt with their text: bounded, one of each, durable, forgotten on request; signals follow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import MOST
from adaptrix_core.routing.catalogue import RouteCard
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.message import RoutedMessage
from adaptrix_core.routing.signals.classifier import ClassifierSignal
from adaptrix_core.routing.signals.evidence_file import RouterEvidence
from adaptrix_core.routing.signals.learnt_messages import LearntMessage, LearntMessages
from adaptrix_core.routing.signals.tasks import TaskSignal

CARDS = (
    RouteCard(
        "sums", "Solves arithmetic.", ("What is 17 + 25?", "Calculate 3 + 4 - 9.", "How many legs do 3 dogs have?")
    ),
    RouteCard("boats", "Knows boats.", ("How do I tack?", "When do I jibe?", "Which sail for a storm?")),
)
TEXT = "Tot up what I owe the baker."


def test_what_was_learnt_is_there_after_a_restart_in_the_order_of_learning(tmp_path: Path) -> None:
    learnt = LearntMessages(tmp_path)
    assert learnt.all() == ()
    learnt.add(TEXT, "sums")
    learnt.add("Hello there!", None)
    wanted = (LearntMessage(TEXT, "sums"), LearntMessage("Hello there!", None))
    assert learnt.all() == LearntMessages(tmp_path).all() == wanted


def test_the_same_words_again_replace_what_was_said_of_them(tmp_path: Path) -> None:
    learnt = LearntMessages(tmp_path)
    assert learnt.add(TEXT, "sums") is None
    assert learnt.add(f"  {TEXT.upper().replace(' ', '   ')} ", "boats") == LearntMessage(TEXT, "sums")
    (kept,) = LearntMessages(tmp_path).all()
    assert kept.right == "boats"


def test_a_message_is_forgotten_by_its_id_for_good(tmp_path: Path) -> None:
    learnt = LearntMessages(tmp_path)
    learnt.add(TEXT, "sums")
    (kept,) = learnt.all()
    assert learnt.forget("another") is None
    assert learnt.forget(kept.message_id) == kept
    assert learnt.all() == LearntMessages(tmp_path).all() == ()


def test_a_flood_is_refused_at_the_limit_and_displaces_nothing(tmp_path: Path) -> None:
    learnt = LearntMessages(tmp_path)
    learnt._keep({str(number): LearntMessage(str(number), None) for number in range(MOST.learnt_messages)})
    learnt = LearntMessages(tmp_path)
    with pytest.raises(InvalidRequest, match=rf"{MOST.learnt_messages} messages have been learnt.*DELETE") as refused:
        learnt.add("one more", "sums")
    assert refused.value.param == "learn"
    assert learnt.add("7", "sums") == LearntMessage("7", None), "one that is known may change"
    assert len(LearntMessages(tmp_path).all()) == MOST.learnt_messages


def test_of_a_huge_text_beginning_and_end_are_kept_and_of_spaces_nothing(tmp_path: Path) -> None:
    learnt = LearntMessages(tmp_path)
    learnt.add("a" * 500_000 + "z" * 500_000, "sums")
    (kept,) = learnt.all()
    assert len(kept.text) < 1000
    assert (kept.text[0], kept.text[-1]) == ("a", "z")
    with pytest.raises(InvalidRequest, match="no text to learn"):
        learnt.add(" \n ", "sums")


@pytest.mark.parametrize("content", ["{", "[1]", '[["text"]]', '[[1, "sums"]]', '[["text", 3]]', "[" * 100_000])
def test_a_file_that_cannot_be_read_is_put_aside_not_overwritten(
    tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "routing" / "learnt.json"
    file.parent.mkdir()
    file.write_text(content)
    learnt = LearntMessages(tmp_path)
    assert learnt.all() == ()
    assert "put aside" in caplog.text
    learnt.add(TEXT, "sums")
    assert file.with_suffix(".unreadable").read_text() == content
    assert LearntMessages(tmp_path).all() == (LearntMessage(TEXT, "sums"),)


def test_a_learnt_message_goes_before_what_the_file_says_of_it() -> None:
    file = RouterEvidence.model_validate(
        {"labelled": [{"prompt": TEXT, "right": ["boats"]}, {"prompt": "Ahoy!", "right": ["boats"]}]}
    )
    sums, boats = file.with_learnt([LearntMessage(TEXT, "sums"), LearntMessage("Hi!", None)]).on(CARDS)
    assert (sums.labelled_right, set(sums.labelled_wrong)) == ((TEXT,), {"Ahoy!", "Hi!"})
    assert (boats.labelled_right, set(boats.labelled_wrong)) == (("Ahoy!",), {TEXT, "Hi!"})


@pytest.mark.parametrize("signal", [ClassifierSignal, TaskSignal])
def test_signals_come_to_say_what_they_were_told(embedder: TextEmbedder, signal: type[TaskSignal]) -> None:
    asked = RoutedMessage(TEXT, embedder.embed([TEXT])[0])

    def odds(*learnt: LearntMessage) -> float:
        return signal(embedder).fit(RouterEvidence().with_learnt(learnt).on(CARDS)).log_odds(asked)["sums"]

    before = odds()
    own, base, other = (odds(LearntMessage(TEXT, right)) for right in ("sums", None, "boats"))
    assert own > before
    assert base < before
    assert other < own
    assert np.isfinite([before, own, base, other]).all()
