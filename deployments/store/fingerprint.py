"""Whether a running store is the one that was asked for."""

from __future__ import annotations

import hashlib

from adaptrix_core.sections import AdapterSettings

_CODE_VERSION = "store-5"
"""Changes with what the actor's methods take and return, so that an upgrade replaces a running store."""


def fingerprint(settings: AdapterSettings) -> str:
    """Changes with anything that a running store cannot change: its code's version and its settings."""
    return hashlib.sha256(f"{_CODE_VERSION}\0{settings.model_dump_json()}".encode()).hexdigest()
