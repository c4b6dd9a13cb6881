"""The numbers that the routing rule uses, and the file they are kept in.

Knows what the numbers mean. Does not know how they are chosen: that is `calibrate.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from adaptrix_core.errors import ConfigError


class Calibration(BaseModel):
    """Thresholds on margins, and the scale from margins to probabilities.

    A margin is the log-odds of an adapter's examples against the background (`scorer.py`). The defaults are what
    `calibrate.py` found for the shipped adapters with the packaged embedder; margins do not depend on which other
    adapters there are, so they serve as a start for any catalogue.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    accept: float = -0.057
    """Margin from which an adapter answers."""
    stay: float = -0.688
    """Margin plus continuity from which the previous adapter of a conversation keeps answering."""
    lead: float = 0.814
    """How far another adapter's margin must be ahead of the previous one's to take over."""
    tie: float = Field(0.193, ge=0)
    """Margins of two adapters that are no further apart than this say nothing about which of them is better."""
    slope: float = Field(3.354, gt=0)
    """Probability = 1 / (1 + exp(-(slope * margin + intercept))): Platt scaling."""
    intercept: float = 0.315
    embedder: str = "all-minilm-l6-v2"
    """The embedding model that the numbers belong to."""
    provenance: Mapping[str, JsonValue] = Field(default_factory=dict)
    """Which prompts and cards chose the numbers, and what was measured."""

    def probability(self, margin: float) -> float:
        """How probable it is that a message with this margin is in the adapter's scope."""
        return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, self.slope * margin + self.intercept))))

    def with_threshold(self, score: float) -> Calibration:
        """Accept from ``score``, a probability, instead. Raises ConfigError outside 0 < score < 1."""
        if not 0.0 < score < 1.0:
            raise ConfigError([f"router.threshold = {score}: a score lies between 0 and 1, both excluded"])
        accept = (math.log(score / (1.0 - score)) - self.intercept) / self.slope
        return self.model_copy(update={"accept": accept})

    def save(self, path: Path) -> None:
        """Write the file that `load_calibration` reads; complete or not at all."""
        partial = path.with_name(f"{path.name}.partial")
        partial.write_text(self.model_dump_json(indent=2) + "\n", encoding="utf-8")
        partial.replace(path)


def load_calibration(path: Path) -> Calibration:
    """Read a file written by `Calibration.save`. Raises ConfigError where it cannot be read or is not one."""
    try:
        return Calibration.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError([f"routing calibration {path}: {error.strerror or error}"]) from error
    except ValidationError as error:
        faults = [
            f"routing calibration {path}: {'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()
        ]
        raise ConfigError(faults) from error
