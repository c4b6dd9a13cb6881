"""Limits of one process that runs foreign code, which it sets for itself before it reads any and cannot raise again.

Setting them between fork and exec would make starting it from a large process many times slower.
"""

from __future__ import annotations

from collections.abc import Mapping

MEMORY_BYTES = 512 * 2**20
OUTPUT_BYTES = 2**20
"""Longest reply, and the largest file that can be written where files can be."""
_OPEN_FILES = 16


def limits(seconds: float) -> Mapping[str, tuple[int, int]]:
    """Soft and hard limits by their names in the module ``resource``. seconds: processor time, in whole ones."""
    whole = max(1, round(seconds))
    return {
        "RLIMIT_CPU": (whole, whole + 1),
        "RLIMIT_AS": (MEMORY_BYTES, MEMORY_BYTES),
        "RLIMIT_FSIZE": (OUTPUT_BYTES, OUTPUT_BYTES),
        "RLIMIT_NOFILE": (_OPEN_FILES, _OPEN_FILES),
        # 1, not 0: with 0 the kernel would still hand the memory to a program that collects crashes (man 5 core).
        "RLIMIT_CORE": (1, 1),
    }
