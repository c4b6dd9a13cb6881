"""The section ``composition`` of the settings: what is done where adapters of a mix spoil each other's answers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from adaptrix_core.config.section import Section, SettingsPath

OverLimit = Literal["off", "warn", "refuse", "resolve"]
ResolveBy = Literal["down_weight", "ties", "dare"]


class CompositionSettings(Section):
    """Conflicts of mixes, as `adaptrix conflicts` measures them; docs/composition.md says what they mean."""

    conflict_limit: float = Field(
        0.5,
        ge=0.0,
        le=1.0,
        strict=False,
        description="share of its adapters' answers, 0 to 1, that a mix may lose before over_limit applies",
    )
    over_limit: OverLimit = Field(
        "warn",
        description="off, warn, refuse or resolve: what is done with a mix over the limit, when a composition is made "
        "and when a request asks for a mix that was measured; off: nothing is measured",
    )
    resolve_by: ResolveBy = Field(
        "down_weight",
        description="down_weight, ties or dare: what resolve does to a composition that is made; requests are resolved "
        "by down_weight",
    )
    conflicts_dir: SettingsPath | None = Field(
        None,
        description="directory of signed measurements, by `adaptrix conflicts --sign`; null: the user's",
    )
