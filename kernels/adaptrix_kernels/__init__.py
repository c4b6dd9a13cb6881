"""The native kernels of Adaptrix, compiled: a library for each instruction set; `adaptrix_core.native` loads them."""
