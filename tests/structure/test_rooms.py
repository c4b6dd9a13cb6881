"""The house keeps its walls: which room may know which, who may know Ray and HTTP, and how full a folder may be."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

from docs.package_lists import entries, wanted
from docs.structure import circles, imports, module_of, python_files, rooms

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("adaptrix_core", "deployments", "loadtest", "cluster", "benchmarks")

DEPLOYMENTS_ORDER = [
    "ray_seam",
    "detached_actor",
    "shared",
    "callers",
    "audit",
    "openai",
    "anthropic",
    "placement",
    "store",
    "objects",
    "tracking",
    "responses",
    "launch",
    "generation",
    "router",
    "replica",
    "http",
    "batches",
    "ingress",
    "background",
    "proxy",
    "app",
]
"""A room may import itself and those before it."""

KNOW_RAY = re.compile(
    r"app|ray_seam|detached_actor|launch\.\w+|\w+\.(deployment|actor|handles?|\w+_follower)|placement\.request_router"
    r"|ingress\.(scaled_to_zero|connections)|shared\.(errors|loopback)"
)
KNOW_HTTP = re.compile(r"http\..+|proxy\.\w+|ingress\.deployment")

MOST_FILES = 15
"""In one folder, beside its ``__init__``."""
MOST_LINES = 400


def imported_roots(path: Path) -> set[str]:
    """Libraries that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


def source_files() -> list[Path]:
    return [path for package in SOURCES for path in python_files(ROOT, package)]


@pytest.mark.parametrize("room", DEPLOYMENTS_ORDER)
def test_a_room_of_deployments_knows_only_those_below_it(room: str) -> None:
    graph = rooms(imports(ROOT, "deployments"))
    below = set(DEPLOYMENTS_ORDER[: DEPLOYMENTS_ORDER.index(room)])
    assert graph[room] <= below, f"{room} looks up at {sorted(graph[room] - below)}"


def test_every_room_of_deployments_has_its_place() -> None:
    assert set(rooms(imports(ROOT, "deployments"))) == set(DEPLOYMENTS_ORDER)


def test_no_files_import_each_other_in_a_circle() -> None:
    assert circles({**imports(ROOT, "adaptrix_core"), **imports(ROOT, "deployments")}) == []


@pytest.mark.parametrize(
    ("libraries", "allowed"), [({"ray"}, KNOW_RAY), ({"starlette", "fastapi"}, KNOW_HTTP)], ids=["ray", "http"]
)
def test_few_files_of_deployments_know(libraries: set[str], allowed: re.Pattern[str]) -> None:
    knowing = {
        module_of(ROOT, path).removeprefix("deployments.")
        for path in python_files(ROOT, "deployments")
        if imported_roots(path) & libraries
    }
    assert not {module for module in knowing if not allowed.fullmatch(module)}


def private_names_of_ray(path: Path) -> list[str]:
    """Private modules of Ray that a file imports, and private names that it takes from public ones."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "ray":
            found += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] == "ray"]
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in ("ray", "serve"):
            found.append(f"{node.value.id}.{node.attr}")
    return [name for name in found if re.search(r"\._", name)]


def test_private_names_of_ray_stand_in_one_file() -> None:
    touching = {module_of(ROOT, path) for path in source_files() if private_names_of_ray(path)}
    assert touching == {"deployments.ray_seam"}


def folders() -> list[Path]:
    tops = [ROOT / name for name in (*SOURCES, "tests", "docs", "examples")]
    return sorted({path.parent for top in tops for path in own_files(top)})


def own_files(top: Path) -> list[Path]:
    """Python files that are not part of an installed package of npm."""
    return [path for path in top.rglob("*.py") if "node_modules" not in path.parts]


@pytest.mark.parametrize("folder", folders(), ids=lambda path: str(path.relative_to(ROOT)))
def test_a_folder_can_be_taken_in_at_a_glance(folder: Path) -> None:
    files = [path for path in folder.glob("*.py") if path.name not in ("__init__.py", "__main__.py")]
    assert len(files) <= MOST_FILES


def test_no_file_is_long() -> None:
    lengths = {
        str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in [*source_files(), *own_files(ROOT / "tests")]
    }
    assert not {name: length for name, length in lengths.items() if length > MOST_LINES}


def test_no_two_public_classes_have_one_name() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for package in ("adaptrix_core", "deployments"):
        for path in python_files(ROOT, package):
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    homes[node.name].append(str(path.relative_to(ROOT)))
    assert not {name: files for name, files in homes.items() if len(files) > 1}


def packages() -> list[Path]:
    return [path for package in SOURCES for path in (ROOT / package).rglob("__init__.py")]


@pytest.mark.parametrize("init", packages(), ids=lambda path: str(path.parent.relative_to(ROOT)))
def test_a_package_says_what_each_of_its_files_is_for(init: Path) -> None:
    assert init.read_text() == wanted(init), "run: python docs/package_lists.py"
    assert all(entries(init.parent).values()), "every file has a docstring"
