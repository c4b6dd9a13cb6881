"""Native kernels for packed weights on the CPU (`src/`), and how Python reaches them."""

from adaptrix_core.native.build import library, why_not

__all__ = ["library", "why_not"]
