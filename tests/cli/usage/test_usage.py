"""What the command line says when it is used wrongly, and when nothing answers: text for people, JSON for programs."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from adaptrix_core.cli.main import cli
from loadtest.ports import free_port

SPECIFIED = ["load", "unload", "list", "active", "query", "benchmark", "status"]
FURTHER = [
    "serve",
    "stats",
    "costs",
    "train",
    "calibrate",
    "evaluate",
    "compose",
    "train-gate",
    "conflicts",
    "merge",
    "import",
    "export",
    "sign",
    "verify",
    "publish",
    "revoke",
    "route",
    "feedback",
    "inspect",
    "logs",
    "show",
    "embed",
    "completion",
    "trust transfer",
    "extensions",
    "keys create",
    "audit verify",
]


@pytest.fixture
def closed_port() -> int:
    """A port on loopback that nobody listens on."""
    return free_port()


def test_every_promised_command_is_there() -> None:
    assert {command.split()[0] for command in SPECIFIED + FURTHER} == set(cli.commands)


@pytest.mark.parametrize("name", SPECIFIED + FURTHER)
def test_every_command_explains_itself_and_speaks_json(name: str) -> None:
    shown = CliRunner().invoke(cli, [*name.split(), "--help"])
    assert shown.exit_code == 0
    assert "--json" in shown.output
    assert "--config" in shown.output
    assert cli.commands[name.split()[0]].help


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["frobnicate"], "No such command"),
        (["query", "--max-tokens", "0", "hi"], "0 is not in the range"),
        (["query", "--temperature", "-1", "hi"], "'-1' is not a number from 0.0 to 2.0"),
        (["query", "hi", "--file", __file__], "TEXT or --file, not both"),
        (["query", "hi", "--output", "x.jsonl"], "--output needs --file"),
        (["query", "--json"], "--json needs TEXT or --file"),
        (["query", "--file", "no-such-file.txt"], "does not exist"),
        (["unload", "x", "--local"], "nothing to unload"),
        (["stats", "--local"], "keeps no figures"),
        (["costs"], "no prices"),
        (["stats", "--requests"], "--requests needs --file"),
        (["stats", "--since", "yesterday"], "neither a time ago such as 24h nor a date"),
        (["verify"], "Missing argument"),
        (["verify", "no-such-directory"], "does not exist"),
        (["status", "--config", "no-such-file.yaml"], "does not exist"),
        (["import", "x", "--to-layers", "4,x"], "4,x"),
        (["import", "x", "--key", "a.key"], "--key needs --sign"),
        (["merge", "a", "b", "--name", "c", "--key", "a.key"], "--key needs --sign"),
        (["compose", "c", "--parallel", "a,b", "--key", "a.key"], "--key needs --sign"),
        (["train-gate", "c", "--parallel", "a,b", "--data", "x", "--key", "a.key"], "--key needs --sign"),
        (["evaluate", "--record"], "--record signs, and there is no key at"),
    ],
)
def test_wrong_usage_exits_2_and_says_what_is_wrong(arguments: list[str], complaint: str) -> None:
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 2
    assert complaint in done.output


@pytest.mark.parametrize(
    "command", [["status"], ["list"], ["query", "hi"], ["route", "hi"], ["load", "x"], ["benchmark"]]
)
def test_no_server_exits_1_and_says_what_to_do(command: list[str], closed_port: int) -> None:
    done = CliRunner().invoke(cli, [*command, "--url", f"http://127.0.0.1:{closed_port}"])
    assert done.exit_code == 1
    assert f"no answer from http://127.0.0.1:{closed_port}" in done.stderr
    assert "adaptrix serve" in done.stderr
    assert "Traceback" not in done.stderr


def test_errors_are_json_on_stderr_under_json(closed_port: int) -> None:
    done = CliRunner().invoke(cli, ["status", "--json", "--url", f"http://127.0.0.1:{closed_port}"])
    assert done.exit_code == 1
    assert done.stdout == ""
    assert json.loads(done.stderr)["error"]["code"] == "server_unavailable"


def test_verbose_shows_the_traceback(closed_port: int) -> None:
    done = CliRunner().invoke(cli, ["status", "-v", "--url", f"http://127.0.0.1:{closed_port}"])
    assert done.exit_code == 1
    assert "Traceback" in done.stderr


def test_the_url_can_come_from_the_environment(closed_port: int) -> None:
    url = f"http://127.0.0.1:{closed_port}"
    done = CliRunner().invoke(cli, ["status"], env={"ADAPTRIX_URL": url})
    assert url in done.stderr


def test_bad_settings_report_every_fault(tmp_path: Path) -> None:
    config = tmp_path / "settings.yaml"
    config.write_text("base: {device: tpu}\nadapters: {trust: maybe}\nengin: {}\n")
    done = CliRunner().invoke(cli, ["list", "--local", "--config", str(config), "--json"])
    assert done.exit_code == 1
    message = json.loads(done.stderr)["error"]["message"]
    assert "base.device" in message
    assert "adapters.trust" in message
    assert "engin: unknown key; did you mean engine?" in message


def test_help_is_quick() -> None:
    quickest = min(_cpu_seconds([sys.executable, "-m", "adaptrix_core.cli.main", "--help"]) for _ in range(3))
    assert quickest < 2.5  # several times what it takes; processor time, so that a busy machine may wait


def _cpu_seconds(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def test_a_key_that_is_not_there_is_missed_before_a_server_is_asked(closed_port: int, tmp_path: Path) -> None:
    key = ["--key", str(tmp_path / "none.key"), "--url", f"http://127.0.0.1:{closed_port}"]
    done = CliRunner().invoke(cli, ["revoke", "x", *key])
    assert done.exit_code == 1
    assert "[key_not_found]" in done.stderr
    assert "adaptrix sign --new-key" in done.stderr


def test_what_no_server_takes_is_not_sent(
    make_package: Callable[[str], Path], closed_port: int, tmp_path: Path
) -> None:
    def publish(directory: Path) -> Result:
        return CliRunner().invoke(cli, ["publish", str(directory), "--url", f"http://127.0.0.1:{closed_port}"])

    unsigned = publish(make_package("spelling"))
    assert f"adaptrix sign {tmp_path / 'spelling'}" in unsigned.stderr
    assert "[server_unavailable]" in unsigned.stderr
    peft = tmp_path / "peft"
    peft.mkdir()
    (peft / "adapter_config.json").write_text("{}")
    refused = publish(peft)
    assert f"adaptrix import {peft} --sign" in refused.stderr
    assert "[invalid_request]" in refused.stderr
    (tmp_path / "spelling" / "metadata.json").write_text("{}")
    assert "[bad_metadata]" in publish(tmp_path / "spelling").stderr
