"""Writes a log in processes that are killed at random points, and says what became of what they had confirmed.

python -m tests.security.audit.kills DIRECTORY KILLS SEED

Each process is forked, so that it begins within milliseconds. It confirms each event over a pipe once the writer says
that it is on the disk. Half of them are killed from outside, after a random time; the other half kill themselves at a
random one of their calls that change the disk, a write after a part of its bytes.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adaptrix_core.security.audit.chain import RECOVERED, BrokenChain
from adaptrix_core.security.audit.log import AuditLog
from adaptrix_core.security.audit.reading import records_of
from adaptrix_core.security.audit.record import AuditEvent
from adaptrix_core.security.audit.segments import segments_in
from adaptrix_core.security.audit.shipping import Shipping
from adaptrix_core.security.audit.verification import verify_log
from adaptrix_core.security.audit.writer import AuditWriter

CALLS = ("write", "fsync", "ftruncate", "open", "unlink")
LONGEST_S = 0.03


class Killed:
    """The calls of ``os``, of which the n-th ends the process."""

    def __init__(self, calls: int, part: float) -> None:
        self.left = calls
        self.part = part

    def install(self) -> None:
        for name in CALLS:
            setattr(os, name, self._deadly(name, getattr(os, name)))

    def _deadly(self, name: str, call):  # type: ignore[no-untyped-def]
        def deadly(*args, **kwargs):  # type: ignore[no-untyped-def]
            self.left -= 1
            if self.left == 0:
                if name == "write":
                    call(args[0], args[1][: int(self.part * len(args[1]))])
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)

        return deadly


def work(directory: Path, key: Ed25519PrivateKey, confirmed: int, life: int) -> None:
    """Two threads record events until the process is killed."""
    log = AuditLog(directory / "audit", key, segment_bytes=30_000, shipping=Shipping(directory / "elsewhere"))
    writer = AuditWriter(log, checkpoint_s=0.01)

    def record(thread: int) -> None:
        number = 0
        while True:
            number += 1
            target = f"{life}/{thread}/{number}"
            events = [AuditEvent("test.done", "done", target=target)] * (1 if thread else 7)
            writer.record(events, is_urgent=bool(thread)).result()
            os.writev(confirmed, [f"{target}\n".encode()])

    threading.Thread(target=record, args=(0,), daemon=True).start()
    record(1)


def life_of(directory: Path, key: Ed25519PrivateKey, chance: random.Random, life: int) -> list[str]:
    """The targets of the events that a process confirmed before it was killed."""
    kills_itself, calls, part, seconds = chance.random() < 0.5, chance.randint(1, 40), chance.random(), chance.random()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        if kills_itself:
            Killed(calls, part).install()
        work(directory, key, writing, life)
        os._exit(1)
    os.close(writing)
    if not kills_itself:
        time.sleep(seconds * LONGEST_S)
        os.kill(child, signal.SIGKILL)
    with os.fdopen(reading) as pipe:
        lines = pipe.read().split("\n")
    os.waitpid(child, 0)
    return lines[:-1]


def main(directory: Path, kills: int, seed: int) -> None:
    chance, key = random.Random(seed), Ed25519PrivateKey.generate()
    confirmed: list[str] = []
    broken: list[str] = []
    for life in range(kills):
        confirmed += life_of(directory, key, chance, life)
        if life == 0 and not segments_in(directory / "audit"):
            continue
        try:
            verify_log(directory / "audit", [key.public_key()])
        except BrokenChain as error:
            broken.append(f"after life {life}: {error}")
    records = list(records_of(directory / "audit"))
    there = {record.target for record in records}
    found = {
        "confirmed": len(confirmed),
        "lost": sorted(set(confirmed) - there)[:10],
        "broken": broken[:10],
        "recovered": sum(record.action == RECOVERED for record in records),
        "files": len(segments_in(directory / "audit")),
        "lines": len(records),
    }
    sys.stdout.write(f"{json.dumps(found)}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
