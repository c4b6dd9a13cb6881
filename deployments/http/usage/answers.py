"""The answers of the endpoints of usage, for the OpenAPI document."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from deployments.http.description.answers import Document


class Percentiles(Document):
    """Seconds within which so many requests were through: each at most 5 % from the true number."""

    p50: float
    p95: float
    p99: float


class Latencies(Document):
    """Times of requests; one that was never measured is missing, and all are where keys are told apart."""

    queue_s: Percentiles | None = None
    """Waiting for the running batch."""
    load_s: Percentiles | None = None
    """Of that, for adapters that were not on the device yet."""
    first_token_s: Percentiles | None = None
    """From the request's arrival."""
    per_token_s: Percentiles | None = None
    """Between two tokens."""
    total_s: Percentiles | None = None
    """From arrival to the last byte, of requests that were answered to their end."""


class UsageFiguresShown(Document):
    """Figures of some requests."""

    start_time: int | None
    """Begin of the period, in seconds since 1970; null where the answer is not divided."""
    tenant: str | None
    """Null, like the next two, where requests of several are taken together."""
    key_id: str | None
    adapter: str | None
    """A name of the catalogue, `base`, `mix`, `fork` or `composition`; empty where nobody answered."""
    requests: int
    answered: int
    """Of them, those that were answered to their end."""
    refused: int
    """Those that could not be answered by the caller's own fault, or were too many at once."""
    failed: int
    """Those that failed by the server's fault, or passed their deadline."""
    abandoned: int
    """Those whose client left before the end."""
    success_rate: float | None
    """Answered ones among answered and failed ones; null without any."""
    prompt_tokens: int
    cached_tokens: int
    """Of these, those that needed no computing."""
    completion_tokens: int
    latency: Latencies


class UsageList(Document):
    """The answer of ``GET /v1/usage``."""

    object: Literal["adaptrix.usage"]
    start_time: float
    """In seconds since 1970; earlier than asked for where only sums by hour are kept of so long ago."""
    end_time: float | None
    bucket_width: Literal["1h", "1d"] | None
    group_by: list[Literal["tenant", "key_id", "adapter"]]
    data: list[UsageFiguresShown]
    dropped: int | None
    """Requests of all tenants that are in no row, as there was no room to note them; null for others than operators."""


class ChargeShown(Document):
    """One kind of thing that was used."""

    for_: Literal["prompt_tokens", "cached_tokens", "completion_tokens", "answered"] = Field(alias="for")
    """`prompt_tokens` are those that were computed; `answered` are requests."""
    quantity: int
    price: str
    """Of a million of it, a decimal number."""
    cost: str


class CostShown(Document):
    """What one tenant, key and adapter cost in one period."""

    start_time: int
    tenant: str
    key_id: str
    adapter: str
    requests: int
    charges: list[ChargeShown] | None
    """Null, like the cost, where no price is valid."""
    cost: str | None
    """A decimal number, not rounded."""


class CostList(Document):
    """The answer of ``GET /v1/usage/costs``."""

    object: Literal["adaptrix.usage.costs"]
    currency: str
    """ISO 4217."""
    start_time: float
    end_time: float | None
    bucket_width: Literal["1h", "1d"]
    data: list[CostShown]
    total: str
    """Of all rows that have a price."""
    unpriced: int
    """Rows for which no price is valid."""


class LiveFiguresShown(Document):
    """One adapter's requests of the last minute."""

    adapter: str
    requests_per_s: float
    tokens_per_s: float
    failed: int
    first_token_p50_s: float | None
    first_token_p95_s: float | None


class LiveUsage(Document):
    """The answer of ``GET /v1/usage/live``."""

    object: Literal["adaptrix.usage.live"]
    data: list[LiveFiguresShown]
