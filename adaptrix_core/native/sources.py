"""The kernels' sources, and the names of the libraries that are compiled from them.

A library's name changes with every source, so that one is found only by the sources that it was compiled from. Knows
the standard library alone: ``python sources.py avx2`` prints the name for an instruction set to whoever builds it.
"""

from __future__ import annotations

import hashlib
import sys
from functools import cache
from pathlib import Path

SOURCES = Path(__file__).parent / "src"


def library_name(instructions: str) -> str:
    """The file name of the kernels for an instruction set."""
    return f"kernels-{instructions}-{_digest()}.so"


@cache
def _digest() -> str:
    total = hashlib.sha256()
    for path in sorted(SOURCES.rglob("*")):
        if path.suffix in (".cpp", ".h", ".flags"):
            total.update(path.relative_to(SOURCES).as_posix().encode() + b"\0")
            total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()[:24]


if __name__ == "__main__":
    sys.stdout.write(library_name(sys.argv[1]))
