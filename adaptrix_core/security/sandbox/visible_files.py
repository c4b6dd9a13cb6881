"""What a sandbox sees of the file system: shared libraries, the Python that runs, and the program inside. Read-only.

No home, no project, no `/etc`, no `/proc`, no `/dev`, no place to write, no packages of other people: a function needs
none of them, and what is not there has no holes.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

INSIDE = "/inside.py"
"""Where the program inside lies in the sandbox."""
EMPTY = "/empty"
"""The working directory there."""
_LIBRARIES = ("/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32", "/lib", "/lib32", "/lib64", "/libx32")
_OTHERS_PACKAGES = ("site-packages", "dist-packages")


def interpreter() -> str:
    """The executable of the Python installation below any virtual environment."""
    return os.path.realpath(sys.executable)


def file_system() -> list[str]:
    """bubblewrap's arguments that build it, from nothing."""
    shown = [argument for place in _LIBRARIES for argument in _as_it_is(Path(place))]
    for directory in _standard_library():
        shown += ["--ro-bind", str(directory), str(directory)]
        for name in _OTHERS_PACKAGES:
            if (directory / name).is_dir():
                shown += ["--tmpfs", str(directory / name), "--remount-ro", str(directory / name)]
    for file in (interpreter(), *_shared_python()):
        shown += ["--ro-bind", file, file]
    shown += ["--ro-bind", str(Path(__file__).with_name("inside.py")), INSIDE]
    # Last: the root itself is a file system in memory, writable and of no bounded size until then.
    return [*shown, "--dir", EMPTY, "--chdir", EMPTY, "--remount-ro", "/"]


def library_path() -> str:
    """The directory of Python's own shared library, which the loader does not know without `/etc/ld.so.cache`."""
    return os.path.dirname(next(iter(_shared_python()), ""))


def _as_it_is(place: Path) -> list[str]:
    """A directory of the system, or the symbolic link that stands for it."""
    if place.is_symlink():
        return ["--symlink", os.readlink(place), str(place)]
    return ["--ro-bind", str(place), str(place)] if place.is_dir() else []


def _standard_library() -> list[Path]:
    """Its directories; the part in Python and the compiled one are two on some systems."""
    compiled = sysconfig.get_path("platstdlib", vars={"platbase": sys.base_exec_prefix})
    return list(dict.fromkeys([Path(sysconfig.get_path("stdlib")), Path(compiled)]))


def _shared_python() -> list[str]:
    """libpython, where the executable is only a frame around it."""
    if not sysconfig.get_config_var("Py_ENABLE_SHARED"):
        return []
    names = {sysconfig.get_config_var("INSTSONAME"), sysconfig.get_config_var("LDLIBRARY")}
    found = (os.path.join(sys.base_prefix, "lib", name) for name in sorted(filter(None, names)))
    return [path for path in found if os.path.isfile(path)]
