"""promptfoo evaluates this server: two questions to a chat, to a chat that answers in JSON, and to raw completions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.clients.client import Client
from tests.clients.npm_scripts import SCRIPTS, output_of, why_not
from tests.clients.served import Served

FOLDER = SCRIPTS / "promptfoo"
pytestmark = [pytest.mark.integration, pytest.mark.skipif(bool(why_not(FOLDER)), reason=why_not(FOLDER))]

CLIENT = Client("promptfoo (npm)", json.loads((FOLDER / "package.json").read_text())["dependencies"]["promptfoo"])

ALONE = dict.fromkeys(
    ("PROMPTFOO_DISABLE_TELEMETRY", "PROMPTFOO_DISABLE_UPDATE", "PROMPTFOO_DISABLE_REMOTE_GENERATION"), "1"
)
"""It asks nobody but the server."""


def test_an_evaluation(server: Served, tmp_path: Path) -> None:
    found = tmp_path / "found.json"
    command = ["node_modules/.bin/promptfoo", "eval", "--no-cache", "--no-table", "--no-progress-bar"]
    command += ["--config", "config.yaml", "--output", str(found)]
    output_of(command, FOLDER, server, PROMPTFOO_CONFIG_DIR=str(tmp_path), **ALONE)
    results = json.loads(found.read_text())["results"]
    assert results["stats"]["successes"] == 6, results
    by_provider = {one["provider"]["label"]: one["response"] for one in results["results"]}
    assert set(by_provider) == {"chat", "structured", "completion"}
    assert 0 <= by_provider["structured"]["output"]["sum"] <= 99
    for answer in by_provider.values():
        assert answer["tokenUsage"]["total"] > answer["tokenUsage"]["prompt"] > 0
