"""--config: Ray Serve's file or the bare settings; every fault at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner
from pydantic import BaseModel
from ray.serve.schema import ServeDeploySchema

from adaptrix_core.cli.main import cli
from adaptrix_core.cli.settings_file import read_settings
from adaptrix_core.config.serve_file import SERVE_KEYS, Keys
from adaptrix_core.errors import ConfigError
from adaptrix_core.places import project_root

BARE = "base: {device: cpu}\nadapters: {dir: docs, trust: 'off'}\n"


def test_bare_settings_and_a_serve_file_mean_the_same(tmp_path: Path) -> None:
    bare, serve = tmp_path / "bare.yaml", tmp_path / "serve.yaml"
    bare.write_text(BARE)
    indented = "".join(f"      {line}\n" for line in BARE.splitlines())
    serve.write_text(
        "applications:\n  - name: adaptrix\n    import_path: deployments.app:build\n    args:\n" + indented
    )
    assert read_settings(bare) == read_settings(serve)
    assert read_settings(bare).adapters.dir == project_root() / "docs"


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("base: {device: tpu, colour: red}\nadapters: {dir: docs, trust: maybe}\n")
    with pytest.raises(ConfigError) as caught:
        read_settings(path)
    assert len(caught.value.faults) == 3


@pytest.mark.parametrize(
    ("before", "after", "fault"),
    [
        ("http_options:", "http_option:", "http_option: unknown key; did you mean http_options?"),
        ("  port: 8000", "  prot: 8000", "http_options.prot: unknown key; did you mean port?"),
        ("  encoding: TEXT", "  encodign: TEXT", "logging_config.encodign: unknown key; did you mean encoding?"),
        (
            "    route_prefix: /",
            "    route_prefx: /",
            "applications.0.route_prefx: unknown key",
        ),
        ("      base:", "      bases:", "bases: unknown key; did you mean base?"),
        ("proxy_location: HeadOnly", "", None),
        ("  host: 127.0.0.1", "  host: 127.0.0.1\n  host: 0.0.0.0", "the key 'host' is given twice"),
        ("applications:", "logging_config: loud\napplications:", "the key 'logging_config' is given twice"),
        ("    args:", "    logging_config: loud\n    args:", "applications.0.logging_config = 'loud': is a mapping"),
        ("    args:", "    deployments: [{name: Ingress, num_replica: 2}]\n    args:", "did you mean num_replicas?"),
    ],
)
def test_an_unknown_key_anywhere_is_refused(before: str, after: str, fault: str | None, tmp_path: Path) -> None:
    text = (project_root() / "serve_config.yaml").read_text()
    assert f"{before}\n" in text
    path = tmp_path / "serve.yaml"
    path.write_text(text.replace(f"{before}\n", f"{after}\n", 1))
    if fault is None:
        read_settings(path)
        return
    with pytest.raises(ConfigError) as caught:
        read_settings(path)
    assert fault in caught.value.message


def test_the_known_keys_are_those_of_ray_serve() -> None:
    def compare(keys: Keys, model: type[BaseModel], where: str) -> None:
        assert set(keys) == set(model.model_fields), where
        for name, inner in keys.items():
            if inner is not None:
                compare(inner, model_of(model.model_fields[name].annotation), f"{where}.{name}")

    compare(SERVE_KEYS, ServeDeploySchema, "")


def model_of(annotation: object) -> type[BaseModel]:
    """The model in ``X``, ``Optional[X]`` or ``list[X]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(model_of(part) for part in get_args(annotation) if part is not type(None))


@pytest.mark.parametrize("command", [["status"], ["list"], ["query", "hi"], ["import", "x"], ["sign", "."]])
def test_a_broken_file_is_never_ignored(command: list[str], tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("http_options: {prot: 1}\napplications: [{args: {engin: {}}}]\n")
    done = CliRunner().invoke(cli, [*command, "--config", str(path), "--json"])
    assert done.exit_code == 1
    error = json.loads(done.stderr)["error"]
    assert error["code"] == "invalid_config"
    assert "http_options.prot" in error["message"]
    assert "engin: unknown key" in error["message"]


@pytest.mark.parametrize("text", ["a: [", "just text", "applications: []", "applications: [{args: []}]"])
def test_a_file_that_holds_no_settings_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        read_settings(path)
