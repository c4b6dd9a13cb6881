"""Directories of the installation and of the user, whatever directory a program is started from.

In a checkout they lie beside the code; an installed package has them under the environment's ``share/adaptrix``.
"""

from __future__ import annotations

import os
import sysconfig
from pathlib import Path

CONFIG_FILE = "serve_config.yaml"


def project_root() -> Path:
    """The directory that holds ``adaptrix_core/`` and ``serve_config.yaml``; relative paths in files start from it."""
    return Path(__file__).resolve().parent.parent


def shipped_adapters() -> Path:
    """The directory of the adapters that come with this installation."""
    return _data_root() / "adapters"


def shipped_keys() -> Path:
    """The public keys that the shipped adapters are signed with."""
    return shipped_adapters() / "trusted_keys"


def default_state_dir() -> Path:
    """Directory for adapters that a server loads at run time: in the checkout, else in the user's state directory.

    That is ``$XDG_STATE_HOME/adaptrix``, or ``~/.local/state/adaptrix``.
    """
    if _is_checkout():
        return project_root() / "runs" / "adapter-store"
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(home) / "adaptrix" / "adapter-store"


def config_directory() -> Path:
    """``$XDG_CONFIG_HOME/adaptrix``, or ``~/.config/adaptrix``."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "adaptrix"


def default_trusted_keys() -> Path:
    """The default directory of trusted public keys."""
    return config_directory() / "trusted_keys"


def default_audit_key() -> Path:
    """The default private key that signs checkpoints of the audit log."""
    return config_directory() / "keys" / "audit.key"


def _is_checkout() -> bool:
    return (project_root() / CONFIG_FILE).is_file()


def _data_root() -> Path:
    return project_root() if _is_checkout() else Path(sysconfig.get_path("data")) / "share" / "adaptrix"
