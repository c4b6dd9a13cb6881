"""What the shell completes: commands, options and adapter names, at once and without a model."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.stand_in_server import stand_in

RUN = "import sys; from adaptrix_core.cli.main import cli; cli(prog_name='adaptrix')"
NOWHERE = "http://127.0.0.1:1"


def completed(line: str, url: str, imports: bool = False) -> list[str]:
    """What bash would be offered for the last word of ``line``; with ``imports``, what was imported for it."""
    words = line.split(" ")
    environment = {
        **os.environ,
        "_ADAPTRIX_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "ADAPTRIX_URL": url,
    }
    command = [sys.executable, *(["-X", "importtime"] if imports else []), "-c", RUN]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    shown = done.stderr if imports else done.stdout
    lines = [entry for entry in shown.splitlines() if entry]
    return [entry.split("|")[-1].strip() if imports else entry.partition(",")[2] for entry in lines]


def test_names_come_from_the_server_that_answers() -> None:
    with stand_in() as server:
        assert completed("adaptrix show ma", server.url) == ["math_reasoning"]
        assert completed("adaptrix unload ", server.url) == ["math_reasoning", "code_generation"]
        assert completed("adaptrix query --model b", server.url) == ["base"]
        assert completed("adaptrix query --model base*0.5+co", server.url) == ["base*0.5+code_generation"]


def test_names_come_from_the_directory_where_no_server_answers(tmp_path: Path) -> None:
    for name in ("alpha", "alpha@2.0.0", ".hidden"):
        (tmp_path / "adapters" / name).mkdir(parents=True)
        (tmp_path / "adapters" / name / "metadata.json").touch()
    (tmp_path / "adapters" / "almost").mkdir()
    config = tmp_path / "settings.yaml"
    config.write_text(f"adapters: {{dir: {tmp_path / 'adapters'}}}\n")
    assert completed(f"adaptrix show --config {config} al", NOWHERE) == ["alpha"]
    config.write_text("adapters: {dri: x}\n")
    assert completed(f"adaptrix show --config {config} al", NOWHERE) == []


def test_commands_and_options_are_completed() -> None:
    assert completed("adaptrix sho", NOWHERE) == ["show"]
    assert completed("adaptrix query --conti", NOWHERE) == ["--continue"]
    assert completed("adaptrix completion ", NOWHERE) == ["bash", "zsh", "fish"]


def test_completing_imports_nothing_heavy() -> None:
    imported = set(completed("adaptrix show ma", NOWHERE, imports=True))
    assert "adaptrix_core.cli.commands.show" in imported
    assert not imported & {"torch", "transformers", "ray", "fastapi", "prompt_toolkit"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_asks_this_command(shell: str) -> None:
    command = [sys.executable, "-m", "adaptrix_core.cli.main", "completion", shell]
    script = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "_ADAPTRIX_COMPLETE" in script
    assert f"{shell}_complete" in script
    if shell == "bash":
        subprocess.run(["bash", "--norc", "-n"], input=script, text=True, check=True)
