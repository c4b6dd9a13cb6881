"""Native kernels for packed weights on the CPU (`src/`), and how Python reaches them.

Files:

build         Compiles the kernels for one instruction set, where a C++ compiler is at hand
instructions  The instruction sets that the kernels are compiled for, and which of them a processor runs
interface     The kernels' interface, read from their header: records as classes of ctypes, functions with their types
loading       Finds the kernels for this processor, compiles them where they are not there yet, and loads them
sources       The kernels' sources, and the names of the libraries that are compiled from them
structs       The records and codes that Python and the kernels exchange; `src/interface.h` documents their fields
"""

from adaptrix_core.native.loading import library, why_not

__all__ = ["library", "why_not"]
