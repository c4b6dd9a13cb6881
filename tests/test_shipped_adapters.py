"""The adapters in `adapters/`, as they are shipped: signed, small, made for the default base, and of use.

The last tests start the whole system on them, as `make serve` does, and ask it with the official openai client.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import openai
import pytest
import yaml

from adaptrix_core.adapters import AdapterManager, TrustPolicy
from adaptrix_core.base import BaseModel, BaseModelManager
from adaptrix_core.routing.prompts import suggested_cards
from adaptrix_core.training.sandbox import Call, run
from tests.serving.conftest import PROJECT, Server, free_port, wait_until_ready

ADAPTERS = PROJECT / "adapters"
SHIPPED = sorted(path.parent.name for path in ADAPTERS.glob("*/metadata.json"))
TRUST = TrustPolicy("require", trusted_keys_dir=ADAPTERS / "trusted_keys")
MAX_BYTES = 8_000_000
# Five times what an answer takes on two busy cores, where it takes a minute.
ANSWER_WITHIN_S = 300.0


def test_there_is_one_adapter_for_each_family_that_the_router_knows() -> None:
    assert set(SHIPPED) == set(suggested_cards())


@pytest.mark.parametrize("name", SHIPPED)
def test_its_signature_is_by_the_key_beside_it(name: str) -> None:
    assert TRUST.check(AdapterManager(ADAPTERS).snapshot(name)).signer == "adaptrix"


@pytest.mark.parametrize("name", SHIPPED)
def test_the_directory_is_small(name: str) -> None:
    assert sum(file.stat().st_size for file in (ADAPTERS / name).iterdir()) < MAX_BYTES


@pytest.mark.parametrize("name", SHIPPED)
def test_it_says_of_itself_what_the_router_is_calibrated_on(name: str) -> None:
    metadata = AdapterManager(ADAPTERS).get_adapter_metadata(name)
    card = suggested_cards()[name]
    assert metadata.description == card["description"]
    assert list(metadata.routing_examples) == card["routing_examples"]


@pytest.fixture(scope="module")
def base() -> BaseModel:
    return BaseModelManager("smollm2-135m", "cpu", "fp32").load_model()


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_it_loads_for_the_default_base(base: BaseModel, name: str) -> None:
    """Under the strictest trust, and where adapters for other quantisations of the base are refused."""
    adapter = AdapterManager(ADAPTERS, base, TRUST, base_match="exact").load_adapter(name)
    made_for = adapter.metadata.base
    assert (made_for.lineage, made_for.signature, made_for.digest) == (
        base.info.lineage,
        base.info.signature,
        base.info.digest,
    )
    assert (adapter.name, adapter.signer, adapter.warnings) == (name, "adaptrix", ())
    assert all(
        point.lora_a.isfinite().all() and point.lora_b.isfinite().all() and point.lora_b.any()
        for point in adapter.weights.points.values()
    )


@dataclass(frozen=True)
class Question:
    """What is asked, and whether a reply answers it."""

    text: str
    is_answered_by: Callable[[str], bool]


def _keeps_even_numbers(reply: str) -> bool:
    code = reply.partition("```python")[2].partition("```")[0]
    return run(Call(code, "keep_even", (([1, 2, 3, 4],), ([],)))).values == ([2, 4], [])


QUESTIONS = {
    "math_reasoning": Question("What is 8 + 7 - 3?", lambda reply: reply.rstrip().endswith("Answer: 12")),
    "logical_reasoning": Question(
        "John is married to Isabella. They have a child called Edward. What is Isabella to Edward?",
        lambda reply: reply.rstrip().endswith("Answer: mother"),
    ),
    "code_generation": Question(
        "Write a Python function `keep_even(numbers)` that keeps the even numbers of a list.", _keeps_even_numbers
    ),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`make serve` with the shipped settings; only port and state directory are its own."""
    directory = tmp_path_factory.mktemp("shipped")
    settings = yaml.safe_load((PROJECT / "serve_config.yaml").read_text())
    settings["applications"][0]["args"]["adapters"]["state_dir"] = str(directory / "state")
    config = directory / "serve_config.yaml"
    config.write_text(yaml.safe_dump(settings))
    port, log = free_port(), directory / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "deployments.launch", "--config", str(config), "--port", str(port)],
            cwd=PROJECT,
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
    running = Server(f"http://127.0.0.1:{port}", process, log)
    try:
        wait_until_ready(running)
        yield running
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(timeout=120)
    assert process.returncode == 0, log.read_text()


@pytest.mark.slow
@pytest.mark.integration
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", QUESTIONS)
def test_auto_streams_a_right_answer_from_the_right_adapter(server: Server, name: str) -> None:
    question = QUESTIONS[name]
    digest = AdapterManager(ADAPTERS).snapshot(name).package_digest
    asked = time.monotonic()
    with (
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=ANSWER_WITHIN_S) as client,
        client.chat.completions.with_streaming_response.create(
            model="auto",
            messages=[{"role": "user", "content": question.text}],
            max_tokens=96,
            temperature=0,
            stream=True,
        ) as response,
    ):
        assert response.headers["x-adaptrix-adapter"] == name
        assert response.headers["x-adaptrix-digest"] == digest
        chunks = list(response.parse())
    assert time.monotonic() - asked < ANSWER_WITHIN_S
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content]
    reply = "".join(pieces)
    assert len(pieces) > 1
    assert chunks[-1].choices[0].finish_reason == "stop", reply
    assert question.is_answered_by(reply), reply
