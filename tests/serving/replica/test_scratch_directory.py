"""Private directories: a killed owner's is deleted by the next replica, a living owner's never."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from deployments.replica.scratch_directory import ScratchDirectory, sweep

_OWNER = """
import sys
from pathlib import Path
from deployments.replica.scratch_directory import ScratchDirectory
print(ScratchDirectory(Path(sys.argv[1])).path, flush=True)
sys.stdin.read()
"""


def test_a_killed_owners_directory_is_swept_and_a_living_ones_is_kept(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        theirs = Path(owner.stdout.readline().strip())
        mine = ScratchDirectory(tmp_path)
        assert theirs.is_dir()
        owner.kill()
    assert sweep(tmp_path) == [theirs]
    assert not theirs.exists()
    assert mine.path.is_dir()
    mine.delete()
    assert list(tmp_path.iterdir()) == []


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    assert ScratchDirectory(tmp_path).path.stat().st_mode & 0o077 == 0
