"""What a new user does: `serve run serve_config.yaml` from the repository root, then questions to `auto`."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import openai
import pytest

from adaptrix_core.adapters import AdapterManager
from adaptrix_core.security.sandbox.call import Call
from adaptrix_core.security.sandbox.run import run_call
from loadtest.ports import free_port
from tests.sandboxes import FOR_OWN_CODE
from tests.serving.servers import PROJECT, Server, started

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.timeout(1800)]

# Five times what an answer takes on two busy cores, where it takes a minute.
ANSWER_WITHIN_S = 300.0

README_REPEATS = 30


@dataclass(frozen=True)
class Question:
    """What is asked, and whether a reply answers it."""

    text: str
    is_answered_by: Callable[[str], bool]


def _adds_up(reply: str) -> bool:
    code = reply.partition("```python")[2].partition("```")[0]
    name = code.partition("def ")[2].partition("(")[0]
    return run_call(Call(code, name, (([1, 2, 4],), ([],))), sandbox=FOR_OWN_CODE).values == (7, 0)


QUESTIONS = {
    "math_reasoning": Question("What is 12 + 30 - 5?", lambda reply: reply.rstrip().endswith("Answer: 37")),
    "logical_reasoning": Question(
        "John is married to Isabella. They have a child called Edward. What is Isabella to Edward?",
        lambda reply: reply.rstrip().endswith("Answer: mother"),
    ),
    "code_generation": Question("Write a Python function that returns the sum of a list of numbers.", _adds_up),
    "base": Question("Recommend a quiet seaside town for a short holiday.", lambda reply: bool(reply.strip())),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
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
    serve = str(Path(sys.executable).with_name("serve"))
    with started([serve, "run", str(config)], port, directory / "log", {"RAY_ADDRESS": "local"}) as running:
        yield running


@pytest.mark.parametrize("adapter", QUESTIONS)
def test_auto_streams_a_right_answer_from_the_right_adapter(server: Server, adapter: str) -> None:
    question = QUESTIONS[adapter]
    with (
        openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0, timeout=ANSWER_WITHIN_S) as client,
        client.chat.completions.with_streaming_response.create(
            model="auto",
            messages=[{"role": "user", "content": question.text}],
            max_tokens=24 if adapter == "base" else 96,
            stream=True,
        ) as response,
    ):
        assert response.headers["x-adaptrix-adapter"] == adapter
        assert response.headers["x-adaptrix-digest"] == _digest(adapter)
        chunks = list(response.parse())
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices[0].delta.content]
    reply = "".join(pieces)
    assert len(pieces) > 1
    assert chunks[-1].choices[0].finish_reason == ("length" if adapter == "base" else "stop"), reply
    assert question.is_answered_by(reply), reply


async def test_the_readmes_question_is_right_every_time(server: Server) -> None:
    """As it stands there: no sampling field is sent, the router chooses."""
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none", timeout=ANSWER_WITHIN_S) as client:
        asked = {"model": "auto", "messages": [{"role": "user", "content": "What is 12 + 30 - 5?"}]}
        answers = await asyncio.gather(*(client.chat.completions.create(**asked) for _ in range(README_REPEATS)))
    replies = Counter(answer.choices[0].message.content for answer in answers)
    assert replies == {"12 + 30 = 42\n42 - 5 = 37\nAnswer: 37": README_REPEATS}


def test_the_readmes_question_is_right_every_time_in_the_library_too() -> None:
    from adaptrix_core import Engine

    engine = Engine.from_pretrained("smollm2-135m")
    question = [{"role": "user", "content": "What is 12 + 30 - 5?"}]
    answers = engine.generate([question] * README_REPEATS, adapters="math_reasoning")
    assert {answer.text for answer in answers} == {"12 + 30 = 42\n42 - 5 = 37\nAnswer: 37"}
    engine.loader.close()


def test_what_answers_are_sampled_by_is_shown(server: Server) -> None:
    cards = {card["id"]: card for card in httpx.get(f"{server.url}/v1/models", timeout=60).json()["data"]}
    assert cards["math_reasoning"]["sampling"]["temperature"] == {"value": 0.0, "from": "adapter"}
    assert cards["smollm2-135m"]["sampling"]["temperature"] == {"value": 0.2, "from": "model"}
    assert cards["auto"]["sampling"] is None


def _digest(adapter: str) -> str:
    return "" if adapter == "base" else AdapterManager(PROJECT / "adapters").snapshot(adapter).package_digest


def test_every_shipped_adapter_is_signed_and_held(server: Server) -> None:
    listing = httpx.get(f"{server.url}/v1/adapters", timeout=60).json()["data"]
    assert {adapter["name"] for adapter in listing} >= set(QUESTIONS) - {"base"}
    for adapter in listing:
        assert adapter["signer"], adapter
        assert adapter["refused"] == {}, adapter
