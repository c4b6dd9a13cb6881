"""The router on held-out prompts, in conversations, with adapters that come and go, and on unfit input."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.routing import prompts
from adaptrix_core.routing.calibration import Calibration
from adaptrix_core.routing.catalogue import RouteCard, suggested
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.routing.evaluation import measure
from adaptrix_core.routing.policy import Decision
from adaptrix_core.routing.semantic import SemanticRouter
from adaptrix_core.training.tasks.code import code_tasks
from adaptrix_core.training.tasks.logic import AliceInWonderland, FamilyRelationships, Syllogism
from adaptrix_core.training.tasks.math import ChainSum, LegCounting, SimpleEquations
from adaptrix_core.training.tasks.problem import Task

SQL = RouteCard(
    "sql_generation",
    "Writing an SQL query for a described table.",
    (
        "Write an SQL query that lists all customers from Berlin.",
        "SELECT statement to count orders per month",
        "How do I join the tables users and orders in SQL?",
        "sql: top 5 products by revenue",
        "Give me a query that deletes duplicate rows in Postgres.",
        "Query the average salary per department.",
    ),
)
SQL_PROMPTS = (
    "Write a query which shows all employees hired after 2020.",
    "In SQL, how do I find customers without any orders?",
    "I need a SELECT that sums the invoices per client.",
    "mysql: get the three latest posts of every author",
    "Please write SQL to update the price of all books by ten percent.",
    "Which SQL gives me the number of rows in table logs?",
    "LEFT JOIN students with grades and show the names",
    "query for the second highest salary",
    "Group the sales table by region and order by the total in SQL",
    "Fetch rows from events where the date is yesterday, postgres",
)

TRAINED: dict[str, tuple[Task, ...]] = {
    "math_reasoning": (ChainSum(), SimpleEquations(), LegCounting()),
    "logical_reasoning": (FamilyRelationships(), Syllogism(), AliceInWonderland()),
    "code_generation": code_tasks(),
}


def user(text: object) -> dict[str, object]:
    return {"role": "user", "content": text}


def ask(router: SemanticRouter, *texts: str, previous: str | None = None) -> Decision:
    return router.decide([user(text) for text in texts], previous)


@pytest.fixture
def router(embedder: TextEmbedder) -> SemanticRouter:
    """A router of the test's own, to change."""
    return SemanticRouter(embedder, suggested())


def test_held_out_prompts_are_routed_as_required(shipped: SemanticRouter) -> None:
    tallies = {tally.name: tally for tally in measure(shipped)}
    problems = [tally for name, tally in tallies.items() if name.startswith("paraphrases")]
    assert sum(t.right for t in problems) / sum(t.total for t in problems) >= 0.97
    assert all(tally.share >= 0.95 for tally in problems)
    assert tallies["another adapter warm: no change"].wrong == ()
    assert tallies["another adapter warm: no change"].total == 2 * 72
    assert tallies["out of scope: base"].total == 200
    assert tallies["out of scope: base"].share >= 0.95, tallies["out of scope: base"].wrong
    assert tallies["follow-ups: adapter kept"].share >= 0.75
    assert tallies["topic changed: base"].share >= 0.9


@pytest.mark.parametrize(
    ("adapter", "task"),
    [(name, task) for name, tasks in TRAINED.items() for task in tasks],
    ids=lambda value: getattr(value, "name", value),
)
def test_generated_problems_reach_the_adapter_that_learnt_their_kind(
    shipped: SemanticRouter, adapter: str, task: Task
) -> None:
    questions = [problem.question for problem in task.make_problems(seed=991, count=20)]
    shipped.messages(questions)  # embedded in batches, and remembered
    assert [q for q in questions if ask(shipped, q).adapter != adapter] == []


def test_a_decision_says_what_who_and_why(shipped: SemanticRouter) -> None:
    decision = ask(shipped, "What is 12 plus 30 minus 5?")
    assert decision.mix_names == {"math_reasoning": 1.0}
    assert set(decision.scores) == {"math_reasoning", "logical_reasoning", "code_generation"}
    assert decision.confidence == decision.scores["math_reasoning"] > 0.9
    assert "nearest to its example" in decision.reason
    base = ask(shipped, "Who painted the ceiling of the Sistine Chapel?")
    assert (base.mix_names, base.adapter) == ({}, None)
    assert base.confidence == 1 - max(base.scores.values())
    assert "under the threshold" in base.reason


def test_a_follow_up_stays_and_a_new_topic_does_not(shipped: SemanticRouter) -> None:
    first = "Python please: a function backwards(s) that spells a text the other way round."
    assert ask(shipped, "Make it shorter.").adapter is None
    stays = ask(shipped, first, "Make it shorter.", previous="code_generation")
    assert stays.adapter == stays.previous == "code_generation"
    assert ask(shipped, first, "What is the capital of Norway?", previous="code_generation").adapter is None
    assert ask(shipped, first, "What is 7 + 8 - 3?", previous="code_generation").adapter == "math_reasoning"


def test_a_client_that_sends_the_whole_conversation_gets_the_same_favour(shipped: SemanticRouter) -> None:
    messages = [
        {"role": "system", "content": "Be brief."},
        user("Python please: a function backwards(s) that spells a text the other way round."),
        {"role": "assistant", "content": "def backwards(s): return ''.join(reversed(s))"},
        user("Make it shorter."),
        {"role": "assistant", "content": "def backwards(s): return s[::-1]"},
        user("Make it shorter still."),
    ]
    decision = shipped.decide(messages)
    assert decision.adapter == decision.previous == "code_generation"


def test_another_adapter_moves_no_margin_of_the_embedding_signal(embedder: TextEmbedder) -> None:
    problems = [row.prompt for row in prompts.paraphrases()]
    router = SemanticRouter(embedder, suggested(), signals={"embedding": 1.0})
    before = router.margins(problems)
    router.update([*suggested(), SQL])
    after = router.margins(problems)
    for name, margins in before.items():
        np.testing.assert_array_equal(after[name], margins)


def test_an_adapter_with_six_examples_works_at_once_and_disturbs_nobody(router: SemanticRouter) -> None:
    problems = [row.prompt for row in prompts.paraphrases()]
    router.update([*suggested(), SQL])
    chosen = [ask(router, text).adapter for text in SQL_PROMPTS]
    assert chosen.count("sql_generation") >= 8
    tallies = {tally.name: tally for tally in measure(router)}
    assert tallies["out of scope: base"].share >= 0.95
    assert sum(t.right for n, t in tallies.items() if n.startswith("paraphrases")) >= 0.95 * len(problems)


def test_a_description_alone_is_enough_for_what_is_close_to_it(embedder: TextEmbedder) -> None:
    router = SemanticRouter(embedder, [*suggested(), RouteCard("sql_generation", SQL.description)])
    assert ask(router, "Please write an SQL query for the table employees.").adapter == "sql_generation"
    assert ask(router, "What is the capital of Norway?").adapter is None


def test_a_card_that_says_nothing_is_never_chosen(embedder: TextEmbedder) -> None:
    router = SemanticRouter(embedder, [RouteCard("silent", "  ")])
    decision = ask(router, "What is 3 + 4?")
    assert (decision.adapter, decision.scores) == (None, {})
    assert "no adapter describes" in decision.reason


def test_an_unloaded_adapter_is_out_at_once(router: SemanticRouter) -> None:
    assert ask(router, "What is 12 plus 30 minus 5?").adapter == "math_reasoning"
    router.update([card for card in suggested() if card.name != "math_reasoning"])
    decision = ask(router, "And plus 5?", previous="math_reasoning")
    assert decision.adapter != "math_reasoning"
    assert "math_reasoning" not in decision.scores


def test_only_new_and_changed_cards_are_embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTRIX_CACHE", str(tmp_path))  # vectors on disk would be known
    counting = TextEmbedder(cache_entries=0)
    router = SemanticRouter(counting, suggested())
    spent = counting.misses
    router.update([*suggested(), SQL])
    signals = len(router.signals)  # without a cache each of them embeds a text once for itself
    assert counting.misses - spent == signals * len(SQL.texts)
    spent = counting.misses
    router.update(suggested()[:2])
    router.update([*suggested()[:2], RouteCard("math_reasoning2", "Sums.")])
    assert counting.misses - spent == signals


def test_two_cards_of_one_name_are_refused_and_change_nothing(router: SemanticRouter) -> None:
    with pytest.raises(InvalidRequest, match="two route cards are named 'sql_generation'"):
        router.update([SQL, RouteCard("sql_generation")])
    assert router.catalogue == suggested()


def test_the_catalogue_may_change_while_decisions_run(router: SemanticRouter) -> None:
    texts = [row.prompt for row in prompts.paraphrases()[:12]] + list(SQL_PROMPTS)
    alone = [ask(router, text).adapter for text in texts]
    router.update([*suggested(), SQL])
    together = [ask(router, text).adapter for text in texts]
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            router.update(suggested())
            router.update([*suggested(), SQL])

    changer = threading.Thread(target=churn)
    changer.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            for _ in range(20):
                seen = list(pool.map(lambda text: ask(router, text).adapter, texts))
                assert all(s in (a, b) for s, a, b in zip(seen, alone, together, strict=True))
    finally:
        stop.set()
        changer.join()


def test_a_lower_threshold_lets_more_in(embedder: TextEmbedder) -> None:
    eager = SemanticRouter(embedder, suggested(), Calibration().with_threshold(0.01))
    strict = SemanticRouter(embedder, suggested(), Calibration().with_threshold(0.999))
    texts = prompts.out_of_scope("test")
    assert sum(ask(eager, text).adapter is not None for text in texts) > 100
    assert all(ask(strict, text).adapter is None for text in texts)


@pytest.mark.parametrize("messages", [[user("")], [user(" \n ")], [{"role": "system", "content": "Compute 3 + 4."}]])
def test_without_words_of_a_user_the_base_answers(shipped: SemanticRouter, messages: list) -> None:
    decision = shipped.decide(messages)
    assert decision.adapter is None
    assert "no user text" in decision.reason


def test_bad_messages_are_refused_and_the_next_ones_decided(shipped: SemanticRouter) -> None:
    with pytest.raises(InvalidRequest):
        shipped.decide([])
    with pytest.raises(InvalidRequest, match="image_url"):
        shipped.decide([user([{"type": "image_url", "image_url": {"url": "x"}}])])
    assert ask(shipped, "What is 12 plus 30 minus 5?").adapter == "math_reasoning"


def test_a_megabyte_is_decided_in_bounded_time(shipped: SemanticRouter) -> None:
    started = time.perf_counter()
    decision = ask(shipped, f"{prompts.out_of_scope('test')[-2]}\n" * 3000)
    assert time.perf_counter() - started < 10
    assert decision.adapter is None


@pytest.mark.parametrize(
    "text",
    [
        "Qui a peint la Joconde ?",
        "Wie koche ich ein weiches Ei?",
        "¿Cuál es la capital de Perú?",
        "今日の天気はどうですか。",
        "كيف حالك اليوم؟",
        "🙂🙂🙂",
        "\x00\x01 \ud83d",
        "asdf qwer zxcv",
    ],
)
def test_other_languages_and_noise_go_to_the_base(shipped: SemanticRouter, text: str) -> None:
    assert ask(shipped, text).adapter is None
