"""Writes docs/request-limits.md from the tables of limits; ``--check`` only says whether it is current."""

from __future__ import annotations

import sys
from pathlib import Path

from adaptrix_core.config.sections import SecuritySettings
from adaptrix_core.request_limits import SAMPLING_RANGES, Range, rows
from docs.written_page import table, write_or_compare

PAGE = Path(__file__).with_name("request-limits.md")
HEAD = """# Limits of a request

Whoever goes over one gets the code, and a message that says the value and the limit. What they are for:
[http-api.md](http-api.md#how-much-one-request-may-be). The context of the model, and the number of its layers, are
limits as well. This page is written by `python -m docs.request_limits` from `adaptrix_core/request_limits.py`, which
HTTP API, engine and command line read, and from `adaptrix_core/config/sections.py`.
"""
SETTINGS = {
    "max_body_bytes": "body_too_large",
    "max_text_characters": "text_too_long",
    "max_upload_bytes": "body_too_large",
}
"""Code by key of the section ``security`` that limits a request."""


def page() -> str:
    """The whole page."""
    fixed = [
        (row.metadata["what"], f"{row.default:,}".removesuffix(".0"), _code(row.metadata["code"])) for row in rows()
    ]
    ranges = [(f"`{name}`", _words(allowed)) for name, allowed in SAMPLING_RANGES.items()]
    settings = [
        (f"`security.{key}`", str(field.description), f"{field.default:,}", _code(code))
        for key, code in SETTINGS.items()
        for field in [SecuritySettings.model_fields[key]]
    ]
    return "\n".join(
        [
            HEAD,
            "## Fixed\n",
            table(("at most", "limit", "code"), fixed),
            "## Sampling parameters\n",
            "A value outside is `invalid_request`.\n",
            table(("parameter", "values"), ranges),
            "## Settings\n",
            table(("setting", "what it limits", "default", "code"), settings),
        ]
    )


def _code(code: str | None) -> str:
    return "none: the rest is left out" if code is None else f"`{code}`"


def _words(allowed: Range) -> str:
    return f"{'whole numbers' if allowed.is_whole else 'numbers'} {allowed}"


if __name__ == "__main__":
    sys.exit(write_or_compare(PAGE, page(), sys.argv[1:], "request_limits"))
