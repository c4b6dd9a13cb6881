"""Prices of tokens: a file of them, each valid from a day on, for everybody or for a tenant or an adapter.

    {"currency": "EUR", "prices": [
        {"valid_from": "2026-01-01", "prompt_tokens": "0.10", "cached_tokens": "0.02", "completion_tokens": "0.40"},
        {"valid_from": "2026-07-01", "tenant": "acme", "prompt_tokens": "0.08", "completion_tokens": "0.32"}]}

A price is for a million of what it names, in the currency's unit, exact to six decimals; what is not named is free. A
new price is a new line with a later day, so that what was used before keeps the price that it had. Of the lines that
are valid, one for tenant and adapter comes before one for the tenant, that before one for the adapter, and that before
one for everybody; among equals the latest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from adaptrix_core.errors import ConfigError

CHARGED = ("prompt_tokens", "cached_tokens", "completion_tokens", "answered")
"""What has a price: prompt tokens that were computed, those that were found in the cache, generated ones, and
requests that were answered."""
MICRO = 1_000_000
"""Prices are kept as whole millionths of the currency's unit, so that no sum is rounded."""
MOST_BYTES = 16 * 1024**2
"""Size of the largest file of prices."""

Amount = Annotated[Decimal, Field(ge=0, le=1_000_000_000, max_digits=16, decimal_places=6)]


class PriceLine(BaseModel):
    """One line of the file."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    valid_from: date
    """The first day, in UTC."""
    tenant: str | None = Field(None, min_length=1)
    adapter: str | None = Field(None, min_length=1)
    """As usage names it: a public name, ``base``, ``mix``, ``fork`` or ``composition``."""
    prompt_tokens: Amount = Decimal(0)
    cached_tokens: Amount = Decimal(0)
    completion_tokens: Amount = Decimal(0)
    answered: Amount = Decimal(0)


class _PricesFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    currency: str = Field(pattern=r"^[A-Z]{3}$")
    prices: tuple[PriceLine, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Price:
    """What a million of each costs, in millionths of the currency's unit."""

    micro: Mapping[str, int]
    """By `CHARGED`."""


class PriceTable:
    """The prices of one file."""

    def __init__(self, currency: str, lines: tuple[PriceLine, ...]) -> None:
        """currency: three letters of ISO 4217. Raises ConfigError for two lines of which neither comes first."""
        self.currency = currency
        self._found: dict[tuple[str | None, str | None], list[tuple[int, Price]]] = {}
        for line in sorted(lines, key=lambda line: line.valid_from):
            since = int(datetime(*line.valid_from.timetuple()[:3], tzinfo=UTC).timestamp())
            among = self._found.setdefault((line.tenant, line.adapter), [])
            if among and among[-1][0] == since:
                raise ConfigError(
                    [f"prices: two are for {_whom(line)} from {line.valid_from} on; give one of them another day"]
                )
            among.append((since, Price({name: int(getattr(line, name) * MICRO) for name in CHARGED})))

    def price_of(self, tenant: str, adapter: str, at: int) -> Price | None:
        """The price that is valid at a moment (seconds since 1970); None where there is none yet."""
        for whom in ((tenant, adapter), (tenant, None), (None, adapter), (None, None)):
            valid = [price for since, price in self._found.get(whom, ()) if since <= at]
            if valid:
                return valid[-1]
        return None


def read_prices(path: Path) -> PriceTable:
    """The prices of a file. Raises ConfigError that names each fault."""
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ConfigError([f"{path.name}: larger than {MOST_BYTES} bytes"])
        content = _PricesFile.model_validate(json.loads(path.read_text(encoding="utf-8"), parse_float=Decimal))
    except ValidationError as error:
        raise ConfigError(
            [f"{path.name}: {'.'.join(map(str, d['loc']))}: {d['msg']}" for d in error.errors()]
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError([f"{path.name}: cannot be read as a file of prices: {error}"]) from error
    return PriceTable(content.currency, content.prices)


def _whom(line: PriceLine) -> str:
    named = [f"{name} {value!r}" for name, value in (("tenant", line.tenant), ("adapter", line.adapter)) if value]
    return " and ".join(named) or "everybody"
