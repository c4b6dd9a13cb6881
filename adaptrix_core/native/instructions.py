"""The instruction sets that the kernels are compiled for, and which of them a processor runs.

Each is a file of `src/instructions/` and becomes a library of its own. In one library, the linker would keep one copy
of each function of the standard library that both use, and might keep the one that an older processor cannot run.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from adaptrix_core.errors import BaseModelError

VARIABLE = "ADAPTRIX_KERNELS"
"""Environment variable that names the instruction set to use; without it, the fastest that the processor has."""

_AVX2 = ("avx2", "fma", "f16c")
NEEDS: Mapping[str, tuple[str, ...]] = {
    "avx512_vnni": (*_AVX2, "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"),
    "avx2": _AVX2,
}
"""Instruction sets, fastest first, and the processor's features that each needs, as ``/proc/cpuinfo`` calls them."""


def choose(features: Collection[str], wanted: str | None = None) -> str:
    """The fastest instruction set of a processor with ``features``, or ``wanted``.

    Raises BaseModelError where the processor lacks something, or if ``wanted`` is unknown.
    """
    if wanted is not None and wanted not in NEEDS:
        raise BaseModelError(f"there are no kernels for {wanted!r}, only for {', '.join(NEEDS)}", code="no_kernels")
    candidates = [wanted] if wanted is not None else list(NEEDS)
    for name in candidates:
        if all(feature in features for feature in NEEDS[name]):
            return name
    missing = ", ".join(feature for feature in NEEDS[candidates[-1]] if feature not in features)
    raise BaseModelError(f"the processor lacks {missing}", code="no_kernels")


def choose_here() -> str:
    """`choose` for this processor and environment."""
    return choose(_features_here(), os.environ.get(VARIABLE) or None)


def _features_here() -> frozenset[str]:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            return frozenset(line.split(":", 1)[1].split())
    return frozenset()
