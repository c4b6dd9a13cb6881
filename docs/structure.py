"""Measures the house: rooms and arrows of `deployments`, circles, sizes, and how much of it the docs name.

python docs/structure.py [ROOT]     a table for people, and one line of JSON
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

PACKAGES = ("adaptrix_core", "deployments")
Graph = dict[str, set[str]]


def python_files(root: Path, package: str) -> list[Path]:
    """The package's files, its folders' contents included."""
    return sorted((root / package).rglob("*.py"))


def module_of(root: Path, path: Path) -> str:
    """``deployments.store.actor`` for its path; a package is called by its folder."""
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.AST, modules: Iterable[str]) -> set[str]:
    """Those of ``modules`` that a file imports, at its top or inside a function; not for its types alone."""
    known = set(modules)
    found: set[str] = set()
    types_only = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in types_only:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names} & known
            found.update(names or {node.module} & known)
    return found


def imports(root: Path, package: str) -> Graph:
    """Which of the package's modules imports which. Lazy exports of an ``__init__`` are left out."""
    files = {module_of(root, path): path for path in python_files(root, package)}
    graph: Graph = {}
    for module, path in files.items():
        is_package = path.name == "__init__.py"
        found = set() if is_package else imported(ast.parse(path.read_text(), str(path)), files)
        graph[module] = found - {module}
    return graph


def rooms(graph: Graph) -> Graph:
    """The same between rooms: the package's folders, and the files beside them."""

    def room(module: str) -> str:
        return module.split(".")[1] if "." in module else module

    found: dict[str, set[str]] = defaultdict(set)
    for module, targets in graph.items():
        if "." in module:
            found[room(module)] |= {room(target) for target in targets if "." in target} - {room(module)}
    return dict(found)


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of nodes that reach one another (Tarjan's strongly connected components)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        order[node] = low[node] = len(order)
        stack.append(node)
        for target in graph.get(node, ()):
            if target not in order:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], order[target])
        if low[node] == order[node]:
            group = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(group) > 1:
                found.append(sorted(group))

    for node in sorted(graph):
        if node not in order:
            visit(node)
    return sorted(found)


def floors(graph: Mapping[str, set[str]]) -> int:
    """The longest way down, in nodes; of a graph without circles."""
    heights: dict[str, int] = {}

    def height(node: str) -> int:
        if node not in heights:
            heights[node] = 0  # a circle ends here
            heights[node] = 1 + max((height(target) for target in graph.get(node, ())), default=0)
        return heights[node]

    return max((height(node) for node in graph), default=0)


def longest(root: Path) -> dict[str, Any]:
    """The longest file and the longest function, in lines."""
    files: list[tuple[int, str]] = []
    functions: list[tuple[int, str]] = []
    for package in PACKAGES:
        for path in python_files(root, package):
            text = path.read_text()
            name = str(path.relative_to(root))
            files.append((len(text.splitlines()), name))
            functions += [
                (node.end_lineno - node.lineno + 1, f"{name}:{node.name}")
                for node in ast.walk(ast.parse(text))
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None
            ]
    return {"file": max(files), "function": max(functions)}


def named_in_docs(root: Path) -> tuple[int, int]:
    """How many of the packages' files some page names by path or by name, of how many."""
    pages = "\n".join(path.read_text() for path in [root / "README.md", *(root / "docs").glob("*.md")])
    words = set(re.findall(r"[\w/]+\.py", pages))
    tails = {"/".join(word.split("/")[-2:]) for word in words} | words
    files = [p for package in PACKAGES for p in python_files(root, package) if p.name != "__init__.py"]
    named = [p for p in files if p.name in words or "/".join(p.parts[-2:]) in tails]
    return len(named), len(files)


def most_files_in_a_folder(root: Path) -> tuple[int, str]:
    """The fullest folder of the packages, without its ``__init__``."""
    counts: dict[str, int] = defaultdict(int)
    for package in PACKAGES:
        for path in python_files(root, package):
            counts[str(path.parent.relative_to(root))] += path.name != "__init__.py"
    return max((count, folder) for folder, count in counts.items())


def measured(root: Path) -> dict[str, Any]:
    """All figures of the tree at ``root``."""
    files = imports(root, "deployments")
    between = rooms(files)
    named, of = named_in_docs(root)
    return {
        "rooms": len(between),
        "arrows": sum(len(targets) for targets in between.values()),
        "room_circles": circles(between),
        "floors": floors(between),
        "file_circles": circles({**files, **imports(root, "adaptrix_core")}),
        "fullest_folder": most_files_in_a_folder(root),
        "longest": longest(root),
        "files_named_in_docs": f"{named} of {of}",
    }


def main(arguments: list[str]) -> int:
    """Print the figures."""
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parents[1]
    figures = measured(root)
    for name, value in figures.items():
        print(f"{name:20} {value}")
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
