"""Clients that misbehave over real HTTP: they hardly read, stay and say nothing, or send headers of the inside."""

from __future__ import annotations

import json
import resource
import socket
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.serving.cluster.test_cluster import ASK, CHAT, LONG, ask, processes, rows_running, wait_for
from tests.serving.conftest import BASE_ID
from tests.serving.servers import Server
from tests.serving.tiny import World

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]

IDLE = 1000
PER_CONNECTION = 100 * 1024
"""Bytes that an idle connection may cost the server; 4.5 kB were measured."""
PER_TOKEN = 4096
"""Bytes that a token which its client has not read may cost."""


def connection(server: Server) -> socket.socket:
    """A connection with the smallest receive buffer there is."""
    address = urlsplit(server.url)
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    made.settimeout(120)
    made.connect((address.hostname, address.port))
    return made


def post(path: str, body: dict[str, object], *headers: bytes) -> bytes:
    """The bytes of a request, ``headers`` as they are."""
    content = json.dumps(body).encode()
    lines = [b"POST " + path.encode() + b" HTTP/1.1", b"Host: 127.0.0.1", b"Content-Type: application/json"]
    lines += [b"Content-Length: " + str(len(content)).encode(), b"Connection: close", *headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + content


def rest(open_connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    parts = []
    while part := open_connection.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def memory(server: Server) -> int:
    """Bytes that the processes between clients and engines hold."""
    return sum(p.memory_info().rss for title in ("ProxyActor", ":Ingress") for p in processes(server, title))


def test_a_client_that_hardly_reads_delays_nobody_and_loses_nothing(server: Server) -> None:
    wait_for(lambda: rows_running(server) == 0)
    assert processes(server, "ProxyActor")
    assert processes(server, ":Ingress")
    body = {"model": BASE_ID, "messages": ASK, "max_tokens": LONG, "n": 2, "ignore_eos": True, "stream": True}
    before = memory(server)
    with connection(server) as slow:
        slow.sendall(post(CHAT, body))
        read = slow.recv(1)
        wait_for(lambda: rows_running(server) > 0)
        read += slow.recv(1)
        assert ask(server).status_code == 200, "another client was kept waiting"
        wait_for(lambda: rows_running(server) == 0, 600)  # the engine is done with it, though its client is not
        read += slow.recv(1)
        assert memory(server) - before < 2 * LONG * PER_TOKEN
        assert ask(server).status_code == 200
        answer = read + rest(slow)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b'"finish_reason":"length"') == 2
    assert b"data: [DONE]" in answer[-64:]


def test_a_thousand_idle_connections_cost_little_and_stop_nobody(server: Server) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, IDLE + 512)), hard))
    before = memory(server)
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        for number in range(IDLE):
            idle = stack.enter_context(connection(server))
            if number % 2:  # half of them say nothing at all, half never finish their first line
                idle.sendall(b"POST /v1/chat")
        assert ask(server).status_code == 200
        assert httpx.get(f"{server.url}/health", timeout=60).status_code == 200
        grown = memory(server) - before
        assert grown < IDLE * PER_CONNECTION
    assert ask(server).status_code == 200


@pytest.mark.parametrize(
    ("header", "statuses"),
    [
        (b"x-request-id: a\r\nserve_multiplexed_model_id: x", (400,)),
        (b"x-request-id: a\nx-serve-router-adapter: x", (400,)),
        (b"Serve-Multiplexed-Model-Id: x", (400,)),
        (b"X-SERVE_ROUTER-adapter: x", (400,)),
        (b"serve_session_id: x", (400,)),
        (b"serve_multiplexed_model_id : x", (400,)),
        (b"x-request-id: a\rserve_multiplexed_model_id: x", (200, 400)),
        (b"x-request-id: a\r\n serve_multiplexed_model_id: x", (200, 400)),
        (b"x-request-id: a\x00b", (200, 400)),
    ],
    ids=lambda value: repr(value) if isinstance(value, bytes) else None,
)
def test_injected_headers_steer_nothing(server: Server, header: bytes, statuses: tuple[int, ...]) -> None:
    body = {"model": BASE_ID, "messages": ASK, "max_tokens": 2}
    with connection(server) as raw:
        raw.sendall(post(CHAT, body, header))
        head = rest(raw).partition(b"\r\n\r\n")[0].lower()
    assert int(head.split()[1]) in statuses
    assert not [line for line in head.split(b"\r\n") if line.startswith((b"serve_", b"serve-", b"x-serve"))]
    assert ask(server).status_code == 200


def test_a_request_id_of_ten_kilobytes_is_cut_before_it_is_written_down(server: Server, world: World) -> None:
    answer = httpx.post(
        f"{server.url}{CHAT}",
        json={"model": BASE_ID, "messages": ASK, "max_tokens": 2},
        headers={"x-request-id": "long-" + "z" * 10_000},
        timeout=120,
    )
    assert answer.status_code == 200
    log = Path(world.root / "cluster-log.jsonl")

    def ids() -> list[str]:
        return [json.loads(line).get("request_id", "") for line in log.read_text().splitlines()]

    wait_for(lambda: any(one.startswith("long-") for one in ids()))
    assert {len(one) for one in ids() if one.startswith("long-")} == {128}
