"""Costs are quantities times the prices that were valid then, to the last decimal; and so are records of FOCUS."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adaptrix_core.errors import ConfigError
from adaptrix_core.observe.tracker.book import UsageBook
from adaptrix_core.observe.tracker.costs import CHARGED, cost_cells, cost_document, cost_rows, rows_day_by_day
from adaptrix_core.observe.tracker.focus import FOCUS_COLUMNS, focus_records
from adaptrix_core.observe.tracker.prices import PriceLine, PriceTable, read_prices
from adaptrix_core.observe.tracker.questions import UsageQuestion, UsageRow
from adaptrix_core.observe.tracker.sums import COUNTS, DAY
from adaptrix_core.observe.tracker.tables_out import csv_lines
from tests.observe.tracker.requests import MIDNIGHT, batch, request

FLAT = {"valid_from": "2026-01-01", "prompt_tokens": "0.10", "cached_tokens": "0.02", "completion_tokens": "0.40"}


@pytest.fixture
def priced(tmp_path: Path) -> Callable[..., PriceTable]:
    """Writes a file of prices and reads it."""

    def made(*lines: dict[str, Any]) -> PriceTable:
        path = tmp_path / "prices.json"
        path.write_text(json.dumps({"currency": "EUR", "prices": lines}))
        return read_prices(path)

    return made


def row(start: int = MIDNIGHT, tenant: str = "acme", adapter: str = "math_reasoning", **counts: int) -> UsageRow:
    return UsageRow(start, tenant, "key-1", adapter, {**dict.fromkeys(COUNTS, 0), **counts}, {})


amounts = st.decimals(0, 1000, places=6)
uses = st.lists(st.tuples(*[st.integers(0, 2**40)] * 3), max_size=5)


@given(uses, amounts, amounts, amounts)
def test_a_sum_of_costs_is_exact(used, fresh, cached, out) -> None:  # type: ignore[no-untyped-def]
    line = PriceLine.model_validate(
        {"valid_from": "2026-01-01", "prompt_tokens": fresh, "cached_tokens": cached, "completion_tokens": out}
    )
    rows = [row(prompt_tokens=p + c, cached_tokens=c, completion_tokens=o) for p, c, o in used]
    told = [cost_document(one)["cost"] for one in cost_rows(rows, PriceTable("EUR", (line,)))]
    prices = [Fraction(price) for price in (fresh, cached, out)]
    true = sum((n * price for use in used for n, price in zip(use, prices, strict=True)), Fraction(0))
    assert sum(map(Fraction, told), Fraction(0)) * 1_000_000 == true


def test_the_narrowest_price_counts_and_of_these_the_latest(priced: Callable[..., PriceTable]) -> None:
    table = priced(
        FLAT,
        {"valid_from": "2026-06-01", "prompt_tokens": "0.2"},
        {"valid_from": "2026-01-01", "adapter": "a", "prompt_tokens": "0.3"},
        {"valid_from": "2026-01-01", "tenant": "t", "prompt_tokens": "0.4"},
        {"valid_from": "2026-06-01", "tenant": "t", "adapter": "a", "prompt_tokens": "0.5"},
    )
    june = 1_780_272_000

    def price(tenant: str, adapter: str, at: int) -> float | None:
        found = table.price_of(tenant, adapter, at)
        return None if found is None else found.micro["prompt_tokens"] / 1_000_000

    assert price("x", "y", june - 1) == 0.1, "what was used before keeps its price"
    assert price("x", "y", june) == 0.2
    assert price("x", "a", june) == 0.3
    assert price("t", "y", june) == 0.4
    assert [price("t", "a", at) for at in (june - 1, june)] == [0.4, 0.5]
    assert price("x", "y", 0) is None


def test_what_was_used_without_a_price_has_no_cost(priced: Callable[..., PriceTable]) -> None:
    (one,) = cost_rows([row(0, prompt_tokens=5)], priced(FLAT))
    assert cost_document(one)["cost"] is None
    assert cost_cells(one, "EUR")[-1] is None
    assert list(focus_records(one, "EUR", DAY, "us")) == []


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "cannot be read as a file of prices"),
        ('{"currency": "euro", "prices": []}', "currency"),
        ('{"currency": "EUR", "prices": []}', "prices"),
        ('{"currency": "EUR", "prices": [{"valid_from": "soon"}]}', "valid_from"),
        ('{"currency": "EUR", "prices": [{"valid_from": "2026-01-01", "prompt_tokens": -1}]}', "prompt_tokens"),
        ('{"currency": "EUR", "prices": [{"valid_from": "2026-01-01", "prompt_tokens": 0.1234567}]}', "prompt_tokens"),
        ('{"currency": "EUR", "prices": [{"valid_from": "2026-01-01", "prompt_tokens": NaN}]}', "prompt_tokens"),
        ('{"currency": "EUR", "prices": [{"valid_from": "2026-01-01", "tokens": 1}]}', "tokens"),
        ('{"currency": "EUR", "prices": [{"valid_from": "2026-01-01"}, {"valid_from": "2026-01-01"}]}', "everybody"),
    ],
)
def test_a_wrong_file_of_prices_is_refused(tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "prices.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=complaint):
        read_prices(path)


def test_records_of_focus_add_up_to_the_cost_and_to_the_tokens(
    priced: Callable[..., PriceTable], tmp_path: Path
) -> None:
    path = tmp_path / "usage.db"
    book = UsageBook(path)
    days = [MIDNIGHT - 40 * DAY, MIDNIGHT - 1, MIDNIGHT + 3600]
    book.add(batch(request(at, tenant=tenant, key_id="=key") for at in days for tenant in ("acme", "=evil()")))
    table = priced({**FLAT, "answered": "1000"})
    asked = UsageQuestion(MIDNIGHT - 50 * DAY, per="hour")
    rows = list(cost_rows(rows_day_by_day(path, asked, MIDNIGHT + DAY), table))
    records = [record for one in rows for record in focus_records(one, table.currency, 3600, "us")]
    text = "".join(csv_lines(FOCUS_COLUMNS, records))
    found = list(csv.DictReader(io.StringIO(text, newline="")))
    assert sum(Decimal(one["BilledCost"]) for one in found) == 6 * (
        Decimal("24e-6") * Decimal("0.1")
        + Decimal("16e-6") * Decimal("0.02")
        + Decimal("12e-6") * Decimal("0.4")
        + Decimal("0.001")
    )
    assert sum(int(one["ConsumedQuantity"]) for one in found if one["ConsumedUnit"] == "Tokens") == 6 * (40 + 12)
    assert {one["SkuId"] for one in found} == set(CHARGED)
    assert {one["SubAccountId"] for one in found} == {"acme", "'=evil()"}
    assert {(one["BillingPeriodStart"][:7], one["BillingPeriodEnd"][:7]) for one in found} == {
        ("2026-10", "2026-11"),
        ("2026-11", "2026-12"),
        ("2026-12", "2027-01"),
    }
    for one in found:
        assert Decimal(one["ListUnitPrice"]) * Decimal(one["PricingQuantity"]) == Decimal(one["ListCost"])
    book.close()
