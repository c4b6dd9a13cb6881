"""The id that a caller may give a request, cleaned for logs and traces."""

from __future__ import annotations

REQUEST_ID = "x-request-id"
MAX_REQUEST_ID = 128


def cleaned_id(given: str) -> str:
    """Visible ASCII of what a caller gave, no longer than `MAX_REQUEST_ID`."""
    return "".join(character for character in given[:MAX_REQUEST_ID] if "!" <= character <= "~")
