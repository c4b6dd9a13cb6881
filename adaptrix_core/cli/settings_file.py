"""Reads a settings file into Settings: the same `serve_config.yaml` that Ray Serve takes, or the bare settings.

A file has the same meaning here and for the server, wherever it lies: relative paths start from the project's root.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from adaptrix_core.errors import ConfigError

if TYPE_CHECKING:
    from adaptrix_core.config import Settings


def read_settings(path: Path | None) -> Settings:
    """Settings of the file, or the defaults; relative paths start from the project's root.

    Raises ConfigError with every fault of the whole file.
    """
    from adaptrix_core.config import load_settings

    if path is None:
        return load_settings({})
    from adaptrix_core.config.serve_file import application_args, is_serve_file, read_document, serve_faults

    document = read_document(path)
    if not is_serve_file(document):
        return load_settings(document)
    faults = list(serve_faults(document))
    try:
        settings = load_settings(application_args(document))
    except ConfigError as error:
        faults += error.faults
    if faults:
        raise ConfigError([fault if str(path) in fault else f"{path}: {fault}" for fault in faults])
    return settings
