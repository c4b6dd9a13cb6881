"""Lists of objects in pages, as OpenAI has them: ``after``, ``limit`` and ``order``."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.request_limits import MOST

ITEMS_OF_A_PAGE = 20
"""Items in one list where the request does not say how many."""


@dataclass(frozen=True)
class PageAsked:
    """The part of a list that a request asks for."""

    after: str | None
    """Id of the object before the first one."""
    limit: int
    newest_first: bool


def page_asked(
    parameters: Mapping[str, str],
    most: int,
    others: Collection[str] = (),
    default: int = 0,
    has_order: bool = True,
) -> PageAsked:
    """What the query parameters ask for. Raises InvalidRequest.

    most: the largest limit. default: the limit where none is asked for; 0: the largest. others: further parameters.
    has_order: whether the order may be asked for; else the newest come first.
    """
    known = {"after", "limit", *(("order",) if has_order else ()), *others}
    for name in parameters:
        if name not in known:
            raise InvalidRequest(
                f"parameter {name[:80]!r} is not supported; remove it", code="unsupported_field", param=name[:80]
            )
    sent = parameters.get("limit", str(default or most))
    if not (sent.isascii() and sent.isdigit() and len(sent) < 10 and 1 <= int(sent) <= most):
        raise InvalidRequest(f"limit is {sent[:40]!r}; it must be a whole number from 1 to {most}", param="limit")
    order = parameters.get("order", "desc")
    if order not in ("asc", "desc"):
        raise InvalidRequest(f"order is {order[:40]!r}; it must be 'asc' or 'desc'", param="order")
    return PageAsked(parameters.get("after"), int(sent), order == "desc")


def page_of_items(items: Sequence[dict[str, Any]], parameters: Mapping[str, str]) -> dict[str, Any]:
    """The page that a request asks for, of items in their order. Raises InvalidRequest."""
    page = page_asked(parameters, MOST.listed_items, ("include",), ITEMS_OF_A_PAGE)
    ordered = list(reversed(items)) if page.newest_first else list(items)
    if page.after is not None:
        place = next((place for place, item in enumerate(ordered, 1) if item["id"] == page.after), None)
        if place is None:
            raise InvalidRequest(f"after: there is no item {page.after[:80]!r} in this list", param="after")
        ordered = ordered[place:]
    return page_document(ordered[: page.limit], len(ordered) > page.limit)


def page_document(documents: Sequence[dict[str, Any]], has_more: bool) -> dict[str, Any]:
    """The list's document."""
    ids = [document["id"] for document in documents]
    return {
        "object": "list",
        "data": list(documents),
        "first_id": ids[0] if ids else None,
        "last_id": ids[-1] if ids else None,
        "has_more": has_more,
    }
