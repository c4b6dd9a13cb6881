"""Requests that call a deployment several times at once: each is answered, and what comes after it is too."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.serving.conftest import BASE_ID
from tests.serving.servers import Server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

MANY = 16
CASES: list[tuple[str, dict[str, Any], int]] = [
    ("/detokenize", {"tokens": [[number] for number in range(MANY)]}, 200),
    ("/detokenize", {"tokens": [[1], [1 << 30]] * (MANY // 2)}, 400),
    ("/tokenize", {"prompt": [f"text {number}" for number in range(MANY)]}, 200),
    ("/v1/completions", {"prompt": [f"text {number}" for number in range(MANY)], "max_tokens": 1}, 200),
    ("/v1/completions", {"prompt": [[number] for number in range(MANY)], "model": "auto", "max_tokens": 1}, 200),
    ("/v1/route", {"messages": [{"role": "user", "content": "First add 2 and 3, then write a poem."}]}, 200),
]


@pytest.mark.parametrize(("path", "body", "status"), CASES)
def test_every_call_of_a_request_ends_and_so_does_the_next(
    server: Server, path: str, body: dict[str, Any], status: int
) -> None:
    with httpx.Client(base_url=server.url, timeout=30) as client:
        for _ in range(20):
            named = {} if path == "/v1/route" else {"model": BASE_ID}
            answer = client.post(path, json={**named, **body})
            assert answer.status_code == status, answer.text
