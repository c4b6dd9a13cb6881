"""The prompt sets are what the results say they are: big enough, disjoint, no templates, right answers."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from adaptrix_core.routing import prompts
from adaptrix_core.routing.catalogue import suggested

SETS = {
    "examples": [text for card in suggested() for text in card.texts],
    "background": prompts.background(),
    "continuations": prompts.continuations(),
    "out of scope, calibration": prompts.out_of_scope("calibration"),
    "out of scope, test": prompts.out_of_scope("test"),
    "in scope, calibration": [row.prompt for row in prompts.in_scope_calibration()],
    "paraphrases": [row.prompt for row in prompts.paraphrases()],
    "rewordings": [row.prompt for row in prompts.rewordings()],
    "kept": [row.prompt for row in prompts.kept()],
}


def normal(text: str) -> str:
    return re.sub(r"\W+", " ", text.lower()).strip()


def test_no_prompt_is_in_two_sets_or_twice_in_one() -> None:
    counts = Counter(normal(text) for texts in SETS.values() for text in texts)
    assert [text for text, count in counts.items() if count > 1] == []


def test_calibration_and_test_conversations_share_no_second_turn() -> None:
    calibration, test = ({turn.then for turn in prompts.conversations(split)} for split in ("calibration", "test"))
    assert not calibration & test
    assert not (calibration | test) & set(prompts.continuations())


def test_the_sets_are_as_big_as_promised() -> None:
    assert len(prompts.out_of_scope("test")) == 200
    assert len(prompts.out_of_scope("calibration")) >= 100
    assert Counter(row.adapter for row in prompts.kept()) == {None: 15, **{card.name: 15 for card in suggested()}}
    families = Counter(row.family for row in prompts.paraphrases())
    assert families == {card.name: 24 for card in suggested()}
    assert set(Counter((row.family, row.task) for row in prompts.paraphrases()).values()) == {8}
    assert Counter(row.adapter for row in prompts.rewordings()) == {**families, None: 40}


def test_no_paraphrase_is_another_one_with_other_names_and_numbers() -> None:
    def shape(text: str) -> str:
        return re.sub(r"\b[A-Z]\w*|\d+", "_", text)

    counts = Counter(shape(row.prompt) for row in prompts.paraphrases())
    assert [text for text, count in counts.items() if count > 1] == []


@pytest.mark.parametrize("row", [r for r in prompts.paraphrases() if r.function], ids=lambda r: r.function)
def test_a_code_answer_is_a_function_that_runs_on_its_arguments(row: prompts.Paraphrase) -> None:
    assert row.function is not None
    assert row.function in row.prompt
    namespace: dict = {}
    exec(row.answer, namespace)  # our own committed text
    results = [namespace[row.function](*call) for call in row.arguments]
    assert len({repr(result) for result in results}) > 1, "the calls cannot tell a right function from a constant"


def test_other_answers_are_in_the_vocabulary_of_their_task() -> None:
    relations = {
        "mother",
        "father",
        "sister",
        "brother",
        "daughter",
        "son",
        "wife",
        "husband",
        "grandmother",
        "grandfather",
    }
    for row in prompts.paraphrases():
        if row.task == "family_relationships":
            assert row.answer in relations
        elif row.task == "syllogism":
            assert row.answer in ("Yes", "No")
        elif row.function is None:
            assert re.fullmatch(r"-?\d+", row.answer), row


def test_yes_and_no_are_both_frequent() -> None:
    counts = Counter(row.answer for row in prompts.paraphrases() if row.task == "syllogism")
    assert min(counts["Yes"], counts["No"]) >= 3
