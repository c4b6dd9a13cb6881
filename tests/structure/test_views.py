"""Requests reach the catalogue through the view of who asks, and only few places see all of it."""

from __future__ import annotations

import ast
from pathlib import Path

from docs.structure import python_files

ROOT = Path(__file__).resolve().parents[2]

UNFILTERED = {"entries", "public", "whole", "seen_by", "overseen_by", "tenants"}
"""Attributes of a `Catalogue`. Names are looked up in a `View`: the catalogue itself has no such method, which mypy
holds."""

ALLOWED = {
    "shared/catalogue.py": UNFILTERED,
    "callers/principal.py": {"seen_by", "overseen_by"},  # the view of who asks, of which endpoints take theirs
    "store/actor.py": {"entries"},  # its own: it decides on loads
    "store/standing.py": {"whole"},
    "router/views.py": {"public", "seen_by", "tenants", "entries"},  # one router for each view
    "replica/at_the_cut.py": {"whole"},  # probes by bundle: a call is judged by those of its own candidates
    "replica/packages/holdings.py": {"entries"},  # what is held, by bundle
    "http/observe/metrics.py": {"entries"},  # for operators
}


def looks_at(path: Path) -> set[str]:
    """Attributes of this name that are read of anything called a catalogue, or of what the store answers."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Attribute) and node.attr in UNFILTERED:
            owner = ast.unparse(node.value)
            if "catalogue" in owner.lower() or "refresh" in owner or node.attr in {"seen_by", "overseen_by", "whole"}:
                found.add(node.attr)
    return found


def test_only_few_files_see_more_of_the_catalogue_than_a_view() -> None:
    for path in python_files(ROOT, "deployments"):
        name = str(path.relative_to(ROOT / "deployments"))
        beyond = looks_at(path) - ALLOWED.get(name, set())
        assert not beyond, f"{name} reads {sorted(beyond)} of the catalogue; take principal.sees(catalogue)"
