"""--config: Ray Serve's file or the bare settings; every fault at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from adaptrix_core.cli.settings_file import read_settings
from adaptrix_core.config import project_root
from adaptrix_core.errors import ConfigError

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


@pytest.mark.parametrize("text", ["a: [", "just text", "applications: []"])
def test_a_file_that_holds_no_settings_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"bad\.yaml"):
        read_settings(path)
