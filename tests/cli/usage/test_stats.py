"""`adaptrix stats` and `adaptrix costs` from a tracker's file: for people, for spreadsheets, for programs."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from adaptrix_core.cli.main import cli
from adaptrix_core.observe.tracker.book import UsageBook
from tests.observe.tracker.requests import MIDNIGHT, batch, request

SINCE = ("--since", "2026-11-01")
HOSTILE = "=1+1\x1b[2J"


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stats") / "usage.db"
    book = UsageBook(path)
    some = [request(MIDNIGHT + n, adapter=name) for n, name in enumerate(["math_reasoning", "math_reasoning", "base"])]
    book.add(batch([*some, request(MIDNIGHT + 90_000, tenant=HOSTILE, outcome="failed", error="replica_lost")]))
    book.close()
    return path


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prices") / "prices.json"
    line = {"valid_from": "2026-01-01", "prompt_tokens": "0.1", "cached_tokens": "0.02", "completion_tokens": "0.4"}
    path.write_text(json.dumps({"currency": "EUR", "prices": [line]}))
    return path


def adaptrix(*arguments: object) -> str:
    done = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_figures_are_shown_by_adapter(file: Path) -> None:
    shown = adaptrix("stats", "--file", file, *SINCE)
    assert "from 2026-11-01T00:00:00.000Z until now" in shown
    (line,) = [line for line in shown.splitlines() if line.startswith("math_reasoning")]
    assert line.split()[1:6] == ["3", "2", "0", "1", "0"]


def test_json_and_csv_have_every_figure(file: Path) -> None:
    document = json.loads(adaptrix("stats", "--file", file, *SINCE, "--by", "tenant", "--per", "day", "--json"))
    assert [(row["tenant"], row["requests"]) for row in document["data"]] == [("acme", 3), (HOSTILE, 1)]
    table = rows_of(adaptrix("stats", "--file", file, *SINCE, "--by", "tenant", "--per", "day", "--csv"))
    assert [row["start_time"] for row in table] == ["2026-12-01T00:00:00.000Z", "2026-12-02T00:00:00.000Z"]
    assert table[1]["tenant"] == "'=1+1[2J", "neither computed nor obeyed"
    assert float(table[0]["first_token_s_p50"]) == pytest.approx(0.12, rel=0.05)


def test_single_requests_can_be_had(file: Path) -> None:
    lines = adaptrix("stats", "--file", file, *SINCE, "--requests", "--adapter", "math_reasoning").splitlines()
    assert [json.loads(line)["outcome"] for line in lines] == ["answered", "answered", "failed"]
    table = rows_of(adaptrix("stats", "--file", file, *SINCE, "--requests", "--csv", "--until", "2026-12-02"))
    assert [row["adapter"] for row in table] == ["math_reasoning", "math_reasoning", "base"]


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["stats", "--file", str(tmp_path / "none.db")])
    assert done.exit_code == 1
    assert "there is no such file" in done.stderr


@pytest.mark.parametrize("per", ["hour", "day"])
def test_costs_are_the_same_in_every_form(file: Path, prices: Path, per: str) -> None:
    asked = ("costs", "--file", file, "--prices", prices, *SINCE, "--until", "2026-12-05", "--per", per)
    true = 4 * (24 * Decimal("0.1") + 16 * Decimal("0.02") + 12 * Decimal("0.4")) / 1_000_000
    document = json.loads(adaptrix(*asked, "--json"))
    assert sum(Decimal(row["cost"]) for row in document["data"]) == true
    assert sum(Decimal(row["cost"]) for row in rows_of(adaptrix(*asked, "--format", "csv"))) == true
    lines = adaptrix(*asked, "--format", "jsonl").splitlines()
    assert sum(Decimal(json.loads(line)["cost"]) for line in lines) == true
    assert json.loads(lines[-1])["tenant"] == HOSTILE, "JSONL has names as they are"
    focus = rows_of(adaptrix(*asked, "--format", "focus", "--account", "us"))
    assert sum(Decimal(row["BilledCost"]) for row in focus) == true
    assert {row["BillingAccountId"] for row in focus} == {"us"}
    assert "math_reasoning" in adaptrix(*asked)


def test_costs_of_one_tenant(file: Path, prices: Path) -> None:
    asked = ("costs", "--file", file, "--prices", prices, *SINCE, "--until", "2026-12-05", "--tenant", "acme", "--json")
    assert {row["tenant"] for row in json.loads(adaptrix(*asked))["data"]} == {"acme"}
