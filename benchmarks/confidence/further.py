"""What needs further computing about an answer: samples, its probability under others, whether its code runs.

Kept in a file as it comes, so that a run that was cut off goes on where it stood.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from adaptrix_core.engine import Engine, SamplingParams
from adaptrix_core.security.sandbox.call import Call
from adaptrix_core.security.sandbox.run import run_call
from adaptrix_core.training.calibration.answers import MarkedAnswer
from adaptrix_core.training.calibration.questions import QuestionSet
from adaptrix_core.training.tasks.code import extract_code
from adaptrix_core.training.tasks.families import FAMILIES

SAMPLES, TEMPERATURE = 3, 0.7
BATCH = 16
"""Questions between two writings of the file."""
_SECONDS = 2.0
"""Longest that a call of a function may take."""
_PROBES: tuple[object, ...] = (5, [3, -2, 4], "a b1")
"""Arguments that a function is tried with: a number, numbers, a text."""


@dataclass(frozen=True)
class FurtherEvidence:
    """What was computed beside one greedy answer, in natural-log probabilities of whole answers."""

    key: str
    """The answer's, see `MarkedAnswer`."""
    samples: tuple[str, ...]
    """Answers to the same question, sampled under the same adapter."""
    sample_logprob: float
    """Of the first sample."""
    sample_right: bool
    under_base: float
    """Of the greedy answer, under the base model."""
    under_other: float
    """Of the greedy answer, under another shipped adapter."""
    runs: bool
    """Whether the answer defines a function that returns something, in the sandbox; False outside of code."""


def collect_further(
    engine: Engine,
    family: str,
    asked: QuestionSet,
    answers: Mapping[int, MarkedAnswer],
    max_tokens: int,
    path: Path,
    on_progress: Callable[[int, int], None],
) -> dict[int, FurtherEvidence]:
    """By number of the question, for these answers of the adapter ``family``; what the file has is taken from it."""
    lines = path.read_text().splitlines() if path.exists() else []
    known = {row["key"]: FurtherEvidence(**row | {"samples": tuple(row["samples"])}) for row in map(json.loads, lines)}
    unknown = [number for number, answer in answers.items() if answer.key not in known]
    for start in range(0, len(unknown), BATCH):
        on_progress(len(answers) - len(unknown) + start, len(answers))
        numbers = unknown[start : start + BATCH]
        made = _computed(engine, family, asked, numbers, [answers[number] for number in numbers], max_tokens)
        known |= {one.key: one for one in made}
        with path.open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(asdict(one)) + "\n" for one in made)
    return {number: known[answer.key] for number, answer in answers.items()}


def _computed(
    engine: Engine,
    family: str,
    asked: QuestionSet,
    numbers: Sequence[int],
    answers: Sequence[MarkedAnswer],
    max_tokens: int,
) -> list[FurtherEvidence]:
    prompts = [asked.questions[number].messages for number in numbers]
    params = SamplingParams(max_tokens=max_tokens, temperature=TEMPERATURE, seed=1, n=SAMPLES)
    made = engine.generate(prompts, family, params, scores=["logprob_sum"])
    samples = [made[at * SAMPLES : (at + 1) * SAMPLES] for at in range(len(numbers))]
    marks = asked.mark(numbers, [some[0].text for some in samples])
    base = likelihoods(engine, prompts, answers, None)
    other = likelihoods(engine, prompts, answers, next(name for name in FAMILIES if name != family))
    runs = [family == "code_generation" and code_runs(answer.text) for answer in answers]
    return [
        FurtherEvidence(
            answer.key,
            tuple(one.text for one in samples[at]),
            samples[at][0].scores.get("logprob_sum", 0.0),
            marks[at],
            base[at],
            other[at],
            runs[at],
        )
        for at, answer in enumerate(answers)
    ]


def likelihoods(
    engine: Engine, prompts: Sequence[Sequence[Mapping[str, str]]], answers: Sequence[MarkedAnswer], under: str | None
) -> list[float]:
    """The natural-log probability of each answer under another adapter, or the base model: one prefill each."""
    params = SamplingParams(max_tokens=0, prompt_logprobs=0)
    whole = [(*engine.encode(prompt), *answer.token_ids) for prompt, answer in zip(prompts, answers, strict=True)]
    made = engine.generate(whole, under, params)
    return [
        sum(token.logprob for token in (one.prompt_logprobs or ())[-len(answer.token_ids) :])
        for one, answer in zip(made, answers, strict=True)
    ]


def code_runs(reply: str) -> bool:
    """Whether the reply defines a function that returns something for some probe, in the sandbox."""
    source = extract_code(reply)
    names = [line[4:].partition("(")[0] for line in source.splitlines() if line.startswith("def ")]
    if not names:
        return False
    tried: list[tuple[object, ...]] = [*((probe,) for probe in _PROBES), (4, 7)]
    return any(not run_call(Call(source, names[-1], (arguments,)), _SECONDS).fault for arguments in tried)
