"""`adaptrix feedback` says of an answer whether it was right, and shows what that has moved."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from adaptrix_core.cli.main import cli
from adaptrix_core.confidence.feedback import AnswerLabel, threshold_for, thresholds_moved
from adaptrix_core.routing.embedder import TextEmbedder
from tests.serving.inprocess import application, listening
from tests.serving.tiny import World

Adaptrix = Callable[..., Result]
NAME, TOLD = "math_reasoning", 0.82


def expected(*rights: bool) -> float:
    return thresholds_moved([AnswerLabel(NAME, TOLD, right) for right in rights])[NAME]


@pytest.fixture
def local(world: World, tmp_path: Path) -> tuple[object, ...]:
    settings = world.settings(adapters={"state_dir": str(tmp_path / "state")}, router={"enabled": False})
    (tmp_path / "settings.yaml").write_text(yaml.safe_dump(settings))
    return ("--local", "--config", tmp_path / "settings.yaml")


def test_labels_of_one_adapter_count_for_later_commands_and_move_its_threshold_alone(
    adaptrix: Adaptrix, local: tuple[object, ...]
) -> None:
    first = json.loads(adaptrix("feedback", NAME, "wrong", "--confidence", TOLD, "--json", *local).stdout)
    assert first == {"adapter": NAME, "labels": 1, "moved_log_odds": pytest.approx(expected(False), abs=1e-4)}
    second = json.loads(adaptrix("feedback", NAME, "right", "--confidence", TOLD, "--json", *local).stdout)
    assert second["labels"] == 2
    assert second["moved_log_odds"] == pytest.approx(expected(False, True), abs=1e-4)
    other = json.loads(adaptrix("feedback", "base", "right", "--confidence", TOLD, "--json", *local).stdout)
    assert other["labels"] == 3
    assert other["moved_log_odds"] < 0 < second["moved_log_odds"]


def test_people_read_what_they_ask_for_and_what_that_asks_for_now(
    adaptrix: Adaptrix, local: tuple[object, ...]
) -> None:
    shown = adaptrix("feedback", NAME, "wrong", "--confidence", TOLD, *local).stdout
    assert f"an answer of {NAME}, told as 0.82, was wrong" in shown
    assert f"moved by {expected(False):+.2f} in log-odds (from -0.5 to +1.5 at most)" in shown
    assert f"--min-confidence 0.7 now asks it for {threshold_for(0.7, {NAME: expected(False)}, NAME):.2f}" in shown


@pytest.mark.parametrize(
    ("arguments", "exit_code", "complaint"),
    [
        ((NAME, "wrong", "--confidence", "1.5"), 2, "1.5 is no probability from 0 to 1"),
        ((NAME, "wrong", "--confidence", "nan"), 2, "nan is no probability from 0 to 1"),
        ((NAME, "wrong"), 2, "Missing option '--confidence'"),
        ((NAME, "false", "--confidence", "0.5"), 2, "'false' is not one of 'right', 'wrong'"),
        (("math_reasonin", "wrong", "--confidence", "0.5"), 1, "did you mean 'math_reasoning'"),
    ],
)
def test_what_is_no_label_is_refused_by_name(
    adaptrix: Adaptrix, local: tuple[object, ...], arguments: tuple[str, ...], exit_code: int, complaint: str
) -> None:
    done = adaptrix("feedback", *arguments, *local)
    assert (done.exit_code, complaint in done.stderr) == (exit_code, True), done.output


@pytest.mark.asyncio
async def test_a_server_is_told_the_same_and_says_what_moved(world: World, tmp_path: Path) -> None:
    args = world.settings(adapters={"state_dir": str(tmp_path / "state")})
    async with application(args, TextEmbedder()) as (app, _), listening(app) as url:

        async def told(*arguments: object) -> Result:
            words = [str(word) for word in ("feedback", *arguments, "--confidence", TOLD, "--url", url)]
            return await asyncio.to_thread(CliRunner().invoke, cli, words)

        taken = json.loads((await told(NAME, "wrong", "--json")).stdout)
        shown = (await told(NAME, "wrong")).stdout
        refused = await told("nobody", "wrong")
    assert (taken["labels"], taken["moved_log_odds"]) == (1, pytest.approx(expected(False), abs=1e-4))
    assert f"moved by {expected(False, False):+.2f}" in shown
    assert (refused.exit_code, "nobody" in refused.stderr) == (1, True)
