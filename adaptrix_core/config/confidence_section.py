"""The section ``confidence`` of the settings."""

from __future__ import annotations

from pydantic import Field

from adaptrix_core.config.section import Section, SettingsPath


class ConfidenceSettings(Section):
    """The calibrations by which answers have a confidence."""

    calibrations_dir: SettingsPath | None = Field(
        None,
        description="directory of calibrations, by `adaptrix calibrate`, beside the shipped ones; null: the user's",
    )
