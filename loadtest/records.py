"""What became of one request, measured or simulated, and the figures over many: the same sums for both.

Times are seconds since the start of the run. First token and end are counted from when a request was due, not from when
it was sent, so a client or server that falls behind cannot hide it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from adaptrix_core.errors import InvalidRequest


@dataclass(slots=True)
class Record:
    """One request. An error, or no first token, means that it failed."""

    index: int
    adapter: int
    due_s: float
    prompt_tokens: int
    output_tokens: int
    """Tokens that were received."""
    sent_s: float | None = None
    first_token_s: float | None = None
    end_s: float | None = None
    warm: bool | None = None
    """Whether the replica that was chosen held the adapter on arrival; None where that is not known."""
    error: str | None = None
    chunk_s: tuple[float, ...] = ()
    """When each streamed event with text arrived; an event may carry several tokens. Empty where simulated."""

    @property
    def succeeded(self) -> bool:
        """Whether the whole answer was received."""
        return self.error is None and self.first_token_s is not None and self.end_s is not None


@dataclass(frozen=True)
class Summary:
    """Figures over a run; times in seconds, NaN where nothing succeeded."""

    requests: int
    failed: int
    request_rate: float
    """Offered requests per second."""
    tokens_per_s: float
    """Output tokens of answers that ended inside the window in which requests arrived, per second."""
    first_token_p50_s: float
    first_token_p99_s: float
    token_p50_s: float
    """Median over requests of the mean time per output token after the first one."""
    hit_rate: float
    """Share of requests whose replica held the adapter; NaN where not known."""
    slo_attainment: float
    """Share of all requests, failed ones included, whose first token came within the objective."""


def summarise(records: Sequence[Record], slo_s: float, since_s: float = 0.0) -> Summary:
    """Figures over the requests due from ``since_s`` on; what came before only warms caches.

    Raises InvalidRequest where no request is left.
    """
    counted = [record for record in records if record.due_s >= since_s]
    if not counted:
        raise InvalidRequest(f"no request is due after {since_s} s; measure for longer, or warm up for less")
    done = [record for record in counted if record.succeeded]
    first = np.array([(r.first_token_s or 0.0) - r.due_s for r in done])
    between = np.array(
        [((r.end_s or 0.0) - (r.first_token_s or 0.0)) / (r.output_tokens - 1) for r in done if r.output_tokens > 1]
    )
    known = [record.warm for record in counted if record.warm is not None]
    last_due = max(record.due_s for record in counted)
    window_s = max(last_due - since_s, 1e-9)
    ended = [r.output_tokens for r in records if r.succeeded and since_s <= (r.end_s or 0.0) <= last_due]
    return Summary(
        requests=len(counted),
        failed=len(counted) - len(done),
        request_rate=len(counted) / window_s,
        tokens_per_s=sum(ended) / window_s,
        first_token_p50_s=_quantile(first, 0.5),
        first_token_p99_s=_quantile(first, 0.99),
        token_p50_s=_quantile(between, 0.5),
        hit_rate=sum(known) / len(known) if known else float("nan"),
        slo_attainment=float((first <= slo_s).sum()) / len(counted),
    )


def write_jsonl(path: Path, records: Iterable[Record]) -> None:
    """One JSON object per line."""
    path.write_text("".join(json.dumps(asdict(record)) + "\n" for record in records), encoding="utf-8")


def read_jsonl(path: Path) -> list[Record]:
    """What `write_jsonl` wrote."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Record(**{**row, "chunk_s": tuple(row["chunk_s"])}) for row in map(json.loads, lines)]


def _quantile(values: np.ndarray, share: float) -> float:
    return float(np.quantile(values, share)) if len(values) else float("nan")
