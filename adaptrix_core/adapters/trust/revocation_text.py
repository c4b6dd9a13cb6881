"""A text file of revoked packages, as people keep one: what `adaptrix revoke --file` puts on the signed list.

# lines beginning with a hash are comments
3f5a…64 hex digits…  trained on the wrong data
"""

from __future__ import annotations

import re
from pathlib import Path

from adaptrix_core.digests import PackageDigest
from adaptrix_core.errors import InvalidRequest

_LINE = re.compile(r"^([0-9a-f]{64})(?:\s+(.*))?$")
_MOST_FAULTS = 5


def read_revocations(path: Path) -> dict[PackageDigest, str]:
    """The packages of the file, each with its reason, which may be empty.

    Raises InvalidRequest where the file cannot be read, names no package, or has a line of another form: nothing of it
    is revoked then.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{str(path)!r} cannot be read: {error}") from error
    revoked: dict[PackageDigest, str] = {}
    faults: list[str] = []
    for number, line in enumerate(lines, start=1):
        text = line.split("#", 1)[0].strip()
        match = _LINE.match(text)
        if match is not None:
            revoked[PackageDigest(match[1])] = match[2] or ""
        elif text:
            faults.append(f"line {number} is {text[:80]!r}")
    if faults:
        shown = ", ".join(faults[:_MOST_FAULTS]) + (", …" if len(faults) > _MOST_FAULTS else "")
        raise InvalidRequest(f"{path.name}: {shown}; a line begins with a package digest of 64 hex digits")
    if not revoked:
        raise InvalidRequest(f"{path.name} names no package; give one package digest a line, with a reason after it")
    return revoked
