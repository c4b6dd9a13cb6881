"""Collects an adapter's answers with their evidence, marked, in a file from which an interrupted run goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from adaptrix_core.confidence.evidence import AnswerEvidence, Spread
from adaptrix_core.confidence.scoring import evidence_needed
from adaptrix_core.confidence.until_sure import AGAIN_TEMPERATURE
from adaptrix_core.engine import Engine, SamplingParams
from adaptrix_core.engine.choices import AdapterChoice
from adaptrix_core.engine.confidence.judged import answerer_in
from adaptrix_core.engine.request import Completion
from adaptrix_core.errors import DataError
from adaptrix_core.training.calibration.questions import CalibrationQuestion, QuestionSet

BATCH = 64
"""Answers between two writings of the file."""
_DIGITS = 5
"""Decimal places of numbers in the file."""


@dataclass(frozen=True)
class MarkedAnswer:
    """One answer, what its computation showed, and whether it is right."""

    key: str
    kind: str
    task: str
    group: str
    question: str
    text: str
    right: bool
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    spreads: tuple[Spread, ...]
    scores: Mapping[str, float] = field(default_factory=dict)
    """By estimators that look at attention: too many numbers to keep."""

    @property
    def evidence(self) -> AnswerEvidence:
        """As estimators see it."""
        return AnswerEvidence(self.token_ids, self.logprobs, self.spreads, self.text)


def collect(
    engine: Engine,
    choice: AdapterChoice,
    asked: QuestionSet,
    max_tokens: int,
    path: Path | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    estimators: Sequence[str] = (),
    sampled: int | None = None,
) -> list[MarkedAnswer]:
    """Greedy answers to all questions under ``choice``, in their order; what the file at ``path`` has is taken from it.

    on_progress: (answers so far, all). estimators: whose scores are to be known later. An answer in the file that lacks
    the score of one that looks at attention is asked for again. sampled: a seed, for answers as the fallback ``again``
    gives them, at `AGAIN_TEMPERATURE`. Raises DataError for a file that holds something else, and the engine's errors.
    """
    who = answerer_in(engine, choice)
    sampling = [] if sampled is None else [AGAIN_TEMPERATURE, sampled]
    under = json.dumps([engine.base.info.digest, engine.base.layout, who, max_tokens, *sampling])
    keys = [_key(question, under) for question in asked.questions]
    by_attention = [name for name in estimators if evidence_needed([name]).attention]
    found = {} if path is None or not path.exists() else _read(path)
    known = {key: one for key, one in found.items() if not one.logprobs or one.scores.keys() >= {*by_attention}}
    unknown = [number for number, key in enumerate(keys) if key not in known]
    on_progress(len(keys) - len(unknown), len(keys))
    temperature = 0.0 if sampled is None else AGAIN_TEMPERATURE
    params = SamplingParams(max_tokens=max_tokens, temperature=temperature, seed=sampled, logprobs=0, spread=True)
    for start in range(0, len(unknown), BATCH):
        numbers = unknown[start : start + BATCH]
        prompts = [asked.questions[number].messages for number in numbers]
        completions = engine.generate(prompts, choice, params, scores=by_attention)
        marks = asked.mark(numbers, [completion.text for completion in completions])
        made = [
            _answer(keys[number], asked.questions[number], completion, right)
            for number, completion, right in zip(numbers, completions, marks, strict=True)
        ]
        known |= {answer.key: answer for answer in made}
        if path is not None:
            _append(path, made)
        on_progress(len(keys) - len(unknown) + start + len(numbers), len(keys))
    return [known[key] for key in keys]


def _key(question: CalibrationQuestion, under: str) -> str:
    return hashlib.sha256(json.dumps([list(map(dict, question.messages)), under]).encode()).hexdigest()[:32]


def _answer(key: str, question: CalibrationQuestion, completion: Completion, right: bool) -> MarkedAnswer:
    return MarkedAnswer(
        key,
        question.kind,
        question.task,
        question.group,
        question.messages[-1]["content"],
        completion.text,
        right,
        completion.token_ids,
        tuple(round(value, _DIGITS) for value in completion.logprobs or ()),
        tuple(Spread(round(s.entropy, _DIGITS), round(s.margin, _DIGITS)) for s in completion.spreads or ()),
        {name: round(score, _DIGITS) for name, score in completion.scores.items()},
    )


def _append(path: Path, answers: Sequence[MarkedAnswer]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.writelines(json.dumps(asdict(answer)) + "\n" for answer in answers)


def _read(path: Path) -> dict[str, MarkedAnswer]:
    """Answers by key. An incomplete last line, of a killed run, is cut off; any other is a DataError."""
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    known: dict[str, MarkedAnswer] = {}
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            answer = _from_json(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                [f"{path} line {number} holds no answer; name another file, or delete this one to begin anew"]
            ) from error
        known[answer.key] = answer
    if len(whole) < len(content):
        path.write_bytes(whole)  # the next answer begins a new line
    return known


def _from_json(row: dict[str, Any]) -> MarkedAnswer:
    spreads = tuple(Spread(*pair) for pair in row["spreads"])
    return MarkedAnswer(
        **{**row, "token_ids": tuple(row["token_ids"]), "logprobs": tuple(row["logprobs"]), "spreads": spreads}
    )
