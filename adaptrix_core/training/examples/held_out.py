"""Splits off the held-out examples of a training, on which results are reported."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from adaptrix_core.training.examples.jsonl import Pair


def split(pairs: Sequence[Pair], share: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    """(examples to train on, examples held out): about ``share`` of the different prompts, the same ones every time.

    A prompt that occurs more than once is on one side only. Which prompts are held out follows from their text and the
    seed, so a file that grows keeps most of them. Nothing is held out where the share amounts to less than one prompt.
    """
    prompts = sorted({prompt for prompt, _ in pairs}, key=lambda prompt: _rank(prompt, seed))
    kept_out = set(prompts[: min(round(share * len(prompts)), len(prompts) - 1)])
    train = [pair for pair in pairs if pair[0] not in kept_out]
    return train, [pair for pair in pairs if pair[0] in kept_out]


def _rank(prompt: str, seed: int) -> bytes:
    return sha256(f"{seed}\n{prompt}".encode()).digest()
