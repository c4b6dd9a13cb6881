"""The answer of ``/tokenize``: many tokens are written in parts, so that no stream waits for them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

from deployments.shared.token_calls import Tokenized

AT_ONCE = 10_000
"""Tokens that are written before the event loop gets its turn: about a millisecond."""


async def tokenize_answer(told: Sequence[Tokenized], is_list: bool) -> bytes:
    """vLLM's document; where a list was asked for, SGLang's, with a list in every member."""
    counts = [len(one.token_ids) for one in told]
    tokens = [await _written(one.token_ids) for one in told]
    names = [b"null" if one.names is None else await _written(one.names) for one in told]
    length = min(one.context_length for one in told)
    if not is_list:
        return _document(str(counts[0]).encode(), length, tokens[0], names[0])
    listed = b"null" if told[0].names is None else b"[" + b",".join(names) + b"]"
    return _document(json.dumps(counts).encode(), length, b"[" + b",".join(tokens) + b"]", listed)


def _document(count: bytes, length: int, tokens: bytes, names: bytes) -> bytes:
    return b'{"count":%b,"max_model_len":%d,"tokens":%b,"token_strs":%b}' % (count, length, tokens, names)


async def _written(values: Sequence[int] | Sequence[str]) -> bytes:
    """A list as JSON."""
    parts = []
    for start in range(0, len(values), AT_ONCE):
        parts.append(json.dumps(values[start : start + AT_ONCE], separators=(",", ":"))[1:-1].encode())
        await asyncio.sleep(0)
    return b"[" + b",".join(parts) + b"]"
