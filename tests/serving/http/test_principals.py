"""API keys, scopes, and the rule that a server without keys is for its own machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from adaptrix_core.errors import ConfigError, Forbidden, Unauthorized
from deployments.shared.principals import KeyRing, Principal, hash_key, is_loopback, new_key, require_loopback


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
    ring.identify(f"bearer {admin}").require("admin")
    with pytest.raises(Forbidden, match="lacks the scope 'admin'"):
        ring.identify(f"Bearer {user}").require("admin")


def test_only_admins_may_be_more_urgent_than_others() -> None:
    user, admin = (Principal(name, "t", frozenset({"generate", name})) for name in ("generate", "admin"))
    for priority in (0, 100):
        user.require_priority(priority)
    with pytest.raises(Forbidden, match=r"priority is -1; .*'admin'.*send 0 to 100"):
        user.require_priority(-1)
    admin.require_priority(-100)


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "Bearer wrong", "Bearer nön-ascii"])
def test_anything_else_is_unauthorized(header: str | None, tmp_path: Path) -> None:
    ring = KeyRing.read(write(tmp_path / "keys.json", record(new_key())))
    with pytest.raises(Unauthorized):
        ring.identify(header)


def test_without_a_file_the_caller_is_local_and_tenants_have_different_salts(tmp_path: Path) -> None:
    local = KeyRing.read(None).identify(None)
    local.require("admin")
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
