"""Code in the sandbox sees no file but libraries and Python, and can write, change or make none."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path

import pytest

from adaptrix_core.security.sandbox.visible_files import file_system, interpreter
from tests.sandboxes import needs_bubblewrap
from tests.security.sandbox.hostile import value_of

pytestmark = [needs_bubblewrap, pytest.mark.usefixtures("_walls")]

READ = "return tried(lambda: open(a, 'rb').read(100).hex())"


@pytest.mark.parametrize(
    "path",
    [
        "/etc/shadow",
        "/etc/passwd",
        "/etc/resolv.conf",
        str(Path.home() / ".bashrc"),
        __file__,
        "/empty/../etc/passwd",
        "/usr/lib/../../etc/passwd",
        "/usr/bin/env",
    ],
)
def test_files_of_the_machine_are_not_there(path: str) -> None:
    assert value_of(READ, path) == "ENOENT"


def test_a_file_that_the_caller_can_read_is_not_there(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("of mine")
    assert value_of(READ, str(secret)) == "ENOENT"


def shown() -> list[str]:
    """The directories and files of the machine that the sandbox shows."""
    arguments = file_system()
    return [arguments[place + 2] for place, word in enumerate(arguments) if word == "--ro-bind"]


def test_only_libraries_and_python_can_be_read() -> None:
    body = """
    found = []
    for directory, below, files in os.walk('/'):
        below[:] = [name for name in below if os.path.join(directory, name) not in a]
        found += [os.path.join(directory, name) for name in files]
    return found
    """
    own = [Path(sysconfig.get_path("stdlib")), Path(interpreter()), *Path(sys.base_prefix, "lib").glob("libpython*")]
    libraries = ("/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libx32", "/lib", "/lib32", "/lib64", "/libx32")
    assert set(shown()) - {*map(str, own), *libraries, sysconfig.get_path("platstdlib")} == {"/inside.py"}
    assert set(value_of(body, shown())) == {path for path in shown() if os.path.isfile(path) or path == "/inside.py"}  # type: ignore[call-overload]


def test_packages_of_others_are_not_there() -> None:
    packages = Path(sysconfig.get_path("stdlib"), "site-packages")
    assert value_of("return tried(lambda: os.listdir(a))", str(packages)) in ([], "ENOENT")


def test_there_is_no_place_to_write() -> None:
    body = """
    written = []
    for directory, below, _ in os.walk('/'):
        if tried(lambda: open(os.path.join(directory, 'mine'), 'w')) not in ('EROFS', 'EACCES'):
            written.append(directory)
        if directory in a:
            below.clear()  # what a mount says of itself holds for all of it
    return written
    """
    assert value_of(body, shown()) == []


@pytest.mark.parametrize("directory", ["/tmp", "/dev/shm", "/var/tmp", "/run", "/empty"])
def test_nothing_can_be_filled(directory: str) -> None:
    body = "return tried(lambda: open(a + '/large', 'wb').write(bytes(2**20)))"
    assert value_of(body, directory) in ("ENOENT", "EROFS")


@pytest.mark.parametrize(
    "action",
    [
        "os.symlink('/etc/shadow', 'link')",
        "os.link('/inside.py', 'link')",
        "os.mkdir('mine')",
        "os.rename('/inside.py', '/mine')",
        "os.remove('/inside.py')",
        "os.chmod('/inside.py', 0o777)",
        "os.utime('/inside.py', (0, 0))",
        "os.truncate('/inside.py', 0)",
        "open(sys.executable, 'ab')",
        "os.mknod('disk', 0o60600, os.makedev(8, 0))",
        "os.mkfifo('pipe')",
    ],
)
def test_nothing_can_be_changed(action: str) -> None:
    files = [Path(interpreter()), Path(file_system()[file_system().index("/inside.py") - 1])]
    before = [file.stat() for file in files]
    assert value_of(f"return tried(lambda: str({action}))") in ("EROFS", "EPERM", "EACCES", "ETXTBSY")
    for file, was in zip(files, before, strict=True):
        now = file.stat()
        assert (now.st_size, now.st_mode, now.st_mtime_ns) == (was.st_size, was.st_mode, was.st_mtime_ns)


@pytest.mark.parametrize(
    "path",
    ["/proc/1/environ", "/proc/1/root/etc/passwd", "/proc/self/root", "/proc/self/fd/0", "/proc/self/mem", "/proc/sys"],
)
def test_there_is_no_proc(path: str) -> None:
    assert value_of("return tried(lambda: os.stat(a).st_mode)", path) == "ENOENT"


@pytest.mark.parametrize(
    "device", ["/dev/null", "/dev/mem", "/dev/kmsg", "/dev/tty", "/dev/sda", "/dev/kvm", "/dev/fuse"]
)
def test_there_are_no_devices(device: str) -> None:
    assert value_of(READ, device) == "ENOENT"


def test_only_the_four_pipes_are_open() -> None:
    """Standard input, the two outputs that lead nowhere, and the one for the reply."""
    assert value_of("return [n for n in range(1024) if tried(lambda: os.fstat(n)) != 'EBADF']") == [0, 1, 2, 3]


def test_the_terminal_of_the_caller_is_out_of_reach() -> None:
    assert value_of("return [tried(lambda: os.ttyname(n)) for n in range(4)]") == ["ENOTTY"] * 4
    assert value_of("return os.getsid(0) not in (0, a)", os.getsid(0)) is True
