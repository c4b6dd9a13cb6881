"""Every endpoint of a server asked as one caller, and its answers without what differs each time anyway."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deployments.http.description.document import DOCUMENT
from deployments.store.package_files import read_directory
from tests.serving.conftest import BASE_ID
from tests.serving.http.test_publishing import packed
from tests.serving.tenants.callers import Caller

CHANGES_EACH_TIME = {"created", "created_at", "completed_at", "loaded_at", "expires_at"}
"""Of documents: times."""
MADE_EACH_TIME = re.compile(r"\b([a-z]+[-_])?[0-9a-f]{24,40}\b")
"""Ids of answers; digests are longer."""
SHAPES = ("{0}", "{0}@1.0.0", "{0}@latest", "~acme/{0}", BASE_ID + ":{0}", "math_reasoning*0.5+{0}*0.5", "{0}[1]")
"""Of references to an adapter."""
SAID = {"messages": [{"role": "user", "content": "Who wrote of the sea?"}], "max_tokens": 4, "temperature": 0}


@dataclass(frozen=True)
class Wanted:
    """What a walk asks for: an adapter, objects of the server's store, and packages to publish."""

    adapter: str
    objects: Mapping[str, str]
    """Ids by the kind of object."""
    question: str
    """For `auto`."""
    package: Path
    """Called as the adapter."""


PUBLISHING = ("POST", "/v1/adapters")
"""Comes last: until then, the adapter is not the caller's."""

USAGE = "/v1/usage"
"""What stands there of the caller's own requests grows with every walk."""

Answer = tuple[int, Any, dict[str, str]]
Answers = dict[str, Answer]
"""By what was asked: status, document, and the headers that tell of adapters."""


async def walked(caller: Caller, wanted: Wanted) -> Answers:
    """The answers of every endpoint in the server's description, an adapter named wherever one may be."""
    document = (await caller.ask("GET", DOCUMENT)).json()
    operations = [(method.upper(), path) for path, methods in document["paths"].items() for method in methods]
    answers: Answers = {}
    for method, path in sorted(operations, key=PUBLISHING.__eq__):
        for number, request in enumerate(_requests(method, path, wanted)):
            answer = await caller.ask(method, _filled(path, wanted), **request)
            headers = {name: value for name, value in answer.headers.items() if name.startswith("x-adaptrix")}
            told = _document(_hidden(wanted, answer.text))
            counted = path.startswith(USAGE)
            answers[f"{method} {path} {number}"] = answer.status_code, None if counted else told, _in(wanted, headers)
    await caller.unload(wanted.adapter)
    return answers


def _requests(method: str, path: str, wanted: Wanted) -> list[dict[str, Any]]:
    """What is sent to an endpoint."""
    if method in ("GET", "DELETE"):
        return [{}]
    if (method, path) == PUBLISHING:
        return [{"content": packed(wanted.package)}]
    if path == "/v1/files":
        files = {"file": ("a.jsonl", io.BytesIO(b"{}"))}
        return [{"files": files, "data": {"purpose": "fine-tune"}}]
    return [{"json": body} for body in _bodies(path, wanted)]


def _bodies(path: str, wanted: Wanted) -> Iterable[dict[str, Any]]:
    """The documents that are sent to an endpoint."""
    name, told = wanted.adapter, {"messages": [{"role": "user", "content": wanted.question}]}
    by_reference = {
        "/v1/completions": {"prompt": "Who?"},
        "/v1/responses": {"input": "Who?", "store": False},
        "/v1/messages": {"messages": SAID["messages"], "max_tokens": 4},
        "/v1/messages/count_tokens": {"messages": SAID["messages"]},
        "/tokenize": {"prompt": "Who?"},
        "/v1/tokenize": {"prompt": "Who?"},
        "/detokenize": {"tokens": [5]},
        "/v1/detokenize": {"tokens": [5]},
    }
    loads = [{"lora_name": name, "lora_path": place} for place in (name, "no-such-place")]
    unloads = [{"lora_name": reference} for reference in (name, f"{name}@1.0.0", f"~acme/{name}")]
    others: dict[str, list[dict[str, Any]]] = {
        "/v1/chat/completions": [*_chats(wanted)],
        "/v1/route": [told],
        "/v1/feedback": [{**told, "right": right} for right in (name, "nobody")],
        "/v1/feedback/answers": [{"adapter": r, "confidence": 0.5, "right": True} for r in (name, f"~acme/{name}")],
        "/v1/adapters/{name}": [{"visibility": "shared", "shared_with": ["delta"]}],
        "/v1/batches": [
            {
                "input_file_id": wanted.objects["file"],
                "endpoint": "/v1/chat/completions",
                "completion_window": "24h",
            }
        ],
        "/v1/load_lora_adapter": loads,
        "/load_lora_adapter": loads,
        "/v1/unload_lora_adapter": unloads,
        "/unload_lora_adapter": unloads,
    }
    if path not in by_reference:
        return others.get(path, [{}])
    bodies = [{"model": shape.format(name), **by_reference[path]} for shape in SHAPES]
    if path == "/v1/responses":
        earlier = {"previous_response_id": "response", "conversation": "conversation"}
        bodies += [{"model": BASE_ID, "input": "And?", field: wanted.objects[of]} for field, of in earlier.items()]
    return bodies


def _chats(wanted: Wanted) -> Iterator[dict[str, Any]]:
    """Chats in which the adapter is named wherever one may be, and one to `auto`."""
    name = wanted.adapter
    yield {**SAID, "model": "auto", "messages": [{"role": "user", "content": wanted.question}]}
    yield from ({**SAID, "model": shape.format(name)} for shape in SHAPES)
    for options in (
        {"mix": {name: 0.5}},
        {"fork": [None, name]},
        {"compose": {"parallel": {"math_reasoning": 0.5, name: 0.5}, "combine": "vote"}},
        {"compose": {"sequential": ["math_reasoning", name]}},
        {"compose": {"conditional": [{"if": {"about": name}, "then": "math_reasoning"}], "else": "base"}},
        {"min_confidence": {"threshold": 0.5, "fallback": [name]}},
    ):
        yield {**SAID, "model": BASE_ID, "adaptrix": options}
    yield {**SAID, "model": name, "adaptrix": {"fallback": "base"}}
    yield from ({**SAID, "model": BASE_ID, field: name} for field in ("adapter_id", "lora_path"))


def _filled(path: str, wanted: Wanted) -> str:
    """The path with what is asked for in the places of its parameters."""
    values = {f"{kind}_id": value for kind, value in wanted.objects.items()}
    names = dict.fromkeys(("model_id", "model", "name"), wanted.adapter)
    return re.sub(r"\{(\w+)(:path)?\}", lambda match: {**values, **names}.get(match[1], "none"), path)


def _hidden(wanted: Wanted, text: str) -> str:
    """A text without what the walk itself has asked for."""
    published = read_directory(wanted.package).package_digest
    for number, asked in enumerate((wanted.adapter, published, *wanted.objects.values())):
        text = text.replace(asked, f"<asked {number}>")
    return MADE_EACH_TIME.sub("<made>", text)


def _in(wanted: Wanted, headers: Mapping[str, str]) -> dict[str, str]:
    return {name: _hidden(wanted, value) for name, value in headers.items()}


def _document(text: str) -> Any:
    try:
        return _without(json.loads(text))
    except ValueError:
        return text


def _without(value: Any) -> Any:
    """A document without what differs in every answer."""
    if isinstance(value, dict):
        return {key: _without(inner) for key, inner in value.items() if key not in CHANGES_EACH_TIME}
    if isinstance(value, list):
        return [_without(inner) for inner in value]
    return value
