"""API keys, scopes, and the rule that a server without keys is for its own machine."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from adaptrix_core.errors import ConfigError, Forbidden, Unauthorized
from deployments.callers.key_file import KeyRecord, hash_key, new_key
from deployments.callers.key_ring import KeyRing
from deployments.callers.principal import Principal
from deployments.callers.reach import is_loopback, require_loopback
from deployments.callers.scopes import ALL, ROLES, Role, granted


def write(path: Path, *records: dict[str, object]) -> Path:
    path.write_text(json.dumps({"keys": list(records)}))
    return path


def record(
    key: str, name: str = "one", tenant: str = "t", scopes: tuple[str, ...] = ("generate",)
) -> dict[str, object]:
    return {"id": name, "sha256": hash_key(key), "tenant": tenant, "scopes": list(scopes)}


def test_a_known_key_gives_its_principal(tmp_path: Path) -> None:
    user, admin = new_key(), new_key()
    ring = KeyRing.read(write(tmp_path / "keys.json", record(user), record(admin, "two", "ops", ("generate", "admin"))))
    assert ring.identify(f"Bearer {user}").tenant == "t"
    ring.identify(f"bearer {admin}").require("operate")
    with pytest.raises(Forbidden, match=r"lacks the scope 'operate' .*generate, read.*the role operator does"):
        ring.identify(f"Bearer {user}").require("operate")


def test_keys_files_of_before_mean_what_they_meant() -> None:
    assert granted(["generate"]) == {"generate", "read"}
    assert granted(["admin"]) == ALL


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_its_scopes_and_more_can_be_added(role: Role, tmp_path: Path) -> None:
    key = new_key()
    of_role = {**record(key), "scopes": ["operate"], "roles": [role]}
    principal = KeyRing.read(write(tmp_path / "keys.json", of_role)).identify(f"Bearer {key}")
    assert principal.scopes == ROLES[role] | {"operate"}


def test_who_serves_all_tenants_gets_no_answers_by_that() -> None:
    assert "generate" not in ROLES["operator"]


@pytest.mark.parametrize(
    ("now", "disabled", "works"), [(99.9, False, True), (100.0, False, False), (99.9, True, False), (0.0, True, False)]
)
def test_a_key_stops_when_it_expires_or_is_disabled(now: float, disabled: bool, works: bool) -> None:
    key = new_key()
    expires = datetime.fromtimestamp(100, UTC)
    record = KeyRecord(id="k", sha256=hash_key(key), tenant="t", roles=("user",), expires=expires, disabled=disabled)
    ring = KeyRing([record], lambda: now)
    assert ring.has_tenant("t") == works
    if works:
        assert ring.identify(f"Bearer {key}").key_id == "k"
        return
    with pytest.raises(Unauthorized, match="'k' is disabled" if disabled else "'k' expired at 1970-01-01T00:01:40Z"):
        ring.identify(f"Bearer {key}")


def test_only_operators_may_be_more_urgent_than_others() -> None:
    user, operator = (Principal(name, "t", ROLES[name]) for name in ("user", "operator"))
    for priority in (0, 100):
        user.require_priority(priority)
    with pytest.raises(Forbidden, match=r"priority is -1; .*'operate'.*send 0 to 100"):
        user.require_priority(-1)
    operator.require_priority(-100)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer wrong", "Bearer nön-ascii"])
def test_anything_else_is_unauthorized(header: str | None, tmp_path: Path) -> None:
    ring = KeyRing.read(write(tmp_path / "keys.json", record(new_key())))
    with pytest.raises(Unauthorized):
        ring.identify(header)


def test_without_a_file_the_caller_is_local_and_tenants_have_different_salts(tmp_path: Path) -> None:
    local = KeyRing.read(None).identify(None)
    local.require("operate")
    key = new_key()
    other = KeyRing.read(write(tmp_path / "keys.json", record(key))).identify(f"Bearer {key}")
    assert local.salt != other.salt


@pytest.mark.parametrize(
    "content",
    [
        "not json",
        "{}",
        '{"keys": []}',
        '{"keys": [{"id": "a", "sha256": "short", "tenant": "t", "scopes": ["generate"]}]}',
        '{"keys": [{"id": "a", "key": "plain", "tenant": "t", "scopes": ["generate"]}]}',
        '{"keys": [{"id": "a", "sha256": "%s", "tenant": "t", "scopes": ["root"]}]}' % ("0" * 64),
        '{"keys": [{"id": "a", "sha256": "%s", "tenant": "t", "roles": ["king"]}]}' % ("0" * 64),
        '{"keys": [{"id": "a", "sha256": "%s", "tenant": "t", "roles": []}]}' % ("0" * 64),
        '{"keys": [{"id": "a", "sha256": "%s", "tenant": "t", "roles": ["user"], "expires": "soon"}]}' % ("0" * 64),
        '{"keys": [{"id": "a", "sha256": "%s", "tenant": "t", "roles": ["user"], "expires": "2027-01-01T00:00:00"}]}'
        % ("0" * 64),
    ],
)
def test_a_broken_keys_file_is_a_fault_in_the_settings(content: str, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"keys\.json"):
        KeyRing.read(path)


def test_two_keys_of_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="same id"):
        KeyRing.read(write(tmp_path / "keys.json", record(new_key()), record(new_key())))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_loopback_addresses(host: str) -> None:
    assert is_loopback(host)
    require_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.org", ""])
def test_other_addresses_need_keys(host: str) -> None:
    with pytest.raises(ConfigError, match="without API keys"):
        require_loopback(host)


def test_an_era_ends_with_every_key_of_the_tenant_that_stops_and_with_no_other_tenants() -> None:
    keys = {name: new_key() for name in ("one", "two", "other")}
    now = [0.0]
    expires = datetime.fromtimestamp(100, UTC)

    def records(*left_out: str, disabled: str = "") -> list[KeyRecord]:
        told = {
            "one": {**record(keys["one"], "one"), "expires": expires},
            "two": record(keys["two"], "two"),
            "other": record(keys["other"], "other", "u"),
        }
        return [
            KeyRecord.model_validate({**one, "disabled": name == disabled})
            for name, one in told.items()
            if name not in left_out
        ]

    ring = KeyRing(records(), lambda: now[0])

    def era(name: str) -> bytes:
        return ring.identify(f"Bearer {keys[name]}").era

    first, others = era("two"), era("other")
    assert era("one") == first
    ring.replace(records("other"))
    assert era("two") == first
    for change in (records("one"), records(disabled="one")):
        ring.replace(change)
        assert era("two") != first
    ring.replace(records())
    assert (era("two"), era("other")) == (first, others)
    now[0] = 100.0
    assert era("two") != first
    assert era("other") == others
