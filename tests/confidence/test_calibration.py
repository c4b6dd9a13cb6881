"""Calibrations: what they give, who they are for, and the files that are refused."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from adaptrix_core.adapters.trust.keys import generate_key_pair
from adaptrix_core.confidence.calibration import BASE_ANSWERS, ConfidenceCalibration, CoveragePoint, answerer_of
from adaptrix_core.confidence.evidence import AnswerEvidence
from adaptrix_core.confidence.judging import confidence_of
from adaptrix_core.confidence.shelf import CalibrationShelf, SignedPlace
from adaptrix_core.confidence.signed import CALIBRATION_FILE, read_calibration, write_calibration
from adaptrix_core.digests import PackageDigest
from adaptrix_core.errors import AdapterRejected
from adaptrix_core.injection.mix import Term, WantedGate

RED, BLUE = PackageDigest("a" * 64), PackageDigest("b" * 64)


def calibration(**fields: Any) -> ConfidenceCalibration:
    given = {
        "answerer": RED,
        "name": "red@1.0.0",
        "base_lineage": "org/base",
        "base_digest": "c" * 64,
        "layout": "int4",
        "method": "platt",
        "slope": 0.5,
        "intercept": 1.0,
    }
    return ConfidenceCalibration.model_validate(given | fields)


def test_platt_is_the_logistic_function_of_the_score() -> None:
    assert calibration().probability(-3.0) == pytest.approx(1 / (1 + math.exp(0.5)))
    assert calibration().probability(-1e300) == pytest.approx(0.0, abs=1e-20)


def test_isotonic_is_the_line_between_its_steps_and_flat_beyond_them() -> None:
    stepped = calibration(method="isotonic", steps=[(-4.0, 0.1), (-2.0, 0.5), (-1.0, 0.9)])
    assert [stepped.probability(score) for score in (-9, -4, -3, -1.5, -1, 0)] == pytest.approx(
        [0.1, 0.1, 0.3, 0.7, 0.9, 0.9]
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"slope": -0.5},
        {"slope": math.nan},
        {"method": "isotonic"},
        {"method": "isotonic", "steps": [(-1.0, 0.5), (-2.0, 0.6)]},
        {"method": "isotonic", "steps": [(-2.0, 0.5), (-1.0, 0.4)]},
        {"method": "isotonic", "steps": [(-2.0, 0.5), (-1.0, 1.4)]},
        {"method": "guess"},
        {"unknown": 1},
        {"schema_version": 2},
    ],
)
def test_what_is_no_rising_probability_is_no_calibration(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        calibration(**fields)


def test_coverage_at_an_accuracy_is_the_largest_that_was_measured() -> None:
    curve = [
        CoveragePoint(threshold=0.9, coverage=0.2, accuracy=1.0),
        CoveragePoint(threshold=0.7, coverage=0.4, accuracy=0.92),
        CoveragePoint(threshold=0.0, coverage=1.0, accuracy=0.5),
    ]
    assert calibration(curve=curve).coverage_at(0.9) == 0.4
    assert calibration(curve=curve[2:]).coverage_at(0.9) == 0.0


def test_who_answers_is_told_apart_by_weights_and_layers_and_not_by_order() -> None:
    assert answerer_of([]) == BASE_ANSWERS
    assert answerer_of([Term(RED)]) == RED
    mix = answerer_of([Term(RED, 0.7), Term(BLUE, 0.3)])
    assert answerer_of([Term(BLUE, 0.3), Term(RED, 0.7)]) == mix
    others = [
        answerer_of([Term(RED, 0.3), Term(BLUE, 0.7)]),
        answerer_of([Term(RED, 0.7)]),
        answerer_of([Term(RED, (0.7, 0.3))]),
        answerer_of([Term(RED, 1.0, frozenset({1}))]),
        answerer_of([Term(RED, 1.0, "early")]),
        answerer_of([Term(RED, gated=WantedGate((RED, BLUE), 0)), Term(BLUE, gated=WantedGate((RED, BLUE), 1))]),
        RED,
    ]
    assert len({mix, *others, answerer_of([Term(RED), Term(BLUE)])}) == 9


@pytest.mark.parametrize(
    ("answer", "finish_reason"),
    [
        (AnswerEvidence((4,), (-0.7,), (), "4"), "length"),
        (AnswerEvidence((4,), (-0.7,), (), "4"), "abort"),
        (AnswerEvidence((4,), (-0.7,), (), "4"), "deadline_exceeded"),
        (AnswerEvidence((4,), (-0.7,), (), "4"), None),
        (AnswerEvidence((1,), (-0.7,), (), ""), "stop"),
        (AnswerEvidence((1,), (-0.7,), (), " \n"), "stop"),
        (AnswerEvidence((), (), (), "4"), "stop"),
    ],
)
def test_an_answer_that_was_cut_off_or_says_nothing_has_no_confidence(
    answer: AnswerEvidence, finish_reason: str | None
) -> None:
    assert confidence_of(answer, finish_reason, calibration()) is None


def test_a_whole_answer_has_the_confidence_of_its_score_and_none_without_a_calibration() -> None:
    answer = AnswerEvidence((4, 1), (-0.7, -0.3), (), "4")
    assert confidence_of(answer, "stop", calibration()) == pytest.approx(1 / (1 + math.exp(-0.5)))
    assert confidence_of(answer, "stop", None) is None


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """A directory with one trusted key, and its private half beside it."""
    generate_key_pair(tmp_path / "own.key", tmp_path / "trusted" / "own.pub")
    return tmp_path / "trusted"


def shelf(tmp_path: Path, keys: Path, trust: str = "require") -> CalibrationShelf:
    return CalibrationShelf([SignedPlace(tmp_path / "calibrations", (keys,))], trust, poll_s=0.0)


def test_a_signed_calibration_is_found_for_its_base_layout_and_answerer_alone(tmp_path: Path, keys: Path) -> None:
    write_calibration(calibration(), tmp_path / "calibrations", tmp_path / "own.key")
    shelved = shelf(tmp_path, keys)
    shelved.refresh()
    assert shelved.find("c" * 64, "int4", RED) == calibration()
    assert shelved.find("d" * 64, "int4", RED) is None
    assert shelved.find("c" * 64, "int8", RED) is None
    assert shelved.find("c" * 64, "int4", BLUE) is None
    assert not shelved.refused


def test_a_new_calibration_takes_the_place_of_the_earlier_one_in_a_running_program(tmp_path: Path, keys: Path) -> None:
    shelved = shelf(tmp_path, keys)
    shelved.refresh()
    assert shelved.find("c" * 64, "int4", RED) is None
    for slope in (0.5, 0.25):
        write_calibration(calibration(slope=slope), tmp_path / "calibrations", tmp_path / "own.key")
        shelved.refresh()
        found = shelved.find("c" * 64, "int4", RED)
        assert found is not None
        assert found.slope == slope


def test_a_tampered_calibration_is_left_out_and_said_to_be(tmp_path: Path, keys: Path) -> None:
    directory = write_calibration(calibration(), tmp_path / "calibrations", tmp_path / "own.key")
    changed = json.loads((directory / CALIBRATION_FILE).read_text()) | {"slope": 9.0}
    (directory / CALIBRATION_FILE).write_text(json.dumps(changed))
    shelved = shelf(tmp_path, keys)
    shelved.refresh()
    assert shelved.find("c" * 64, "int4", RED) is None
    assert "tampered" in shelved.refused[directory.name]
    loose = shelf(tmp_path, keys, trust="off")
    loose.refresh()
    assert loose.find("c" * 64, "int4", RED) is not None


def test_a_key_that_is_trusted_no_more_vouches_for_nothing(tmp_path: Path, keys: Path) -> None:
    write_calibration(calibration(), tmp_path / "calibrations", tmp_path / "own.key")
    shelved = shelf(tmp_path, keys)
    shelved.refresh()
    (keys / "own.pub").unlink()
    shelved.refresh()
    assert shelved.find("c" * 64, "int4", RED) is None


def test_a_key_that_leads_nowhere_costs_the_calibration_and_not_the_request(tmp_path: Path, keys: Path) -> None:
    directory = write_calibration(calibration(), tmp_path / "calibrations", tmp_path / "own.key")
    (keys / "gone.pub").symlink_to(tmp_path / "nowhere.pub")
    shelved = shelf(tmp_path, keys)
    shelved.refresh()
    assert shelved.find("c" * 64, "int4", RED) is None
    assert "gone.pub" in shelved.refused[directory.name]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "Invalid JSON"),
        (calibration().model_dump_json().replace("0.5", "NaN", 1).encode(), "slope: Input should be a finite number"),
        (b" " * 1_000_001, "more than 1000000 bytes"),
        (None, "holds no calibration.json"),
    ],
)
def test_a_broken_file_is_a_clear_refusal(tmp_path: Path, content: bytes | None, message: str) -> None:
    (tmp_path / "one").mkdir()
    if content is not None:
        (tmp_path / "one" / CALIBRATION_FILE).write_bytes(content)
    with pytest.raises(AdapterRejected, match=message) as refused:
        read_calibration(tmp_path / "one", None)
    assert refused.value.code == "bad_calibration"
