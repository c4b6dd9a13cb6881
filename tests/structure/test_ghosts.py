"""No public function, method or class is there for tests alone: some program uses it, or the documentation offers it.

Names are compared as words, not by their owners: two methods of one name vouch for each other. So this finds what has
been left behind, and not all of it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from docs.structure import PACKAGES, python_files

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = (*PACKAGES, "loadtest", "cluster", "benchmarks", "examples", "docs", "kernels")

CALLED_BY_RAY = {
    "initialize_state",
    "choose_replicas",
    "on_request_routed",
    "record_autoscaling_stats",
}
"""Methods of routers and replicas that Ray Serve calls."""

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def names_used(tree: ast.AST) -> Iterator[str]:
    """Every name that a program reads, imports or writes as a text, such as an import path for Ray."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield from node.name.split(".")
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"[\w.:]+", node.value):
            yield from re.split(r"[.:]", node.value)


def defined(body: list[ast.stmt]) -> Iterator[Definition]:
    """The public functions, classes and methods of a module."""
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from defined(node.body)


def ghosts() -> list[str]:
    trees = {
        path: ast.parse(path.read_text(), str(path)) for package in PROGRAMS for path in python_files(ROOT, package)
    }
    used = {name for tree in trees.values() for name in names_used(tree)}
    pages = [ROOT / "Makefile", ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    offered = {word for page in pages for word in re.findall(r"\w+", page.read_text())}
    return [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path, tree in trees.items()
        if path.relative_to(ROOT).parts[0] in PACKAGES
        for node in defined(tree.body)
        if node.name not in used | offered | CALLED_BY_RAY
    ]


def test_what_only_tests_would_call_is_gone_or_documented() -> None:
    assert ghosts() == []
