"""Through Ray Serve's own proxy too, every answer has our shape: what it cannot read, and what ends before we begin."""

from __future__ import annotations

import json

import pytest

from tests.serving.cluster.test_cluster import CHAT, ask
from tests.serving.cluster.test_hostile_clients import connection, post, rest
from tests.serving.conftest import BASE_ID
from tests.serving.servers import Server

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

BODY: dict[str, object] = {"model": BASE_ID, "messages": [{"role": "user", "content": "hi"}], "max_tokens": 2}


def sent(server: Server, data: bytes) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of the answer to these bytes."""
    with connection(server) as raw:
        raw.sendall(data)
        head, _, body = rest(raw).partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(status.split()[1]), headers, body


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        (b"x-request-id: \xe9\xff", 200, None),
        (b"x-request-id: " + "é".encode(), 200, None),
        (b"traceparent: \xe9", 200, None),
        (b"user-agent: \xe9", 200, None),
        (b"x-request-timeout-seconds: 1e-9", 504, "deadline_exceeded"),
        (b"x-request-timeout-seconds: 0.001", 504, "deadline_exceeded"),
        (b"x-request-timeout-seconds: \xe9", 400, "invalid_request"),
        (b"x-request-timeout-seconds: soon", 400, "invalid_request"),
        (b"serve_session_id: \xe9", 400, "invalid_request"),
        (b"content-encoding: gzip", 415, "unsupported_encoding"),
    ],
)
def test_headers_that_a_proxy_stumbles_over(server: Server, header: bytes, status: int, code: str | None) -> None:
    got, headers, body = sent(server, post(CHAT, BODY, header))
    assert got == status, body
    assert headers["content-type"].startswith("application/json")
    if code is not None:
        error = json.loads(body)["error"]
        assert error["code"] == code
        assert set(error) == {"message", "type", "code", "param"}
    assert ask(server).status_code == 200


@pytest.mark.parametrize("line", [b"GET /nowhere", b"PUT /v1/models", b"TRACE /v1/models", b"GET /v1/models/%00%ff"])
def test_paths_and_methods_that_are_no_endpoints(server: Server, line: bytes) -> None:
    got, headers, body = sent(server, line + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
    assert got in (404, 405)
    assert headers["content-type"] == "application/json"
    assert set(json.loads(body)["error"]) == {"message", "type", "code", "param"}
