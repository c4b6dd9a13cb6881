"""An adapter source: directories in a zip file, ``zip:///path/to/adapters.zip/math_reasoning``."""

from __future__ import annotations

from zipfile import BadZipFile

from fsspec.implementations.zip import ZipFileSystem

from adaptrix_core.adapters.sources.url import UrlDirectory
from adaptrix_core.errors import AdapterNotFound

_ENDING = ".zip"


class ZipSource:
    """Opens zip files as fsspec's file systems, which `UrlDirectory` reads."""

    def open(self, location: str) -> UrlDirectory:
        """The directory after the file's name."""
        archive, _, inside = location.removeprefix("zip://").partition(_ENDING)
        try:
            files = ZipFileSystem(archive + _ENDING)
        except (OSError, BadZipFile) as error:
            raise AdapterNotFound(f"{location!r} cannot be opened: {error}") from error
        return UrlDirectory(location, files, inside.strip("/"))


ZIP = ZipSource()
