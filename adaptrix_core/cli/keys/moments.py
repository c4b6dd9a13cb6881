"""Moments and durations as people type them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import click

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class Duration(click.ParamType[timedelta]):
    """``90d``, ``12h`` or ``30m``, as a timedelta."""

    name = "duration"

    def convert(self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """The duration that ``value`` says."""
        if isinstance(value, timedelta):
            return value
        found = re.fullmatch(r"(\d{1,5})([mhd])", value)
        if found is None:
            self.fail(f"{value!r} is no duration; write 30m, 12h or 90d", param, ctx)
        return timedelta(**{_UNITS[found[2]]: int(found[1])})


class Moment(click.ParamType[datetime]):
    """``90d`` from now, or a date (UTC) or time in ISO 8601, as a datetime."""

    name = "when"

    def convert(self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The moment that ``value`` says."""
        if isinstance(value, datetime):
            return value
        if re.fullmatch(r"\d{1,5}[mhd]", value):
            return (datetime.now(UTC) + Duration().convert(value, param, ctx)).replace(microsecond=0)
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is neither a duration such as 90d nor a date such as 2027-06-30", param, ctx)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class PastMoment(Moment):
    """``90d`` ago, or a date (UTC) or time in ISO 8601, as a datetime."""

    def convert(self, value: str | datetime, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The moment that ``value`` says."""
        if isinstance(value, str) and re.fullmatch(r"\d{1,5}[mhd]", value):
            return datetime.now(UTC) - Duration().convert(value, param, ctx)
        return super().convert(value, param, ctx)
