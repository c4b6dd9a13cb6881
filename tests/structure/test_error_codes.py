"""One table of error codes: every code in the sources stands in it, and nothing else does."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from adaptrix_core.error_codes import ERROR_CODES
from docs.error_codes import PAGE, page
from docs.structure import python_files

ROOT = Path(__file__).resolve().parents[2]
NAMED_BY_STATUS = {"unknown_path", "method_not_allowed"}
"""Given by `deployments/http/app.py` for what the web framework raises."""
MADE_UP = {"foreign_host", "foreign_origin", "unsupported_field"}
"""Codes that are put together, or chosen by a function, where they are raised."""


def strings(node: ast.AST) -> Iterator[str]:
    return (inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant) and isinstance(inner.value, str))


def sources() -> list[ast.Module]:
    files = [path for package in ("adaptrix_core", "deployments") for path in python_files(ROOT, package)]
    return [ast.parse(path.read_text(), str(path)) for path in files if path.name != "error_codes.py"]


def constants(trees: list[ast.Module]) -> dict[str, str]:
    """Top-level names that mean one string."""
    return {
        node.targets[0].id: node.value.value
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    }


def raised() -> dict[str, set[str]]:
    """Codes in the sources, each with the classes that it is given to."""
    trees, found = sources(), defaultdict(set)
    named = constants(trees)
    for tree in trees:
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                for keyword in (keyword for keyword in node.keywords if keyword.arg == "code"):
                    value = keyword.value
                    codes = [named[value.id]] if isinstance(value, ast.Name) and value.id in named else strings(value)
                    for code in codes:
                        found[code].add(node.func.id)
            elif isinstance(node, ast.ClassDef):
                for line in node.body:
                    if isinstance(line, ast.Assign) and getattr(line.targets[0], "id", "") == "code":
                        for code in strings(line.value):
                            found[code].add(node.name)
    return found


def test_every_code_that_is_raised_stands_in_the_table() -> None:
    parts_of_codes = {"foreign_", "code", "type"}
    assert not set(raised()) - set(ERROR_CODES) - parts_of_codes


def test_every_code_of_the_table_is_raised() -> None:
    chosen = {code for tree in sources() for code in strings(tree)}
    assert not set(ERROR_CODES) - chosen - MADE_UP - NAMED_BY_STATUS


def test_codes_of_one_class_are_sent_with_one_status() -> None:
    """But for those that say so: a class of errors may have members that a client has to tell apart by status."""
    apart = {"path_outside_roots", "foreign_host", "foreign_origin", "key_not_found", "aborted", "server_error"}
    statuses: dict[str, set[int]] = defaultdict(set)
    for code, classes in raised().items():
        if code in ERROR_CODES and code not in apart and not ERROR_CODES[code].is_local:
            for name in classes - {"BaseModelError"}:
                statuses[name].add(ERROR_CODES[code].status)
    assert not {name: found for name, found in statuses.items() if len(found) > 1}


def test_the_page_is_written_from_the_table() -> None:
    assert PAGE.read_text() == page(), "run: python -m docs.error_codes"
