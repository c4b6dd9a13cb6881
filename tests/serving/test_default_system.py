"""What a new user does: `serve run serve_config.yaml` from the repository root, then three questions to `auto`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import openai
import pytest

from tests.serving.conftest import PROJECT, START_TIMEOUT_S, free_port

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(1200)]

QUESTIONS = {
    "math_reasoning": "State the final answer to the following arithmetic problem: 4 + 27 - 9 =",
    "code_generation": "Write a Python function that returns the sum of a list of numbers.",
    "logical_reasoning": "John is married to Isabella. They have a child called Edward. What is Isabella to Edward?",
    "base": "Recommend a quiet seaside town for a short holiday.",
}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The shipped config with nothing changed but port and state directory, run by Ray Serve's own command."""
    directory = tmp_path_factory.mktemp("default-system")
    port = free_port()
    text = (PROJECT / "serve_config.yaml").read_text()
    assert text.count("port: 8000") == text.count("state_dir: runs/adapter-store") == 1
    config = directory / "serve_config.yaml"
    config.write_text(
        text.replace("port: 8000", f"port: {port}").replace(
            "state_dir: runs/adapter-store", f"state_dir: {directory / 'state'}"
        )
    )
    log = directory / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(Path(sys.executable).with_name("serve")), "run", str(config)],
            cwd=PROJECT,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_hear_interrupts,
            env=os.environ | {"RAY_ADDRESS": "local"},
        )
    try:
        _wait_until_ready(f"http://127.0.0.1:{port}", process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(timeout=120)


def _hear_interrupts() -> None:
    """`serve run` ends on SIGINT, which a shell makes its background jobs, and so this test run's children, ignore."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"{url}/health", timeout=10).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
        time.sleep(0.2)
    raise AssertionError(log.read_text())


@pytest.mark.parametrize("adapter", QUESTIONS)
def test_auto_streams_each_question_from_the_right_adapter(url: str, adapter: str) -> None:
    listing = {a["name"]: a for a in httpx.get(f"{url}/v1/adapters", timeout=60).json()["data"]}
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", timeout=300) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="auto",
            messages=[{"role": "user", "content": QUESTIONS[adapter]}],
            max_tokens=24,
            temperature=0,
            stream=True,
        )
        text = "".join(chunk.choices[0].delta.content or "" for chunk in raw.parse())
    assert raw.headers["x-adaptrix-adapter"] == adapter
    assert raw.headers["x-adaptrix-digest"] == ("" if adapter == "base" else listing[adapter]["digest"])
    assert text.strip()


def test_every_shipped_adapter_is_signed_and_held(url: str) -> None:
    listing = httpx.get(f"{url}/v1/adapters", timeout=60).json()["data"]
    assert {adapter["name"] for adapter in listing} >= set(QUESTIONS) - {"base"}
    for adapter in listing:
        assert adapter["signer"], adapter
        assert adapter["refused"] == {}, adapter
