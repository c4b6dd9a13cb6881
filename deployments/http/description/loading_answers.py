"""The answers of SGLang's loading endpoints, for the OpenAPI document."""

from __future__ import annotations

from typing import Literal

from deployments.http.description.answers import Document


class AdaptersNow(Document):
    """What is served after a load or an unload, as SGLang says it; a refusal is an error like all others."""

    success: Literal[True]
    error_message: Literal[""]
    loaded_adapters: dict[str, str]
    """By name, the path that was given, or name and version of one that is shipped or published."""
