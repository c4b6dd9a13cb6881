"""Terms, mixes and schedules: what a token is computed under."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.mix import Mix, Term, check_schedule, constant, mix_at, switched, weights_digests_of

A, B, C = (Term(letter * 64) for letter in "abc")

mixes = st.sampled_from([(), (A,), (B,), (A, B), (C,)])
schedules = st.lists(st.tuples(st.integers(1, 12), mixes), max_size=4, unique_by=lambda entry: entry[0]).flatmap(
    lambda later: mixes.map(lambda first: ((0, first), *sorted(later, key=lambda entry: entry[0])))
)


@given(schedules, st.integers(0, 15))
def test_a_token_is_under_the_last_mix_that_began_at_or_before_it(schedule, position):
    expected: Mix = ()
    for start, mix in schedule:
        if start <= position:
            expected = mix
    assert mix_at(schedule, position) == expected


@given(schedules, st.integers(0, 15), mixes)
def test_switching_changes_the_coming_tokens_and_no_earlier_one(schedule, position, mix):
    changed = switched(schedule, position, mix)
    check_schedule(changed)
    assert all(mix_at(changed, at) == mix_at(schedule, at) for at in range(position))
    assert all(mix_at(changed, at) == mix for at in range(position, 20))


def test_every_adapter_of_a_schedule_is_named():
    assert weights_digests_of(((0, (A,)), (3, ()), (5, (B, A)))) == {A.adapter, B.adapter}
    assert weights_digests_of(constant(())) == frozenset()


@pytest.mark.parametrize("starts", [[], [1], [0, 0], [0, 5, 3], [-1, 2]])
def test_a_schedule_must_begin_at_0_and_go_forward(starts):
    with pytest.raises(InvalidRequest, match="must begin with 0 and strictly increase"):
        check_schedule(tuple((start, (A,)) for start in starts))


def test_weight_and_layers_of_a_term_meet_per_layer():
    term = Term("a" * 64, (0.5, 1.0, -2.0, 0.25), frozenset({0, 2}))
    assert [term.weight_at(layer) for layer in range(4)] == [0.5, 0.0, -2.0, 0.0]
    assert [Term("a" * 64, 0.7).weight_at(layer) for layer in range(3)] == [0.7, 0.7, 0.7]
