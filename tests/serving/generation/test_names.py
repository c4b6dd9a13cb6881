"""What the model field and the adaptrix field mean."""

from __future__ import annotations

import pytest

from adaptrix_core.errors import AdapterNotFound, InvalidRequest
from adaptrix_core.injection.mix import Term
from deployments.generation.model_names import choose
from deployments.shared.catalogue import Catalogue
from deployments.shared.wire import Entry

BASE = "org/base"
CATALOGUE = Catalogue(
    "1",
    (
        Entry("math", "1.9", "A" * 64, "a" * 64),
        Entry("math", "1.10", "B" * 64, "b" * 64),
        Entry("logic", "1.0.0", "C" * 64, "c" * 64),
        Entry("pending", "1.0.0", "D" * 64, "d" * 64, staged=True),
    ),
)


def bundles(model: str, **options: object) -> list[tuple[tuple[str, float], ...]]:
    choice = choose(model, BASE, CATALOGUE, **options)  # type: ignore[arg-type]
    return [tuple((term.adapter[0], term.weight) for term in mix.bundles) for mix in choice.mixes]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("org/base", ()),
        ("math", (("b", 1.0),)),
        ("math@1.9", (("a", 1.0),)),
        ("org/base:math@1.10", (("b", 1.0),)),
        ("math*0.7+logic*0.3", (("b", 0.7), ("c", 0.3))),
        ("org/base:math*-0.5 + logic", (("b", -0.5), ("c", 1.0))),
    ],
)
def test_every_spelling_of_model(model: str, expected: tuple[tuple[str, float], ...]) -> None:
    assert bundles(model) == [expected]


def test_auto_is_left_to_the_router_and_falls_back_while_names_do_not() -> None:
    assert choose("auto", BASE, CATALOGUE).auto
    assert choose("auto", BASE, CATALOGUE).fallback == "base"
    assert choose("math", BASE, CATALOGUE).fallback == "error"
    assert choose("math", BASE, CATALOGUE, fallback="base").fallback == "base"


def test_mix_and_fork_come_from_the_body() -> None:
    assert bundles("auto", mix=(Term("math", 0.5), Term("logic", 2.0))) == [(("b", 0.5), ("c", 2.0))]
    assert bundles(BASE, fork=["math", None, "math*0.5+logic*0.5"]) == [
        (("b", 1.0),),
        (),
        (("b", 0.5), ("c", 0.5)),
    ]


@pytest.mark.parametrize("name", ["mth", "logik", "org/base:mathh", "pending", "math@2.0", "nothing-like-it"])
def test_unknown_names_are_refused_with_what_is_known(name: str) -> None:
    with pytest.raises(AdapterNotFound) as caught:
        choose(name, BASE, CATALOGUE)
    assert repr(name) in caught.value.message
    assert "math" in caught.value.message or "logic" in caught.value.message
    assert caught.value.code == "model_not_found"
    assert caught.value.param == "model"


@pytest.mark.parametrize(
    ("model", "options", "param"),
    [
        ("math*heavy", {}, "model"),
        ("math*0.5+math*0.5", {}, "model"),
        ("math*nan", {}, "model"),
        ("math*100", {}, "model"),
        ("math*1[x]", {}, "model"),
        ("math*1[1,2]+math*1[2,3]", {}, "model"),
        ("auto", {"mix": ()}, "adaptrix.mix"),
        ("auto", {"mix": (Term("math", (1.0, 9.0)),)}, "adaptrix.mix"),
        ("auto", {"mix": (Term("math", 1.0, frozenset({-1})),)}, "adaptrix.mix"),
        ("math", {"mix": (Term("logic"),)}, "adaptrix.mix"),
        ("math", {"fork": ["logic"]}, "adaptrix.fork"),
        ("auto", {"mix": (Term("math"),), "fork": ["logic"]}, "adaptrix"),
        ("auto", {"fork": []}, "adaptrix.fork"),
        ("auto", {"fork": ["auto"]}, "adaptrix.fork"),
    ],
)
def test_contradictions_name_their_field(model: str, options: dict[str, object], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        choose(model, BASE, CATALOGUE, **options)  # type: ignore[arg-type]
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("model", "options", "param"),
    [
        ("math*0.5+math@1.10*0.5", {}, "model"),
        ("math*0.5+math@latest*0.5", {}, "model"),
        ("auto", {"mix": (Term("math@1.10", 0.5), Term("math", 0.5))}, "adaptrix.mix"),
    ],
)
def test_a_mix_names_no_package_twice_however_it_is_spelled(model: str, options: dict[str, object], param: str) -> None:
    with pytest.raises(InvalidRequest, match="twice") as caught:
        choose(model, BASE, CATALOGUE, **options)  # type: ignore[arg-type]
    assert caught.value.param == param


def test_two_versions_of_one_adapter_may_be_mixed() -> None:
    assert bundles("math@1.9*0.5+math@1.10*0.5") == [(("a", 0.5), ("b", 0.5))]


def test_headers_say_who_answers() -> None:
    (mix,) = choose("math*0.7+logic*0.3", BASE, CATALOGUE).mixes
    assert mix.label == "math*0.7+logic*0.3"
    assert mix.package_digests == "B" * 64 + "+" + "C" * 64
    assert choose(BASE, BASE, CATALOGUE).mixes[0].label == "base"


def test_layers_and_weights_of_layers_reach_the_replica() -> None:
    written = choose("math*0.7[3,1]+logic", BASE, CATALOGUE).mixes[0]
    assert written.bundles == (Term("b" * 64, 0.7, frozenset({1, 3})), Term("c" * 64))
    assert written.label == "math*0.7[1,3]+logic*1"
    terms = (Term("math", (0.5, 1.0), frozenset({0})), Term("math@1.10", 2.0, frozenset({1})))
    (asked,) = choose("auto", BASE, CATALOGUE, mix=terms).mixes
    assert asked.bundles == (Term("b" * 64, (0.5, 1.0), frozenset({0})), Term("b" * 64, 2.0, frozenset({1})))
