"""Importing the library is cheap; imports point one way: cluster -> deployments -> adaptrix_core, then downwards."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# A package may import itself and those before it.
CORE_ORDER = [
    "errors",
    "digests",
    "error_codes",
    "lazy",
    "places",
    "suggestions",
    "extension_point",
    "extensions",
    "writable",
    "replaced_file",
    "request_limits",
    "sampling",
    "config",
    "cache_dir",
    "git_lfs",
    "observe",
    "security",
    "native",
    "tools",
    "base",
    "injection",
    "adapters",
    "composition",
    "confidence",
    "engine",
    "routing",
    "context",
    "training",
    "cli",
]
# The edges of the system; none of the core but the command line may know them.
EDGE_LIBRARIES = {"ray", "fastapi", "gradio", "click", "uvicorn", "starlette"}
CLI_LIBRARIES = {"click"}
# The command line may start the system (`adaptrix serve`), so it alone may look up at deployments.
ABOVE_CORE = {"deployments", "cluster"}


def python_files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


# Names the types of every room and imports none of them when it runs.
TYPES_OF_ALL = "extensions"


def imported_modules(path: Path, for_types: bool = True) -> set[str]:
    """Absolute names of every module that the file imports, at the top or inside functions; relative ones resolved.

    for_types: count what is imported for type checkers only.
    """
    here = list(path.relative_to(ROOT).with_suffix("").parts)
    names: set[str] = set()
    tree = ast.parse(path.read_text(), str(path))
    skipped = set() if for_types else {node for block in tree.body if is_for_types(block) for node in ast.walk(block)}
    for node in (node for node in ast.walk(tree) if node not in skipped):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: -node.level]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            names.add(module)
            names.update(f"{module}.{alias.name}" for alias in node.names)
    return names


def is_for_types(statement: ast.stmt) -> bool:
    """Whether this is ``if TYPE_CHECKING:``."""
    return isinstance(statement, ast.If) and isinstance(test := statement.test, ast.Name) and test.id == "TYPE_CHECKING"


def core_package(module: str) -> str | None:
    """``engine`` for ``adaptrix_core.engine.loop``; None for modules outside the core's packages."""
    parts = module.split(".")
    return parts[1] if parts[0] == "adaptrix_core" and len(parts) > 1 and parts[1] in CORE_ORDER else None


def home_of(path: Path) -> str:
    """The core package that a file belongs to: its folder, or its own name for a file at the top."""
    return path.relative_to(ROOT / "adaptrix_core").with_suffix("").parts[0]


@pytest.mark.parametrize("path", python_files("adaptrix_core"), ids=lambda p: str(p.relative_to(ROOT)))
def test_core_imports_point_downwards(path: Path) -> None:
    home = home_of(path)
    if home == "__init__":
        return  # the lazy exports
    assert home in CORE_ORDER, f"{path.name}: package {home!r} has no place in the import order"
    upwards = {
        module
        for module in imported_modules(path, for_types=home != TYPES_OF_ALL)
        if (package := core_package(module)) and CORE_ORDER.index(package) > CORE_ORDER.index(home)
    }
    assert not upwards, f"{path.relative_to(ROOT)} imports from above itself: {sorted(upwards)}"


@pytest.mark.parametrize("path", python_files("adaptrix_core"), ids=lambda p: str(p.relative_to(ROOT)))
def test_core_knows_no_edge(path: Path) -> None:
    allowed = CLI_LIBRARIES | ABOVE_CORE if home_of(path) == "cli" else set()
    tops = {module.split(".")[0] for module in imported_modules(path)}
    forbidden = tops & (EDGE_LIBRARIES | ABOVE_CORE) - allowed
    assert not forbidden, f"{path.relative_to(ROOT)} imports {sorted(forbidden)}"


def test_deployments_do_not_import_the_cluster_tools() -> None:
    offenders = [
        path.name
        for path in python_files("deployments")
        if "cluster" in {module.split(".")[0] for module in imported_modules(path)}
    ]
    assert not offenders


def test_nobody_imports_the_command_line() -> None:
    outside = [p for p in python_files("adaptrix_core") if home_of(p) != "cli"] + python_files("deployments")
    offenders = [p.name for p in outside if any(core_package(m) == "cli" for m in imported_modules(p))]
    assert not offenders


def loaded_after(statement: str) -> set[str]:
    """Top-level modules in a fresh interpreter after ``statement``."""
    code = f"{statement}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_library_loads_no_edge_and_no_torch() -> None:
    loaded = loaded_after("import adaptrix_core")
    assert not loaded & {"ray", "fastapi", "gradio", "click", "torch", "transformers"}


def test_checking_a_request_loads_no_torch() -> None:
    loaded = loaded_after("import adaptrix_core.request_limits, adaptrix_core.cli.conversation.talk")
    assert not loaded & {"torch", "transformers", "numpy"}


def test_using_the_engine_loads_no_edge() -> None:
    loaded = loaded_after("from adaptrix_core import Engine, SamplingParams")
    assert "torch" in loaded
    assert not loaded & {"ray", "fastapi", "gradio", "uvicorn", "opentelemetry", "prometheus_client"}


def test_an_ingress_and_a_proxy_load_no_torch() -> None:
    for module in ("deployments.ingress.deployment", "deployments.proxy.refusals"):
        assert not loaded_after(f"import {module}") & {"torch", "transformers", "sentence_transformers"}


def test_help_of_the_command_line_loads_no_torch() -> None:
    loaded = loaded_after("import adaptrix_core.cli.main")
    assert not loaded & {"ray", "fastapi", "gradio", "torch", "transformers", "sentence_transformers"}
