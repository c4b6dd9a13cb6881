"""`adaptrix audit`: a good log is said to be, the first bad line is named, nothing in a log reaches the terminal."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adaptrix_core.cli.main import cli
from adaptrix_core.security.audit.record import Actor, AuditEvent
from adaptrix_core.security.audit.segments import segments_in
from adaptrix_core.security.audit.signing_key import key_at
from tests.security.audit.logs import Kept, changed, event, rewrite

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    kept = Kept(tmp_path, key_at(tmp_path / "audit.key"))
    kept.write(20, together=5)
    return kept


def run(kept: Kept, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["audit", *arguments, "--dir", str(kept.directory)])


def verify(kept: Kept, *arguments: str) -> Result:
    return run(kept, "verify", "--key", str(kept.root / "audit.pub"), *arguments)


def shipped_file(kept: Kept) -> str:
    (file,) = kept.elsewhere.iterdir()
    return str(file)


def test_a_good_log_is_said_to_be_good_and_how_far(kept: Kept) -> None:
    result = verify(kept, "--json")
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    assert told["verified"] is True
    assert (told["lines"], told["unsigned"], told["confirmed"]) == (len(kept.lines()), 0, 0)
    result = verify(kept, "--since", shipped_file(kept), "--json")
    assert json.loads(result.stdout)["confirmed"] == len(kept.shipped())
    assert verify(kept).stdout.startswith("good")


def test_the_first_bad_line_is_named(kept: Kept) -> None:
    segment = segments_in(kept.directory)[0]
    rewrite(segment.path, lambda lines: [*lines[:3], changed(lines[3], target="\x1b[2Jx"), *lines[4:]])
    result = verify(kept)
    assert result.exit_code == 1
    assert f"BAD  {segment.path.name}:4 " in result.stdout
    told = json.loads(verify(kept, "--json").stdout)
    assert told["verified"] is False
    assert (told["bad"]["file"], told["bad"]["line"], told["bad"]["seq"]) == (segment.path.name, 4, 3)


def test_an_end_that_was_cut_off_is_found_with_since(kept: Kept) -> None:
    rewrite(segments_in(kept.directory)[-1].path, lambda lines: lines[:1])
    assert verify(kept).exit_code == 0
    result = verify(kept, "--since", shipped_file(kept))
    assert result.exit_code == 1
    assert "cut off" in result.stdout


def test_a_field_that_is_put_in_cannot_draw_on_the_terminal(kept: Kept) -> None:
    segment = segments_in(kept.directory)[0]
    rewrite(segment.path, lambda lines: [*lines[:3], changed(lines[3], **{"\x1b[2J": 1}), *lines[4:]])
    result = verify(kept)
    assert result.exit_code == 1
    assert "\x1b" not in result.output


@pytest.mark.parametrize(
    ("file", "complaint"), [("nothing here", "holds no checkpoint"), ("a stranger's", "another key")]
)
def test_since_needs_checkpoints_that_the_key_has_signed(kept: Kept, tmp_path: Path, file: str, complaint: str) -> None:
    stranger = Kept(tmp_path / "stranger", Ed25519PrivateKey.generate())
    stranger.write(1)
    given = tmp_path / "given"
    given.write_text(file if file == "nothing here" else Path(shipped_file(stranger)).read_text())
    result = verify(kept, "--since", str(given))
    assert result.exit_code == 1
    assert complaint in result.output


def test_what_is_missing_is_said(kept: Kept, tmp_path: Path) -> None:
    empty = Kept(tmp_path / "empty")
    empty.directory.mkdir(parents=True)
    assert "no audit log" in run(empty, "show").output
    assert "[audit_log_not_found]" in run(empty, "verify", "--key", str(kept.root / "audit.pub")).output
    assert "[key_not_found]" in run(kept, "verify", "--key", str(tmp_path / "no.pub")).output
    result = CliRunner().invoke(cli, ["audit", "show"])
    assert result.exit_code == 2
    assert "--dir" in result.output


def test_lines_are_shown_by_who_what_and_how(kept: Kept) -> None:
    log = kept.open()
    log.append([AuditEvent("adapter.load.x", "refused", Actor(tenant="team-b", key_id="mallory"), "evil")])
    log.close()

    def shown(*arguments: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in run(kept, "show", "--json", *arguments).stdout.splitlines()]

    assert [line["target"] for line in shown("--tenant", "team-b")] == ["evil"]
    assert [line["target"] for line in shown("--by", "mallory")] == ["evil"]
    assert [line["target"] for line in shown("--outcome", "refused")] == ["evil"]
    assert [line["target"] for line in shown("--action", "adapter.load.x")] == ["evil"]
    assert len(shown("--action", "adapter")) == 21
    assert [line["target"] for line in shown("-n", "1")] == ["evil"]
    assert shown("--after", "2999-01-01") == []
    assert "team-b/mallory" in run(kept, "show").stdout


def test_names_like_markup_or_control_sequences_are_shown_as_text(kept: Kept) -> None:
    hostile = "[bold red]x[/] \x1b]0;title\x07\x9b31m ‮evil‬ [link=http://x]y[/link]\r\nforged  line"
    log = kept.open()
    log.append(
        [AuditEvent("adapter.load", "done", Actor(tenant=hostile, key_id="k"), hostile, details={"why": hostile})]
    )
    log.close()
    for arguments in (("show", "-n", "1"), ("show", "-n", "1", "--json")):
        result = run(kept, *arguments)
        assert result.exit_code == 0, result.output
        assert not set("\x1b\x07\x9b‮\r") & set(result.stdout)
        assert "[bold red]" in result.stdout
        assert "forged" in result.stdout
    assert kept.fault() is None


def test_the_settings_name_the_log_and_the_key(kept: Kept, tmp_path: Path) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"audit: {{dir: {kept.directory}, key_file: {kept.root / 'audit.key'}}}\n")
    result = CliRunner().invoke(cli, ["audit", "verify", "--config", str(settings)])
    assert result.exit_code == 0, result.output


def test_verifying_a_log_that_is_being_written_to(kept: Kept) -> None:
    log = kept.open()
    for number in range(20):
        log.append([event(number)])
        assert verify(kept).exit_code == 0


def test_the_command_loads_no_model_and_no_server() -> None:
    code = "import adaptrix_core.cli.audit.command, adaptrix_core.security.audit.verification, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {"torch", "ray", "fastapi", "transformers", "numpy"} & set(done.stdout.split())
