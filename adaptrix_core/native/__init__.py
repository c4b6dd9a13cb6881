"""Native kernels for packed weights on the CPU (`src/`), and how Python reaches them.

Files:

build    The native kernels: built once from the sources beside this file, then loaded
structs  The kernels' records and functions, as ctypes sees them
"""

from adaptrix_core.native.build import library, why_not

__all__ = ["library", "why_not"]
