"""Reads a settings file into Settings: the same `serve_config.yaml` that Ray Serve takes, or the bare settings.

One file means the same here and to the server, wherever it lies: relative paths start from the project's root.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from adaptrix_core.errors import ConfigError

if TYPE_CHECKING:
    from adaptrix_core.config import Settings


def read_settings(path: Path | None) -> Settings:
    """Settings of the file (relative paths start from the project's root), or the defaults from the current directory.

    Raises ConfigError with every fault.
    """
    from adaptrix_core.config import load_settings, project_root

    if path is None:
        return load_settings({})
    return load_settings(_mapping(path), root=project_root())


def _mapping(path: Path) -> dict[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path}: not YAML: {error}"]) from error
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError([f"{path}: holds {type(document).__name__}; settings are a mapping of sections"])
    if "applications" not in document:
        return document
    applications = document["applications"]
    if not isinstance(applications, list) or len(applications) != 1 or not isinstance(applications[0], dict):
        raise ConfigError([f"{path}: applications must hold exactly one application"])
    return applications[0].get("args") or {}
