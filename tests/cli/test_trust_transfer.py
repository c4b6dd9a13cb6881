"""`adaptrix trust transfer`: what it writes, whom it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from adaptrix_core.adapters import generate_key_pair
from adaptrix_core.adapters.trust.keys import read_public_key
from adaptrix_core.adapters.trust.name_owners import TRANSFERS_FILE, read_transfers

Cli = Callable[..., Result]


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    for name in ("release", "partner"):
        generate_key_pair(tmp_path / f"{name}.key", tmp_path / "keys" / f"{name}.pub")
    return tmp_path / "keys"


def test_a_key_may_be_given_by_name_file_or_fingerprint(adaptrix: Cli, keys: Path) -> None:
    partner = read_public_key(keys / "partner.pub")
    for number, given in enumerate(("partner", keys / "partner.pub", partner.fingerprint[:12]), start=1):
        done = adaptrix("trust", "transfer", "math_reasoning", "--to", given, "--trusted-keys", keys, "--json")
        assert done.exit_code == 0, done.output
        assert json.loads(done.stdout)["file"] == str(keys / TRANSFERS_FILE)
        transfers = read_transfers(keys)
        assert len(transfers) == number, "earlier ones stay"
        assert (transfers[-1].name, transfers[-1].to, transfers[-1].key) == (
            "math_reasoning",
            partner.fingerprint,
            "partner",
        )
        assert transfers[-1].by
        assert transfers[-1].at


def test_a_key_that_is_not_trusted_gets_no_name(adaptrix: Cli, keys: Path, tmp_path: Path) -> None:
    generate_key_pair(tmp_path / "stranger.key", tmp_path / "stranger.pub")
    for given in ("stranger", tmp_path / "stranger.pub", "0" * 64, "a"):
        refused = adaptrix("trust", "transfer", "math_reasoning", "--to", given, "--trusted-keys", keys)
        assert refused.exit_code == 1
        assert "partner (" in refused.output
        assert ".pub file there first" in " ".join(refused.output.split())
    assert not (keys / TRANSFERS_FILE).exists()


def test_what_is_no_name_is_said(adaptrix: Cli, keys: Path) -> None:
    refused = adaptrix("trust", "transfer", "math@1.0.0", "--to", "partner", "--trusted-keys", keys)
    assert refused.exit_code == 1
    assert "without a version" in refused.output
    assert not (keys / TRANSFERS_FILE).exists()
