"""`adaptrix query --confidence` on real answers: a local engine and a server say what the library says."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from adaptrix_core.cli.main import cli
from adaptrix_core.confidence.signed import write_calibration
from adaptrix_core.config import load_settings
from adaptrix_core.engine.build import build_engine
from adaptrix_core.engine.request import SamplingParams
from tests.confidence.calibrations import calibration_for
from tests.serving.inprocess import application, listening
from tests.serving.tiny import World

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
