"""The kernels' interface, read from their header: records as classes of ctypes, functions with their types.

The header is read with cffi. Calls go through ctypes: through cffi they take longer, as each address has to be cast to
its type first.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping
from ctypes import POINTER, Structure
from pathlib import Path
from typing import Any

import cffi

from adaptrix_core.errors import BaseModelError

_NUMBERS: Mapping[str, Any] = {
    "void": None,
    "int32_t": ctypes.c_int32,
    "int64_t": ctypes.c_int64,
    "float": ctypes.c_float,
}
_ADDRESSES: Mapping[str, Any] = {"char *": ctypes.c_char_p}


class Interface:
    """The declarations of a header in plain C."""

    def __init__(self, header: str) -> None:
        """header: the header's text."""
        self._declared = cffi.FFI()
        self._declared.cdef(header)
        self._records: dict[str, type[Structure]] = {}

    def record(self, name: str) -> type[Structure]:
        """The class of a record, constructed by its fields' names; omitted fields are 0, pointers are addresses.

        A name that the header does not know is an AttributeError.
        """
        if name not in self._records:
            fields = [(field, self._field(declared.type)) for field, declared in self._declared.typeof(name).fields]
            self._records[name] = type(name, (Structure,), {"__slots__": (), "_fields_": fields})
        return self._records[name]

    def codes(self, name: str) -> dict[str, int]:
        """The constants of an enumeration."""
        return dict(self._declared.typeof(f"enum {name}").relements)

    def load(self, path: Path) -> ctypes.CDLL:
        """A compiled library, its functions with the types of the header.

        Raises BaseModelError if a record has another size there: the library was compiled from another header.
        """
        library = ctypes.CDLL(str(path))
        for name, kind in self._functions(path):
            function = getattr(library, name)
            function.argtypes = [self._argument(argument) for argument in kind.args]
            function.restype = self._argument(kind.result)
        self._check_sizes(library)
        return library

    def _functions(self, path: Path) -> Iterator[tuple[str, Any]]:
        opened = self._declared.dlopen(str(path))
        for name in dir(opened):
            value = getattr(opened, name)
            if not isinstance(value, int):  # a constant of an enumeration
                yield name, self._declared.typeof(value)

    def _field(self, declared: Any) -> Any:
        if declared.kind == "struct":
            return self.record(declared.cname)
        if declared.kind == "pointer":
            return _ADDRESSES.get(declared.cname, ctypes.c_void_p)
        return _NUMBERS[declared.cname]

    def _argument(self, declared: Any) -> Any:
        """The type of an argument: as for a field, but a pointer to a record accepts only that record's class."""
        is_record = declared.kind == "pointer" and declared.item.kind == "struct"
        return POINTER(self.record(declared.item.cname)) if is_record else self._field(declared)

    def _check_sizes(self, library: ctypes.CDLL) -> None:
        names = [name for name in self._declared.list_types()[0] if self._declared.typeof(name).kind == "struct"]
        declared = {name: ctypes.sizeof(self.record(name)) for name in names}
        compiled = dict(_compiled_sizes(library))
        if compiled != declared:
            different = ", ".join(sorted({name for name, _ in compiled.items() ^ declared.items()}))
            raise BaseModelError(
                f"the native kernels were compiled from another header, which differs in {different}", code="no_kernels"
            )


def _compiled_sizes(library: ctypes.CDLL) -> Iterator[tuple[str, int]]:
    for entry in library.adaptrix_record_sizes():
        if entry.name is None:
            return
        yield entry.name.decode(), entry.size
