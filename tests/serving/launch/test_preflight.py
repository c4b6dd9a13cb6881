"""What keeps a server from starting is said before Ray starts: address, directories, processors, base, adapters."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from adaptrix_core.cli.main import cli
from adaptrix_core.errors import ConfigError
from deployments.launch.preflight import cpus_of_this_machine, examine, read_config, require_startable
from loadtest.ports import free_port
from tests.serving.tiny import World, make_world


@pytest.fixture(scope="module", name="world")
def a_small_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("preflight"))


@pytest.fixture(name="taken")
def a_taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def config_file(world: World, path: Path, http: dict[str, Any] | None = None, **sections: dict[str, object]) -> Path:
    application = {"name": "a", "import_path": "deployments.app:build", "args": world.settings(**sections)}
    path.write_text(yaml.safe_dump({"http_options": http or {"port": free_port()}, "applications": [application]}))
    return path


def faults_of(world: World, tmp_path: Path, http: dict[str, Any] | None = None, **sections: dict[str, object]) -> str:
    config = read_config(config_file(world, tmp_path / "serve.yaml", http, **sections), None, None)
    with pytest.raises(ConfigError) as raised:
        require_startable(config)
    return raised.value.message


def test_a_port_that_is_in_use_is_named(world: World, tmp_path: Path, taken: int) -> None:
    assert f"http_options.port = {taken}: in use on 127.0.0.1" in faults_of(world, tmp_path, {"port": taken})


def test_a_file_that_names_no_host_means_loopback(world: World, tmp_path: Path) -> None:
    config = read_config(config_file(world, tmp_path / "serve.yaml", {"request_timeout_s": 60}), None, None)
    assert config["http_options"] == {"host": "127.0.0.1", "port": 8000, "request_timeout_s": 60}


@pytest.mark.parametrize("host", ["127.0.0.1.example.invalid", "no host"])
def test_a_host_that_is_none_is_named(host: str, world: World, tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(
        json.dumps({"keys": [{"id": "k", "sha256": "0" * 64, "tenant": "t", "scopes": ["generate"]}]})
    )
    said = faults_of(world, tmp_path, {"host": host}, security={"api_keys_file": str(tmp_path / "keys.json")})
    assert f"http_options.host = {host!r}: no such address" in said


def test_all_that_is_wrong_with_this_machine_is_said_at_once(world: World, tmp_path: Path, taken: int) -> None:
    said = faults_of(
        world,
        tmp_path,
        {"port": taken},
        adapters={"state_dir": "/proc/adaptrix"},
        replicas={"num_replicas": 1000, "cpus": 1.0},
    )
    assert said.startswith("3 faults")
    assert "adapters.state_dir = /proc/adaptrix: /proc cannot be written to" in said
    assert f"this machine has {cpus_of_this_machine()}" in said


def test_a_full_disk_is_found_before_the_store_meets_it(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 1024})
    monkeypatch.setattr("adaptrix_core.writable.shutil.disk_usage", lambda _place: usage)
    assert "has 0 MiB free, 64 MiB are needed" in faults_of(world, tmp_path)


def test_what_would_start_is_described(world: World, tmp_path: Path) -> None:
    config = config_file(world, tmp_path / "serve.yaml")
    examined = examine(read_config(config, None, 8123))
    assert examined.url == "http://127.0.0.1:8123"
    assert examined.adapters == ("code_generation@1.0.0", "logical_reasoning@1.0.0", "math_reasoning@1.0.0")
    assert examined.warnings == ()


def test_an_adapter_that_would_be_refused_is_a_warning(world: World, tmp_path: Path) -> None:
    (tmp_path / "no_keys").mkdir()
    config = config_file(world, tmp_path / "serve.yaml", adapters={"trusted_keys_dir": str(tmp_path / "no_keys")})
    warnings = examine(read_config(config, None, None)).warnings
    assert len(warnings) == 3
    assert all("would be refused" in warning and "not trusted" in warning for warning in warnings)


@pytest.mark.parametrize("model", ["smollm2-135", "/no/such/model.gguf", "docs"])
def test_a_base_that_is_not_there_is_named(model: str, world: World, tmp_path: Path) -> None:
    config = config_file(world, tmp_path / "serve.yaml", base={"model": model})
    with pytest.raises(ConfigError, match=r"base\.model = "):
        examine(read_config(config, None, None))


def test_serve_check_says_it_in_words_and_as_json(world: World, tmp_path: Path, taken: int) -> None:
    config = config_file(world, tmp_path / "serve.yaml", {"port": taken})
    refused = CliRunner().invoke(cli, ["serve", "--check", "--config", str(config), "--json"])
    assert refused.exit_code == 1
    assert f"http_options.port = {taken}" in json.loads(refused.stderr)["error"]["message"]
    fine = CliRunner().invoke(cli, ["serve", "--check", "--config", str(config), "--port", str(free_port()), "--json"])
    assert fine.exit_code == 0, fine.output
    document = json.loads(fine.stdout)
    assert (document["ok"], len(document["adapters"]), document["warnings"]) == (True, 3, [])


def test_the_launcher_says_in_one_line_that_the_port_is_in_use(world: World, tmp_path: Path, taken: int) -> None:
    config = config_file(world, tmp_path / "serve.yaml", {"port": taken})
    done = subprocess.run(
        [sys.executable, "-m", "deployments.launch", "--config", str(config)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 1
    assert done.stdout == "", "Ray was started"
    assert [line for line in done.stderr.splitlines() if "in use" in line] == done.stderr.splitlines()[1:]
