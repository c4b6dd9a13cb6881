"""Describes the endpoints of usage for OpenAPI: keyword arguments of their decorators."""

from __future__ import annotations

from typing import Any

from deployments.http.description.described import READING, described
from deployments.http.usage.answers import CostList, LiveUsage, UsageList

_MOMENT = {"type": "string", "example": "2026-12-01"}

USAGE = described(
    "Figures of your requests: how many, their tokens, their times; of everybody's for operators",
    scope="read",
    gives=UsageList,
    errors=(400, *READING, 507),
)
USAGE_COSTS = described(
    "What your requests cost, by period, key and adapter; everybody's for operators",
    scope="read",
    gives=CostList,
    errors=(400, *READING, 404, 507),
)
_PARAMETERS: list[dict[str, Any]] = [
    {"name": name, "in": "query", "description": meaning, "schema": schema}
    for name, meaning, schema in (
        ("start_time", "Seconds since 1970, or ISO 8601; by default a day before the end.", _MOMENT),
        ("end_time", "Likewise; by default now.", _MOMENT),
        ("bucket_width", "One row for each hour or day.", {"enum": ["1h", "1d"]}),
        (
            "group_by",
            "One row for each of these, separated by commas: tenant, key_id, adapter.",
            {"type": "string", "default": "adapter"},
        ),
        ("tenant", "Only its requests; another one than your own needs the scope operate.", {"type": "string"}),
        ("key_id", "Only requests with this key.", {"type": "string"}),
        ("adapter", "Only requests that it answered.", {"type": "string"}),
    )
]
USAGE["openapi_extra"]["parameters"] = _PARAMETERS
USAGE_COSTS["openapi_extra"]["parameters"] = [one for one in _PARAMETERS if one["name"] != "group_by"]
USAGE_LIVE = described(
    "The last minute of your requests by adapter; of everybody's for operators",
    scope="read",
    gives=LiveUsage,
    errors=(*READING, 507),
)
