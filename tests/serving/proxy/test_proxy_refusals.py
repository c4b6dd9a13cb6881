"""What the ingress has refused for all requests like it, the proxy refuses; all else passes through as it is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from adaptrix_core.errors import Overloaded
from deployments.http.errors import error_response
from deployments.proxy.refusals import LONGEST_BODY, ProxyRefusals
from deployments.shared import overload_memory
from deployments.shared.errors import AllBusy
from tests.serving.inprocess import listening

PATH = "/v1/completions"
BODY = {"model": "math", "prompt": "a"}


class Ingress:
    """Stands at the other end of Ray Serve's proxy: refuses what it is told to, and notes what reaches it."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.error: Overloaded | None = AllBusy("all are full", retry_after_s=7.0, alike_s=0.5)
        self.app = Starlette(
            routes=[
                Route(PATH, self.answer, methods=["POST"]),
                Route("/v1/chat/completions", self.answer, methods=["POST"]),
                Route("/metrics", lambda _: PlainTextResponse("# TYPE a counter\na_total 1.0\n")),
            ]
        )

    async def answer(self, request: Request) -> Response:
        self.bodies.append(await request.body())
        if self.error is not None:
            return error_response(self.error)

        async def parts() -> AsyncIterator[bytes]:
            for number in range(3):
                yield b"%d" % number
                await asyncio.sleep(0)

        return StreamingResponse(parts())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(
        overload_memory, "time", SimpleNamespace(monotonic=lambda: now[0])
    )  # the event loop has its own
    return now


@asynccontextmanager
async def behind_the_proxy(ingress: Ingress) -> AsyncIterator[httpx.AsyncClient]:
    async with listening(ProxyRefusals(ingress.app)) as url, httpx.AsyncClient(base_url=url) as client:
        yield client


async def test_a_request_like_a_refused_one_gets_its_answer_until_the_time_is_over(clock: list[float]) -> None:
    ingress = Ingress()
    async with behind_the_proxy(ingress) as client:
        first = await client.post(PATH, json=BODY)
        clock[0] += 0.4
        second = await client.post(PATH, json={**BODY, "prompt": "another", "max_tokens": 3})
        assert [first.status_code, second.status_code] == [429, 429]
        assert second.json() == first.json()
        assert [answer.headers["retry-after"] for answer in (first, second)] == ["7", "7"]
        assert len(ingress.bodies) == 1
        clock[0] += 0.11
        ingress.error = None
        assert (await client.post(PATH, json=BODY)).text == "012"


@pytest.mark.parametrize(
    ("path", "body", "headers"),
    [
        (PATH, {**BODY, "model": "logic"}, {}),
        (PATH, {**BODY, "priority": -1}, {}),
        (PATH, {**BODY, "n": 2}, {}),
        (PATH, {**BODY, "adaptrix": {"mix": {"logic": 1.0}}}, {}),
        (PATH, BODY, {"authorization": "Bearer another"}),
        ("/v1/chat/completions", BODY, {}),
    ],
    ids=["model", "urgency", "choices", "mix", "caller", "endpoint"],
)
async def test_other_requests_reach_the_ingress(path: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    ingress = Ingress()
    async with behind_the_proxy(ingress) as client:
        await client.post(PATH, json=BODY)
        await client.post(path, json=body, headers=headers)
    assert len(ingress.bodies) == 2


@pytest.mark.parametrize(
    "error",
    [Overloaded("full", retry_after_s=7.0), Overloaded("late", code="deadline_unreachable", retry_after_s=7.0)],
    ids=["one-replica-of-several", "deadline"],
)
async def test_a_refusal_that_says_nothing_of_others_is_not_remembered(error: Overloaded) -> None:
    ingress = Ingress()
    ingress.error = error
    async with behind_the_proxy(ingress) as client:
        answers = [await client.post(PATH, json=BODY) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [429, 429]
    assert len(ingress.bodies) == 2


@pytest.mark.parametrize("prompt", [["a", "b"], [[1], [2]]], ids=["texts", "tokens"])
async def test_several_prompts_say_nothing_of_one(prompt: list[object]) -> None:
    ingress = Ingress()
    async with behind_the_proxy(ingress) as client:
        await client.post(PATH, json={**BODY, "prompt": prompt})
        await client.post(PATH, json=BODY)
    assert len(ingress.bodies) == 2


async def test_auto_is_routed_anew_each_time() -> None:
    ingress = Ingress()
    async with behind_the_proxy(ingress) as client:
        for _ in range(2):
            await client.post(PATH, json={**BODY, "model": "auto"})
    assert len(ingress.bodies) == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b"\xff\xfe", b'{"model": ["math"]}', b"[" * 20_000, b'{"model": "math"}' + b" " * LONGEST_BODY],
    ids=["empty", "half", "list", "no-text", "no-name", "deep", "long"],
)
async def test_bodies_pass_through_untouched_whatever_is_in_them(content: bytes) -> None:
    ingress = Ingress()
    async with behind_the_proxy(ingress) as client:
        await client.post(PATH, json=BODY)  # so that the proxy looks at what follows

        async def in_parts() -> AsyncIterator[bytes]:
            yield content[:1]
            yield content[1:]

        await client.post(PATH, content=in_parts())
        assert ingress.bodies[1:] == [content]


async def test_a_client_that_leaves_while_it_sends_holds_nobody_up() -> None:
    ingress = Ingress()
    async with behind_the_proxy(ingress) as client:
        await client.post(PATH, json=BODY)
        _, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port)
        writer.write(b"POST %s HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{" % PATH.encode())
        await writer.drain()
        writer.close()
        assert (await client.post(PATH, json=BODY)).status_code == 429


async def test_what_the_proxy_refuses_is_counted_beside_what_the_ingress_counts() -> None:
    async with behind_the_proxy(Ingress()) as client:
        for _ in range(3):
            await client.post(PATH, json=BODY)
        families = text_string_to_metric_families((await client.get("/metrics")).text)
    samples = {(s.name, s.labels.get("path")): s.value for family in families for s in family.samples}
    assert samples["a_total", None] == 1.0
    assert samples["adaptrix_proxy_refusals_total", PATH] == 2.0
    assert samples["adaptrix_proxy_refusals_total", "/v1/chat/completions"] == 0.0
