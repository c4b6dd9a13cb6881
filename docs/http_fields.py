"""Writes docs/http-fields.md from the bodies that the server checks and the tables that it refuses by.

``--check`` only says whether it is current.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_args

from fastapi import FastAPI

from deployments.http.app import ENDPOINTS
from deployments.http.description.document import document
from deployments.http.description.endpoints import BODIES
from deployments.http.refusals.endpoints import ABSENT
from deployments.http.refusals.fields import REASONS
from deployments.openai.body import Body
from docs.written_page import table, write_or_compare

PAGE = Path(__file__).with_name("http-fields.md")
SINCE = "0.1.0"
"""The version with which every row so far has come."""
HEAD = """# Endpoints and fields

What the server does with every field of OpenAI's text API, of vLLM's extras and of the adapter paths of SGLang and
LoRAX, at every endpoint. What they mean: [http-api.md](http-api.md). This page is written by `python -m
docs.http_fields`, from the models that check bodies and from the tables by which the server refuses
(`deployments/openai/neutral_fields.py`, `deployments/http/refusals/`).

- **supported**: it does what its owner says, or what the note says. `null` means the default.
- **no effect**: any value is accepted; the answer is the same.
- **refused**: a 400 with code `unsupported_field`, which names the field and the reason. Null, empty values and those
  in the note ask for nothing and are accepted.

Any other field is refused by name as well.
"""


class Nobody:
    """Stands where the services would: endpoints are listed here, and never called."""

    def __getattr__(self, name: str) -> Nobody:
        return self


@cache
def described() -> dict[str, Any]:
    """The server's own description, without those of extensions."""
    app, services = FastAPI(title="Adaptrix"), Nobody()
    for add_to in ENDPOINTS:
        add_to(app, services)  # type: ignore[arg-type]
    return document(app)


def page() -> str:
    """The whole page."""
    paths = described()["paths"]
    sections = [
        f"## {', '.join(f'`POST {path}`' for path in places)}\n\n{fields_of(body)}"
        for body in BODIES
        if (places := [path for path in paths if _takes(paths[path], body)])
    ]
    parts = [f"### {_title(body)}\n\n{fields_of(body)}" for body in parts_of(BODIES)]
    return "\n".join(
        [
            HEAD,
            f"## Endpoints\n\n{table(('endpoint', 'what it does', 'since'), _endpoints(paths))}",
            "## Endpoints that are not here\n\nOf OpenAI, vLLM, SGLang and LoRAX: 404, or 405 where the path has other "
            f"methods, with the reason.\n\n{table(('path', 'reason'), _absent(paths))}",
            *sections,
            "## Parts of bodies\n",
            *parts,
        ]
    )


def fields_of(body: type[Body]) -> str:
    """The table of a body's fields."""
    supported = [
        (f"`{field.alias or name}`", f"supported{_note(field.description)}", SINCE)
        for name, field in body.model_fields.items()
    ]
    hints = [(f"`{name}`", "no effect", SINCE) for name in sorted(body.neutral.hints)]
    refused = [(f"`{name}`", _refusal(body, name), SINCE) for name in sorted(body.neutral.refused)]
    return table(("field", "what we do", "since"), [*supported, *hints, *refused])


def _refusal(body: type[Body], name: str) -> str:
    values = [f"`{_written(value)}`" for value in body.neutral.values.get(name, ())]
    accepted = f" (accepted: {', '.join(values)})" if values else ""
    return f"refused: {REASONS[name]}{accepted}"


def _written(value: object) -> str:
    return re.sub("'", '"', str(value)).lower() if isinstance(value, bool | list) else str(value)


def _note(text: str | None) -> str:
    return f": {_cell(text)}" if text else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("``", "`").replace("|", "\\|")


def _takes(operations: dict[str, Any], body: type[Body]) -> bool:
    """Whether the path's POST takes this body."""
    content = operations.get("post", {}).get("requestBody", {}).get("content", {})
    return bool(content.get("application/json", {}).get("schema", {}).get("$ref", "").endswith(f"/{body.__name__}"))


def _endpoints(paths: dict[str, Any]) -> Iterator[Sequence[str]]:
    for path, operations in paths.items():
        for method, operation in operations.items():
            yield f"`{method.upper()} {path}`", _cell(operation["summary"]), SINCE


def _absent(paths: dict[str, Any]) -> Iterator[Sequence[str]]:
    for path, reason in ABSENT.items():
        rest = any(taken == path or taken.startswith(f"{path}/") for taken in paths)
        yield f"`{path}`{', all else' if rest else ''}", _cell(reason)


def parts_of(bodies: Iterable[type[Body]]) -> list[type[Body]]:
    """The bodies that stand inside ``bodies``, each once, in the order in which they are met."""
    found: dict[type[Body], None] = {}
    waiting = list(bodies)
    while waiting:
        for inner, _ in _inside(waiting.pop(0)):
            if inner not in found:
                found[inner] = None
                waiting.append(inner)
    return list(found)


def _inside(body: type[Body]) -> Iterator[tuple[type[Body], str]]:
    """(a body, the field in which it stands), for each of those directly inside ``body``."""
    for name, field in body.model_fields.items():
        for inner in _bodies(field.annotation):
            yield inner, field.alias or name


def _bodies(annotation: object) -> Iterable[type[Body]]:
    if isinstance(annotation, type) and issubclass(annotation, Body):
        return [annotation]
    return [body for inner in get_args(annotation) for body in _bodies(inner)]


def _title(body: type[Body]) -> str:
    """The fields in which a part stands, and what it is."""
    places: dict[str, None] = {}
    for outer in (*BODIES, *parts_of(BODIES)):
        places.update(dict.fromkeys(name for inner, name in _inside(outer) if inner is body))
    about = _cell(body.__doc__ or "").partition(". ")[0].rstrip(".")
    return f"{', '.join(f'`{name}`' for name in places)}{': ' if about else ''}{about}"


if __name__ == "__main__":
    sys.exit(write_or_compare(PAGE, page(), sys.argv[1:], "http_fields"))
