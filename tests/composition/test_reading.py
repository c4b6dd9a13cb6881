"""What a composition comes to, and what is refused: by its strategy, by the table of nesting, by size and depth."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from adaptrix_core.composition.compose import compose
from adaptrix_core.composition.conditions import ConfidenceBelow, Marker
from adaptrix_core.composition.nesting import NESTING
from adaptrix_core.composition.parts import Beginning, Group, RowPlan, Steps, Switch, plain
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.mix import Term
from adaptrix_core.request_limits import MOST

ROOT = Path(__file__).resolve().parents[2]
A, B = (Term("a"),), (Term("b"),)
PLAIN: dict[str, Any] = {"parallel": ["a", "b"]}
CONDITIONAL: dict[str, Any] = {"conditional": [{"if": {"marker": "\n"}, "then": "b"}], "else": "a"}
LOGITS: dict[str, Any] = {"parallel": ["a", "b"], "combine": "logits"}
VOTE: dict[str, Any] = {"parallel": ["a", "b"], "combine": "vote", "samples": 2}
STEPS: dict[str, Any] = {"sequential": ["a", "b"]}


@pytest.mark.parametrize(
    ("composition", "part"),
    [
        ({"parallel": {"a": 0.7, "b": 0.3}}, plain((Term("a", 0.7), Term("b", 0.3)))),
        ({"parallel": ["a", {"part": "b", "weight": 2}]}, plain((Term("a"), Term("b", 2.0)))),
        ({"parallel": [{"part": {"a": 0.5, "b": 0.5}, "weight": 0.5}]}, plain((Term("a", 0.25), Term("b", 0.25)))),
        (
            {"hierarchical": [{"adapter": "a", "layers": [0, 2]}, {"adapter": "b", "layers": "late"}]},
            plain((Term("a", 1.0, frozenset({0, 1})), Term("b", 1.0, "late"))),
        ),
        (
            {"hierarchical": [{"adapter": {"a": 0.5, "b": 0.5}, "layers": [1, 3]}]},
            plain((Term("a", 0.5, frozenset({1, 2})), Term("b", 0.5, frozenset({1, 2})))),
        ),
        (LOGITS, Group((RowPlan(A), RowPlan(B)), "logits")),
        (VOTE, Group((RowPlan(A), RowPlan(B)), "vote", 2)),
        (CONDITIONAL, Group((RowPlan(A, (Switch(Marker("\n"), B),)),))),
        (
            {"conditional": [{"if": {"confidence_below": 0.6, "over": 4}, "then": None}], "else": "a"},
            Group((RowPlan(A, (Switch(ConfidenceBelow(0.6, 4), ()),)),)),
        ),
        (
            {"conditional": [CONDITIONAL["conditional"][0], {"if": {"about": "c"}, "then": "b"}], "else": None},
            Group((RowPlan((), (Switch(Marker("\n"), B),), beginnings=(Beginning("c", B),)),)),
        ),
        (STEPS, Steps((plain(A), plain(B)), "pass")),
        (
            {"sequential": ["a", CONDITIONAL], "plan": ["one", "two of {0} {x}"]},
            Steps((plain(A), Group((RowPlan(A, (Switch(Marker("\n"), B),)),))), ("one", "two of {0} {x}")),
        ),
    ],
)
def test_a_composition_comes_to_rows(composition: dict[str, Any], part: Any) -> None:
    assert compose(composition) == part


PLACES: dict[str, Any] = {
    "parallel": lambda part: {"parallel": ["a", part]},
    "parallel by gate": lambda part: {"parallel": ["z", part], "combine": "gate"},
    "parallel by logits": lambda part: {"parallel": ["a", part], "combine": "logits"},
    "parallel by vote": lambda part: {"parallel": ["a", part], "combine": "vote"},
    "hierarchical": lambda part: {"hierarchical": [{"adapter": part, "layers": [0, 2]}]},
    "conditional": lambda part: {"conditional": [{"if": {"marker": "x"}, "then": part}], "else": "a"},
    "sequential": lambda part: {"sequential": ["a", part]},
}
BY_QUESTION: dict[str, Any] = {"conditional": [{"if": {"about": "b"}, "then": "b"}], "else": "a"}
PARTS = {
    "mix": PLAIN,
    "conditional": CONDITIONAL,
    "conditional by question": BY_QUESTION,
    "logits": LOGITS,
    "vote": VOTE,
    "sequential": STEPS,
}


@pytest.mark.parametrize("kind", PARTS)
@pytest.mark.parametrize("place", PLACES)
def test_the_table_says_what_may_nest(place: str, kind: str) -> None:
    composition = PLACES[place](PARTS[kind])
    if kind in NESTING[place]:
        compose(composition)
        return
    with pytest.raises(InvalidRequest, match=f"{place} cannot hold a part that is ") as refused:
        compose(composition)
    assert refused.value.param == "adaptrix.compose"


def test_the_documentation_shows_the_table() -> None:
    page = (ROOT / "docs/composition.md").read_text()
    rows = re.findall(r"^\| `?(\w[\w ]*)`? \|((?: (?:yes|no) \|){6})$", page, re.MULTILINE)
    shown = {
        place: tuple(kind for kind, cell in zip(PARTS, cells.split("|"), strict=False) if cell.strip() == "yes")
        for place, cells in rows
    }
    assert shown == dict(NESTING)


@pytest.mark.parametrize(
    ("composition", "message"),
    [
        ({"parallel": ["a"], "combine": "sum"}, "combine is 'sum'; it must be one of delta, gate, logits, vote"),
        ({"parallel": ["a"], "combine": "gate"}, "two or more different adapters"),
        ({"parallel": ["a", "a"], "combine": "gate"}, "different adapters, none of them"),
        ({"parallel": ["a", None], "combine": "gate"}, "two or more different adapters"),
        ({"parallel": ["c", {"parallel": ["a", "b"], "combine": "gate"}], "combine": "gate"}, "under another gate"),
        ({"parallel": ["a", "b"], "combine": "gate", "top_k": 3}, "top_k is 3; it must be a whole number from 1 to 2"),
        ({"parallel": ["a", "b"], "combine": "gate", "top_k": True}, "top_k is True"),
        ({"parallel": ["a", "b"], "combine": "gate", "temperature": 0}, "temperature is 0"),
        ({"parallel": ["a", "b"], "combine": "gate", "temperature": float("nan")}, "temperature is nan"),
        ({"parallel": ["a", "b"], "combine": "delta", "top_k": 1}, "parallel has no option 'top_k' here"),
        ({"parallel": ["a"], "samples": 2}, "parallel has no option 'samples' here"),
        ({"parallel": {"a": -1}, "combine": "vote"}, "the weight of 'a' is -1; it must be above 0"),
        ({"parallel": {"a": float("nan")}, "combine": "logits"}, "the weight of 'a' is nan"),
        ({"parallel": ["a", "b"], "combine": "vote", "samples": 9}, "combines 18 answers"),
        ({"parallel": [3]}, "a part is 3; it must be an adapter's name"),
        ({"hierarchical": [{"adapter": "a", "layers": [2, 2]}]}, r"layers is \[2, 2\]"),
        ({"hierarchical": [{"adapter": "a", "layers": "top"}]}, "layers is 'top'"),
        ({"hierarchical": [{"adapter": "a"}]}, 'has "adapter" and "layers"'),
        (
            {
                "hierarchical": [
                    {"adapter": {"hierarchical": [{"adapter": "a", "layers": [0, 2]}]}, "layers": [2, 4]},
                ]
            },
            "they share none",
        ),
        ({"conditional": [], "else": "a"}, "a list of 1 to 8 rules"),
        ({"conditional": [{"if": {"marker": "x"}, "then": "b"}]}, 'conditional needs "else"'),
        ({"conditional": [{"if": {"marker": ""}, "then": "b"}], "else": "a"}, "marker is ''"),
        ({"conditional": [{"if": {"confidence_below": 2}, "then": "b"}], "else": "a"}, "confidence_below is 2"),
        ({"conditional": [{"if": {"about": None}, "then": "b"}], "else": "a"}, "about is None; it must be the name"),
        ({"conditional": BY_QUESTION["conditional"] * 2, "else": "a"}, "two rules are about 'b'"),
        ({"conditional": [{"if": {"mood": 1}, "then": "b"}], "else": "a"}, "\"if\" is {'mood': 1}"),
        ({"sequential": []}, "a list of 1 to 8 parts"),
        ({"sequential": ["a"] * 9}, "a list of 1 to 8 parts"),
        ({"sequential": ["a", "b"], "plan": ["one"]}, "plan has 1 questions for 2 steps"),
        ({"sequential": ["a", "b"], "plan": ["one", "{1}"]}, r"question 1 of plan names \{1\}"),
        ({"sequential": ["a", "b"], "plan": ["{0}", "two"]}, "the first question can name none"),
        ({"sequential": ["a", "b"], "plan": ["one", " "]}, "question 1 of plan is ' '"),
        ({"sequential": ["a", "b"], "plan": "guess"}, "plan is 'guess'"),
        ({"parallel": [{}]}, "a part is {}"),
    ],
)
def test_what_means_nothing_is_refused_with_the_value_and_what_is_allowed(composition: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message) as refused:
        compose(composition)
    assert refused.value.param == "adaptrix.compose"


def test_compositions_are_neither_deep_nor_large_without_end() -> None:
    deep: Any = "a"
    for _ in range(MOST.composition_depth + 1):
        deep = {"parallel": [deep]}
    with pytest.raises(InvalidRequest, match=f"more than {MOST.composition_depth} deep"):
        compose(deep)
    with pytest.raises(InvalidRequest, match=f"more than {MOST.composition_parts} parts"):
        compose({"parallel": ["a"] * (MOST.composition_parts + 1)})


def test_a_name_may_stand_for_a_composition_but_not_for_itself() -> None:
    known = {"both": {"parallel": {"a": 1, "b": 1}}, "snake": {"parallel": ["tail"]}, "tail": {"parallel": ["snake"]}}
    assert compose({"sequential": ["both", "a"]}, meaning=known.get).groups[0] == plain((*A, *B))  # type: ignore[union-attr]
    with pytest.raises(InvalidRequest, match="'snake' stands inside of itself: snake > tail > snake"):
        compose({"sequential": ["snake"]}, meaning=known.get)
