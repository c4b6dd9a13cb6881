"""Packages of others, as an installer leaves them: on the path, with their entry points."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Protocol

import pytest

GROUP = "adaptrix.tests"
"""Of an extension point that only tests have."""


class Install(Protocol):
    """Installs a package of one module."""

    def __call__(self, package: str, source: str, group: str = GROUP, **entries: str) -> None:
        """source: of the module. entries: names of parts, with the attribute of the module that each is."""


def installer(directory: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Installs into ``directory``, until the test ends."""

    def install(package: str, source: str, group: str = GROUP, **entries: str) -> None:
        site = directory / package
        info = site / f"{package}-1.0.dist-info"
        info.mkdir(parents=True)
        (site / f"{package}.py").write_text(source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        lines = [f"{name} = {package}:{attribute}" for name, attribute in entries.items()]
        (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines]))
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.delitem(sys.modules, package, raising=False)

    return install
