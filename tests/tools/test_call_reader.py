"""Calls read out of a text: the same whatever parts it comes in, and nothing of it lost."""

from __future__ import annotations

import random

import pytest

from adaptrix_core.tools.call_form import FORMS, HERMES, LLAMA, CallForm
from adaptrix_core.tools.call_reader import ArgumentsSaid, CallBegun, CallEvent, CallReader, SaidText

TRICKY = '{"text": "a \\"quoted\\" } and ] { [", "list": [{"x": {}}], "n": 1}'


def joined(events: list[CallEvent]) -> tuple[str, list[tuple[str, str]]]:
    """The text, and each call's function and arguments."""
    text, calls = "", []
    for event in events:
        if isinstance(event, SaidText):
            text += event.text
        elif isinstance(event, CallBegun):
            assert event.index == len(calls)
            calls.append((event.function, ""))
        elif isinstance(event, ArgumentsSaid):
            name, arguments = calls[event.index]
            calls[event.index] = (name, arguments + event.text)
    return text, calls


def read(form: CallForm, parts: list[str]) -> tuple[str, list[tuple[str, str]]]:
    reader = CallReader(form)
    return joined([event for part in parts for event in reader.read(part)] + reader.finish())


def cut(text: str, seed: int) -> list[str]:
    rng = random.Random(seed)
    places = sorted(rng.sample(range(1, len(text)), min(len(text) - 1, rng.randint(1, 12))))
    return [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]


TWO = HERMES.written("f", "{}") + "\n" + HERMES.written("g.h-i_j", TRICKY)
TEXTS = [
    (HERMES, "Just text, a < b and <tool and <tool_cal.", "Just text, a < b and <tool and <tool_cal.", []),
    (HERMES, HERMES.written("get", TRICKY), "", [("get", TRICKY)]),
    (HERMES, "I look.\n" + TWO, "I look.\n", [("f", "{}"), ("g.h-i_j", TRICKY)]),
    (HERMES, "<<tool_call>" + HERMES.head("f") + "{}}\n</tool_call>", "<", [("f", "{}")]),
    (LLAMA, LLAMA.written("get", TRICKY), "", [("get", TRICKY)]),
    (LLAMA, 'The answer is {"name": "get", "parameters": {}}', 'The answer is {"name": "get", "parameters": {}}', []),
    (LLAMA, '{"nam', '{"nam', []),
]


@pytest.mark.parametrize(("form", "text", "said", "calls"), TEXTS)
def test_the_parts_in_which_a_text_comes_do_not_matter(
    form: CallForm, text: str, said: str, calls: list[tuple[str, str]]
) -> None:
    assert read(form, [text]) == (said, calls)
    assert read(form, list(text)) == (said, calls)
    for seed in range(50):
        assert read(form, cut(text, seed)) == (said, calls)


def test_text_is_not_held_back_longer_than_it_may_be_a_call() -> None:
    reader = CallReader(HERMES)
    assert joined(reader.read("It is <"))[0] == "It is "
    assert joined(reader.read("b"))[0] == "<b"


def test_arguments_come_as_they_are_written() -> None:
    reader = CallReader(HERMES)
    events = reader.read("<tool_call>" + HERMES.head("f") + '{"a": ')
    assert joined(events) == ("", [("f", '{"a": ')])
    assert reader.read("12") == [ArgumentsSaid(0, "12")]


@pytest.mark.parametrize("length", range(len(HERMES.written("get", TRICKY))))
def test_a_call_that_is_cut_is_told_as_far_as_it_goes_and_is_never_text(length: int) -> None:
    whole = HERMES.written("get", TRICKY)
    text, calls = read(HERMES, [whole[:length]])
    assert text == (whole[:length] if length < len(HERMES.opening) else "")
    begun = length >= len(HERMES.opening + HERMES.head("get"))
    assert [name for name, _ in calls] == ["get"] * begun
    assert all(TRICKY.startswith(arguments) for _, arguments in calls)


def test_an_answer_that_is_only_the_beginning_of_a_marker_was_a_call_if_it_was_cut() -> None:
    for beginning, said in (("<tool", ""), ("I <tool", "<tool")):
        for is_cut in (True, False):
            reader = CallReader(HERMES)
            events = reader.read(beginning)
            assert joined(reader.finish(is_cut=is_cut))[0] == (said if is_cut else "<tool"), (beginning, events)


def test_every_form_reads_what_it_writes() -> None:
    for form in FORMS.values():
        assert read(form, [form.written("f", TRICKY)]) == ("", [("f", TRICKY)])
