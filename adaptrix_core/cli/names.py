"""Names for shell completion: of a running server if one answers at once, else of the adapter directory."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import click

from adaptrix_core.cli.session import Session

PATIENCE_S = 0.5
"""Longest wait for a server after a press of Tab, in seconds."""
METADATA_FILE = "metadata.json"  # named again here: the package that owns the name takes long to import


def complete_adapters(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Names of adapters that begin with what was typed."""
    return _beginning(incomplete, _adapters(_session(ctx)))


def complete_models(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """As `complete_adapters`, with the names of the router and of the base model."""
    return _beginning(incomplete, ["auto", "base", *_adapters(_session(ctx))])


def _session(ctx: click.Context) -> Session:
    return ctx.find_object(Session) or Session()


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    # In a mix, the name after the last plus sign is completed.
    before, plus, typed = incomplete.rpartition("+")
    return [f"{before}{plus}{name}" for name in dict.fromkeys(names) if name.startswith(typed)]


def _adapters(session: Session) -> list[str]:
    served = None if session.local else _served(session)
    return _in_directory(session) if served is None else served


def _served(session: Session) -> list[str] | None:
    """Names by the server; None where it does not answer (soon enough)."""
    from urllib.error import URLError
    from urllib.request import Request, urlopen

    headers = {"authorization": f"Bearer {session.api_key}"} if session.api_key else {}
    url = session.url.rstrip("/").removesuffix("/v1")
    try:
        with urlopen(Request(f"{url}/v1/adapters", headers=headers), timeout=PATIENCE_S) as response:
            document = json.load(response)
        return [str(entry["name"]) for entry in document["data"]]
    except (URLError, OSError, ValueError, KeyError, TypeError):
        return None


def _in_directory(session: Session) -> list[str]:
    from adaptrix_core.errors import ConfigError

    try:
        directory = Path(session.settings.adapters.dir)
        found = sorted(path.parent.name for path in directory.glob(f"*/{METADATA_FILE}"))
    except (ConfigError, OSError):
        return []
    return [name.partition("@")[0] for name in found if not name.startswith(".")]
