"""The numbers of the routing rule, and their file.

Knows the meaning of the numbers, not how they are chosen (`calibrate.py`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError

from adaptrix_core.errors import ConfigError
from adaptrix_core.replaced_file import replaced_file


class Calibration(BaseModel):
    """Thresholds on margins, and the scale from margins to probabilities.

    A margin is what the signals' log-odds add up to, by their weights. The defaults were chosen by `calibrate.py` for
    the shipped adapters with the packaged embedder, and are a start for other catalogues: ``python -m
    benchmarks.routing defaults`` measures how they fare there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    accept: float = -0.249
    """Margin from which an adapter answers."""
    accepts: Mapping[str, float] = Field(default_factory=dict)
    """By adapter name, the same for those that have another one."""
    stay: float = -1.133
    """Margin plus continuity from which the previous adapter of a conversation keeps answering."""
    lead: float = 1.392
    """Least lead of another adapter's margin over the previous one's at which it takes the conversation over."""
    tie: float = Field(0.247, ge=0)
    """Largest distance of two margins at which the two adapters count as equally good."""
    slope: float = Field(2.879, gt=0)
    """Probability = 1 / (1 + exp(-(slope * margin + intercept))): Platt scaling."""
    intercept: float = 0.782
    embedder: str | None = "all-minilm-l6-v2"
    """The embedding model that the numbers were chosen with; None: without one."""
    signals: Mapping[str, float] = Field(default_factory=lambda: {"embedding": 0.5, "tasks": 0.5})
    """The signals that the numbers were chosen with, with their weights."""
    provenance: Mapping[str, JsonValue] = Field(default_factory=dict)
    """The prompts and cards that the numbers were chosen by, and the measurements."""

    def accept_of(self, name: str) -> float:
        """The margin from which this adapter answers."""
        return self.accepts.get(name, self.accept)

    def probability(self, margin: float) -> float:
        """The probability that a message with this margin is in the adapter's scope."""
        return 1.0 / (1.0 + math.exp(-max(-60.0, min(60.0, self.slope * margin + self.intercept))))

    def with_threshold(self, score: float) -> Calibration:
        """Accept from ``score``, a probability, instead. Raises ConfigError outside 0 < score < 1."""
        if not 0.0 < score < 1.0:
            raise ConfigError([f"router.threshold = {score}: a score lies between 0 and 1, both excluded"])
        accept = (math.log(score / (1.0 - score)) - self.intercept) / self.slope
        return self.model_copy(update={"accept": accept})

    def save(self, path: Path) -> None:
        """Write the file that `load_calibration` reads, in one step."""
        with replaced_file(path) as file:
            file.write((self.model_dump_json(indent=2) + "\n").encode())


UNNAMED_SIGNALS: Mapping[str, float] = {"embedding": 1.0}
"""What the numbers of a file that names no signals were chosen with: it was written when there was no other one."""

KEYWORDS_ALONE = Calibration(
    accept=0.224,
    stay=-0.503,
    lead=0.825,
    tie=0.630,
    slope=1.565,
    intercept=1.315,
    embedder=None,
    signals={"keywords": 1.0},
)
"""For a router that has no embedder, or whose embedder has failed."""


TRUNK_ALONE = Calibration(
    accept=-0.63,
    stay=-1.747,
    lead=1.388,
    tie=0.646,
    slope=2.047,
    intercept=0.4,
    embedder=None,
    signals={"trunk": 1.0},
)
"""For a router without an embedder whose base model reads the messages itself (`signals/trunk.py`). These numbers and
the next ones come from ``python -m benchmarks.trunk calibrate``."""

WITH_TRUNK = Calibration(
    accept=-1.145,
    stay=-3.571,
    lead=3.914,
    tie=0.851,
    slope=1.644,
    intercept=1.026,
    signals={"embedding": 0.5, "tasks": 0.5, "trunk": 1.0},
)
"""For the built-in signals and the base model's own opinion together."""


def load_calibration(path: Path) -> Calibration:
    """Read a file written by `Calibration.save`. Raises ConfigError where it cannot be read or is not one."""
    try:
        found = Calibration.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError([f"routing calibration {path}: {error.strerror or error}"]) from error
    except ValidationError as error:
        faults = [
            f"routing calibration {path}: {'.'.join(map(str, e['loc'])) or 'file'}: {e['msg']}" for e in error.errors()
        ]
        raise ConfigError(faults) from error
    named = "signals" in found.model_fields_set
    return found if named else found.model_copy(update={"signals": UNNAMED_SIGNALS})
