"""The placement rule by itself: warm first, spill under load, agree without talking, spread and shrink with load."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

import pytest

from adaptrix_core.adapters.residency.tiers import Residency
from deployments.placement import rule
from deployments.placement.rule import BRIDGE_S, MAX_HOMES, MAX_SENT, Placement, Seen, Wish, busy_from

A = Wish(("a",))


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def on_device(adapters: Iterable[str]) -> dict[str, Residency]:
    return dict.fromkeys(adapters, "device")


def chosen(replicas: dict[str, Seen], wish: Wish = A) -> str:
    return Placement[str]().choose(wish, replicas)


def test_device_before_host_before_disk() -> None:
    device, host, disk = Seen(3, on_device("a")), Seen(2, {"a": "host"}), Seen(0)
    assert chosen({"disk": disk, "host": host, "device": device}) == "device"
    assert chosen({"disk": disk, "host": host}) == "host"
    assert chosen({"disk": disk, "another adapter": Seen(1, on_device("b"))}) == "disk", "of equally cold ones the idle"


def test_a_mix_goes_where_most_of_it_is() -> None:
    both, one = Seen(5, on_device("ab")), Seen(0, on_device("a"))
    assert chosen({"one": one, "both": both}, Wish(("a", "b"))) == "both"
    assert chosen({"one": one, "none": Seen()}, Wish(("a", "b"))) == "one"


@pytest.mark.parametrize(
    ("warm_load", "cold_load", "goes"),
    [(7, 0, "warm"), (8, 0, "cold"), (40, 40, "warm"), (44, 40, "warm"), (80, 40, "cold"), (200, 200, "warm")],
)
def test_a_warm_replica_is_left_at_the_spill_and_a_quarter_above_the_mean(
    warm_load: int, cold_load: int, goes: str
) -> None:
    assert chosen({"warm": Seen(warm_load, on_device("a")), "cold": Seen(cold_load)}) == goes


def test_the_bound_is_a_quarter_above_the_mean_once_that_is_more_than_the_spill() -> None:
    assert busy_from([0, 0]) == 8
    assert busy_from([39, 40]) == 1.25 * 80 / 2


def test_without_adapters_the_least_loaded_is_taken() -> None:
    assert chosen({"x": Seen(2), "y": Seen(1), "z": Seen(3)}, Wish()) == "y"
    assert {chosen({"x": Seen(), "y": Seen()}, Wish()) for _ in range(64)} == {"x", "y"}


def test_processes_that_know_nothing_of_each_other_agree_and_adapters_spread() -> None:
    idle = {f"replica-{number}": Seen() for number in range(4)}
    counts = Counter(chosen(idle, Wish((f"adapter-{number}",))) for number in range(400))
    assert all(60 <= count <= 140 for count in counts.values())
    assert {chosen(dict(reversed(idle.items()))) for _ in range(8)} == {chosen(idle)}


def test_what_was_sent_is_warm_until_the_replica_says_so_itself() -> None:
    clock = Clock()
    placement = Placement[str](clock)
    replicas = {"x": Seen(), "y": Seen()}
    other = next(replica for replica in replicas if replica != placement.choose(A, replicas))
    placement.sent(A, other)
    assert placement.choose(A, replicas | {other: Seen(3)}) == other
    clock.now += BRIDGE_S
    assert placement.choose(A, replicas | {other: Seen(3)}) != other


def test_the_memory_of_what_was_sent_is_bounded() -> None:
    placement = Placement[str](Clock())
    for number in range(MAX_SENT + 100):
        placement.sent(Wish((str(number),)), "x")
    assert len(placement._sent) == MAX_SENT
    replicas = {"x": Seen(7), "y": Seen()}
    assert placement.choose(Wish((str(MAX_SENT),)), replicas) == "x", "the newest are kept"
    assert placement.choose(Wish(("0",)), replicas) == "y", "the oldest are forgotten"


def test_the_next_turn_goes_where_the_longest_known_beginning_was_computed() -> None:
    placement = Placement[str]()
    replicas = {"x": Seen(), "y": Seen(), "z": Seen()}
    placement.sent(Wish(prefixes=(2, 1)), "y")
    placement.sent(Wish(prefixes=(1,)), "z")
    assert placement.choose(Wish(prefixes=(4, 3, 2, 1)), replicas) == "y"
    assert placement.choose(Wish(prefixes=(5, 1)), replicas) == "z"
    assert placement.choose(Wish(("a",), (2, 1)), replicas | {"x": Seen(0, on_device("a"))}) == "y"
    assert placement.choose(Wish(prefixes=(2, 1)), {"x": Seen(), "z": Seen(3)}) == "z", "y has gone"


def test_a_busy_home_is_left_and_the_conversation_moves() -> None:
    placement = Placement[str]()
    placement.sent(Wish(prefixes=(1,)), "x")
    assert placement.choose(Wish(prefixes=(1,)), {"x": Seen(7), "y": Seen()}) == "x"
    assert placement.choose(Wish(prefixes=(1,)), {"x": Seen(8), "y": Seen()}) == "y"
    placement.sent(Wish(prefixes=(2, 1)), "y")
    assert placement.choose(Wish(prefixes=(3, 2, 1)), {"x": Seen(), "y": Seen(7)}) == "y"


def test_the_memory_of_beginnings_is_bounded() -> None:
    placement = Placement[str]()
    for number in range(MAX_HOMES + 100):
        placement.sent(Wish(prefixes=(number,)), "x")
    assert len(placement._homes) == MAX_HOMES
    replicas = {"x": Seen(1), "y": Seen()}
    assert [placement.choose(Wish(prefixes=(name,)), replicas) for name in (0, MAX_HOMES)] == ["y", "x"]


class Replicas:
    """Replicas with a few device slots, least recently used out first, that say a second late what they hold."""

    def __init__(self, count: int, slots: int, clock: Clock) -> None:
        self.clock = clock
        self.slots = slots
        self.loads: Counter[str] = Counter()
        self.held: dict[str, list[str]] = {f"r{number}": [] for number in range(count)}
        self._said: dict[str, tuple[float, frozenset[str]]] = {}

    def seen(self) -> dict[str, Seen]:
        for replica, held in self.held.items():
            if self.clock.now - self._said.get(replica, (-1e9, frozenset()))[0] >= 1.0:
                self._said[replica] = (self.clock.now, frozenset(held))
        return {replica: Seen(self.loads[replica], on_device(self._said[replica][1])) for replica in self.held}

    def take(self, replica: str, adapter: str) -> None:
        self.loads[replica] += 1
        held = self.held[replica]
        if adapter in held:
            held.remove(adapter)
        held.append(adapter)
        del held[: -self.slots]

    def holders(self, adapter: str) -> int:
        return sum(adapter in held for held in self.held.values())


def drive(placement: Placement[str], replicas: Replicas, hot: int, rounds: int, seed: int) -> int:
    """Keep ``hot`` requests for one adapter unfinished, with single requests for others between; how many replicas the
    hot ones went to in the second half."""
    draw = random.Random(seed)
    running: list[str] = []
    used: set[str] = set()
    for number in range(rounds):
        replicas.clock.now += 0.05
        while running and (len(running) >= hot or draw.random() < 0.5):
            replicas.loads[running.pop(draw.randrange(len(running)))] -= 1
        while len(running) < hot:
            replica = placement.choose(Wish(("hot",)), replicas.seen())
            placement.sent(Wish(("hot",)), replica)
            replicas.take(replica, "hot")
            running.append(replica)
            used |= {replica} if number >= rounds // 2 else set()
        for _ in range(4):
            wish = Wish((f"rare-{draw.randrange(40)}",))
            replica = placement.choose(wish, replicas.seen())
            placement.sent(wish, replica)
            replicas.take(replica, wish.adapters[0])
            replicas.loads[replica] -= 1
    for replica in running:
        replicas.loads[replica] -= 1
    return len(used)


def test_a_hot_adapter_spreads_to_as_many_replicas_as_its_load_needs_and_shrinks_back() -> None:
    clock = Clock()
    placement, replicas = Placement[str](clock), Replicas(8, 4, clock)
    assert drive(placement, replicas, hot=1, rounds=200, seed=1) == 1
    assert drive(placement, replicas, hot=14, rounds=200, seed=2) in (2, 3)
    assert drive(placement, replicas, hot=100, rounds=200, seed=3) >= 7
    assert drive(placement, replicas, hot=1, rounds=400, seed=4) == 1
    assert replicas.holders("hot") <= 3, "what is used no more makes room for others"


def test_the_rule_is_the_simulators() -> None:
    from cluster.simulation import policies

    assert policies.busy_from is rule.busy_from
