"""What needs further computing about an answer, by the library's parts, kept in a file as it comes.

A run that was cut off goes on where it stood.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from adaptrix_core.confidence.evidence import FurtherEvidence
from adaptrix_core.confidence.scoring import further_needed
from adaptrix_core.engine import Engine, SamplingParams
from adaptrix_core.engine.confidence.further import FurtherSources, with_further
from adaptrix_core.routing.embedder import TextEmbedder
from adaptrix_core.security.sandbox.call import Call
from adaptrix_core.security.sandbox.run import run_call
from adaptrix_core.training.calibration.answers import MarkedAnswer
from adaptrix_core.training.calibration.questions import QuestionSet
from adaptrix_core.training.tasks.families import FAMILIES

BATCH = 16
"""Questions between two writings of the file."""
_SECONDS = 2.0
"""Longest that a call of a function may take."""


def sources_for(family: str, embedder: TextEmbedder) -> FurtherSources:
    """Three samples, the base model and the first other shipped adapter, and the sandbox that marks code."""
    other = next(name for name in FAMILIES if name != family)
    return FurtherSources(others=(None, other), embed=embedder.embed, call_code=_called)


def collect_further(
    engine: Engine,
    family: str,
    asked: QuestionSet,
    answers: Mapping[int, MarkedAnswer],
    estimators: Sequence[str],
    max_tokens: int,
    path: Path,
    on_progress: Callable[[int, int], None],
) -> dict[int, FurtherEvidence]:
    """By number of the question, for these answers of the adapter ``family``; what the file has is taken from it."""
    known = _read(path)
    unknown = [number for number, answer in answers.items() if answer.key not in known]
    sources, needed = sources_for(family, TextEmbedder()), further_needed(estimators)
    for start in range(0, len(unknown), BATCH):
        on_progress(len(answers) - len(unknown) + start, len(answers))
        numbers = unknown[start : start + BATCH]
        prompts = [asked.questions[number].messages for number in numbers]
        evidence = [answers[number].evidence for number in numbers]
        params = SamplingParams(max_tokens=max_tokens)
        made = with_further(engine, prompts, family, evidence, needed, sources, params)
        found = {answers[number].key: one.further for number, one in zip(numbers, made, strict=True)}
        known |= found
        with path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps({"key": key, **asdict(one)}) + "\n" for key, one in found.items())
    return {number: known[answer.key] for number, answer in answers.items()}


def _read(path: Path) -> dict[str, FurtherEvidence]:
    lines = path.read_text().splitlines() if path.exists() else []
    return {row.pop("key"): FurtherEvidence(**_tuples(row)) for row in map(json.loads, lines)}


def _tuples(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}


def _called(source: str, name: str, arguments: tuple[object, ...]) -> bool:
    return not run_call(Call(source, name, (arguments,)), _SECONDS).fault
