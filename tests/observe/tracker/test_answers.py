"""What the tracker answers is what was put in, counted one by one: whatever is asked, in whatever order it came."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adaptrix_core.errors import InvalidRequest, TrackerUnusable
from adaptrix_core.observe.tracker import questions
from adaptrix_core.observe.tracker.book import UsageBook
from adaptrix_core.observe.tracker.questions import DIMENSIONS, SHARES, Dimension, UsageQuestion, ask
from adaptrix_core.observe.tracker.sums import DAY, GROUPINGS, HOUR, LATENCIES
from adaptrix_core.observe.tracker.tracked import OUTCOMES
from tests.observe.tracker.requests import MIDNIGHT, batch, counted_one_by_one, meant, request, seconds_of

moments = st.floats(MIDNIGHT - 3 * DAY, MIDNIGHT + 3 * DAY)
some_requests = st.builds(
    request,
    moments,
    tenant=st.sampled_from(["acme", "other"]),
    key_id=st.sampled_from(["k1", "k2"]),
    adapter=st.sampled_from(["", "a", "b"]),
    outcome=st.sampled_from(OUTCOMES),
    prompt_tokens=st.integers(0, 2**31),
    completion_tokens=st.integers(0, 4096),
    total_s=st.floats(2e-4, 600),
    load_s=st.none() | st.floats(2e-4, 60),
)
some_questions = st.builds(
    UsageQuestion,
    start=moments,
    end=st.none() | moments,
    by=st.lists(st.sampled_from(DIMENSIONS), unique=True).map(tuple),
    per=st.sampled_from([None, "hour", "day"]),
    only=st.dictionaries(st.sampled_from(["tenant", "adapter"]), st.just("a") | st.just("acme"), max_size=1),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(some_requests, max_size=40), st.lists(some_questions, min_size=1, max_size=4), st.integers(1, 15))
def test_an_answer_is_the_requests_counted_one_by_one(requests, asked, together) -> None:  # type: ignore[no-untyped-def]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "usage.db"
        book = UsageBook(path)
        for number, start in enumerate(range(0, len(requests), together), 1):
            assert book.add(batch(requests[start : start + together], number))
        for question in asked:
            answer = ask(path, question)
            found = {(row.start, row.tenant, row.key_id, row.adapter): row.counts for row in answer.rows}
            assert found == counted_one_by_one(requests, question)
        book.close()


@settings(max_examples=30, deadline=None)
@given(st.lists(some_requests, min_size=1, max_size=40), moments)
def test_percentiles_are_near_the_true_ones(requests, start) -> None:  # type: ignore[no-untyped-def]
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "usage.db"
        book = UsageBook(path)
        book.add(batch(requests))
        for row in ask(path, UsageQuestion(start, by=("adapter",))).rows:
            assert row.adapter is not None
            asked = UsageQuestion(start, only={"adapter": row.adapter})
            for latency in LATENCIES:
                true = seconds_of(meant(requests, asked), latency)
                told = row.latencies.get(latency)
                assert (told is None) == (not true)
                for share, seconds in zip(SHARES, told or (), strict=bool(told)):
                    rank = max(1, -(-len(true) * share // 1))
                    assert seconds == pytest.approx(true[int(rank) - 1], rel=0.05)
        book.close()


def test_every_question_has_a_grouping_that_answers_it() -> None:
    assert set(get_args(Dimension)) == set(DIMENSIONS) == GROUPINGS[-1].by


def test_success_is_of_what_the_server_had_to_answer(tmp_path: Path) -> None:
    book = UsageBook(tmp_path / "usage.db")
    book.add(batch(request(outcome=outcome) for outcome in (*OUTCOMES, "answered", "answered")))
    (row,) = ask(tmp_path / "usage.db", UsageQuestion(0.0)).rows
    assert row.success_rate == 0.75
    book.close()


def test_a_name_that_never_occurred_has_no_rows(tmp_path: Path) -> None:
    book = UsageBook(tmp_path / "usage.db")
    book.add(batch([request()]))
    assert ask(tmp_path / "usage.db", UsageQuestion(0.0, only={"tenant": "nobody"})).rows == ()
    book.close()


def test_an_empty_file_has_an_answer(tmp_path: Path) -> None:
    UsageBook(tmp_path / "usage.db").close()
    assert ask(tmp_path / "usage.db", UsageQuestion(0.0)).rows == ()


def test_single_requests_that_are_gone_are_told_by_whole_hours(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    book = UsageBook(path)
    early, late = MIDNIGHT + 600.0, MIDNIGHT + HOUR - 600.0
    book.add(batch([request(early), request(late), request(MIDNIGHT + 40 * DAY)]))
    exact = UsageQuestion(MIDNIGHT + 1200.0, MIDNIGHT + 1800.0)
    assert ask(path, exact).rows == ()
    assert not book.prune(MIDNIGHT + 40 * DAY, requests_days=30, sums_days=400)
    answer = ask(path, exact)
    assert (answer.start, answer.end) == (MIDNIGHT, MIDNIGHT + HOUR)
    assert [row.counts["requests"] for row in answer.rows] == [2]
    book.close()


def test_what_is_older_than_it_may_be_goes_in_bites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adaptrix_core.observe.tracker.book.PRUNED_AT_ONCE", 10)
    path = tmp_path / "usage.db"
    book = UsageBook(path)
    book.add(batch(request(MIDNIGHT + minute * 60.0) for minute in range(25)))
    now = MIDNIGHT + 500.0 * DAY
    book.add(batch([request(now)], 2))
    more = [book.prune(now, 30, 400) for _ in range(3)]
    assert more == [True, True, False]
    while book.prune(now, 30, 400):
        pass
    assert ask(path, UsageQuestion(0.0)).rows[0].counts["requests"] == 1, "sums of long ago are gone too"
    book.close()


def test_requests_that_were_dropped_are_told(tmp_path: Path) -> None:
    book = UsageBook(tmp_path / "usage.db")
    book.add(batch([request()], dropped=3))
    book.add(batch([request()], 2, dropped=4))
    assert ask(tmp_path / "usage.db", UsageQuestion(MIDNIGHT)).dropped == 7
    assert ask(tmp_path / "usage.db", UsageQuestion(MIDNIGHT + DAY)).dropped == 0
    book.close()


def test_an_answer_of_too_many_rows_or_too_long_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "usage.db"
    book = UsageBook(path)
    book.add(batch(request(adapter=f"a{number}") for number in range(30)))
    asked = UsageQuestion(0.0, by=("adapter",))
    with pytest.raises(InvalidRequest, match="more than 29 rows"):
        ask(path, asked, most_rows=29)
    assert len(ask(path, asked, most_rows=None).rows) == 30
    monkeypatch.setattr(questions, "LONGEST_S", -1.0)
    book.add(batch((request(MIDNIGHT + 36_100.0) for _ in range(20_000)), 2))
    with pytest.raises(InvalidRequest, match="takes longer"):
        ask(path, replace(asked, start=MIDNIGHT + 36_050.0))
    book.close()


def test_no_file_is_an_error_that_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(TrackerUnusable, match=r"tracker\.file"):
        ask(tmp_path / "usage.db", UsageQuestion(0.0))
