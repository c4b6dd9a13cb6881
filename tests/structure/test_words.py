"""Words that mean several things say which: a digest is one of weights, of a package or of a bundle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from docs.structure import python_files

ROOT = Path(__file__).resolve().parents[2]

BARE = {"digest", "digests"}

MEANT = {
    "adaptrix_core/base/": "there only the base model's own digest is known",
    "adaptrix_core/adapters/package/metadata.py: BaseIdentity.digest": "a key of metadata.json",
    "adaptrix_core/cli/logs/turn.py: LoggedTurn.digest": "a column of the log",
    "deployments/http/description/generated_answers.py: Answered.digest": "HTTP's name of the package digest",
    "deployments/http/description/answers.py: AdapterCard.digest": "HTTP's name of the package digest",
    "deployments/http/description/answers.py: Published.digest": "HTTP's name of the package digest",
}
"""Where the bare word may stand, and why."""


def is_public(name: str) -> bool:
    return not name.startswith("_") or name == "__init__"


def words(body: list[ast.stmt], prefix: str = "") -> Iterator[tuple[str, str]]:
    """(where it stands, the word) for every public function, parameter and class field."""
    for node in body:
        if isinstance(node, ast.ClassDef) and is_public(node.name):
            yield from words(node.body, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and is_public(node.name):
            yield f"{prefix}{node.name}", node.name
            parameters = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            yield from ((f"{prefix}{node.name}({parameter.arg})", parameter.arg) for parameter in parameters)
            yield from ((f"{prefix}{name}", name) for name in attributes(node))
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield f"{prefix}{node.target.id}", node.target.id


def attributes(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    """What a method sets on ``self``."""
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
            yield node.attr


def is_self(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def covers(place: str, name: str) -> bool:
    return name == place or (place.endswith("/") and name.startswith(place))


def bare_digests() -> list[str]:
    """``file: place`` of every name that does not say whose digest it is."""
    return [
        f"{path.relative_to(ROOT).as_posix()}: {place}"
        for package in ("adaptrix_core", "deployments")
        for path in python_files(ROOT, package)
        for place, word in words(ast.parse(path.read_text()).body)
        if word in BARE
    ]


def test_every_public_name_says_whose_digest_it_is() -> None:
    found = bare_digests()
    assert [name for name in found if not any(covers(place, name) for place in MEANT)] == []
    unused = [place for place in MEANT if not any(covers(place, name) for name in found)]
    assert unused == [], "an exception that nothing needs"
