"""What the tests found of each client, as the document that docs/clients.md is written from."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.clients.client import CALLS, Client, call_of

SETTING = "ADAPTRIX_CLIENTS_RECORD"
"""The environment variable that names the file to write; without it nothing is."""


class Record:
    """Clients by name, each with the outcomes of its calls and of what else was tested."""

    def __init__(self) -> None:
        self._clients: dict[str, Client] = {}
        self._outcomes: dict[str, dict[str, list[bool]]] = {}

    def note(self, item: pytest.Item, is_passed: bool) -> None:
        """What came of one test that ran."""
        client = client_of(item)
        if client is None:
            return
        self._clients[client.name] = client
        what = call_of(item.name) or item.name.split("[")[0].removeprefix("test_").replace("_", " ")
        self._outcomes.setdefault(client.name, {}).setdefault(what, []).append(is_passed)

    def document(self) -> list[dict[str, Any]]:
        """One entry for each client, by name: calls that all tests of held, or not; other tests that held."""
        today = datetime.datetime.now(datetime.UTC).date().isoformat()
        entries = []
        for name, client in sorted(self._clients.items()):
            held = {what: all(outcomes) for what, outcomes in self._outcomes[name].items()}
            entries.append(
                {
                    "client": name,
                    "version": client.version,
                    "date": today,
                    "calls": {call: held[call] for call in CALLS if call in held},
                    "also": sorted(what for what, is_held in held.items() if is_held and what not in CALLS),
                    "note": client.note,
                }
            )
        return entries

    def write(self) -> None:
        """Write the document where the environment says so."""
        place = os.environ.get(SETTING)
        if place and self._clients:
            Path(place).parent.mkdir(parents=True, exist_ok=True)
            Path(place).write_text(json.dumps(self.document(), indent=1) + "\n")


def client_of(item: pytest.Item) -> Client | None:
    """The client that a test speaks for: its module's, or the one in ``CLIENTS_OF`` that its parameter names."""
    module = getattr(item, "module", None)
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    by_name: dict[str, Client] = getattr(module, "CLIENTS_OF", {})
    if parameters.get("client") in by_name:
        return by_name[parameters["client"]]
    return getattr(module, "CLIENT", None)
