"""The answer of ``/v1/embeddings``: thousands of vectors are written in parts, so that no stream waits for them."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence

import numpy as np

AT_ONCE = 32
"""Vectors that are written before the event loop gets its turn: about 5 ms."""


async def embedding_answer(model: str, vectors: Sequence[Sequence[float]], num_tokens: int, encoding: str) -> bytes:
    """OpenAI's document. encoding: ``float`` or ``base64``."""
    entries: list[bytes] = []
    for index, vector in enumerate(vectors):
        if index % AT_ONCE == AT_ONCE - 1:
            await asyncio.sleep(0)
        entry = {"object": "embedding", "index": index, "embedding": _encoded(vector, encoding)}
        entries.append(json.dumps(entry, separators=(",", ":")).encode())
    head = json.dumps(
        {"object": "list", "model": model, "usage": {"prompt_tokens": num_tokens, "total_tokens": num_tokens}}
    )
    return head[:-1].encode() + b',"data":[' + b",".join(entries) + b"]}"


def _encoded(vector: Sequence[float], encoding: str) -> Sequence[float] | str:
    """The vector in OpenAI's form; base64 is of little-endian float32, and the default of OpenAI's client."""
    return base64.b64encode(np.asarray(vector, "<f4").tobytes()).decode() if encoding == "base64" else vector
