"""A writer that is killed leaves the old adapter or the new one, whichever system call it dies at."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from adaptrix_core.adapters.package import atomic

ROOT = Path(atomic.__file__).parents[3]
OLD = {"metadata.json": b"old" * 1000, "layer_1.safetensors": b"1" * 5000}
NEW = {"metadata.json": b"new" * 1000, "layer_2.safetensors": b"2" * 5000, "signature.json": b"s"}

# Python reports its own system calls as audit events; dying in the n-th one visits every moment of the write in turn.
WRITER = textwrap.dedent("""
    import importlib.util, os, signal, sys
    from pathlib import Path

    source, target, die_at, exchange = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    spec = importlib.util.spec_from_file_location("atomic", source)  # the one file: importing torch takes seconds
    atomic = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(atomic)
    new = {"metadata.json": b"new" * 1000, "layer_2.safetensors": b"2" * 5000, "signature.json": b"s"}
    if exchange == "two renames":
        atomic.exchange = lambda first, second: False
    seen = 0
    armed = True

    def count(event, arguments):
        global seen
        if armed and event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.listdir", "os.scandir",
                               "ctypes.dlopen", "ctypes.dlsym", "shutil.rmtree", "fcntl.flock"):
            if seen == die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1

    sys.addaudithook(count)
    atomic.write_directory(target, new)
    armed = False
    print("finished after", seen)
""")


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.mark.parametrize("exchange", ["one call", "two renames"])
def test_a_writer_killed_at_any_moment_leaves_old_or_new(tmp_path, exchange):
    """With one exchange call that holds at once; with two renames, after `recover`."""
    outcomes = []
    for die_at in range(200):
        parent = tmp_path / str(die_at)
        atomic.write_directory(parent / "adapter", OLD)
        command = [sys.executable, "-c", WRITER, atomic.__file__, str(parent / "adapter"), str(die_at), exchange]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
        if exchange == "two renames":
            atomic.recover(parent)
        found = contents(parent / "adapter")
        assert found in (OLD, NEW), f"died at event {die_at}: {sorted(found)}"
        outcomes.append(found == NEW)
        atomic.recover(parent)
        assert [path.name for path in parent.iterdir()] == ["adapter"]
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.returncode == 0
    assert len(outcomes) > 8
    assert outcomes == sorted(outcomes), "old until one moment, new from then on"
    assert outcomes.count(False) > 3
    assert outcomes.count(True) > 1


def test_readers_see_whole_versions_while_a_writer_replaces(tmp_path):
    from adaptrix_core.adapters.package.file_rules import FileRule
    from adaptrix_core.adapters.sources.local import LocalDirectory

    versions = [{"metadata.json": bytes([n]) * 3000, f"layer_{n}.safetensors": bytes([n]) * 3000} for n in range(2)]
    atomic.write_directory(tmp_path / "adapter", versions[0])
    stop = threading.Event()

    def write() -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            atomic.write_directory(tmp_path / "adapter", versions[turn % 2])

    writer = threading.Thread(target=write)
    writer.start()
    seen = set()
    try:
        for _ in range(20_000):
            files = dict(LocalDirectory(tmp_path / "adapter").snapshot(lambda name: FileRule("whole", 1 << 20)).files)
            assert files in versions
            seen.add(next(iter(sorted(files))))
            if len(seen) == 2:
                break
    finally:
        stop.set()
        writer.join()
    assert len(seen) == 2


def test_two_writers_of_one_directory_end_with_one_of_theirs(tmp_path):
    threads = [
        threading.Thread(target=atomic.write_directory, args=(tmp_path / "adapter", files))
        for files in (OLD, NEW)
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert contents(tmp_path / "adapter") in (OLD, NEW)
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]


def test_removal_is_one_step_and_a_missing_directory_is_an_error(tmp_path):
    atomic.write_directory(tmp_path / "adapter", OLD)
    atomic.remove_directory(tmp_path / "adapter")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        atomic.remove_directory(tmp_path / "adapter")
