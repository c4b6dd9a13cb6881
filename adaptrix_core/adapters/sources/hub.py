"""Directories in repositories of the Hugging Face Hub: ``hub://org/name[/directory][@revision]``.

Files are downloaded to a scratch directory, all of one commit, and only those that are wanted and whose size on the hub
is within the limits.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from adaptrix_core.adapters.package.file_rules import FileFacts, FileRule, FileRules, read_by_rules
from adaptrix_core.adapters.package.limits import DEFAULT_LIMITS, Limits
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.errors import AdapterNotFound, AdapterRejected

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

SCHEME = "hub://"
_LOCATION = re.compile(r"(?P<repository>[^/@]+/[^/@]+)(?P<path>(?:/[^/@]+)*)/?(?:@(?P<revision>.+))?")
_NO_NAMES = {"", ".", ".."}
_OF_GIT = (".gitattributes", ".gitignore")
"""Files that the hub puts into repositories, and that are no part of an adapter."""


@dataclass(frozen=True)
class HubDirectory:
    """A directory of one revision of a repository."""

    repository: str
    revision: str | None
    """A branch, a tag or a commit; None for the default branch."""
    path: tuple[str, ...] = ()
    """The directories on the way from the repository's top."""

    @classmethod
    def open(cls, location: str) -> HubDirectory:
        """See `AdapterSource`."""
        found = _LOCATION.fullmatch(location.removeprefix(SCHEME))
        path = tuple(found["path"].split("/")[1:]) if found else ()
        if found is None or _NO_NAMES & set(path):
            raise AdapterNotFound(f"{location!r} is no place on the hub; write {SCHEME}org/name[/directory][@revision]")
        return cls(found["repository"], found["revision"], path)

    @property
    def name(self) -> str:
        """The directory's name; the repository's, without its owner, for its top."""
        return self.path[-1] if self.path else self.repository.split("/")[1]

    @property
    def location(self) -> str:
        """The location as it is opened."""
        return SCHEME + self._place

    def child(self, name: str) -> HubDirectory:
        """The directory ``name`` in this one."""
        return replace(self, path=(*self.path, name))

    def directories(self) -> list[HubDirectory]:
        """The directories in here, by name; none where there is no such repository."""
        try:
            listed = self._listed(self._info())
        except AdapterNotFound:
            return []
        return [self.child(name) for name in sorted({way[0] for way in listed if len(way) > 1})]

    def file_names(self) -> list[str]:
        """Names of the files in here. AdapterNotFound also where the hub cannot be reached."""
        return sorted(way[0] for way in self._there(self._info()) if len(way) == 1)

    def stamps(self) -> dict[str, dict[str, Hashable]]:
        """For each directory in here its files' git object ids."""
        try:
            listed = self._listed(self._info())
        except AdapterNotFound as error:
            raise OSError(error.message) from error
        found: dict[str, dict[str, Hashable]] = {}
        for way, file in listed.items():
            if len(way) == 2 and not way[0].startswith("."):
                found.setdefault(way[0], {})[way[1]] = file.blob_id
        return found

    def read_file(self, name: str, max_bytes: int) -> bytes:
        """One file."""
        limits = replace(DEFAULT_LIMITS, max_total_bytes=max_bytes)
        files = self._read(lambda wanted: FileRule("whole", max_bytes) if wanted == name else FileRule("leave"), limits)
        if name not in files:
            raise AdapterRejected(f"{self.name}: no {name}", code="missing_file")
        return files[name]

    def snapshot(self, rules: FileRules, limits: Limits) -> Snapshot:
        """The files that ``rules`` want, all of the commit that the revision means now."""
        return Snapshot(self.name, self._read(rules, limits))

    def _read(self, rules: FileRules, limits: Limits) -> dict[str, bytes]:
        info = self._info()
        there = self._there(info)
        sizes = {way[0]: file.size for way, file in there.items() if len(way) == 1}

        def look(name: str) -> FileFacts:
            return FileFacts("file", sizes[name]) if name in sizes else FileFacts("other", None)

        with TemporaryDirectory(prefix="adaptrix-hub-") as scratch:

            def read(name: str, max_bytes: int) -> bytes:
                if (sizes[name] or 0) > limits.max_file_bytes:
                    raise OSError(f"{name} has {sizes[name]} bytes")  # of which a part would do, but all is downloaded
                with self._download(name, info.sha, Path(scratch)).open("rb") as file:
                    return file.read(max_bytes)

            return read_by_rules(self.name, {way[0] for way in there}, look, read, rules, limits)

    def _download(self, name: str, commit: str | None, scratch: Path) -> Path:
        """One file of a commit, as a plain file in ``scratch``."""
        from huggingface_hub import HfApi

        in_repository = "/".join((*self.path, name))
        try:
            return Path(HfApi().hf_hub_download(self.repository, in_repository, revision=commit, local_dir=scratch))
        except Exception as error:  # of the hub, its client, or the library for HTTP under it
            raise self._not_fetched(error) from error

    def _info(self) -> ModelInfo:
        """What the hub tells of the repository: its commit, and all files with their sizes."""
        from huggingface_hub import HfApi

        try:
            return HfApi().model_info(self.repository, revision=self.revision, files_metadata=True)
        except Exception as error:  # of the hub, its client, or the library for HTTP under it
            raise self._not_fetched(error) from error

    def _there(self, info: ModelInfo) -> dict[tuple[str, ...], RepoSibling]:
        """As `_listed`. Raises AdapterNotFound where there is nothing, which git cannot tell from no directory."""
        listed = self._listed(info)
        if not listed:
            raise AdapterNotFound(f"there is no directory {self.location!r}")
        return listed

    def _listed(self, info: ModelInfo) -> dict[tuple[str, ...], RepoSibling]:
        """The files below this directory, by the names on the way to them from here.

        Names that git forbids are left out: a download would write them outside the scratch directory.
        """
        depth = len(self.path)
        named = {tuple(file.rfilename.split("/")): file for file in info.siblings or ()}
        files = {way: file for way, file in named.items() if not _NO_NAMES & set(way)}
        return {
            way[depth:]: file
            for way, file in files.items()
            if way[:depth] == self.path and len(way) > depth and way[-1] not in _OF_GIT
        }

    def _not_fetched(self, error: Exception) -> AdapterNotFound:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        return AdapterNotFound(f"adapter {self._place!r} could not be fetched from the hub: {reason}")

    @property
    def _place(self) -> str:
        return "/".join((self.repository, *self.path)) + (f"@{self.revision}" if self.revision else "")
