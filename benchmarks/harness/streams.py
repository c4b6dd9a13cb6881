"""A light HTTP client for streamed answers: when each event with a token came, at little cost to the machine measured.

Plain asyncio, one connection per stream, no JSON but the request's; so that on few cores the server is measured and
not its client.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class StreamTimes:
    """One streamed answer, in seconds of the performance counter."""

    sent: float
    chunks: tuple[float, ...]
    """When each event with a choice came; it may hold several tokens."""

    @property
    def first_token_s(self) -> float:
        """From sending to the first token."""
        return self.chunks[0] - self.sent

    def per_token_s(self, tokens: int) -> float:
        """Mean time between two of the answer's tokens."""
        return (self.chunks[-1] - self.chunks[0]) / (tokens - 1)


async def stream(url: str, path: str, body: Mapping[str, Any], api_key: str | None = None) -> StreamTimes:
    """Send ``body`` and read the answer to its end. Raises RuntimeError for a refused or truncated one."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    content = json.dumps({**body, "stream": True}).encode()
    headers = [f"POST {path} HTTP/1.1", f"host: {parts.netloc}", "content-type: application/json"]
    headers += [f"content-length: {len(content)}", "connection: close"]
    headers += [f"authorization: Bearer {api_key}"] if api_key else []
    try:
        sent = time.perf_counter()
        writer.write("\r\n".join([*headers, "", ""]).encode() + content)
        status = await reader.readline()
        if b" 200 " not in status:
            raise RuntimeError(f"the server answered {status!r}: {(await reader.read(4096))!r}")
        return StreamTimes(sent, tuple(await _chunk_times(reader)))
    finally:
        writer.close()


async def streams(
    url: str, path: str, bodies: Sequence[Mapping[str, Any]], api_key: str | None, clients: int
) -> list[StreamTimes]:
    """All of them, by so many clients at once; each sends its next one when it has the last one's answer.

    Answers are in the order in which they ended. Raises an ExceptionGroup of what `stream` raises.
    """
    waiting, answers = iter(bodies), list[StreamTimes]()

    async def ask() -> None:
        for body in waiting:
            answers.append(await stream(url, path, body, api_key))

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(ask())
    return answers


async def _chunk_times(reader: asyncio.StreamReader) -> list[float]:
    times: list[float] = []
    while line := await reader.readline():
        if line.startswith(b"data: [DONE]"):
            if not times:
                raise RuntimeError("the stream held no token")
            return times
        if line.startswith(b'data: {"error"'):
            raise RuntimeError(f"the stream ended with {line!r}")
        if line.startswith(b"data: "):
            times.append(time.perf_counter())
    raise RuntimeError(f"the stream broke off after {len(times)} events")
