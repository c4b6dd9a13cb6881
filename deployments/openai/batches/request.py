"""The request that makes a batch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from adaptrix_core.request_limits import MOST
from deployments.openai.body import Body

Endpoint = Literal["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"]
"""The endpoints that lines may be for."""

_Key = Annotated[str, Field(max_length=MOST.metadata_key_characters)]
_Value = Annotated[str, Field(max_length=MOST.metadata_value_characters)]


class OutputExpiry(Body):
    """When the files of answers are deleted."""

    anchor: Literal["created_at"]
    seconds: int = Field(ge=3600)


class BatchRequest(Body):
    """``POST /v1/batches``."""

    input_file_id: str = Field(min_length=1, max_length=MOST.object_id_characters)
    endpoint: Endpoint
    completion_window: Literal["24h"]
    metadata: dict[_Key, _Value] | None = Field(None, max_length=MOST.metadata_pairs)
    output_expires_after: OutputExpiry | None = None
