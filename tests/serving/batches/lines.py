"""Lines of batches: written for the input, read from the files of answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from typing import Any

import openai
from openai.types import Batch

from tests.serving.conftest import BASE_ID

CHAT = "/v1/chat/completions"
OVER = ("completed", "failed", "expired", "cancelled")


def chat_line(name: str, text: str = "What is 17 + 25?", url: str = CHAT, **fields: Any) -> str:
    body = {"model": BASE_ID, "messages": [{"role": "user", "content": text}], "max_tokens": 4, "temperature": 0}
    return json.dumps({"custom_id": name, "method": "POST", "url": url, "body": {**body, **fields}})


async def submit(client: openai.AsyncOpenAI, lines: Iterable[str], endpoint: Any = CHAT, **fields: Any) -> Batch:
    """Upload lines and make a batch of them."""
    data = "\n".join(lines).encode()
    file = await client.files.create(file=("lines.jsonl", data), purpose="batch")
    return await client.batches.create(input_file_id=file.id, endpoint=endpoint, completion_window="24h", **fields)


async def ended(client: openai.AsyncOpenAI, batch: Batch, timeout_s: float = 60.0) -> Batch:
    """The batch once it is over."""
    async with asyncio.timeout(timeout_s):
        while (batch := await client.batches.retrieve(batch.id)).status not in OVER:
            await asyncio.sleep(0.02)
    return batch


async def read(client: openai.AsyncOpenAI, file_id: str | None) -> list[dict[str, Any]]:
    """The documents in a file of answers; none where there is no file."""
    if file_id is None:
        return []
    return [json.loads(line) for line in (await client.files.content(file_id)).text.splitlines()]


async def outcome(client: openai.AsyncOpenAI, lines: Iterable[str], endpoint: Any = CHAT) -> tuple[Batch, Any, Any]:
    """A batch of these lines once it is over, its answers and its errors."""
    batch = await ended(client, await submit(client, lines, endpoint))
    return batch, await read(client, batch.output_file_id), await read(client, batch.error_file_id)


def names(answers: Iterable[dict[str, Any]]) -> list[str]:
    return [answer["custom_id"] for answer in answers]
