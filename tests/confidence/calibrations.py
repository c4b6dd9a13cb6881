"""Calibrations for an engine of a test."""

from __future__ import annotations

import json
from pathlib import Path

from adaptrix_core.confidence.calibration import ConfidenceCalibration
from adaptrix_core.confidence.signed import CALIBRATION_FILE
from adaptrix_core.engine import Engine
from adaptrix_core.engine.confidence.judged import answerer_in

SLOPE, INTERCEPT = 0.1, 1.0


def calibration_for(engine: Engine, adapter: str | None) -> ConfidenceCalibration:
    """Of the sum of log-probabilities under this adapter."""
    info = engine.base.info
    return ConfidenceCalibration(
        answerer=answerer_in(engine, adapter),
        name=adapter or "base",
        base_lineage=info.lineage,
        base_digest=info.digest,
        layout=info.layout,
        method="platt",
        slope=SLOPE,
        intercept=INTERCEPT,
    )


def write_for(engine: Engine, adapter: str | None, place: Path) -> None:
    """Without a signature."""
    directory = place / (adapter or "base")
    directory.mkdir(parents=True)
    (directory / CALIBRATION_FILE).write_text(json.dumps(calibration_for(engine, adapter).model_dump(mode="json")))
