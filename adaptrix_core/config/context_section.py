"""The section ``context`` of the settings: from when on a mix counts as having left the base model's context."""

from __future__ import annotations

from pydantic import Field

from adaptrix_core.config.section import Section


class ContextSettings(Section):
    """Thresholds of `adaptrix inspect`; docs/context.md says what they mean."""

    similarity: float = Field(
        0.7,
        ge=0.0,
        le=1.0,
        strict=False,
        description="cosine to the base model's hidden states below which a layer counts as drifted, 0 to 1",
    )
    conflict: float = Field(
        0.5,
        ge=0.0,
        le=1.0,
        strict=False,
        description="from 0 (two adapters change hidden states alike) to 1 (they undo each other), the conflict above "
        "which a mix is warned of",
    )
    anchor_factor: float = Field(
        0.5,
        ge=0.0,
        lt=1.0,
        strict=False,
        description="what anchoring multiplies a mix's weights by where it has drifted, 0 to less than 1",
    )
