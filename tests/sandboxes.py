"""Which sandbox tests use: those that are about its walls need bubblewrap, those that only run our own code do not."""

from __future__ import annotations

import pytest

from adaptrix_core.errors import SandboxUnavailable
from adaptrix_core.security.sandbox.run import SandboxKind, check_sandbox


def why_no_bubblewrap() -> str | None:
    """Why code cannot be shut in on this machine; None where it can."""
    try:
        check_sandbox("bubblewrap")
    except SandboxUnavailable as error:
        return error.message
    return None


_MISSING = why_no_bubblewrap()
needs_bubblewrap = pytest.mark.skipif(_MISSING is not None, reason=f"no bubblewrap: {_MISSING}")
FOR_OWN_CODE: SandboxKind = "bubblewrap" if _MISSING is None else "process"
"""For code that the tests themselves bring, on any machine."""
