"""The section ``audit`` of the settings: the log of who did what, and where its checkpoints go."""

from __future__ import annotations

from pydantic import Field

from adaptrix_core.config.section import Bytes, Section, SettingsPath
from adaptrix_core.places import default_audit_key

_MIB = 1024**2


class AuditSettings(Section):
    """The audit log; docs/operators.md says what is in it, and what it holds off."""

    dir: SettingsPath | None = Field(
        None, description="directory of the audit log, on a local disk of the head node; null: none is kept"
    )
    key_file: SettingsPath = Field(
        default_factory=default_audit_key,
        description="private key (Ed25519) that signs checkpoints, made where there is none; by default the user's",
    )
    segment_bytes: Bytes = Field(
        16 * _MIB,
        ge=4096,
        description="size at which a file of the log is followed by the next, such as 16MiB; at least 4KiB",
    )
    keep_days: float | None = Field(
        None,
        gt=0.0,
        le=36_500.0,
        strict=False,
        description="days for which lines are kept, above 0 and at most 36500; null: for ever",
    )
    checkpoint_s: float = Field(
        60.0,
        ge=1.0,
        le=3600.0,
        strict=False,
        description="seconds after a line within which a checkpoint of it is signed, 1 to 3600",
    )
    ship_dir: SettingsPath | None = Field(
        None, description="directory on another machine's disk that checkpoints are written to as well; null: none"
    )
    ship_to_log: bool = Field(
        False,
        description="true or false: whether checkpoints are lines of the server's log too, which has to be json or ecs",
    )
