"""The section ``tracker`` of the settings: what is kept of requests, where, and for how long."""

from __future__ import annotations

from pydantic import Field

from adaptrix_core.config.section import Section, SettingsPath


class TrackerSettings(Section):
    """Figures of requests, without any of their text; docs/usage.md says what they are."""

    enabled: bool = Field(
        True, description="true or false: whether each request leaves who asked, who answered, its tokens and its times"
    )
    file: SettingsPath | None = Field(
        None,
        description="file of it, on a disk of the machine that the cluster's head runs on; null: tracker/usage.db in "
        "adapters.state_dir",
    )
    prices_file: SettingsPath | None = Field(
        None, description="JSON file of prices of tokens, by which usage has costs; null: it has none"
    )
    requests_days: float = Field(
        30.0,
        gt=0.0,
        le=3650.0,
        strict=False,
        description="days for which single requests are kept, above 0, up to 3650",
    )
    sums_days: float = Field(
        400.0,
        ge=1.0,
        le=36_500.0,
        strict=False,
        description="days for which their sums by hour and day are kept, 1 to 36500, and not less than requests_days",
    )
