"""Answers a file of prompts as JSON lines, in order; one failure does not stop the others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from adaptrix_core.cli.session import Session
from adaptrix_core.cli.target import Answer, Target, TargetRequest
from adaptrix_core.errors import AdaptrixError, InvalidRequest

Outcome = Answer | AdaptrixError


def run_batch(session: Session, template: TargetRequest, prompts: Path, output: Path | None, concurrency: int) -> None:
    """Answer every prompt of the file. Exits 1 if any of them failed; their records carry ``error``."""
    requests = read_requests(prompts, template)
    outcomes = asyncio.run(_answer(session, requests, concurrency))
    records = [
        _record(index, request, outcome)
        for index, (request, outcome) in enumerate(zip(requests, outcomes, strict=True))
    ]
    lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    if output is None:
        click.echo(lines, nl=False)
    else:
        output.write_text(lines, encoding="utf-8")
    num_failed = sum(isinstance(outcome, AdaptrixError) for outcome in outcomes)
    where = f" in {output}" if output else ""
    session.output.note(f"{len(records) - num_failed} answered, {num_failed} failed{where}")
    if num_failed:
        raise click.exceptions.Exit(1)


async def _answer(session: Session, requests: list[TargetRequest], concurrency: int) -> list[Outcome]:
    async with session.target() as target:
        with session.output.bar(f"{len(requests)} prompts", len(requests)) as advance:
            return await chat_many(target, requests, concurrency, on_done=advance)


async def chat_many(
    target: Target, requests: list[TargetRequest], concurrency: int, on_done: Callable[[int], None]
) -> list[Outcome]:
    """Answer all requests, at most ``concurrency`` at once; a failure is returned in the place of its answer."""
    free = asyncio.Semaphore(concurrency)

    async def one(request: TargetRequest) -> Outcome:
        async with free:
            try:
                return await target.chat(request)
            except AdaptrixError as error:
                return error
            finally:
                on_done(1)

    return list(await asyncio.gather(*(one(request) for request in requests)))


def read_requests(path: Path, template: TargetRequest) -> list[TargetRequest]:
    """The requests of a prompt file; template: the values that a line leaves out.

    `.jsonl`: objects with ``prompt`` (text) or ``messages``, and optionally ``model``. Others: one prompt a line.
    Empty lines are skipped. Raises InvalidRequest that names the first bad line; nothing is sent before all are read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"{path} is not UTF-8 text: {error}") from error
    numbered = [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    if not numbered:
        raise InvalidRequest(f"{path} holds no prompts; write one a line")
    if path.suffix != ".jsonl":
        return [template.asking(line) for _, line in numbered]
    return [_json_request(f"{path}, line {number}", line, template) for number, line in numbered]


def _json_request(where: str, line: str, template: TargetRequest) -> TargetRequest:
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        raise InvalidRequest(f"{where}: not JSON: {error}") from error
    if not isinstance(entry, dict) or ("prompt" in entry) == ("messages" in entry):
        raise InvalidRequest(f"{where}: needs an object with either prompt or messages")
    unknown = sorted(set(entry) - {"prompt", "messages", "model"})
    if unknown:
        raise InvalidRequest(f"{where}: unknown fields {', '.join(unknown)}; known: prompt, messages, model")
    for name in ("prompt", "model"):
        if not isinstance(entry.get(name, ""), str):
            raise InvalidRequest(f"{where}: {name} is {json.dumps(entry[name])}; it must be text", param=name)
    request = replace(template, model=entry.get("model", template.model))
    if "prompt" in entry:
        return request.asking(entry["prompt"])
    if not _are_messages(entry["messages"]):
        raise InvalidRequest(
            f'{where}: messages must be a list of {{"role": text, "content": text}} with at least one of them',
            param="messages",
        )
    return replace(request, messages=entry["messages"])


def _are_messages(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(
            isinstance(message, dict)
            and set(message) == {"role", "content"}
            and all(isinstance(text, str) for text in message.values())
            for message in value
        )
    )


def _record(index: int, request: TargetRequest, outcome: Outcome) -> dict[str, Any]:
    asked = {"index": index, "messages": [dict(message) for message in request.messages], "model": request.model}
    if isinstance(outcome, AdaptrixError):
        return {**asked, "error": {"message": outcome.message, "code": outcome.code, "param": outcome.param}}
    return {**asked, **outcome.as_dict()}
