"""The path of the log of questions and answers, and whether there is one."""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "ADAPTRIX_LOGS"
_OFF = frozenset({"off", "0", "no", "false"})


def data_directory() -> Path:
    """``$XDG_DATA_HOME/adaptrix``, or ``~/.local/share/adaptrix``."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "adaptrix"


def log_file() -> Path | None:
    """``$ADAPTRIX_LOGS``, else ``logs.db`` in the data directory; None where the variable is ``off``."""
    named = os.environ.get(VARIABLE, "").strip()
    if named.lower() in _OFF:
        return None
    return Path(named).expanduser() if named else data_directory() / "logs.db"
