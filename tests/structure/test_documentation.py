"""What the documentation names exists: files, folders and programs; its map is written from the packages."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from docs import map as house_map
from docs.package_lists import PACKAGES
from docs.structure import python_files

ROOT = Path(__file__).resolve().parents[2]

FILE = re.compile(r"(?<![\w./-])(?:[\w.-]+/)*[\w-]+\.(?:py|h|cpp|yaml|toml)\b")
QUOTED = re.compile(r"`((?:[\w.-]+/)*[\w-]+\.(?:py|h|cpp|yaml|toml|md))`")
FOLDER = re.compile(r"`((?:[\w-]+/)+)`")
PROGRAM = re.compile(r"python -m ((?!pytest\b|pip\b)\w+(?:\.\w+)*)")

OF_OTHERS = {"llama.cpp", "llama-vocab.cpp", "gemma2.cpp", "gemma3.cpp"}
"""Names that look like files of this repository and are others'."""


def named_by() -> tuple[set[str], set[str]]:
    """Files and folders by each end of their paths: ``engine/core.py`` and ``core.py`` name the same file."""
    listing = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True)
    files: set[str] = set()
    folders: set[str] = set()
    for path in listing.stdout.splitlines():
        parts = path.split("/")
        if (ROOT / path).is_file():
            files.update("/".join(parts[start:]) for start in range(len(parts)))
            folders.update("/".join(parts[start:end]) + "/" for end in range(1, len(parts)) for start in range(end))
    return files, folders


def pages() -> list[Path]:
    return [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", pages(), ids=lambda path: path.name)
def test_what_a_page_names_exists(page: Path) -> None:
    text, (files, folders) = page.read_text(), named_by()
    assert sorted({name.lstrip("./") for name in FILE.findall(text)} - files - OF_OTHERS) == []
    assert sorted(set(FOLDER.findall(text)) - folders) == []
    programs = {name.replace(".", "/") for name in PROGRAM.findall(text)}
    assert sorted(name for name in programs if not {f"{name}.py", f"{name}/__main__.py"} & files) == []


def test_files_that_docstrings_and_comments_name_exist() -> None:
    files, _ = named_by()
    named = {
        f"{path.relative_to(ROOT)}: {name}"
        for package in (*PACKAGES, "tests")
        for path in python_files(ROOT, package)
        for name in QUOTED.findall(path.read_text())
        if name not in files | OF_OTHERS
    }
    assert sorted(named) == []


def test_examples_of_the_style_are_this_code() -> None:
    sources = [path.read_text() for package in PACKAGES for path in python_files(ROOT, package)]
    examples = re.findall(r"^```python\n(.*?)^```$", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE | re.DOTALL)
    assert examples
    assert [example for example in examples if not any(example in source for source in sources)] == []


def test_the_map_is_written_from_the_packages() -> None:
    page = house_map.PAGE.read_text()
    assert page == house_map.wanted(page), "run: python -m docs.map"


def test_the_map_has_every_folder_of_the_packages() -> None:
    page = house_map.PAGE.read_text()
    for package in ("adaptrix_core", "deployments"):
        for init in (ROOT / package).rglob("__init__.py"):
            assert init.parent == ROOT / package or f"(../{init.relative_to(ROOT).as_posix()})" in page
