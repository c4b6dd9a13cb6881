"""One client's stream goes on evenly while another one sends what is costly to read, check, refuse or tokenise."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.serving.cluster.test_cluster import CHAT
from tests.serving.conftest import BASE_ID
from tests.serving.servers import Server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

TEXT = "/v1/completions"
PAUSE_S = 0.5
"""What the other client may add to the longest pause between two events of a stream."""
SIZE = (1 << 20) - 1000
"""The server of these tests takes bodies of 1 MiB."""
TIMES, TRIES = 3, 3


def filled(pattern: bytes) -> bytes:
    return pattern * (SIZE // len(pattern))


def text(prompt: Any, **fields: Any) -> bytes:
    return json.dumps({"model": BASE_ID, "prompt": prompt, "max_tokens": 1, **fields}).encode()


def answer_like(schema: dict[str, Any]) -> bytes:
    return text("a", response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema}})


PATTERNS = {"allOf": [{"type": "string", "pattern": f".*a.{{{number}}}b.*"} for number in range(5, 40)]}
PROPERTIES = {"type": "object", "properties": {f"property {n}": {"type": "string"} for n in range(20_000)}}

COSTLY: dict[str, tuple[bytes, str]] = {
    "many faults": (text([1.5] * 20_000), "invalid_request"),
    "faults in every list": (text([[1.5] * 100] * 1000), "invalid_request"),
    "empty lists": (b'{"prompt":[' + filled(b"[],") + b"1]}", "json_too_many_values"),
    "values up to the limit": (b'{"prompt":[' + b"[]," * 74_000 + b"1]}", "invalid_request"),
    "unknown fields": (text("a", **{f"field{n}": n for n in range(40_000)}), "unsupported_field"),
    "nesting": (b'{"prompt":' + b"[" * 100_000, "json_too_deep"),
    "digits": (b'{"seed":' + b"9" * SIZE + b"}", "number_too_long"),
    "escapes": (b'{"prompt":"' + filled(b"\\u00e9") + b'"', "invalid_json"),
    "text over the limit": (text("word " * 150_000), "text_too_long"),
    "text up to the limit": (text("word " * 100_000), "context_length_exceeded"),
    "patterns in a schema": (answer_like(PATTERNS), "grammar_too_costly"),
    "a large schema": (answer_like(PROPERTIES), "grammar_too_large"),
    "many texts": (text(["a b c " * 1000] * 64), "context_length_exceeded"),
}


def longest_pause_s(server: Server, meanwhile: Callable[[], object]) -> float:
    """Between two events of a stream that runs while ``meanwhile`` does, from before it until after it."""
    arrivals: list[float] = []
    ended = threading.Event()

    def read() -> None:
        body = {"model": BASE_ID, "prompt": "one", "max_tokens": 4000, "ignore_eos": True, "stream": True}
        with httpx.stream("POST", f"{server.url}{TEXT}", json=body, timeout=120) as answer:
            for _ in answer.iter_lines():
                arrivals.append(time.monotonic())
                if ended.is_set():
                    return

    reader = threading.Thread(target=read)
    reader.start()
    try:
        while len(arrivals) < 10 and reader.is_alive():
            time.sleep(0.01)
        began = time.monotonic()
        meanwhile()
        seen = len(arrivals)
        while len(arrivals) < seen + 5 and reader.is_alive():
            time.sleep(0.01)
    finally:
        ended.set()
        reader.join()
    during = [at for at in arrivals if at > began]
    assert during, "the stream ended before the other client had begun"
    return max(later - earlier for earlier, later in zip([began, *during], during, strict=False))


def assert_undisturbed(server: Server, undisturbed_s: float, meanwhile: Callable[[], object]) -> None:
    """What pauses a stream does so every time; what a busy machine does, it does not."""
    pauses: list[float] = []
    while len(pauses) < TRIES:
        pauses.append(longest_pause_s(server, meanwhile))
        if pauses[-1] < undisturbed_s + PAUSE_S:
            return
    raise AssertionError(f"pauses of {pauses} s, undisturbed {undisturbed_s:.2f} s")


@pytest.fixture(scope="module")
def undisturbed_s(server: Server) -> float:
    """The longest pause of a stream beside which nothing happens."""
    return longest_pause_s(server, lambda: time.sleep(3))


@pytest.mark.parametrize("what", COSTLY)
def test_a_stream_does_not_pause_for_anothers_costly_request(server: Server, undisturbed_s: float, what: str) -> None:
    body, code = COSTLY[what]

    def send() -> None:
        for _ in range(TIMES):
            headers = {"content-type": "application/json"}
            answer = httpx.post(f"{server.url}{TEXT}", content=body, headers=headers, timeout=120)
            assert answer.json()["error"]["code"] == code, answer.text
            assert len(answer.content) < 32_000

    assert_undisturbed(server, undisturbed_s, send)


def test_a_stream_does_not_pause_for_anothers_long_conversation(server: Server, undisturbed_s: float) -> None:
    messages = [{"role": "user", "content": "word " * 100}] * 1000
    body = {"model": "auto", "messages": messages, "max_tokens": 1}

    def send() -> None:
        answer = httpx.post(f"{server.url}{CHAT}", json=body, timeout=120)
        assert answer.json()["error"]["code"] == "context_length_exceeded", answer.text

    assert_undisturbed(server, undisturbed_s, send)


def test_a_stream_does_not_pause_for_anothers_thousand_embeddings(server: Server, undisturbed_s: float) -> None:
    body = {"model": "auto", "input": [f"{number} a few words" for number in range(1000)], "encoding_format": "float"}

    def send() -> None:
        assert httpx.post(f"{server.url}/v1/embeddings", json=body, timeout=120).status_code == 200

    assert_undisturbed(server, undisturbed_s, send)
