"""`adaptrix query` asks for confidence as the HTTP API has it, and marks honestly what an answer is."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from adaptrix_core.request_limits import MOST
from tests.cli.stand_in_server import StandIn, stand_in

Adaptrix = Callable[..., Result]

BELOW = {
    "confidence": 0.41,
    "below_min_confidence": True,
    "attempts": [
        {"adapter": "code_generation", "confidence": 0.2123, "completion_tokens": 9},
        {"adapter": "base", "confidence": None, "completion_tokens": 7},
    ],
}
WITHOUT = {
    "confidence": None,
    "instead_of_an_answer": "abstain",
    "attempts": [{"adapter": "math_reasoning", "confidence": 0.33, "completion_tokens": 9}],
}


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as state:
        yield state


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        ((), None),
        (("--confidence",), {"confidence": True}),
        (("--min-confidence", "0.7"), {"min_confidence": 0.7}),
        (
            ("--min-confidence", "0.7", "--fallback", "again, base,ask"),
            {"min_confidence": {"at_least": 0.7, "fallback": ["again", "base", "ask"]}},
        ),
        (
            ("--min-confidence", "0.7", "--confidence", "--compose", '{"parallel": ["a", "b"]}'),
            {"compose": {"parallel": ["a", "b"]}, "confidence": True, "min_confidence": 0.7},
        ),
    ],
)
def test_a_request_asks_for_what_the_options_say(
    adaptrix: Adaptrix, server: StandIn, options: tuple[str, ...], sent: object
) -> None:
    done = adaptrix("query", "hi", *options, "--url", server.url)
    assert done.exit_code == 0, done.output
    (body,) = server.bodies
    assert body.get("adaptrix") == sent


def test_the_footer_tells_how_sure_the_answer_is(adaptrix: Adaptrix, server: StandIn) -> None:
    server.told = {"confidence": 0.8312}
    told = adaptrix("query", "hi", "--confidence", "--url", server.url)
    assert "[math_reasoning · confidence 0.83 · 3 tokens" in told.stderr
    server.told = {"confidence": None}
    assert "· confidence unknown ·" in adaptrix("query", "hi", "--confidence", "--url", server.url).stderr
    assert "confidence" not in adaptrix("query", "hi", "--url", server.url).stderr


def test_an_answer_below_the_bound_is_marked_and_the_others_are_told(adaptrix: Adaptrix, server: StandIn) -> None:
    server.told = BELOW
    asked = ("query", "hi", "--min-confidence", "0.7", "--fallback", "again,base", "--url", server.url)
    footer = adaptrix(*asked).stderr
    assert "[math_reasoning · confidence 0.41, not sure enough" in footer
    assert "3 attempts, the others: code_generation 0.21, base unknown" in footer
    document = json.loads(adaptrix(*asked, "--json").stdout)
    assert {name: document[name] for name in BELOW} == BELOW


def test_words_in_the_place_of_an_answer_are_nobodys(adaptrix: Adaptrix, server: StandIn) -> None:
    server.told = WITHOUT
    asked = ("query", "hi", "--min-confidence", "0.7", "--url", server.url)
    footer = adaptrix(*asked).stderr
    assert "[no answer: abstain · 1 not sure enough: math_reasoning 0.33 ·" in footer
    document = json.loads(adaptrix(*asked, "--json").stdout)
    assert {name: document[name] for name in WITHOUT} == WITHOUT


@pytest.mark.parametrize(("told", "by"), [(BELOW, "math_reasoning"), (WITHOUT, "")])
def test_the_log_says_who_answered_and_that_nobody_did(
    adaptrix: Adaptrix, server: StandIn, told: dict[str, object], by: str
) -> None:
    server.told = told
    adaptrix("query", "hi", "--min-confidence", "0.7", "--url", server.url)
    (turn,) = json.loads(adaptrix("logs", "--search", "hi", "--json").stdout)
    assert turn["adapter"] == by


def test_a_conversation_and_a_file_of_prompts_are_held_to_it_too(
    adaptrix: Adaptrix, server: StandIn, tmp_path: Path
) -> None:
    server.told = WITHOUT
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("one\ntwo\n")
    bound = ("--min-confidence", "0.7", "--url", server.url)
    assert "[no answer: abstain ·" in adaptrix("query", *bound, input="hi\n").stderr
    lines = adaptrix("query", *bound, "--file", prompts).stdout.splitlines()
    assert [json.loads(line)["instead_of_an_answer"] for line in lines] == ["abstain", "abstain"]
    assert [body["adaptrix"] for body in server.bodies] == [{"min_confidence": 0.7}] * 3


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--min-confidence", "0"), "0 is not above 0 and below 1"),
        (("--min-confidence", "1"), "1 is not above 0 and below 1"),
        (("--min-confidence", "nan"), "nan is not above 0 and below 1"),
        (("--min-confidence", "much"), "not a valid float"),
        (("--fallback", "base"), "--fallback needs --min-confidence"),
        (("--min-confidence", "0.7", "--fallback", "base,,ask"), "has an empty name"),
        (("--min-confidence", "0.7", "--fallback", ""), "has an empty name"),
        (
            ("--min-confidence", "0.7", "--fallback", ",".join(["again"] * 5)),
            f"5 fallbacks; at most {MOST.confidence_fallbacks}",
        ),
        (
            ("--min-confidence", "0.7", "--fallback", "abstain,base"),
            "'base' stands after 'abstain'",
        ),
        (("--min-confidence", "0.7", "--fallback", "again,ask,ask"), "'ask' stands after 'ask', which ends"),
    ],
)
def test_what_cannot_be_held_to_is_refused_before_anything_is_asked(
    adaptrix: Adaptrix, server: StandIn, options: tuple[str, ...], complaint: str
) -> None:
    done = adaptrix("query", "hi", *options, "--url", server.url)
    assert done.exit_code == 2
    assert complaint in done.stderr
    assert server.paths == []


def test_an_anchored_mix_is_not_held_to_a_calibration_of_another(adaptrix: Adaptrix) -> None:
    done = adaptrix("query", "hi", "--local", "--anchor", "layer", "--min-confidence", "0.7")
    assert (done.exit_code, "--anchor changes its weights" in done.stderr) == (2, True)


@pytest.mark.parametrize(("fallback", "taken"), [(None, False), ("base,ask", False), ("again,base", True)])
def test_words_are_no_fallback_where_json_is_wanted(
    adaptrix: Adaptrix, server: StandIn, tmp_path: Path, fallback: str | None, taken: bool
) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text("{}")
    turns = () if fallback is None else ("--fallback", fallback)
    asked = ("query", "hi", "--schema", schema, "--min-confidence", "0.7", *turns, "--url", server.url)
    done = adaptrix(*asked)
    assert (done.exit_code, "--schema wants JSON" in done.stderr) == ((0, False) if taken else (2, True))
