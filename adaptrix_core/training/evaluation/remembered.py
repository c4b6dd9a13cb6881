"""Keeps replies in a file, so that an interrupted or repeated evaluation asks no question twice.

The key has everything that determines a greedy reply: the conversation, the digest of the weights, the length limit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from adaptrix_core.errors import DataError
from adaptrix_core.training.evaluation.prompting import Generator, Prompt, PromptWithTools


class RememberedReplies:
    """A `Generator` that asks another one only for the replies that the file at ``path`` lacks.

    weights_of: the digest of the weights behind an adapter name (or None, the base).
    """

    def __init__(
        self, generator: Generator, path: Path, weights_of: Callable[[str | None], str], batch_size: int = 32
    ) -> None:
        self._generator, self._path, self._weights_of, self._batch_size = generator, path, weights_of, batch_size
        self._known = _read(path) if path.exists() else {}

    def reply(self, prompts: Sequence[Prompt], adapter: str | None, max_tokens: int) -> list[str]:
        """One reply per conversation, in order; new ones are written to the file batch by batch."""
        weights = self._weights_of(adapter)
        keys = [_key(prompt, weights, max_tokens) for prompt in prompts]
        unknown = list(
            {key: prompt for key, prompt in zip(keys, prompts, strict=True) if key not in self._known}.items()
        )
        for start in range(0, len(unknown), self._batch_size):
            batch = unknown[start : start + self._batch_size]
            replies = self._generator.reply([prompt for _, prompt in batch], adapter, max_tokens)
            self._keep([key for key, _ in batch], replies)
        return [self._known[key] for key in keys]

    def _keep(self, keys: Sequence[str], replies: Sequence[str]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a", encoding="utf-8") as file:
            for key, reply in zip(keys, replies, strict=True):
                self._known[key] = reply
                file.write(json.dumps({"key": key, "reply": reply}) + "\n")


def _read(path: Path) -> dict[str, str]:
    """Reply by key. An incomplete last line, of a killed run, is dropped; any other is a DataError."""
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    known: dict[str, str] = {}
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            row = json.loads(line)
            known[row["key"]] = row["reply"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                [f"{path} line {number} holds no reply; name another file, or delete this one to begin anew"]
            ) from error
    if len(whole) < len(content):
        path.write_bytes(whole)  # the next reply begins a new line
    return known


def _key(prompt: Prompt, weights: str, max_tokens: int) -> str:
    asked: object = prompt
    if isinstance(prompt, PromptWithTools):
        asked = [list(map(dict, prompt.messages)), prompt.toolset.documents()]
    return hashlib.sha256(json.dumps([asked, weights, max_tokens]).encode()).hexdigest()
