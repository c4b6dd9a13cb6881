"""`evaluate --data`: any adapter on one's own file, beside the base; what is wrong is said before an engine starts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tests.serving.tiny import World

Adaptrix = Callable[..., Result]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "mine.jsonl"
    rows = [{"prompt": f"What is {i} + 1?", "completion": f"{i + 1}"} for i in range(6)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.mark.integration
def test_an_adapter_of_no_task_family_is_measured_beside_the_base(
    adaptrix: Adaptrix, world: World, settings_file: Path, data: Path, tmp_path: Path
) -> None:
    mine = world.write_adapter(tmp_path / "mine", "my_own", seed=3)
    command = ("evaluate", "my_own", "--data", data, "--adapters", mine.parent, "--config", settings_file)
    done = adaptrix(*command, "--max-tokens", 4, "--problems", 5, "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert document["data"]["name"] == "mine.jsonl"
    assert (document["examples"], document["scorer"]) == (5, "exact")
    base, adapted = document["conditions"]["base"], document["conditions"]["my_own"]
    assert base["score"]["total"] == adapted["score"]["total"] == 5
    assert base["loss"] != adapted["loss"]
    shown = adaptrix(*command, "--max-tokens", 4, "--scorer", "contains")
    assert "my_own" in shown.stdout
    assert "perplexity" in shown.stdout


@pytest.mark.integration
def test_the_family_with_functions_is_measured_on_calls_beside_the_base(
    adaptrix: Adaptrix, world: World, settings_file: Path, tmp_path: Path
) -> None:
    mine = world.write_adapter(tmp_path / "mine", "tool_use", seed=3)
    command = ("evaluate", "tool_use", "--adapters", mine.parent, "--config", settings_file, "--problems", 4)
    done = adaptrix(*command, "--max-tokens", 4, "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert {name: set(figures) for name, figures in document["tool_use"].items()} == {
        "held_out": {"base", "tool_use"},
        "hand_written": {"base", "tool_use"},
    }
    assert document["tool_use"]["held_out"]["tool_use"]["decision"]["total"] == 4
    refused = adaptrix(*command[:-1], 2000)
    assert refused.exit_code == 1
    assert "problems is 2000" in refused.stderr


@pytest.mark.parametrize(
    ("change", "exit_code", "complaint"),
    [
        (["nobody"], 1, "[adapter_not_found]"),
        (["math_reasonin"], 1, "did you mean"),
        (["--scorer", "fuzzy"], 2, "'fuzzy' is not one of"),
        (["--data", "nothing.jsonl"], 1, "cannot be read"),
        (["--replies", "/proc/here/replies.jsonl"], 1, "--replies: /proc cannot be written to"),
    ],
)
def test_what_is_wrong_is_said_before_an_engine_starts(
    adaptrix: Adaptrix,
    settings_file: Path,
    data: Path,
    change: list[str],
    exit_code: int,
    complaint: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def started(*_: object) -> None:
        raise AssertionError("an engine was started first")

    monkeypatch.setattr("adaptrix_core.engine.build.build_engine", started)
    done = adaptrix("evaluate", "--config", settings_file, "--data", data, *change)
    assert done.exit_code == exit_code, done.output
    assert complaint in done.stderr


def test_an_adapter_that_is_not_trusted_is_refused_before_an_engine_starts(
    adaptrix: Adaptrix, world: World, settings_file: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*_: object) -> None:
        raise AssertionError("an engine was started first")

    monkeypatch.setattr("adaptrix_core.engine.build.build_engine", started)
    nobodys = world.write_adapter(tmp_path / "mine", "nobodys", seed=4, signed=False)
    done = adaptrix("evaluate", "nobodys", "--data", data, "--adapters", nobodys.parent, "--config", settings_file)
    assert done.exit_code == 1
    assert "[signature_missing]" in done.stderr


def test_a_scorer_without_data_is_wrong_usage(adaptrix: Adaptrix) -> None:
    done = adaptrix("evaluate", "--scorer", "exact")
    assert done.exit_code == 2
    assert "--scorer needs --data" in done.output
