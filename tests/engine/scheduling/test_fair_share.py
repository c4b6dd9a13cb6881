"""The virtual token counters: who is next, where newcomers begin, and that names which pass by are forgotten."""

from __future__ import annotations

from collections import Counter

from adaptrix_core.engine.scheduling.fair_share import FairShare


def serve(share: FairShare, paths: list[tuple[str, ...]], turns: int, tokens: int = 10) -> list[tuple[str, ...]]:
    """Give ``turns`` portions to whoever is next among ``paths``, all of which go on waiting."""
    served = []
    for _ in range(turns):
        chosen = min(paths, key=share.served)
        share.charge(chosen, tokens)
        served.append(chosen)
    return served


def waiting(*paths: tuple[str, ...]) -> FairShare:
    share = FairShare()
    for path in paths:
        share.begin_wait(path)
    return share


def test_those_who_wait_are_served_alike() -> None:
    paths = [("x",), ("y",), ("z",)]
    assert Counter(serve(waiting(*paths), paths, 30)) == dict.fromkeys(paths, 10)


def test_a_party_gains_nothing_by_having_many_parts() -> None:
    paths = [("x", "1"), ("x", "2"), ("x", "3"), ("y", "1")]
    served = Counter(serve(waiting(*paths), paths, 60))
    assert served == {("x", "1"): 10, ("x", "2"): 10, ("x", "3"): 10, ("y", "1"): 30}


def test_a_newcomer_has_no_claim_to_what_others_were_served_before() -> None:
    share = waiting(("x",), ("y",))
    serve(share, [("x",), ("y",)], 100)
    share.begin_wait(("new",))
    assert Counter(serve(share, [("x",), ("y",), ("new",)], 30))["new",] == 10


def test_who_was_away_while_nobody_waited_has_no_claim_either() -> None:
    share = waiting(("x",), ("y",))
    share.end_wait(("y",))
    share.charge(("x",), 500)
    share.end_wait(("x",))
    for name in ("x", "y"):
        share.begin_wait((name,))
    assert share.served(("x",)) == share.served(("y",))


def test_what_somebody_got_ahead_is_not_forgotten_by_leaving() -> None:
    share = waiting(("x",), ("y",))
    share.charge(("x",), 100)
    share.end_wait(("x",))
    share.begin_wait(("somebody else",))
    share.begin_wait(("x",))
    assert serve(share, [("x",), ("y",)], 10) == [("y",)] * 10


def test_who_still_waits_with_something_else_has_not_been_away() -> None:
    share = waiting(("x",), ("x",), ("y",))
    share.charge(("y",), 100)
    share.end_wait(("x",))
    share.begin_wait(("x",))
    assert serve(share, [("x",), ("y",)], 10) == [("x",)] * 10


def test_names_that_left_unserved_are_forgotten() -> None:
    share = waiting(("stays",))
    for number in range(1000):
        share.begin_wait((f"tenant-{number}",))
        share.end_wait((f"tenant-{number}",))
    assert len(share._parts) < 10


def test_names_that_passed_by_are_forgotten() -> None:
    share = waiting(("stays", "a"))
    for number in range(1000):
        share.begin_wait((f"tenant-{number}", "a"))
        share.end_wait((f"tenant-{number}", "a"))
        share.charge((f"tenant-{number}", "a"), 10)
        share.charge(("stays", "a"), 10)
    assert len(share._parts) < 10
    share = FairShare()
    for number in range(1000):
        path = ("tenant", f"adapter-{number}")
        share.begin_wait(path)
        share.end_wait(path)
        share.charge(path, 10)
    assert len(share._parts["tenant"]._parts) < 10
