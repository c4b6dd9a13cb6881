"""What Ray Serve's proxy says itself has the shape of our errors; what the application says passes untouched."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from deployments.proxy.errors import ProxyErrors
from tests.serving.inprocess import listening

PATH = "/v1/completions"


def proxy(answer: Callable[[], Response | None]) -> ASGIApp:
    """A proxy that reads the headers that Ray Serve's does, as it does, and answers this; None is no answer at all."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        for name, value in scope["headers"]:
            if name in (b"x-request-id", b"traceparent", b"x-request-timeout-seconds", b"serve_session_id"):
                value.decode()
        response = answer()
        if response is not None:
            await response(scope, receive, send)

    return serve


async def asked(app: ASGIApp, path: str = PATH, headers: list[tuple[bytes, bytes]] | None = None) -> httpx.Response:
    async with listening(ProxyErrors(app)) as url, httpx.AsyncClient(base_url=url) as http:
        return await http.post(path, json={}, headers=headers)


def in_shape(answer: httpx.Response) -> tuple[int, str]:
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "code", "param"}
    return answer.status_code, error["code"]


def raising() -> Response:
    raise RuntimeError("a fault of the proxy")


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda: PlainTextResponse("Path '/v1' not found. Ping http://.../-/routes", 404), (503, "not_ready")),
        (lambda: PlainTextResponse("Request 1 timed out after 1e-09s.", 408), (504, "deadline_exceeded")),
        (lambda: PlainTextResponse("busy", 429), (429, "overloaded")),
        (lambda: PlainTextResponse("unavailable", 503), (503, "not_ready")),
        (lambda: PlainTextResponse("Internal Server Error", 500), (503, "not_ready")),
        (lambda: None, (503, "ingress_lost")),
        (raising, (500, "internal_error")),
    ],
    ids=["no application", "too late", "full", "unavailable", "failed", "no answer", "raised"],
)
async def test_the_proxys_own_answers_take_the_shape_of_ours(
    answer: Callable[[], Response | None], told: tuple[int, str]
) -> None:
    got = await asked(proxy(answer))
    assert in_shape(got) == told
    assert ("retry-after" in got.headers) == (told[0] in (429, 503))


WHOLE = b"data: 0\n\ndata: 1\n\ndata: 2\n\ndata: [DONE]\n\n"


async def parts() -> Awaitable[None]:  # type: ignore[misc]
    for number in range(3):
        yield b"data: %d\n\n" % number  # type: ignore[misc]
        await asyncio.sleep(0)
    yield b"data: [DONE]\n"  # type: ignore[misc]
    yield b"\n"  # type: ignore[misc]


@pytest.mark.parametrize(
    "answer",
    [
        lambda: JSONResponse({"error": {"message": "no"}}, 404, {"x-one": "1"}),
        lambda: JSONResponse({"object": "list"}, 200),
        lambda: PlainTextResponse("Success: added", 200),
        lambda: Response(status_code=204),
        lambda: StreamingResponse(parts(), media_type="text/event-stream"),  # type: ignore[arg-type]
    ],
    ids=["error", "document", "text", "nothing", "stream"],
)
async def test_the_applications_answers_pass_through(answer: Callable[[], Response]) -> None:
    got, plain = await asked(proxy(answer)), answer()
    assert got.status_code == plain.status_code
    assert {**plain.headers, "date": ""}.items() <= {**got.headers, "date": ""}.items()
    assert got.content == (WHOLE if isinstance(plain, StreamingResponse) else plain.body)


def cut_off(how: str) -> ASGIApp:
    """A proxy whose ingress is lost after two events."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for number in range(2):
            await send({"type": "http.response.body", "body": b"data: %d\n\n" % number, "more_body": True})
        if how == "ended":
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        if how == "raised":
            raise RuntimeError("the ingress is gone")

    return serve


@pytest.mark.parametrize("how", ["returned", "ended", "raised"])
async def test_a_stream_whose_ingress_is_lost_ends_with_an_error_event(how: str) -> None:
    got = await asked(cut_off(how))
    *parts, error, done, rest = got.text.split("\n\n")
    assert (parts, done, rest) == (["data: 0", "data: 1"], "data: [DONE]", "")
    told = json.loads(error.removeprefix("data: "))["error"]
    assert (told["code"], told["type"]) == ("ingress_lost", "server_error")


async def test_what_anthropics_clients_get_from_the_proxy_has_their_form() -> None:
    got = await asked(proxy(lambda: None), "/v1/messages")
    assert (got.status_code, got.json()["error"]["type"]) == (503, "overloaded_error")
    lost = await asked(cut_off("ended"), "/v1/messages")
    assert 'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"' in lost.text
    whole = b"event: message_stop\ndata: {}\n\n: [DONE]\n\n"
    through = await asked(proxy(lambda: Response(whole, media_type="text/event-stream")), "/v1/messages")
    assert through.content == whole


async def test_a_client_that_leaves_in_mid_stream_is_no_lost_ingress(caplog: pytest.LogCaptureFixture) -> None:
    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        await cut_off("returned")(scope, receive, send)
        assert (await receive())["type"] == "http.disconnect"

    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": PATH, "headers": []}
    await ProxyErrors(serve)(scope, receive, send)
    assert all(b"error" not in message.get("body", b"") for message in sent)
    assert "was lost" not in caplog.text


async def test_what_operators_ask_ray_serve_itself_stays_as_it_is() -> None:
    got = await asked(proxy(lambda: PlainTextResponse("draining", 503)), "/-/healthz")
    assert (got.status_code, got.text) == (503, "draining")


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ((b"x-request-id", "é".encode("latin-1")), 200),
        ((b"x-request-id", b"ok-\xff"), 200),
        ((b"traceparent", b"\xe9"), 200),
        ((b"x-request-timeout-seconds", b"\xe9"), 400),
        ((b"x-request-timeout-seconds", b"soon"), 400),
        ((b"serve_session_id", b"\xe9"), 400),
    ],
)
async def test_headers_that_the_proxy_cannot_read(header: tuple[bytes, bytes], status: int) -> None:
    got = await asked(proxy(lambda: JSONResponse({})), headers=[header])
    assert got.status_code == status
    if status == 400:
        assert in_shape(got) == (400, "invalid_request")
