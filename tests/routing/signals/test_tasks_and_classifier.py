"""The task signal and the classifier: what they learn from examples, labelled messages and measured tasks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from adaptrix_core.errors import ConfigError
from adaptrix_core.routing import prompts
from adaptrix_core.routing.catalogue import RouteCard, suggested
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.message import RoutedMessage
from adaptrix_core.routing.semantic import SemanticRouter
from adaptrix_core.routing.signals.classifier import ClassifierSignal, load_classifier
from adaptrix_core.routing.signals.evidence_file import RouterEvidence, read_evidence
from adaptrix_core.routing.signals.tasks import TaskSignal

SIGNALS = {"tasks": TaskSignal, "classifier": ClassifierSignal}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache directory of the test's own."""
    monkeypatch.setenv("ADAPTRIX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def message(embedder: TextEmbedder, text: str) -> RoutedMessage:
    return RoutedMessage(text, embedder.embed([text])[0])


@pytest.mark.parametrize("name", SIGNALS)
def test_each_alone_finds_the_adapter_of_held_out_prompts(embedder: TextEmbedder, name: str) -> None:
    signal = SIGNALS[name](embedder).fit(suggested())
    asked = [row for row in prompts.rewordings() if row.adapter is not None]
    rows = embedder.embed([row.prompt for row in asked])
    odds = [signal.log_odds(RoutedMessage(row.prompt, vector)) for row, vector in zip(asked, rows, strict=True)]
    best = [max(said, key=lambda adapter: said[adapter]) for said in odds]
    assert np.mean([found == row.adapter for found, row in zip(best, asked, strict=True)]) >= 0.95
    assert signal.reason(best[0], RoutedMessage(asked[0].prompt, rows[0]))


@pytest.mark.parametrize("name", SIGNALS)
@pytest.mark.parametrize("cards", [(), (RouteCard("silent"),), (RouteCard("alone", "Knows boats."),)])
def test_few_cards_are_no_trouble(embedder: TextEmbedder, name: str, cards: tuple[RouteCard, ...]) -> None:
    said = SIGNALS[name](embedder).fit(cards).log_odds(message(embedder, "Which boat is fast?"))
    assert set(said) == {card.name for card in cards if card.texts}
    assert all(np.isfinite(list(said.values())))


@pytest.mark.parametrize("name", SIGNALS)
def test_without_an_embedding_they_say_nothing(embedder: TextEmbedder, name: str) -> None:
    signal = SIGNALS[name](embedder).fit(suggested())
    assert signal.log_odds(RoutedMessage("What is 2 + 2?")) == {}


def test_one_task_alone_is_told_from_ordinary_messages(embedder: TextEmbedder) -> None:
    signal = TaskSignal(embedder).fit([RouteCard("boats", "", ("How do I tack?", "When do I jibe?"))])
    near, far = (
        signal.log_odds(message(embedder, text))["boats"] for text in ("How is a jibe done?", "A joke, please.")
    )
    assert near > far


PERCENTAGES = [
    "What is 20 percent of 80?",
    "Give me 15 % of 60.",
    "How much is 5 percent of 900?",
    "75 is what percent of 300?",
]


def evidence(**shares: float) -> RouterEvidence:
    taught = next(card for card in suggested() if card.name == "math_reasoning").examples
    return RouterEvidence.model_validate(
        {
            "tasks": [
                {"name": "percentages", "questions": PERCENTAGES, "shares": shares},
                {"name": "sums", "questions": taught, "shares": {"base": 0.1, "math_reasoning": 0.9}},
            ]
        }
    )


def test_a_task_that_the_adapter_does_worse_than_the_base_goes_to_the_base(embedder: TextEmbedder) -> None:
    asked, sum_ = message(embedder, "What's 30 percent of 50?"), message(embedder, "What is 12 plus 30 minus 5?")
    worse, better = (
        TaskSignal(embedder).fit(evidence(base=base, math_reasoning=0.3).on(suggested())) for base in (0.4, 0.2)
    )
    assert worse.log_odds(asked)["math_reasoning"] < -1 < 1 < better.log_odds(asked)["math_reasoning"]
    assert worse.log_odds(sum_)["math_reasoning"] > 1  # it still gets what it is good at
    assert worse.reason("math_reasoning", asked) == "likeliest task 'percentages'"


def test_labelled_messages_teach_the_classifier(embedder: TextEmbedder) -> None:
    taught = RouterEvidence.model_validate(
        {
            "labelled": [
                *({"prompt": text, "right": ["logical_reasoning", "math_reasoning"]} for text in PERCENTAGES),
                {"prompt": "Hi there", "right": []},
            ]
        }
    )
    asked = message(embedder, "What's 30 percent of 50?")
    before, after = (ClassifierSignal(embedder).fit(cards) for cards in (suggested(), taught.on(suggested())))
    for name in ("math_reasoning", "logical_reasoning"):  # several adapters can be right
        assert after.log_odds(asked)[name] > before.log_odds(asked)[name]
    assert after.log_odds(asked)["code_generation"] < after.log_odds(asked)["logical_reasoning"]
    assert before.version != after.version


def test_a_classifier_is_kept_by_its_version_and_taken_again(embedder: TextEmbedder, cache: Path) -> None:
    first = ClassifierSignal(embedder).fit(suggested())
    (file,) = (cache / "routing" / "classifiers").iterdir()
    assert file.stem == first.version
    stamp = file.stat().st_mtime_ns
    again = ClassifierSignal(embedder).fit(suggested())
    assert file.stat().st_mtime_ns == stamp
    assert np.array_equal(again.weights, first.weights)
    assert ClassifierSignal(embedder).fit(suggested()[:2]).version != first.version


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"x" * 1000])
def test_a_broken_file_is_fitted_anew(embedder: TextEmbedder, cache: Path, content: bytes) -> None:
    first = ClassifierSignal(embedder).fit(suggested())
    (file,) = (cache / "routing" / "classifiers").iterdir()
    file.write_bytes(content)
    assert load_classifier(file, first.version, first.names, embedder.dimension) is None
    assert np.allclose(ClassifierSignal(embedder).fit(suggested()).weights, first.weights, atol=1e-5)


def test_a_router_explains_each_signals_vote(embedder: TextEmbedder) -> None:
    weights = {"embedding": 0.5, "tasks": 0.25, "classifier": 0.25}
    router = SemanticRouter(embedder, suggested(), signals=weights)
    decision = router.decide([{"role": "user", "content": "What is 12 plus 30 minus 5?"}])
    assert {vote.signal: vote.weight for vote in decision.votes} == weights
    total = sum(vote.weight * vote.log_odds["math_reasoning"] for vote in decision.votes)
    assert decision.margins["math_reasoning"] == pytest.approx(total)
    assert all(vote.reason for vote in decision.votes)


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"tasks": [{"name": "a", "questions": [], "shares": {}}]}', '{"labelled": [{"prompt": "a"}]}',
     '{"tasks": [{"name": "a", "questions": ["b"], "shares": {"base": 1.5}}]}', '{"lablled": []}'],
)  # fmt: skip
def test_a_file_that_is_no_evidence_is_refused_by_name(tmp_path: Path, content: str) -> None:
    file = tmp_path / "evidence.json"
    file.write_text(content)
    with pytest.raises(ConfigError, match=r"router\.evidence_file"):
        read_evidence(file)
    with pytest.raises(ConfigError, match="No such file"):
        read_evidence(tmp_path / "missing.json")


def test_evidence_names_only_what_it_knows(tmp_path: Path) -> None:
    file = tmp_path / "evidence.json"
    file.write_text(json.dumps({"labelled": [{"prompt": "x", "right": ["nobody"]}]}))
    (card,) = read_evidence(file).on([RouteCard("cats", "About cats.")])
    assert (card.labelled_right, card.labelled_wrong, card.tasks) == ((), ("x",), ())
    assert read_evidence(None).on([card]) == (RouteCard("cats", "About cats."),)
