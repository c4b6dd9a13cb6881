"""Opens a location by the source that its scheme names: one of `extensions.ADAPTER_SOURCES`, or else fsspec.

A location without a scheme is a local directory.
"""

from __future__ import annotations

from pathlib import Path

from adaptrix_core.adapters.sources.local import LocalDirectory
from adaptrix_core.adapters.sources.protocol import AdapterDirectory
from adaptrix_core.adapters.sources.url import UrlDirectory
from adaptrix_core.extensions import ADAPTER_SOURCES


def open_directory(location: str | Path) -> AdapterDirectory:
    """The directory at a path or URL, whether or not there is one.

    Raises AdapterNotFound for a URL of an unknown scheme, or one whose driver is not installed, and ExtensionError
    where another package's source cannot be used.
    """
    scheme = scheme_of(location)
    if scheme is None:
        return LocalDirectory.open(str(location))
    if scheme in ADAPTER_SOURCES.names():
        return ADAPTER_SOURCES.get(scheme).open(str(location))
    return UrlDirectory.open(str(location))


def scheme_of(location: str | Path) -> str | None:
    """The scheme of a URL; None for the path of a local directory."""
    if isinstance(location, Path) or "://" not in location:
        return None
    return location.split("://", 1)[0]


def is_location(source: str | Path) -> bool:
    """Whether a source of an adapter is a location (else a name): a Path, or a string with a path separator."""
    return isinstance(source, Path) or "/" in source or "\\" in source
