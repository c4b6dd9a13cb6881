"""The outbox is bounded and counts what it drops; a batch stays the same until it is taken. The live view is a ring."""

from __future__ import annotations

from adaptrix_core.observe.tracker.live_view import LiveView
from adaptrix_core.observe.tracker.outbox import Outbox
from tests.observe.tracker.requests import request


def test_a_batch_is_the_same_until_it_is_taken() -> None:
    outbox = Outbox(most_sent=2)
    for number in range(3):
        outbox.put(request(completion_tokens=number))
    first = outbox.next_batch()
    assert first is not None
    assert outbox.next_batch() is first
    assert [one.completion_tokens for one in first.requests] == [0, 1]
    outbox.taken()
    second = outbox.next_batch()
    assert second is not None
    assert (second.number, len(second.requests), second.sender) == (2, 1, first.sender)
    outbox.taken()
    assert outbox.next_batch() is None


def test_what_has_no_room_is_dropped_and_told_with_the_next_batch() -> None:
    outbox = Outbox(most_waiting=2, most_sent=5)
    for _ in range(5):
        outbox.put(request())
    batch = outbox.next_batch()
    assert batch is not None
    assert (len(batch.requests), batch.dropped, outbox.dropped) == (2, 3, 3)
    outbox.taken()
    outbox.put(request())
    later = outbox.next_batch()
    assert later is not None
    assert later.dropped == 0, "told once"


def test_two_processes_are_two_senders() -> None:
    outboxes = Outbox(), Outbox()
    for outbox in outboxes:
        outbox.put(request())
    one, other = (outbox.next_batch() for outbox in outboxes)
    assert one is not None
    assert other is not None
    assert one.sender != other.sender


def test_the_live_view_is_of_the_last_minute() -> None:
    now = 1000.0
    view = LiveView(clock=lambda: now)
    view.add([request(adapter="old")])
    now += 61
    view.add([request(first_token_s=0.1 * n, completion_tokens=6, adapter="a") for n in range(1, 11)])
    view.add([request(tenant="other", adapter="b", outcome="failed")])
    (one, other) = view.figures()
    assert (one.adapter, one.requests_per_s, one.tokens_per_s) == ("a", 10 / 60, 1.0)
    assert (one.first_token_p50_s, one.first_token_p95_s) == (0.5, 1.0)
    assert (other.adapter, other.failed) == ("b", 1)
    assert [row.adapter for row in view.figures("acme")] == ["a"]


def test_a_full_ring_tells_of_the_time_that_it_covers() -> None:
    now = 0.0
    view = LiveView(clock=lambda: now, most_kept=10)
    for _ in range(20):
        now += 1.0
        view.add([request()])
    (row,) = view.figures()
    assert row.requests_per_s == 10 / 9
