"""`adaptrix keys`: what it writes is what a server reads, keys are shown once, a wrong command loses nothing."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from adaptrix_core.cli.keys.command import ROLES as OFFERED
from adaptrix_core.cli.main import cli
from adaptrix_core.errors import Unauthorized
from deployments.callers.key_changes import created
from deployments.callers.key_file import change_keys, read_keys
from deployments.callers.key_ring import KeyRing
from deployments.callers.scopes import ROLES


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "made" / "keys.json"


def run(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ["keys", *arguments, "--file", str(file), "--json"])


def done(file: Path, *arguments: str) -> dict[str, Any]:
    result = run(file, *arguments)
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def works(file: Path, key: str) -> bool:
    try:
        KeyRing.read(file).identify(f"Bearer {key}")
    except Unauthorized:
        return False
    return True


def test_a_key_is_shown_once_and_its_hash_kept_where_only_its_owner_reads(file: Path) -> None:
    made = done(file, "create", "ci", "--tenant", "team-a", "--role", "curator", "--expires", "2999-01-01")
    principal = KeyRing.read(file).identify(f"Bearer {made['key']}")
    assert (principal.key_id, principal.tenant) == ("ci", "team-a")
    assert principal.scopes == {"read", "generate", "publish"}
    assert made["key"] not in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    listed = done(file, "list")
    assert made["key"] not in json.dumps(listed)
    assert listed["keys"][0] | {"state": "works", "expires": "2999-01-01T00:00:00Z"} == listed["keys"][0]


def test_the_command_offers_the_roles_that_there_are() -> None:
    assert set(OFFERED) == set(ROLES)


def test_a_key_is_a_users_unless_it_is_said(file: Path) -> None:
    key = done(file, "create", "ci", "--tenant", "t")["key"]
    assert KeyRing.read(file).identify(f"Bearer {key}").scopes == {"read", "generate"}


def test_a_rotated_key_works_beside_the_new_one_for_a_while(file: Path) -> None:
    first = done(file, "create", "ci", "--tenant", "t")["key"]
    second = done(file, "rotate", "ci", "--overlap", "1h")
    assert works(file, first)
    assert works(file, second["key"])
    assert "former key" in second["state"]
    third = done(file, "rotate", "ci", "--overlap", "0m")["key"]
    assert [works(file, key) for key in (first, second["key"], third)] == [False, False, True]


def test_keys_end_and_come_back(file: Path) -> None:
    key = done(file, "create", "ci", "--tenant", "t")["key"]
    assert done(file, "disable", "ci")["state"] == "is disabled"
    assert not works(file, key)
    assert done(file, "enable", "ci")["state"] == "works"
    assert works(file, key)
    assert done(file, "expire", "ci", "--at", "90d")["state"] == "works"
    assert works(file, key)
    assert done(file, "expire", "ci")["state"].startswith("expired at ")
    assert not works(file, key)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("create", "ci", "--tenant", "t"), "already"),
        (("create", "x" * 65, "--tenant", "t"), "64"),
        (("create", "new", "--tenant", ""), "tenant"),
        (("create", "new", "--tenant", "t", "--role", "king"), "'king'"),
        (("create", "new", "--tenant", "t", "--expires", "soon"), "'soon'"),
        (("rotate", "cj"), "known: ci"),
        (("rotate", "ci", "--overlap", "1 day"), "'1 day'"),
        (("disable", "nobody"), "nobody"),
    ],
)
def test_a_wrong_command_says_why_and_changes_nothing(file: Path, arguments: tuple[str, ...], told: str) -> None:
    done(file, "create", "ci", "--tenant", "t")
    before = file.read_bytes()
    result = run(file, *arguments)
    assert result.exit_code in (1, 2)
    assert told in result.output
    assert file.read_bytes() == before


def test_a_file_that_is_none_is_left_as_it_is(file: Path) -> None:
    file.parent.mkdir()
    file.write_text('{"keys": [{"id": "a"')
    result = run(file, "create", "ci", "--tenant", "t")
    assert result.exit_code == 1
    assert "keys.json" in result.output
    assert file.read_text() == '{"keys": [{"id": "a"'


def test_without_a_file_it_says_how_to_name_one() -> None:
    result = CliRunner().invoke(cli, ["keys", "list"])
    assert result.exit_code == 2
    assert "--file" in result.output
    assert "api_keys_file" in result.output


def test_whoever_changes_it_at_the_same_time_loses_nothing(file: Path) -> None:
    def create(number: int) -> None:
        change_keys(file, lambda records: created(records, f"key-{number}", "t", ("user",), None))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(create, range(32)))
    assert {record.id for record in read_keys(file)} == {f"key-{number}" for number in range(32)}
