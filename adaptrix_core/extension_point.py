"""An extension point: a kind of part that other installed packages can add, found by its name.

The parts that come with Adaptrix are named by ``module:attribute``, others by entry points (`importlib.metadata`) of
the packages that have them. A part is imported when it is first asked for, so a point that is not used costs nothing.
Knows nothing of what the parts do.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from adaptrix_core.errors import ExtensionError, UnknownExtension
from adaptrix_core.suggestions import did_you_mean

log = logging.getLogger(__name__)

Part = TypeVar("Part")

OURS = "adaptrix"
"""Origin of the parts that come with Adaptrix."""


@dataclass(frozen=True)
class Origin:
    """Where a part comes from."""

    package: str
    """Name and version of the package."""
    value: str
    """``module:attribute``."""


class ExtensionPoint(Generic[Part]):
    """All parts of one kind, by name. Any thread may ask."""

    def __init__(self, group: str, noun: str, built_in: Mapping[str, str], needs: tuple[str, ...]) -> None:
        """group: of the entry points. noun: the kind of part, for messages. needs: attributes that a part must have."""
        self.group = group
        self.noun = noun
        self._built_in = built_in
        self._needs = needs
        self._loaded: dict[str, Part] = {}
        self._loading = threading.RLock()

    def names(self) -> tuple[str, ...]:
        """The names of all parts: those of Adaptrix, then those of other packages. Imports none."""
        return (*self._built_in, *(name for name in sorted(self._installed) if name not in self._built_in))

    def origins(self, name: str) -> tuple[Origin, ...]:
        """Every package that has a part of this name; more than one cannot be used. Imports none."""
        ours = (Origin(OURS, self._built_in[name]),) if name in self._built_in else ()
        return (*ours, *(Origin(_package(entry), entry.value) for entry in self._installed.get(name, ())))

    def get(self, name: str) -> Part:
        """The part of this name. Raises UnknownExtension, or ExtensionError where it cannot be used."""
        with self._loading:
            if name not in self._loaded:
                self._loaded[name] = self._load(name)
            return self._loaded[name]

    def load_all(self) -> None:
        """Import every part ahead, so that no request waits for it; those that cannot be used are logged."""
        for name in self.names():
            try:
                self.get(name)
            except ExtensionError as error:
                log.error("%s", error.message)

    @cached_property
    def _installed(self) -> Mapping[str, list[EntryPoint]]:
        found: dict[str, list[EntryPoint]] = {}
        for entry in entry_points(group=self.group):
            same = found.setdefault(entry.name, [])
            if all((_package(entry), entry.value) != (_package(other), other.value) for other in same):
                same.append(entry)  # a package that lies on the path twice counts once
        return found

    def _load(self, name: str) -> Part:
        origins = self.origins(name)
        if not origins:
            raise UnknownExtension(f"there is no {self.noun} {name!r}; {did_you_mean(name, self.names(), 'there are')}")
        if len(origins) > 1:
            listed = " and ".join(f"{origin.package} ({origin.value})" for origin in origins)
            raise ExtensionError(f"{self.noun} {name!r} comes from {listed}; uninstall all but one of them")
        origin = origins[0]
        if origin.package == OURS:
            module, _, attribute = origin.value.partition(":")
            ours: Part = getattr(import_module(module), attribute)
            return ours
        return self._checked(name, origin, self._import(name, origin))

    def _import(self, name: str, origin: Origin) -> Any:
        try:
            return self._installed[name][0].load()
        except Exception as error:  # anything that another package's import may raise
            raise ExtensionError(
                f"{self.noun} {name!r} of {origin.package} ({origin.value}) cannot be imported: "
                f"{type(error).__name__}: {error}; mend or uninstall that package"
            ) from error

    def _checked(self, name: str, origin: Origin, part: Any) -> Part:
        missing = [need for need in self._needs if not hasattr(part, need)]
        if missing:
            raise ExtensionError(
                f"{self.noun} {name!r} of {origin.package} ({origin.value}) has no {', '.join(missing)}; "
                f"see `adaptrix_core.extensions`"
            )
        checked: Part = part
        return checked


def _package(entry: EntryPoint) -> str:
    return f"{entry.dist.name} {entry.dist.version}" if entry.dist is not None else "a package without metadata"
