"""`train-gate`: a gate is learned, signed with its composition, and used by name; a bad command costs nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import Result

from tests.serving.tiny import World, make_world

Adaptrix = Callable[..., Result]
PARTS = "math_reasoning,code_generation"
ASKED = ("--max-tokens", 6, "--temperature", 0, "--local", "--json")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("gates"))


@pytest.fixture(scope="module")
def config(place: World) -> tuple[object, ...]:
    path = place.root / "settings.yaml"
    path.write_text(yaml.safe_dump(place.settings(router={"enabled": False})))
    return ("--config", path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "sums.jsonl"
    path.write_text("".join(f'{{"prompt": "{n} + 5?", "completion": "{n + 5}"}}\n' for n in range(9)))
    return path


def test_a_gate_is_learned_verified_and_asked(
    adaptrix: Adaptrix, place: World, config: tuple[object, ...], data: Path
) -> None:
    given = ("--parallel", PARTS, "--data", data, "--way", "shares", "--sign", "--key", place.private_key, *config)
    learned = adaptrix("train-gate", "gated", *given, "--json")
    assert learned.exit_code == 0, learned.output
    facts = json.loads(learned.stdout)
    assert facts["training"]["examples"] == 9
    assert facts["training"]["last_loss"] < facts["training"]["first_loss"]
    verified = adaptrix("verify", facts["directory"], "--json", *config)
    assert json.loads(verified.stdout)["signer"] == "tests", verified.output
    asked = adaptrix("query", "hi", "--model", "gated", *ASKED, *config)
    assert json.loads(asked.stdout)["adapter"] == "gated", asked.output
    again = adaptrix("train-gate", "gated", *given)
    assert again.exit_code == 1
    assert "there already" in again.stderr


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--parallel": "math_reasoning"}, "two or more different adapters"),
        ({"--parallel": "math_reasoning,math_reasoning"}, "two or more different adapters"),
        ({"--parallel": "math_reasoning,nobody"}, "no adapter 'nobody'"),
        ({"--data": "nothing.jsonl"}, "no such file"),
        ({"--version": "one"}, "version"),
    ],
)
def test_what_cannot_be_learned_is_refused_before_a_model_is_loaded(
    adaptrix: Adaptrix,
    place: World,
    config: tuple[object, ...],
    data: Path,
    changes: dict[str, str],
    message: str,
) -> None:
    options = {"--parallel": PARTS, "--data": str(data), **changes}
    given = [word for option in options.items() for word in option]
    done = adaptrix("train-gate", "wrong", *given, "--base", "there-is-no-such-base", *config)
    assert done.exit_code != 0
    assert message in done.stderr
    assert not (place.shipped / "wrong").exists()
