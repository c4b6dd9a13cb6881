"""`adaptrix query --confidence` on real answers: a local engine and a server say what the library says."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from adaptrix_core.cli.main import cli
from adaptrix_core.confidence.signed import write_calibration
from adaptrix_core.config import load_settings
from adaptrix_core.engine.build import build_engine
from adaptrix_core.engine.confidence.until_sure import generate_until_sure
from adaptrix_core.engine.request import SamplingParams
from adaptrix_core.errors import InvalidRequest
from tests.confidence.calibrations import calibration_for
from tests.serving.inprocess import application, listening
from tests.serving.tiny import World

Adaptrix = Callable[..., Result]
NAME, QUESTION = "math_reasoning", "What is 17 + 25?"
PARALLEL = json.dumps({"parallel": {NAME: 1.0}})
STEPS = json.dumps({"sequential": [NAME, "code_generation"], "plan": [QUESTION, "And {0}?"]})


@pytest.fixture
def args(world: World, tmp_path: Path) -> dict[str, object]:
    return world.settings(
        adapters={"state_dir": str(tmp_path / "state")},
        confidence={"calibrations_dir": str(tmp_path / "calibrations")},
        router={"enabled": False},
    )


@pytest.fixture
def expected(world: World, args: dict[str, object], tmp_path: Path) -> tuple[str, float]:
    """A text at which the greedy answer stops, and the confidence of the answer until then."""
    engine = build_engine(load_settings(args))
    write_calibration(calibration_for(engine, NAME), tmp_path / "calibrations", world.private_key)
    messages = [{"role": "user", "content": QUESTION}]
    (whole,) = engine.generate([messages], NAME, SamplingParams(max_tokens=12, temperature=0.0))
    stop = whole.text.strip()[3:5]
    params = SamplingParams(max_tokens=12, temperature=0.0, stop=(stop,))
    (answer,) = engine.generate([messages], NAME, params, confidence=True)
    assert answer.confidence is not None
    return stop, answer.confidence


def asked(stop: str, *options: object) -> dict[str, Any]:
    command = ["query", QUESTION, "--max-tokens", 12, "--temperature", 0, "--stop", stop, "--json", *options]
    done = CliRunner().invoke(cli, [str(word) for word in command])
    assert done.exit_code == 0, done.output
    return dict(json.loads(done.stdout))


def test_a_local_answer_tells_the_confidence_that_the_library_gives(
    args: dict[str, object], expected: tuple[str, float], tmp_path: Path
) -> None:
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(args))
    stop, confidence = expected
    local = ("--local", "--config", tmp_path / "settings.yaml", "--confidence")
    assert asked(stop, "--model", NAME, *local)["confidence"] == pytest.approx(confidence, abs=1e-3)
    assert asked(stop, "--compose", PARALLEL, *local)["confidence"] == pytest.approx(confidence, abs=1e-3)
    assert asked(stop, "--model", "base", *local)["confidence"] is None
    assert asked(stop, "--compose", STEPS, *local)["confidence"] is None


@pytest.mark.asyncio
async def test_a_server_tells_the_same_and_holds_answers_back(
    args: dict[str, object], expected: tuple[str, float]
) -> None:
    stop, confidence = expected
    async with application(args) as (app, _), listening(app) as url:

        async def ask(*options: object) -> dict[str, Any]:
            return await asyncio.to_thread(asked, stop, "--url", url, "--model", NAME, *options)

        told = await ask("--confidence")
        held = await ask("--min-confidence", confidence + (1 - confidence) / 2, "--fallback", "base")
        given = await ask("--min-confidence", confidence / 2)
    assert told["confidence"] == pytest.approx(confidence, abs=1e-3)
    assert (given["text"], given["confidence"]) == (told["text"], told["confidence"])
    assert (held["adapter"], held["confidence"]) == ("base", None)
    (attempt,) = held["attempts"]
    assert (attempt["adapter"], attempt["confidence"]) == (NAME, told["confidence"])


SEED, WARM, LEAST, STOPS = 6, 1.8, 0.999, ("e", "i", " ")
"""Of answers that chance has a part in, that end by themselves, and none of which is sure enough."""
TURNS = [
    ("abstain",),
    ("again", "again"),
    ("again", "again", "ask"),
    ("again", "code_generation", "abstain"),
]


def by_library(args: dict[str, object], fallback: Sequence[str]) -> dict[str, Any]:
    """What the library gives, in the form of the command line's answers."""
    params = SamplingParams(max_tokens=12, temperature=WARM, stop=STOPS, seed=SEED)
    messages = [{"role": "user", "content": QUESTION}]
    given = generate_until_sure(build_engine(load_settings(args)), messages, NAME, LEAST, fallback, params)
    text = given.words if given.answer is None else given.answer.text
    tokens = given.num_other_tokens + (0 if given.answer is None else given.last.num_tokens)
    return {"text": text, "completion_tokens": tokens, **given.told()}


def by_command(fallback: Sequence[str], *target: object) -> dict[str, Any]:
    bound = ("--min-confidence", LEAST, "--fallback", ",".join(fallback))
    further = [word for stop in STOPS[1:] for word in ("--stop", stop)]
    told = asked(STOPS[0], *further, "--seed", SEED, "--temperature", WARM, "--model", NAME, *bound, *target)
    marks = {name: told[name] for name in ("attempts", "below_min_confidence", "instead_of_an_answer") if name in told}
    return {"text": told["text"], "completion_tokens": told["usage"]["completion_tokens"], **marks}


@pytest.mark.asyncio
@pytest.mark.usefixtures("expected")
@pytest.mark.parametrize("fallback", TURNS)
async def test_library_server_and_local_engine_make_the_same_attempts_and_give_the_same(
    args: dict[str, object], tmp_path: Path, fallback: tuple[str, ...]
) -> None:
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(args))
    here = ("--local", "--config", tmp_path / "settings.yaml")
    library = by_library(args, fallback)
    local = await asyncio.to_thread(by_command, fallback, *here)
    async with application(args) as (app, _), listening(app) as url:
        server = await asyncio.to_thread(by_command, fallback, "--url", url)
    attempts = library["attempts"]
    assert attempts[0]["adapter"] == NAME
    assert all(one != other for one, other in itertools.pairwise(attempts))
    assert library == server == local


def test_labels_of_answers_move_what_a_local_answer_must_have(
    adaptrix: Adaptrix, args: dict[str, object], expected: tuple[str, float], tmp_path: Path
) -> None:
    stop, confidence = expected
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(args))
    local = ("--local", "--config", tmp_path / "settings.yaml")
    bound = ("--model", NAME, "--min-confidence", confidence - 0.01, *local)
    assert "instead_of_an_answer" not in asked(stop, *bound)
    for _ in range(20):
        assert adaptrix("feedback", NAME, "wrong", "--confidence", confidence, *local).exit_code == 0
    assert asked(stop, *bound)["instead_of_an_answer"] == "abstain"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--model", "base"), "nothing is calibrated for 'base'"),
        (("--model", NAME, "--compose", STEPS), "nothing is calibrated for"),
        (("--model", NAME, "--fallback", "code_generatio"), "did you mean 'code_generation'"),
    ],
)
def test_a_local_engine_refuses_what_it_cannot_hold_back(
    adaptrix: Adaptrix, args: dict[str, object], tmp_path: Path, options: tuple[str, ...], complaint: str
) -> None:
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(args))
    asked_for = ("query", QUESTION, "--max-tokens", 4, "--min-confidence", 0.5, *options)
    done = adaptrix(*asked_for, "--local", "--config", tmp_path / "settings.yaml")
    assert (done.exit_code, complaint in done.stderr) == (1, True), done.output


@pytest.mark.parametrize(
    ("least", "fallback", "params", "complaint"),
    [
        (1.0, ("abstain",), {}, "at_least is 1.0"),
        (float("nan"), ("abstain",), {}, "at_least is nan"),
        (0.5, (), {}, "the list is empty"),
        (0.5, ("abstain", "base"), {}, "'base' stands after 'abstain'"),
        (0.5, ("again",), {"n": 2}, "n is 2"),
        (0.5, ("ask",), {"grammar": "{}"}, "'ask' answers in words"),
    ],
)
def test_the_library_refuses_by_name_before_anything_is_generated(
    args: dict[str, object], least: float, fallback: tuple[str, ...], params: dict[str, Any], complaint: str
) -> None:
    engine = build_engine(load_settings(args))
    with pytest.raises(InvalidRequest, match=complaint):
        generate_until_sure(engine, QUESTION, NAME, least, fallback, SamplingParams(**params))
    assert engine.num_steps == 0
