"""Which walls stand while hostile code runs."""

from __future__ import annotations

import struct

import pytest

from adaptrix_core.security.sandbox import bubblewrap

_ALLOW_EVERYTHING = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)


@pytest.fixture(params=["all walls", "without the filter"])
def _walls(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Once as it is, once as if the kernel let every system call through: the other walls must hold alone."""
    if request.param == "without the filter":
        monkeypatch.setattr(bubblewrap, "filter_program", lambda: _ALLOW_EVERYTHING)
    return str(request.param)
