"""A line of the input of a batch."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from adaptrix_core.request_limits import MOST
from deployments.openai.body import Body


class LineBody(Body):
    """A line of the input of a batch."""

    custom_id: str = Field(min_length=1, max_length=MOST.custom_id_characters)
    method: Literal["POST"]
    url: str
    body: dict[str, Any]
