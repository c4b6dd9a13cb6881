"""Circuit breakers, one per bundle: a bundle that keeps failing is refused at once, and tried again after a backoff.

Closed until `FAILURES_TO_OPEN` failures in a row; then open for a time that doubles with every further one (exponential
backoff). After it, `tasks.py` makes one more try; requests are refused until a try succeeds. Knows time and counts,
nothing of loading.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from adaptrix_core.digests import BundleDigest
from adaptrix_core.errors import AdapterUnavailable, AdaptrixError

FAILURES_TO_OPEN = 3
"""Failures in a row that open a circuit."""
PAUSE_S = 0.5
"""Seconds between two tries while the circuit is closed."""
OPEN_S = 5.0
"""Seconds that a circuit is open after the failure that opened it."""
MAX_OPEN_S = 300.0
"""Longest backoff, in seconds."""


@dataclass
class _Circuit:
    failures: int = 0
    retry_at: float = 0.0
    reason: str = ""
    code: str = AdapterUnavailable.code


class CircuitBreakers:
    """The circuits of one replica."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._circuits: dict[BundleDigest, _Circuit] = {}

    def failed(self, bundle: BundleDigest, error: BaseException) -> None:
        """Count a failure."""
        circuit = self._circuits.setdefault(bundle, _Circuit())
        circuit.failures += 1
        if isinstance(error, AdaptrixError):
            circuit.reason, circuit.code = error.message, error.code
        else:
            circuit.reason, circuit.code = f"{type(error).__name__}: {error}", AdapterUnavailable.code
        circuit.retry_at = self._clock() + self._pause_s(circuit.failures)

    def close(self, bundle: BundleDigest) -> None:
        """Close the circuit: a try has succeeded, or the bundle is not wanted any more."""
        self._circuits.pop(bundle, None)

    def has_failed(self, bundle: BundleDigest) -> bool:
        """Whether the last try failed."""
        return bundle in self._circuits

    def is_open(self, bundle: BundleDigest) -> bool:
        """Whether requests are refused at once."""
        return bundle in self._circuits and self._circuits[bundle].failures >= FAILURES_TO_OPEN

    def retry_in_s(self, bundle: BundleDigest) -> float:
        """Seconds until the next try."""
        circuit = self._circuits.get(bundle)
        return 0.0 if circuit is None else max(0.0, circuit.retry_at - self._clock())

    def require_closed(self, bundle: BundleDigest) -> None:
        """Raise AdapterUnavailable where the circuit is open."""
        if self.is_open(bundle):
            raise self.unavailable(bundle)

    def unavailable(self, bundle: BundleDigest) -> AdapterUnavailable:
        """The error for a bundle with an open circuit: the cause, and the time of the next try."""
        circuit = self._circuits[bundle]
        seconds = self.retry_in_s(bundle)
        return AdapterUnavailable(
            f"bundle {bundle} could not be loaded, {circuit.failures} times in a row; the last time: "
            f"{circuit.reason or 'it took too long'}. It is tried again in {seconds:.0f} s",
            retry_after_s=seconds,
        )

    def cause(self, bundle: BundleDigest) -> str:
        """Code of the error that a bundle failed with last."""
        return self._circuits[bundle].code

    def open_circuits(self) -> list[BundleDigest]:
        """Bundles whose circuit is open."""
        return [bundle for bundle in self._circuits if self.is_open(bundle)]

    @staticmethod
    def _pause_s(failures: int) -> float:
        if failures < FAILURES_TO_OPEN:
            return PAUSE_S
        return min(MAX_OPEN_S, OPEN_S * 2.0 ** min(failures - FAILURES_TO_OPEN, 16))
