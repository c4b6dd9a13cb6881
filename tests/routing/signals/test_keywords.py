"""The keyword signal: rules from settings, metadata and our lists, without an embedder, and without torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from adaptrix_core.routing.catalogue import RouteCard, suggested, with_keywords
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.evaluation import measure
from adaptrix_core.routing.message import RoutedMessage
from adaptrix_core.routing.policy import Decision
from adaptrix_core.routing.semantic import SemanticRouter
from adaptrix_core.routing.signals.keywords import FittedKeywords, KeywordSignal
from adaptrix_core.routing.words.keyword_rules import expanded, keyword_lists
from adaptrix_core.routing.words.tokens import tokens

BOATS = RouteCard("boats", "Knows boats.", keywords=("mainsail", "jibe", "port tack"))


def fitted(*cards: RouteCard) -> FittedKeywords:
    return KeywordSignal(None).fit(cards)


def ask(router: SemanticRouter, *texts: str) -> Decision:
    return router.decide([{"role": "user", "content": text} for text in texts])


@pytest.fixture(scope="module")
def router() -> SemanticRouter:
    """Over the shipped cards, without an embedder."""
    return SemanticRouter(None, suggested())


def test_tokens_are_words_signs_and_numbers() -> None:
    assert tokens("Is 3x = 1,250.5? Don't!") == ["is", "#", "x", "=", "#", "?", "don't", "!"]


def test_a_rule_may_name_our_lists_beside_words_of_its_own() -> None:
    words = expanded(["@math", "Ledger", "double  entry", "@nothing", "", "far too many words in a phrase"])
    assert set(words) > {" ".join(tokens(word)) for word in keyword_lists()["math"]}
    assert words[-3:] == ("ledger", "double entry", "@ nothing")


def test_the_words_of_a_rule_speak_for_its_adapter_and_are_named() -> None:
    signal = fitted(BOATS, *suggested())
    message = RoutedMessage("When do I jibe with the mainsail on port tack?")
    odds = signal.log_odds(message)
    assert max(odds, key=lambda name: odds[name]) == "boats"
    assert signal.reason("boats", message).startswith("its keywords ")
    assert all(word in signal.reason("boats", message) for word in ("'jibe'", "'mainsail'", "'port tack'"))
    assert "jibe" not in signal.reason("code_generation", message)


def test_the_settings_words_replace_those_of_the_metadata() -> None:
    (card,) = with_keywords([BOATS], {"boats": ["anchor"], "nobody": ["x"]})
    assert card.keywords == ("anchor",)


def test_an_adapter_without_a_rule_is_known_by_the_words_of_its_own_texts() -> None:
    sql = RouteCard("sql", "", ("Write an SQL query for the customers table.", "SELECT rows from a table in SQL"))
    signal = fitted(sql, *suggested())
    known, other = RoutedMessage("an sql select over the table orders"), RoutedMessage("a walk in the park")
    assert signal.log_odds(known)["sql"] > 0 > signal.log_odds(other)["sql"]


def test_without_adapters_or_words_nothing_is_said() -> None:
    assert fitted().log_odds(RoutedMessage("anything")) == {}
    assert fitted(RouteCard("silent")).log_odds(RoutedMessage("anything")) == {}
    assert fitted(RouteCard("signs", "!")).reason("signs", RoutedMessage("")) == ""


@pytest.mark.parametrize("text", ["", " ", "\x00", "🦖" * 1000, "سبعة زائد ثلاثة", "x" * 100_000, "\ud800"])
def test_any_text_can_be_judged(router: SemanticRouter, text: str) -> None:
    assert ask(router, text).adapter is None


def test_a_router_without_an_embedder_decides_by_keywords(router: SemanticRouter) -> None:
    decision = ask(router, "What is 12 plus 30 minus 5?")
    assert decision.adapter == "math_reasoning"
    assert "its keywords" in decision.reason
    assert router.signals == {"keywords": 1.0}
    tallies = {tally.name: tally for tally in measure(router)}
    problems = [tally for name, tally in tallies.items() if name.startswith("paraphrases")]
    assert sum(tally.right for tally in problems) >= 0.5 * sum(tally.total for tally in problems)
    assert tallies["out of scope: base"].share >= 0.95


class Broken(TextEmbedder):
    """Fails once it is told to."""

    fails = False

    def _run(self, texts: list[str]):  # type: ignore[no-untyped-def]
        if self.fails:
            raise RuntimeError("out of memory")
        return super()._run(texts)


def test_where_the_embedder_fails_keywords_decide_until_it_works_again(caplog: pytest.LogCaptureFixture) -> None:
    embedder = Broken(cache_entries=0)
    router = SemanticRouter(embedder, suggested())
    embedder.fails = True
    decision = ask(router, "What is 12 plus 30 minus 5?")
    assert (decision.adapter, [vote.signal for vote in decision.votes]) == ("math_reasoning", ["keywords"])
    assert "the embedder has failed" in caplog.text
    assert ask(router, "Who painted the Mona Lisa?").adapter is None
    embedder.fails = False
    assert [vote.signal for vote in ask(router, "What is 12 plus 30 minus 5?").votes] == list(router.signals)


def test_it_works_where_torch_cannot_be_imported() -> None:
    script = (
        "import sys\n"
        "class NoTorch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'transformers', 'sentence_transformers'):\n"
        "            raise ImportError(name)\n"
        "sys.meta_path.insert(0, NoTorch())\n"
        "from adaptrix_core.routing.catalogue import suggested\n"
        "from adaptrix_core.routing.semantic import SemanticRouter\n"
        "router = SemanticRouter(None, suggested())\n"
        "print(router.decide([{'role': 'user', 'content': 'What is 12 plus 30 minus 5?'}]).adapter)\n"
    )
    run = [sys.executable, "-c", script]
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(run, capture_output=True, text=True, timeout=300, cwd=root, check=False)
    assert done.stdout.strip() == "math_reasoning", done.stderr
