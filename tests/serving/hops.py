"""The hops of a request on its way in, and of a token on its way out, counted in a server that runs in this process.

python -m tests.serving.hops     counts and prints them
"""

from __future__ import annotations

import asyncio
import gc
import inspect
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import httpx

from deployments.generation.ports import Replicas
from deployments.ingress.handles import HandleReplicas
from deployments.replica.deployment import ModelReplica
from deployments.shared.wire import GenerateCall, Piece
from tests.serving.inprocess import LocalStore, running
from tests.serving.tiny import make_world

ROOT = Path(__file__).resolve().parents[2]
HOUSE = ("deployments", "adaptrix_core")
MANY_TOKENS = 100
BETWEEN_LOOKS_S = 0.002
"""A pause, as a loop that never rests keeps the interpreter's lock from the engine's thread."""


@dataclass(frozen=True)
class Hop:
    """One frame that a token passes on its way to the client."""

    is_generator: bool
    """An async generator; otherwise a coroutine."""
    file: str
    name: str


def house_file(code: CodeType) -> str | None:
    """Path of the code's file from the repository's root; None for other people's code."""
    path = Path(code.co_filename)
    if not path.is_relative_to(ROOT):
        return None
    inside = path.relative_to(ROOT)
    return str(inside) if inside.parts[0] in HOUSE else None


def hops_of(task: asyncio.Task[Any]) -> list[Hop]:
    """What awaits what in a task, from its own coroutine to what it is suspended at; the house's own frames."""
    found: list[Hop] = []
    current: Any = task.get_coro()
    while current is not None:
        is_generator = inspect.isasyncgen(current)
        if is_generator or inspect.iscoroutine(current):
            code, name = (
                (current.ag_code, current.__qualname__) if is_generator else (current.cr_code, current.__qualname__)
            )
            file = house_file(code)
            if file is not None:
                found.append(Hop(is_generator, file, name))
            current = current.ag_await if is_generator else current.cr_await
        else:  # the awaitable of an async generator's step, which does not tell its generator
            current = next(filter(_is_frame, gc.get_referents(current)), None)
    return found


def _is_frame(candidate: object) -> bool:
    return inspect.isasyncgen(candidate) or inspect.iscoroutine(candidate)


def token_hops() -> list[Hop]:
    """The hops of the task of this event loop that waits for an engine's next events; empty where none does."""
    for task in asyncio.all_tasks():
        hops = hops_of(task)
        if hops and hops[-1].file.endswith("engine/mailbox.py"):
            return hops
    return []


class FilesEntered:
    """The house's files in the order in which calls enter them, on all threads that were started since `watching`."""

    def __init__(self) -> None:
        self.is_on = False
        self.stays: list[str] = []
        """One for each time that a call goes from one file to another, on the event loop's thread."""
        self.files: dict[str, None] = {}
        """Distinct, in order, of all threads."""
        self._thread = threading.get_ident()
        self._known: dict[CodeType, str | None] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Threads started in the context are looked at, whenever `is_on`."""
        threading.setprofile(self._called)
        sys.setprofile(self._called)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)  # type: ignore[arg-type]

    def _called(self, frame: FrameType, event: str, _: object) -> None:
        if not self.is_on or event != "call":
            return
        code = frame.f_code
        if code not in self._known:
            self._known[code] = house_file(code)
        file = self._known[code]
        if file is None:
            return
        self.files.setdefault(file)
        if threading.get_ident() == self._thread and self.stays[-1:] != [file]:
            self.stays.append(file)


class Handle:
    """Stands for Ray's handle of the model deployment: calls its one replica."""

    def __init__(self, replica: ModelReplica) -> None:
        self._replica = replica

    def options(self, **_: object) -> Handle:
        """The same handle."""
        return self

    def remote(self, call: GenerateCall) -> Response:
        """Begin a call."""
        return Response(self._replica.generate(call))


class Response:
    """Stands for Ray's response generator, which is no async generator."""

    def __init__(self, pieces: Any) -> None:
        self._pieces = pieces
        self._is_cancelled = False

    def __aiter__(self) -> AsyncIterator[list[Piece]]:
        return self

    async def __anext__(self) -> list[Piece]:
        return await anext(self._pieces)

    def cancel(self) -> None:
        """End the call in the replica."""
        self._closing = asyncio.ensure_future(self._pieces.aclose())


def behind_a_handle(store: LocalStore) -> Replicas:
    """The store's worker as a replica behind a handle: all that Ray runs of ours, without Ray."""
    replica = ModelReplica.__new__(ModelReplica)
    replica._worker, replica._replica_id = store.worker, "replica-1"
    return HandleReplicas(Handle(replica))  # type: ignore[arg-type]


async def hops_of_a_token(http: httpx.AsyncClient, body: dict[str, Any]) -> list[Hop]:
    """Send a streamed request and look at it in its midst."""
    asking = asyncio.create_task(http.post("/v1/chat/completions", json={**body, "max_tokens": MANY_TOKENS}))
    longest: list[Hop] = []
    while not asking.done():
        longest = max(longest, token_hops(), key=lambda hops: sum(hop.is_generator for hop in hops))
        await asyncio.sleep(BETWEEN_LOOKS_S)
    assert asking.result().status_code == 200, asking.result().text
    return longest


async def main() -> None:
    """Count, and print."""
    body = {"messages": [{"role": "user", "content": "What is 17 + 25?"}], "stream": True, "ignore_eos": True}
    with tempfile.TemporaryDirectory() as directory:
        world = make_world(Path(directory))
        args = world.settings(router={"enabled": False})
        entered = FilesEntered()
        with entered.watching():
            async with running(args, replicas_of=behind_a_handle) as (http, store):
                named = {**body, "model": "math_reasoning"}
                await http.post("/v1/chat/completions", json={**named, "max_tokens": 2})
                base_id = await store.base_id()

                async def known() -> str:
                    return base_id

                store.base_id = known  # type: ignore[method-assign]  # as an ingress knows it after its first request
                token = await hops_of_a_token(http, named)
                assert store._following is not None
                store._following.cancel()  # its reports enter files too
                await asyncio.sleep(0.3)
                entered.is_on = True
                await http.post("/v1/chat/completions", json={**named, "max_tokens": 1})
                entered.is_on = False
    generators = [hop for hop in token if hop.is_generator]
    print(f"a token passes {len(generators)} async generators, outermost first:")
    for hop in token:
        print(f"  {'generator' if hop.is_generator else 'coroutine'}  {hop.file}  {hop.name}")
    print(f"a request for one token enters {len(entered.files)} files; in order:")
    for file in entered.files:
        print(f"  {file}")
    print(f"its event loop's thread goes from file to file {len(entered.stays)} times:")
    print("  " + " ".join(entered.stays))


if __name__ == "__main__":
    asyncio.run(main())
