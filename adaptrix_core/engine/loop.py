"""The engine on a thread of its own, for asyncio callers.

Commands (add, abort, any function of the engine) enter through one queue and run between steps. Events leave with one
`call_soon_threadsafe` per event loop and step, delayed until the next step's layers are computed: at any other time,
event loop and engine would compete for Python's lock. Only the events of a step in which an answer begins leave at
once.

The engine is used from this thread alone, with two exceptions that may take long: adapters are read and verified, and
grammars are built, in threads of their own, while steps go on.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable
from concurrent.futures import Future
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from adaptrix_core.adapters import Adapter
from adaptrix_core.adapters.package.composition import Composition
from adaptrix_core.composition.parts import Group
from adaptrix_core.engine.choices import AdapterChoice
from adaptrix_core.engine.core import raise_failure
from adaptrix_core.engine.engine import Engine, Prompt
from adaptrix_core.engine.groups.composed import stream_composed_beside
from adaptrix_core.engine.heartbeat import FIRST_STEPS, STUCK_S, Heartbeat
from adaptrix_core.engine.mailbox import Mailbox
from adaptrix_core.engine.request import GenerationRequest, SamplingParams, TokenEvent
from adaptrix_core.engine.rows.constraint import Constraint
from adaptrix_core.engine.tenant_queue import TenantQueue
from adaptrix_core.errors import EngineHung, EngineStopped
from adaptrix_core.injection.mix import Mix
from adaptrix_core.request_limits import MOST

log = logging.getLogger(__name__)

WARM_UP_TOKENS = 64

T = TypeVar("T")
_Command = tuple[Callable[..., Any], tuple[Any, ...], "Future[Any]"]


class EngineLoop:
    """Drives an `Engine`; every method may be called from any thread."""

    def __init__(self, engine: Engine, stuck_s: float = STUCK_S) -> None:
        """stuck_s: seconds that a step or a command may take before the engine counts as stuck."""
        self.engine = engine
        self.heartbeat = Heartbeat(lambda: engine.is_compiling, stuck_s, num_tokens=lambda: engine.num_step_tokens)
        self._commands: queue.SimpleQueue[_Command | None] = queue.SimpleQueue()
        self._mailboxes: dict[str, Mailbox] = {}
        self._grammar_queues: WeakKeyDictionary[asyncio.AbstractEventLoop, TenantQueue] = WeakKeyDictionary()
        self._undelivered: list[TokenEvent] = []
        """Events of the last step."""
        self._thread = threading.Thread(target=self._run, name="adaptrix-engine", daemon=True)
        self._stopping = False
        self._lock = threading.Lock()

    @property
    def is_alive(self) -> bool:
        """Whether the engine thread runs and takes work."""
        return self._thread.is_alive() and not self._stopping

    def start(self) -> None:
        """Start the engine thread."""
        self._thread.start()
        if self._thread.ident is not None:
            self.heartbeat.watch(self._thread.ident)

    def warm_up(self) -> None:
        """Compute a few steps, so that kernels and tables are built before the first request. Blocks.

        The engine's counts start after it.
        """
        thread = threading.Thread(target=asyncio.run, args=(self._warm_up(),), name="adaptrix-warm-up")
        thread.start()  # a thread of its own, as the caller's may have an event loop
        thread.join()

    async def _warm_up(self) -> None:
        length = min(WARM_UP_TOKENS, max(1, self.engine.max_row_tokens - 2 * FIRST_STEPS))
        params = SamplingParams(max_tokens=2 * FIRST_STEPS, temperature=0.0, ignore_eos=True)
        request = GenerationRequest("warm-up", (0,) * length, params, salt=b"warm-up")
        async for _ in self.generate(request):
            continue
        await self.call(Engine.count_anew)

    def give_up(self, message: str) -> None:
        """Raise EngineHung at every reader and every waiting command; the engine takes no more work.

        Needs nothing of the engine's thread, which hangs; its process is about to end.
        """
        in_step = self.engine.in_step
        with self._lock:
            self._stopping = True
        self._refuse_queued(EngineHung(message))
        self._commands.put(None)  # ends the thread, should it ever go on
        for request_id, mailbox in list(self._mailboxes.items()):
            error = EngineHung(message, was_in_step=request_id in in_step)
            with suppress(RuntimeError):  # the reader's event loop has closed
                mailbox.loop.call_soon_threadsafe(mailbox.fail, error)

    def stop(self, timeout_s: float = 30.0) -> None:
        """End all requests with an abort event and stop the thread (idempotent)."""
        with self._lock:
            self._stopping = True
        self._commands.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """Run ``function(engine, *args)`` between two steps and return its result. Raises what it raises."""
        future: Future[T] = self._submit(function, args)
        return await asyncio.wrap_future(future)

    async def load_adapter(self, path: Path | str, name: str | None = None) -> Adapter | Composition:
        """`Engine.load_adapter` in another thread, while steps go on."""
        return await asyncio.to_thread(self.engine.load_adapter, path, name)

    async def resolve_mix(self, choice: AdapterChoice) -> Mix:
        """`Engine.resolve_mix` in another thread, while steps go on."""
        return await asyncio.to_thread(self.engine.resolve_mix, choice)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[TokenEvent]:
        """Events of all rows of ``request``, until each row has ended; leaving early aborts the request.

        Raises EngineStopped, and before the first event the errors of `EngineCore.add`.
        """
        mailbox = Mailbox()
        async with self.running(request, mailbox):
            while not mailbox.is_finished:
                for event in await mailbox.take():
                    yield event

    async def stream(
        self, prompt: Prompt, adapter: AdapterChoice = None, params: SamplingParams | None = None
    ) -> AsyncGenerator[TokenEvent]:
        """`Engine.stream`, beside all other requests. Raises EngineStopped too."""
        part = await asyncio.to_thread(self.engine.asked, adapter)
        events = stream_composed_beside(self._listen, prompt, part, params or SamplingParams())
        async with aclosing(events):
            async for event in events:
                yield event

    async def _listen(self, prompt: Prompt, group: Group[str], params: SamplingParams) -> AsyncGenerator[TokenEvent]:
        request = await self.call(Engine.request_under, "beside", prompt, group, params)
        async with aclosing(self.generate(request)) as events:
            async for event in events:
                raise_failure([event])
                yield event

    @asynccontextmanager
    async def running(self, request: GenerationRequest, mailbox: Mailbox) -> AsyncIterator[None]:
        """Compute ``request`` while the context lasts, its events put into ``mailbox``, for one reader to take.

        Rows that have not ended when the context is left are aborted. Raises EngineStopped, and the errors of
        `EngineCore.add`.
        """
        grammar = request.params.grammar
        constraint = (
            None if grammar is None else await self._grammars.run(request.salt, self.engine.compile_grammar, grammar)
        )
        try:
            mailbox.expect(await self.call(self._add, request, mailbox, constraint))
            yield
        finally:
            if not mailbox.is_finished:
                with suppress(EngineStopped):
                    self._submit(self._abandon, (request.request_id, mailbox))

    def abort(self, request_id: str) -> None:
        """End a request soon, if it still runs."""
        with suppress(EngineStopped):
            self._submit(self._abort, (request_id,))

    def ask_again(self, request_id: str) -> None:
        """`EngineCore.ask_again`, soon."""
        with suppress(EngineStopped):
            self._submit(self._ask_again, (request_id,))

    def _submit(self, function: Callable[..., T], args: tuple[Any, ...]) -> Future[T]:
        future: Future[T] = Future()
        with self._lock:
            if not self.is_alive:
                raise EngineStopped("the engine has stopped; restart the replica")
            self._commands.put((function, args, future))
        return future

    @property
    def _grammars(self) -> TenantQueue:
        """The queue that builds grammars for the calling event loop."""
        loop = asyncio.get_running_loop()
        if loop not in self._grammar_queues:
            self._grammar_queues[loop] = TenantQueue("schemas", threads=2, at_once=1, max_waiting=MOST.grammars_waiting)
        return self._grammar_queues[loop]

    def _add(
        self, engine: Engine, request: GenerationRequest, mailbox: Mailbox, constraint: Constraint | None = None
    ) -> int:
        rows = engine.add(request, constraint)
        self._mailboxes[request.request_id] = mailbox
        return len(rows)

    def _abort(self, engine: Engine, request_id: str) -> None:
        self._deliver(engine.abort(request_id))

    def _ask_again(self, engine: Engine, request_id: str) -> None:
        self._deliver(engine.ask_again(request_id))

    def _abandon(self, engine: Engine, request_id: str, mailbox: Mailbox) -> None:
        """Abort a request whose reader has left, unless it was never added and the id is another reader's."""
        if self._mailboxes.get(request_id) is mailbox:
            self._abort(engine, request_id)

    def _run(self) -> None:
        try:
            while self._execute_commands():
                self.heartbeat.begin()
                if late := self.engine.end_late():
                    self._deliver(late)
                if self.engine.has_work:
                    self._step()
        finally:
            with self._lock:
                self._stopping = True
            self._refuse_queued(EngineStopped("the engine is stopping; send the request again"))
            for request_id in list(self._mailboxes):
                self._deliver(self.engine.abort(request_id))

    def _step(self) -> None:
        try:
            before = self.engine.num_steps
            events = self.engine.step(self._deliver)
            self.heartbeat.stepped(self.engine.num_steps > before)
        except Exception as error:  # a step that cannot be planned ends its own rows only
            log.exception("a step could not be planned; its rows end with an error")
            events = self.engine.fail_running(error)
        self._undelivered += events
        begins = any(event.position == event.num_prompt_tokens for event in events)
        if begins or not events or not self.engine.has_work:
            self._deliver()

    def _execute_commands(self) -> bool:
        """Run all queued commands, waiting for one while there is nothing to compute; False to stop."""
        while True:
            is_idle = not self.engine.has_work
            if is_idle:
                self.heartbeat.rest()
            try:
                command = self._commands.get(block=is_idle)
            except queue.Empty:
                return True
            self.heartbeat.begin()
            if self._undelivered:  # a command may take long, or reuse an ended request's id
                self._deliver()
            if command is None:
                return False
            function, args, future = command
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(function(self.engine, *args))
            except Exception as error:  # raised at the caller, which awaits it
                future.set_exception(error)

    def _refuse_queued(self, error: EngineStopped) -> None:
        while True:
            try:
                command = self._commands.get_nowait()
            except queue.Empty:
                return
            if command is not None and command[2].set_running_or_notify_cancel():
                command[2].set_exception(error)

    def _deliver(self, more: Iterable[TokenEvent] = ()) -> None:
        """Put the undelivered events, and ``more``, into their mailboxes."""
        events, self._undelivered = [*self._undelivered, *more], []
        by_request: dict[str, list[TokenEvent]] = defaultdict(list)
        for event in events:
            by_request[event.request_id].append(event)
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[Mailbox, list[TokenEvent]]]] = defaultdict(list)
        for request_id, own in by_request.items():
            mailbox = self._mailboxes.get(request_id)
            if mailbox is not None:
                by_loop[mailbox.loop].append((mailbox, own))
        for loop, filled in by_loop.items():
            try:
                loop.call_soon_threadsafe(_put_all, filled)
            except RuntimeError:
                log.warning("events of %d requests dropped: their event loop has closed", len(filled))
        ended = {event.request_id for event in events if event.finish_reason is not None}
        if ended:
            for request_id in ended - {row.request.request_id for row in self.engine.scheduler.rows}:
                self._mailboxes.pop(request_id, None)


def _put_all(filled: list[tuple[Mailbox, list[TokenEvent]]]) -> None:
    for mailbox, events in filled:
        mailbox.put(events)
