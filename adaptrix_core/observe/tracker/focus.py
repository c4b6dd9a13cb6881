"""Costs as records of FOCUS, the FinOps Foundation's open form of cost and usage data, which tools for finance import.

One record for each tenant, key, adapter, period and kind of token. Column names and categories are those of version
1.2; columns that say nothing here (regions, commitments) are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

from adaptrix_core.observe.tracker.costs import Charge, CostRow, told
from adaptrix_core.observe.tracker.tables_out import Cell, moment

PROVIDER = "Adaptrix"
_UNITS = {"answered": "Requests"}
_NAMED = {
    "prompt_tokens": "Prompt tokens",
    "cached_tokens": "Prompt tokens found in the cache",
    "completion_tokens": "Generated tokens",
    "answered": "Answered requests",
}

FOCUS_COLUMNS = (
    "BilledCost",
    "BillingAccountId",
    "BillingCurrency",
    "BillingPeriodStart",
    "BillingPeriodEnd",
    "ChargeCategory",
    "ChargeClass",
    "ChargeDescription",
    "ChargeFrequency",
    "ChargePeriodStart",
    "ChargePeriodEnd",
    "ConsumedQuantity",
    "ConsumedUnit",
    "ContractedCost",
    "ContractedUnitPrice",
    "EffectiveCost",
    "InvoiceIssuerName",
    "ListCost",
    "ListUnitPrice",
    "PricingCategory",
    "PricingQuantity",
    "PricingUnit",
    "ProviderName",
    "PublisherName",
    "ResourceId",
    "ServiceCategory",
    "ServiceName",
    "SkuId",
    "SubAccountId",
    "Tags",
)


def focus_records(row: CostRow, currency: str, period_s: int, account: str) -> Iterator[tuple[Cell, ...]]:
    """The records of a row, by `FOCUS_COLUMNS`; none for what was not used, and none where no price is valid.

    period_s: length of the row's period, in seconds. account: id of the account that is billed.
    """
    for charge in row.charges or ():
        if charge.quantity:
            yield _record(row, charge, currency, period_s, account)


def _record(row: CostRow, charge: Charge, currency: str, period_s: int, account: str) -> tuple[Cell, ...]:
    start = row.usage.start or 0
    cost, unit = told(charge.pico), _UNITS.get(charge.what, "Tokens")
    price = told(charge.micro)  # of one
    month_start, month_end = _month(start)
    record: dict[str, Cell] = {
        "BilledCost": cost,
        "BillingAccountId": account,
        "BillingCurrency": currency,
        "BillingPeriodStart": month_start,
        "BillingPeriodEnd": month_end,
        "ChargeCategory": "Usage",
        "ChargeClass": None,
        "ChargeDescription": f"{_NAMED[charge.what]}, {row.usage.adapter or 'nobody'}",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodStart": moment(start),
        "ChargePeriodEnd": moment(start + period_s),
        "ConsumedQuantity": charge.quantity,
        "ConsumedUnit": unit,
        "ContractedCost": cost,
        "ContractedUnitPrice": price,
        "EffectiveCost": cost,
        "InvoiceIssuerName": PROVIDER,
        "ListCost": cost,
        "ListUnitPrice": price,
        "PricingCategory": "Standard",
        "PricingQuantity": charge.quantity,
        "PricingUnit": unit,
        "ProviderName": PROVIDER,
        "PublisherName": PROVIDER,
        "ResourceId": row.usage.adapter,
        "ServiceCategory": "AI and Machine Learning",
        "ServiceName": "Adaptrix",
        "SkuId": charge.what,
        "SubAccountId": row.usage.tenant,
        "Tags": json.dumps({"key_id": row.usage.key_id}),
    }
    return tuple(record[name] for name in FOCUS_COLUMNS)


def _month(at: int) -> tuple[str, str]:
    """The month of a moment, in UTC: its begin, and that of the next one."""
    day = datetime.fromtimestamp(at, UTC)
    begin = datetime(day.year, day.month, 1, tzinfo=UTC)
    following = datetime(day.year + day.month // 12, day.month % 12 + 1, 1, tzinfo=UTC)
    return moment(begin.timestamp()), moment(following.timestamp())
