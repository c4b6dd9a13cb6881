"""Moments in the past as people type them: how long ago, or a date."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import click

from adaptrix_core.cli.keys.moments import Duration


class Since(click.ParamType[datetime]):
    """``24h`` ago, or a date (UTC) or time in ISO 8601, as a datetime."""

    name = "when"

    def convert(self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The moment that ``value`` says."""
        if isinstance(value, datetime):
            return value
        if re.fullmatch(r"\d{1,5}[mhd]", value):
            return datetime.now(UTC) - Duration().convert(value, param, ctx)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither a time ago such as 24h nor a date such as 2026-12-01", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
