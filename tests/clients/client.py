"""Who a test module speaks for: the client, its version, and which of its usual calls a test makes."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

CALLS = ("chat", "stream", "history", "structured", "tools")
"""The usual calls; a test named ``test_tools…`` makes the last of them."""


@dataclass(frozen=True)
class Client:
    """A client program or library: a module of tests says ``CLIENT = Client(…)``."""

    name: str
    version: str
    note: str = ""
    """What else there is to know of it, for docs/clients.md."""


def installed(distribution: str, note: str = "", name: str | None = None) -> Client:
    """A Python package of this environment."""
    return Client(name or distribution, version(distribution), note)


def call_of(test: str) -> str | None:
    """Which usual call a test of this name makes; None: something else."""
    words = test.removeprefix("test_").split("[")[0].split("_")
    return words[0] if words[0] in CALLS else None
