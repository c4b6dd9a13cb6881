"""A Ray Serve application of the same shape as ours with nothing in it: an ingress that streams what a replica says.

A request says how many messages it wants and how long after one another. For `serve_floor.py`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from collections.abc import AsyncGenerator
from typing import Any

import ray
from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse
from ray import serve
from ray.serve.handle import DeploymentHandle
from starlette.types import ASGIApp

from deployments.shared.gc_tuning import spare_what_is_loaded
from deployments.shared.wire import PLAIN

MESSAGE = "x" * 300
"""About as long as the event that a few tokens make."""
PATH = "/v1/completions"


class Source:
    """Where the replica of the model is in ours."""

    async def generate(self, count: int, gap_s: float) -> AsyncGenerator[str]:
        """Messages at a steady pace."""
        for number in range(count):
            if number:
                await asyncio.sleep(gap_s)
            yield MESSAGE


@serve.ingress()
class Front:
    """Where the ingress is in ours."""

    def __init__(self, source: DeploymentHandle) -> None:
        self._source = source.options(
            method_name="generate", stream=True, request_serialization=PLAIN, response_serialization=PLAIN
        )

    def __serve_build_asgi_app__(self) -> ASGIApp:
        app = FastAPI()
        app.add_api_route("/health", lambda: "ok")
        app.add_route(PATH, self._answer, methods=["POST"])
        spare_what_is_loaded()
        return app

    async def _answer(self, request: Request) -> Response:
        """As many server-sent events as the body asks for."""
        body: dict[str, Any] = await request.json()
        messages: Any = self._source.remote(body["count"], body["gap_s"])

        async def events() -> AsyncGenerator[bytes]:
            async for message in messages:
                yield f"data: {message}\n\n".encode()
            yield b"data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")


def run(port: int) -> None:
    """Serve on this port of the loopback until interrupted."""
    ray.init(
        address="local",
        num_cpus=max(2, os.cpu_count() or 1),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    source, front = (
        serve.deployment(part).options(max_ongoing_requests=1000, ray_actor_options={"num_cpus": 0.1})
        for part in (Source, Front)
    )
    serve.run(front.bind(source.bind()))
    stop = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stop.set())
    stop.wait()
    serve.shutdown()
    ray.shutdown()
