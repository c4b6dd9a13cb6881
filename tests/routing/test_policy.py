"""The rule: the previous adapter stays unless the topic moved; else the best, or its warm equal; below it the base."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptrix_core.errors import ConfigError
from adaptrix_core.routing.calibration import Calibration
from adaptrix_core.routing.near_tie import LOAD_COST
from adaptrix_core.routing.policy import Evidence, settle

NUMBERS = Calibration(accept=0.0, stay=-0.5, lead=0.75, tie=0.2, slope=2.0, intercept=0.5)
margin = st.floats(-5, 5)
margins = st.dictionaries(st.sampled_from(["math", "logic", "code"]), margin, min_size=1)
close = st.dictionaries(st.sampled_from(["math", "logic", "code"]), st.floats(-0.3, 0.9), min_size=1)
places = st.dictionaries(st.sampled_from(["math", "logic", "code"]), st.sampled_from(sorted(LOAD_COST)))
before = st.none() | st.sampled_from(["math", "logic", "code", "gone"])


@given(margins, margin)
def test_without_a_previous_adapter_the_best_answers_from_the_threshold_on(
    given: dict[str, float], flow: float
) -> None:
    decision = settle(Evidence(given, flow), None, NUMBERS)
    best = max(given.values())
    if best >= NUMBERS.accept:
        assert given[decision.adapter or ""] == best
    else:
        assert decision.adapter is None


@given(margins, margin, st.sampled_from(["math", "logic", "code", "gone"]))
def test_scores_and_confidence_are_probabilities(given: dict[str, float], flow: float, previous: str) -> None:
    decision = settle(Evidence(given, flow), previous, NUMBERS)
    assert set(decision.scores) == set(given)
    assert all(0.0 <= score <= 1.0 for score in decision.scores.values())
    chosen = decision.adapter
    assert decision.confidence == (decision.scores[chosen] if chosen else 1.0 - max(decision.scores.values()))
    assert sorted(given, key=lambda n: given[n]) == sorted(given, key=lambda n: (decision.scores[n], given[n]))


@given(margins, margin)
def test_an_adapter_that_is_gone_gets_no_favour(given: dict[str, float], flow: float) -> None:
    assert settle(Evidence(given, flow), "gone", NUMBERS) == settle(Evidence(given, flow), None, NUMBERS)


@given(margins, margin, st.sampled_from(["math", "logic", "code"]))
def test_another_adapter_takes_over_only_with_a_clear_lead_or_when_the_topic_moved(
    given: dict[str, float], flow: float, previous: str
) -> None:
    chosen = settle(Evidence(given, flow), previous, NUMBERS).adapter
    if chosen is None or chosen == previous or previous not in given:
        return
    assert given[chosen] >= NUMBERS.accept
    stays = given[previous] >= NUMBERS.accept or given[previous] + flow >= NUMBERS.stay
    assert given[chosen] - given[previous] >= NUMBERS.lead or not stays


@given(margins, margin, st.floats(0, 5), st.sampled_from(["math", "logic", "code"]))
def test_more_continuity_never_drives_the_previous_adapter_out(
    given: dict[str, float], flow: float, more: float, previous: str
) -> None:
    if settle(Evidence(given, flow), previous, NUMBERS).adapter == previous:
        assert settle(Evidence(given, flow + more), previous, NUMBERS).adapter == previous


@pytest.mark.parametrize(
    ("given", "flow", "chosen", "reason"),
    [
        ({"math": 1.0, "code": -1.0}, -9.0, "math", "math: score 0.92, threshold 0.62"),
        ({"math": -1.0, "code": -1.2}, 0.6, "math", "stays with math"),
        ({"math": -1.0, "code": -1.2}, 0.4, None, "the topic moved away from math; best score 0.18 (math)"),
        ({"math": 0.1, "code": 0.8}, 0.0, "math", "math: score"),
        ({"math": 0.1, "code": 0.9}, 0.0, "code", "code: score"),
        ({"math": -0.2, "code": 0.4}, 0.0, "math", "stays with math"),
        ({"math": -0.2, "code": 0.4}, -1.0, "code", "code: score"),
    ],
)
def test_worked_examples_after_a_turn_of_math(
    given: dict[str, float], flow: float, chosen: str | None, reason: str
) -> None:
    decision = settle(Evidence(given, flow), "math", NUMBERS)
    assert decision.adapter == chosen
    assert decision.mix_names == ({chosen: 1.0} if chosen else {})
    assert reason in decision.reason
    assert decision.previous == "math"


def test_an_empty_catalogue_means_the_base() -> None:
    decision = settle(Evidence({}, 0.0), None, NUMBERS)
    assert (decision.adapter, decision.confidence, decision.score) == (None, 1.0, 0.0)


@pytest.mark.parametrize(
    ("given", "flow", "previous", "scored"),
    [
        ({"math": 1.0, "code": -1.0}, 0.0, None, "math"),
        ({"math": -1.0, "code": -1.2}, 0.0, None, "math"),
        ({"math": -1.0, "code": -0.9}, 0.6, "math", "math"),
    ],
    ids=["chosen", "best of those not chosen", "chosen though not the best"],
)
def test_the_score_is_the_chosen_adapters_or_else_the_best(
    given: dict[str, float], flow: float, previous: str | None, scored: str
) -> None:
    decision = settle(Evidence(given, flow), previous, NUMBERS)
    assert decision.adapter in (scored, None)
    assert decision.score == decision.scores[scored]


@given(margins | close, margin, before, places)
def test_what_is_loaded_decides_between_equals_only(
    given: dict[str, float], flow: float, previous: str | None, residency: dict[str, str]
) -> None:
    unaware = settle(Evidence(given, flow), previous, NUMBERS)
    decision = settle(Evidence(given, flow), previous, NUMBERS, residency)
    if decision.adapter == unaware.adapter:
        assert decision == unaware
        return
    assert unaware.adapter == max(given, key=lambda name: given[name]), "not the base, nor an adapter that stays"
    assert decision.adapter is not None
    assert given[decision.adapter] >= max(NUMBERS.accept, given[unaware.adapter] - NUMBERS.tie)
    cost = [LOAD_COST[residency.get(name, "absent")] for name in (decision.adapter, unaware.adapter)]
    assert cost[0] < cost[1]
    assert f"near-tie with {unaware.adapter}" in decision.reason


@given(close, places)
def test_no_equal_is_cheaper_to_load_than_the_one_that_answers(
    given: dict[str, float], residency: dict[str, str]
) -> None:
    chosen = settle(Evidence(given, 0.0), None, NUMBERS, residency).adapter
    if chosen is None:
        return
    best = max(given.values())
    equals = [name for name in given if given[name] >= max(NUMBERS.accept, best - NUMBERS.tie)]
    assert chosen in equals
    assert LOAD_COST[residency.get(chosen, "absent")] == min(LOAD_COST[residency.get(n, "absent")] for n in equals)


@given(close, margin, st.sampled_from(["math", "logic", "code"]), places)
def test_what_is_loaded_never_takes_a_conversation_over(
    given: dict[str, float], flow: float, previous: str, residency: dict[str, str]
) -> None:
    if settle(Evidence(given, flow), previous, NUMBERS).adapter == previous:
        assert settle(Evidence(given, flow), previous, NUMBERS, residency).adapter == previous


@pytest.mark.parametrize(
    ("given", "residency", "chosen", "reason"),
    [
        (
            {"math": 1.0, "logic": 0.9},
            {"logic": "device", "math": "disk"},
            "logic",
            "logic is on a device, math on disk",
        ),
        ({"math": 1.0, "logic": 0.9}, {"logic": "host"}, "logic", "logic is in host memory, math on no replica"),
        ({"math": 1.0, "logic": 0.9}, {"logic": "disk", "math": "disk"}, "math", "math: score"),
        ({"math": 1.0, "logic": 0.9}, {}, "math", "math: score"),
        ({"math": 1.0, "logic": 0.7}, {"logic": "device"}, "math", "math: score"),
        ({"math": 0.1, "logic": -0.05}, {"logic": "device"}, "math", "math: score"),
        ({"math": -0.1, "logic": -0.2}, {"logic": "device"}, None, "under the threshold"),
    ],
)
def test_worked_examples_of_near_ties(
    given: dict[str, float], residency: dict[str, str], chosen: str | None, reason: str
) -> None:
    decision = settle(Evidence(given, 0.0), None, NUMBERS, residency)
    assert decision.adapter == chosen
    assert reason in decision.reason


def test_who_takes_a_conversation_over_by_being_warm_has_the_clear_lead_too() -> None:
    given = {"math": 0.1, "code": 0.9, "logic": 0.8}  # code leads by 0.8, logic only by 0.7
    assert settle(Evidence(given, 0.0), "math", NUMBERS, {"logic": "device"}).adapter == "code"
    given["logic"] = 0.87
    assert settle(Evidence(given, 0.0), "math", NUMBERS, {"logic": "device"}).adapter == "logic"


@given(st.floats(0.01, 0.99))
def test_a_threshold_given_as_a_score_is_where_adapters_begin_to_answer(score: float) -> None:
    numbers = NUMBERS.with_threshold(score)
    assert numbers.probability(numbers.accept) == pytest.approx(score)


@pytest.mark.parametrize("score", [0.0, 1.0, -0.5, 7.0, float("nan")])
def test_a_threshold_that_is_no_probability_is_refused(score: float) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        NUMBERS.with_threshold(score)
