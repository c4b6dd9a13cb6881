"""Calibrating over an engine: answers are collected once, marked, fitted, and what cannot teach anything is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from adaptrix_core.adapters import TrustPolicy
from adaptrix_core.engine import Engine, EngineOptions, SamplingParams
from adaptrix_core.errors import ConfigError, DataError, UnknownExtension
from adaptrix_core.training.calibration.answers import MarkedAnswer, collect
from adaptrix_core.training.calibration.calibrate import Answerer, calibrated, scored
from adaptrix_core.training.calibration.questions import CalibrationQuestion, QuestionSet, family_questions
from tests.tiny_models import byte_tokenizer, random_base


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    sizes = EngineOptions(block_size=4, kv_cache_tokens=1024, max_batch_tokens=128)
    return Engine(random_base(tokenizer=byte_tokenizer()), tmp_path / "none", TrustPolicy("off"), sizes)


def questions(count: int, marked: list[int]) -> QuestionSet:
    """Questions of which each third is answered wrongly, whatever is said; ``marked`` notes each marking."""

    def mark(numbers: Sequence[int], answers: Sequence[str]) -> Sequence[bool]:
        marked.extend(numbers)
        return [number % 3 != 0 for number in numbers]

    asked = [
        CalibrationQuestion(({"role": "user", "content": f"q{number}"},), "data", str(number))
        for number in range(count)
    ]
    return QuestionSet(asked, mark, {"data": count})


def alike(answer: MarkedAnswer) -> MarkedAnswer:
    """An answer without what is rounded otherwise beside other rows."""
    return replace(answer, logprobs=(), spreads=())


def test_a_run_that_was_cut_off_goes_on_where_it_stood(engine: Engine, tmp_path: Path) -> None:
    marked: list[int] = []
    path = tmp_path / "answers.jsonl"
    first = collect(engine, None, questions(70, marked), 3, path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:66]) + lines[66][:40])
    told: list[tuple[int, int]] = []
    again = collect(engine, None, questions(70, marked), 3, path, lambda done, total: told.append((done, total)))
    assert [alike(answer) for answer in again] == [alike(answer) for answer in first]
    assert [answer.logprobs for answer in again] == [pytest.approx(answer.logprobs, abs=1e-3) for answer in first]
    assert marked[70:] == [66, 67, 68, 69]
    assert told == [(66, 70), (70, 70)]


def test_answers_of_another_length_are_asked_anew(engine: Engine, tmp_path: Path) -> None:
    marked: list[int] = []
    collect(engine, None, questions(5, marked), 3, tmp_path / "answers.jsonl")
    collect(engine, None, questions(5, marked), 4, tmp_path / "answers.jsonl")
    assert len(marked) == 10


def test_answers_are_asked_anew_for_an_estimator_that_looks_at_attention_and_once(
    engine: Engine, tmp_path: Path
) -> None:
    marked: list[int] = []
    path = tmp_path / "answers.jsonl"
    collect(engine, None, questions(5, marked), 4, path)
    answers = collect(engine, None, questions(5, marked), 4, path, estimators=["rauq", "logprob_sum"])
    assert len(marked) == 10
    again = collect(engine, None, questions(5, marked), 4, path, estimators=["rauq"])
    assert len(marked) == 10
    params = SamplingParams(max_tokens=4, temperature=0.0)
    (asked,) = engine.generate([[{"role": "user", "content": "q0"}]], None, params, scores=["rauq"])
    assert scored(again, "rauq")[0][0] == pytest.approx(asked.scores["rauq"], abs=1e-3)
    assert scored(again, "rauq")[0].tolist() == scored(answers, "rauq")[0].tolist()


def test_a_file_of_something_else_is_named_with_its_line(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match="line 1 holds no answer"):
        collect(engine, None, questions(5, []), 3, tmp_path / "answers.jsonl")


def test_too_few_answers_or_only_right_ones_are_refused_with_what_is_missing(engine: Engine) -> None:
    who = Answerer.of(engine, None, "base")
    few = collect(engine, None, questions(20, []), 3)
    with pytest.raises(DataError, match="20 answers, 13 right and 7 wrong: a calibration needs 50"):
        calibrated(few, who, "logprob_sum", {})


def test_a_name_without_a_family_needs_data() -> None:
    with pytest.raises(ConfigError, match="give --data FILE"):
        family_questions("mine", 1, 1, 1)


def test_an_unknown_estimator_is_refused(engine: Engine) -> None:
    answers = collect(engine, None, questions(60, []), 3)
    with pytest.raises(UnknownExtension):
        calibrated(answers, Answerer.of(engine, None, "base"), "logprob_sun", {})
