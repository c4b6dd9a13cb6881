"""Native tests need the kernels; where they cannot be built, they skip and say why."""

from __future__ import annotations

import pytest

from adaptrix_core.native import why_not


@pytest.fixture(autouse=True)
def kernels() -> None:
    reason = why_not()
    if reason is not None:
        pytest.skip(f"no native kernels here: {reason}")
