"""The hand-written prompts: the background class, the calibration sets, and the measuring sets.

Every set is a JSONL file in `data/`. Calibration and measuring sets share no prompt, and neither shares one with the
examples that the router is given. Knows files only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from typing import Any, Literal

Split = Literal["calibration", "test"]

CALIBRATED_BY = ("background", "continuations", "conversations", "in_scope_calibration", "out_of_scope_calibration")
"""The files that thresholds are chosen by."""


@dataclass(frozen=True)
class Labelled:
    """A prompt and the adapter that should answer it; None is the base model."""

    prompt: str
    adapter: str | None


@dataclass(frozen=True)
class Turn:
    """The second message of a conversation. same_topic: whether it only makes sense as a follow-up to the first."""

    adapter: str
    first: str
    then: str
    same_topic: bool


@dataclass(frozen=True)
class Paraphrase:
    """A problem of the trained kinds in a user's words, with the facts that a reply is marked by.

    ``answer`` is a number, a word, Yes or No; for code it is a correct function called ``function``, and ``arguments``
    are the calls on which a reply has to agree with it.
    """

    family: str
    task: str
    prompt: str
    answer: str
    function: str | None = None
    arguments: tuple[tuple[object, ...], ...] = ()


def background() -> tuple[str, ...]:
    """The background class: everyday prompts for no specialist, with which every adapter is contrasted."""
    return tuple(row["prompt"] for row in _rows("background"))


def continuations() -> tuple[str, ...]:
    """Follow-up messages without a topic of their own: "And if it was 20 instead?"."""
    return tuple(row["prompt"] for row in _rows("continuations"))


def out_of_scope(split: Split) -> tuple[str, ...]:
    """Prompts for the base model; 200 of them in the test split."""
    return tuple(row["prompt"] for row in _rows(f"out_of_scope_{split}"))


def in_scope_calibration() -> tuple[Labelled, ...]:
    """Prompts for the three shipped adapters, to choose thresholds by."""
    return tuple(Labelled(row["prompt"], row["family"]) for row in _rows("in_scope_calibration"))


def paraphrases() -> tuple[Paraphrase, ...]:
    """24 problems for each shipped adapter, held out: no threshold or example was chosen by them."""
    return tuple(
        Paraphrase(**{**row, "arguments": tuple(tuple(call) for call in row.get("arguments", ()))})
        for row in _rows("paraphrases")
    )


def rewordings() -> tuple[Labelled, ...]:
    """24 problems for each shipped adapter in words unlike those of its examples and of the paraphrases, and 40 prompts
    for the base model that touch the same subjects; held out.
    """
    return tuple(Labelled(row["prompt"], row["family"]) for row in _rows("rewordings"))


def kept() -> tuple[Labelled, ...]:
    """45 questions for the three shipped adapters and 15 for the base, written last: nothing was chosen by them."""
    return tuple(Labelled(row["prompt"], row["family"]) for row in json.loads(_read("kept_questions.json")))


def conversations(split: Split) -> tuple[Turn, ...]:
    """Second turns that follow up, and second turns that change the topic."""
    return tuple(
        Turn(row["family"], row["first"], row["then"], row["same_topic"])
        for row in _rows("conversations")
        if row["split"] == split
    )


def suggested_cards() -> Mapping[str, Mapping[str, Any]]:
    """``description`` and ``routing_examples`` written for the three shipped adapters, by name."""
    examples: Mapping[str, Mapping[str, Any]] = json.loads(_read("routing_examples.json"))
    return examples


def file_digests() -> dict[str, str]:
    """SHA-256 of each prompt file that thresholds are chosen by, for the record; measuring sets change none."""
    return {f"{name}.jsonl": sha256(_read(f"{name}.jsonl").encode()).hexdigest() for name in CALIBRATED_BY}


def _rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in _read(f"{name}.jsonl").splitlines()]


def _read(name: str) -> str:
    return files(__package__).joinpath("data", name).read_text(encoding="utf-8")
