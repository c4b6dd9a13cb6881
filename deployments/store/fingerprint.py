"""The fingerprint by which a running store is recognised as the requested one."""

from __future__ import annotations

import hashlib

from adaptrix_core.config.sections import AdapterSettings

_CODE_VERSION = "store-7"
"""Version of the actor's interface: changed with its methods, their arguments or results, so that an upgrade replaces a
running store."""


def fingerprint(settings: AdapterSettings) -> str:
    """Hash of everything that a running store cannot change: its interface's version and its settings."""
    return hashlib.sha256(f"{_CODE_VERSION}\0{settings.model_dump_json()}".encode()).hexdigest()
