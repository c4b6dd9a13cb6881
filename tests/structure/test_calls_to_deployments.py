"""Deployments are called through one function: two calls of one HTTP request under one id would stop all others."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from docs.structure import python_files

ROOT = Path(__file__).resolve().parents[2]
THEIRS = {
    ("deployments/ray_seam.py", "method"): "the one function",
    ("deployments/ingress/handles.py", "remote"): "a method of the store, an actor",
    ("deployments/replica/deployment.py", "asking"): "a method of the store, an actor",
    ("deployments/replica/deployment.py", "self._follower.store.report"): "the store, an actor",
    ("deployments/replica/deployment.py", "self._follower.store.fetch"): "the store, an actor",
    ("deployments/replica/deployment.py", "self._follower.store.hot"): "the store, an actor",
}
"""What may be called as it is, and why: actors have no request router."""


def calls(tree: ast.AST) -> Iterator[str]:
    """What ``.remote(...)`` is called on, as it is written."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "remote":
            yield ast.unparse(node.func.value)


def test_every_call_of_a_handle_gets_an_id_of_its_own() -> None:
    found = {
        (str(path.relative_to(ROOT)), called)
        for path in python_files(ROOT, "deployments")
        if "DeploymentHandle" in path.read_text() or "ray.serve" in path.read_text()
        for called in calls(ast.parse(path.read_text()))
    }
    assert found == set(THEIRS), "call it by deployments.ray_seam.ask"
