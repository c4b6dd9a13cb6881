"""Clients that leave, in mid-stream or before a whole answer is there: their rows run first, and end as aborted."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack

import httpx
import pytest

from tests.serving.cluster.test_cluster import ASK, CHAT, LONG, reported, wait_for
from tests.serving.cluster.test_hostile_clients import connection
from tests.serving.servers import Server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

ADAPTERS = ("math_reasoning", "code_generation", "logical_reasoning")
CLIENTS = 6


def aborted(server: Server) -> float:
    """Rows that have ended because nobody wanted them any more, by the ingress's count."""
    text = httpx.get(f"{server.url}/metrics", timeout=60).text
    lines = re.findall(r"^adaptrix_rows_total\{([^}]*)\} (\S+)$", text, re.MULTILINE)
    return sum(float(number) for labels, number in lines if "abort" in labels)


def held(server: Server) -> float:
    """Rows that run or wait in the engines."""
    return reported(server, "rows_running") + reported(server, "rows_waiting")


def request(number: int) -> bytes:
    """Every third client waits for a whole answer, every other one asks for two choices."""
    body = {
        "model": ADAPTERS[number % 3],
        "messages": ASK,
        "max_tokens": LONG,
        "ignore_eos": True,
        "n": 1 + number % 2,
        "stream": number % 3 != 2,
    }
    content = json.dumps(body).encode()
    head = (
        f"POST {CHAT} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(content)}"
    )
    return head.encode() + b"\r\n\r\n" + content


def test_rows_of_clients_that_leave_ran_and_ended(server: Server) -> None:
    wait_for(lambda: held(server) == 0)
    before = aborted(server)
    rows = sum(1 + number % 2 for number in range(CLIENTS))
    with ExitStack() as stack:
        for number in range(CLIENTS):
            stack.enter_context(connection(server)).sendall(request(number))
        wait_for(lambda: held(server) == rows)
    wait_for(lambda: held(server) == 0)
    wait_for(lambda: aborted(server) - before == rows)
