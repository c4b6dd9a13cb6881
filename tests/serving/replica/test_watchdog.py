"""A replica's process whose engine hangs ends by itself, and no other does: in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from deployments.replica.watchdog import EXIT_CODE
from tests.serving.tiny import World

_REPLICA = """
import asyncio, sys, threading, time
import yaml
from adaptrix_core.config import load_settings
from adaptrix_core.engine.heartbeat import FIRST_STEPS
from adaptrix_core.observe.tracing import start_tracing
from deployments.replica.watchdog import Watchdog
from deployments.shared.wire import GenerateCall
from deployments.replica.worker import EngineWorker

settings = load_settings(yaml.safe_load(sys.argv[1]))
worker = EngineWorker(settings, lambda package: None, start_tracing(settings.observe, "replica", "test"))
worker._loop.heartbeat._limit_s = 0.1
watchdog = Watchdog(worker.check_health, worker.give_up, look_s=0.05)
watchdog.start()
sampling = {"max_tokens": FIRST_STEPS + 2, "temperature": 0.0, "ignore_eos": True, "seed": 1}

async def answer():
    return [pieces async for pieces in worker.generate(GenerateCall("one", (5, 6, 7), ((),), sampling, b""))]

assert asyncio.run(answer())
if sys.argv[2] == "hangs":
    worker._loop._submit(lambda engine: threading.Event().wait(), ())
    time.sleep(120)
if sys.argv[2] == "dies":
    def die(engine):
        raise SystemExit
    worker._loop._submit(die, ())
    time.sleep(120)
assert asyncio.run(asyncio.wait_for(asyncio.sleep(0.5, "idle"), 5)) == "idle"
watchdog.stop()
worker.stop()
time.sleep(0.5)
"""


@pytest.mark.parametrize(("what", "code"), [("hangs", EXIT_CODE), ("dies", EXIT_CODE), ("rests", 0)])
def test_a_process_ends_itself_only_where_its_engine_is_beyond_help(
    world: World, tmp_path: Path, what: str, code: int
) -> None:
    settings = yaml.safe_dump(world.settings(adapters={"state_dir": str(tmp_path)}))
    ended = subprocess.run(
        [sys.executable, "-c", _REPLICA, settings, what], capture_output=True, text=True, timeout=600, check=False
    )
    assert ended.returncode == code, ended.stderr
    if code:
        assert "this process ends" in ended.stderr
