"""Splits off the held-out examples of a training, on which results are reported."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from adaptrix_core.training.examples.conversation import LearntConversation


def split(
    conversations: Sequence[LearntConversation], share: float, seed: int
) -> tuple[list[LearntConversation], list[LearntConversation]]:
    """(examples to train on, examples held out): about ``share`` of the different prompts, the same ones every time.

    A prompt that occurs more than once is on one side only. Which prompts are held out follows from their text and the
    seed, so a file that grows keeps most of them. Nothing is held out where the share amounts to less than one prompt.
    """
    prompts = [conversation.prompt_text for conversation in conversations]
    ranked = sorted(set(prompts), key=lambda prompt: _rank(prompt, seed))
    kept_out = set(ranked[: min(round(share * len(ranked)), len(ranked) - 1)])
    sides: tuple[list[LearntConversation], list[LearntConversation]] = ([], [])
    for conversation, prompt in zip(conversations, prompts, strict=True):
        sides[prompt in kept_out].append(conversation)
    return sides


def _rank(prompt: str, seed: int) -> bytes:
    return sha256(f"{seed}\n{prompt}".encode()).digest()
