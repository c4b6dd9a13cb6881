"""One place of adapters for each source: a root whose directories tests write as its users do."""

from __future__ import annotations

import shutil
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path

import fsspec

from adaptrix_core.adapters.package.atomic import write_directory
from adaptrix_core.adapters.sources.opening import open_directory
from adaptrix_core.adapters.sources.protocol import AdapterDirectory
from tests.adapters.sources.fake_hub import FakeHub

Files = Mapping[str, bytes]


class Place(ABC):
    """A root, by its location."""

    location: str

    def open(self, name: str | None = None) -> AdapterDirectory:
        """The root, or a directory in it."""
        root = open_directory(self.location)
        return root if name is None else root.child(name)

    @abstractmethod
    def write(self, name: str, files: Files) -> None:
        """Make the directory ``name`` hold exactly ``files``, by path."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Delete a directory."""


class LocalPlace(Place):
    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.location = str(root)
        self._root = root

    def write(self, name: str, files: Files) -> None:
        write_directory(self._root / name, {path: data for path, data in files.items() if "/" not in path})
        for path in (path for path in files if "/" in path):
            (self._root / name / path).parent.mkdir(parents=True, exist_ok=True)
            (self._root / name / path).write_bytes(files[path])

    def remove(self, name: str) -> None:
        shutil.rmtree(self._root / name)


class UrlPlace(Place):
    def __init__(self, bucket: str) -> None:
        self._store = fsspec.filesystem("memory")
        self._store.makedirs(f"/{bucket}/adapters")
        self.location = f"memory://{bucket}/adapters"
        self._root = f"/{bucket}/adapters"

    def write(self, name: str, files: Files) -> None:
        if self._store.exists(f"{self._root}/{name}"):
            self.remove(name)
        for path, data in files.items():
            self._store.pipe(f"{self._root}/{name}/{path}", data)

    def remove(self, name: str) -> None:
        self._store.rm(f"{self._root}/{name}", recursive=True)


class HubPlace(Place):
    def __init__(self, hub: FakeHub) -> None:
        self.location = "hub://org/adapters"
        self._hub = hub
        hub.commit("org/adapters", {"README.md": b"adapters"})

    def write(self, name: str, files: Files) -> None:
        self._commit(name, {f"{name}/{path}": data for path, data in files.items()})

    def remove(self, name: str) -> None:
        self._commit(name, {})

    def _commit(self, name: str, files: Files) -> None:
        others = {path: data for path, data in self._hub.files("org/adapters").items() if path.split("/")[0] != name}
        self._hub.commit("org/adapters", {**others, **files})


def files_of(directory: Path) -> dict[str, bytes]:
    """Contents by name."""
    return {path.name: path.read_bytes() for path in directory.iterdir()}
