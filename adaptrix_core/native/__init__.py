"""Native kernels for packed weights on the CPU (`src/`), and how Python reaches them.

Files:

build      The native kernels: built once from the sources beside this file, then loaded
interface  The interface of the kernels, as their header declares it: records as classes of ctypes, functions with
           their types
structs    The records and codes that the kernels exchange with Python; `src/interface.h` says what their fields are
"""

from adaptrix_core.native.build import library, why_not

__all__ = ["library", "why_not"]
