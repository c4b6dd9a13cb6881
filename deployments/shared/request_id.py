"""The id that a caller may give a request, cleaned for logs and traces."""

from __future__ import annotations

from adaptrix_core.request_limits import MOST

REQUEST_ID = "x-request-id"


def cleaned_id(given: str) -> str:
    """Visible ASCII of what a caller gave, cut to the longest that is kept."""
    return "".join(character for character in given[: MOST.request_id_characters] if "!" <= character <= "~")
