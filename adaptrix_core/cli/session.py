"""The shared options of one invocation of the command line: target, verbosity, settings."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from adaptrix_core.cli.output import Output

if TYPE_CHECKING:
    from adaptrix_core.cli.target import Target
    from adaptrix_core.config import Settings

DEFAULT_URL = "http://127.0.0.1:8000"


@dataclass
class Session:
    """Filled by the shared options (`options.py`), read by the commands."""

    as_json: bool = False
    verbosity: int = 0
    """-1 quiet, 0 normal, 1 and more verbose (tracebacks and logs)."""
    config: Path | None = None
    url: str = DEFAULT_URL
    api_key: str | None = None
    local: bool = False

    @cached_property
    def output(self) -> Output:
        """The output for results, notes and progress."""
        return Output(as_json=self.as_json, quiet=self.verbosity < 0)

    @cached_property
    def settings(self) -> Settings:
        """The settings of ``--config``, or the defaults. Raises ConfigError with every fault."""
        from adaptrix_core.cli.settings_file import read_settings

        return read_settings(self.config)

    def target(self) -> Target:
        """The running server at ``--url``, or with ``--local`` an engine in this process. Use as an async context."""
        if self.local:
            settings = self.settings  # first: wrong settings are reported before torch is loaded, which takes seconds
            with self.output.waiting("starting a local engine"):
                from adaptrix_core.cli.local import LocalTarget

            return LocalTarget(settings, self.output)
        from adaptrix_core.cli.remote import RemoteTarget

        return RemoteTarget(self.url, self.api_key)
