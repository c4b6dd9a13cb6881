"""One table of request limits: all of it is read, bodies have no limits beside it, and its page is written from it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from adaptrix_core.error_codes import ERROR_CODES
from adaptrix_core.request_limits import rows
from docs.request_limits import PAGE, SETTINGS, page
from docs.structure import python_files

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "adaptrix_core" / "request_limits.py"
LIMITING = {"max_length", "le", "lt", "pattern"}
"""Arguments of pydantic's fields that limit a value."""


def nodes(package: str) -> Iterator[ast.AST]:
    for path in python_files(ROOT, package):
        if path != TABLE:
            yield from ast.walk(ast.parse(path.read_text(), str(path)))


def test_every_limit_is_held_by_someone() -> None:
    read = {
        node.attr
        for package in ("adaptrix_core", "deployments")
        for node in nodes(package)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "MOST"
    }
    assert read == {row.name for row in rows()}


def test_a_body_has_no_limit_that_is_not_in_the_table() -> None:
    literal = [
        f"line {keyword.value.lineno}: {keyword.arg}"
        for node in nodes("deployments/openai")
        if isinstance(node, ast.Call)
        for keyword in node.keywords
        if keyword.arg in LIMITING and isinstance(keyword.value, ast.Constant)
    ]
    assert literal == []


@pytest.mark.parametrize("code", sorted({row.metadata["code"] for row in rows()} - {None} | set(SETTINGS.values())))
def test_what_a_limit_is_refused_with_is_a_code(code: str) -> None:
    assert code in ERROR_CODES


def test_the_page_is_written_from_the_table() -> None:
    assert PAGE.read_text() == page(), "run: python -m docs.request_limits"
