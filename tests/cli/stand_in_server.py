"""A server that answers at the pace a test sets: it speaks enough of the HTTP API for a conversation, and no more.

Whether real servers speak so is what `test_live_server.py` is for.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

ADAPTERS = ("math_reasoning", "code_generation")
BASE_ID = "stand-in"
WAIT_S = 30.0


@dataclass
class StandIn:
    """What the server does and what it saw."""

    url: str = ""
    pieces: list[str] = field(default_factory=lambda: ["four", "ty", " two"])
    hold_after: int | None = None
    """Answers stop after so many pieces until `go_on` is set."""
    go_on: threading.Event = field(default_factory=threading.Event)
    held: threading.Event = field(default_factory=threading.Event)
    """Set while an answer is held."""
    client_left: threading.Event = field(default_factory=threading.Event)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    """The chat requests, in order."""
    paths: list[str] = field(default_factory=list)
    context: int | None = None
    """Most characters of a prompt, each of which counts as a token; longer ones are refused."""
    told: dict[str, Any] = field(default_factory=dict)
    """What the last event of an answer tells of it (``adaptrix``)."""
    refuse: dict[str, Any] | None = None
    """An error in place of every answer."""

    @property
    def last_messages(self) -> list[tuple[str, str]]:
        """(role, content) of the last request."""
        return [(message["role"], message["content"]) for message in self.bodies[-1]["messages"]]


@contextmanager
def stand_in() -> Iterator[StandIn]:
    """A running server."""
    state = StandIn()
    handler = type("Handler", (_Handler,), {"state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield state
    finally:
        state.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join(WAIT_S)


def _characters(body: dict[str, Any]) -> int:
    return sum(len(message["content"]) for message in body["messages"])


class _Handler(BaseHTTPRequestHandler):
    state: ClassVar[StandIn]

    def log_message(self, *_: object) -> None:
        return None

    def do_GET(self) -> None:
        self.state.paths.append(self.path)
        names = ["auto", *ADAPTERS]
        if self.path == "/v1/models":
            cards = [{"id": BASE_ID, "parent": None}, *({"id": name, "parent": BASE_ID} for name in names)]
            self._json(200, {"data": cards})
        elif self.path == "/v1/adapters":
            rows = [{"name": name, "version": "1.0.0", "description": f"does {name}"} for name in ADAPTERS]
            self._json(200, {"data": rows, "cut": {}})
        else:
            name = self.path.rsplit("/", 1)[-1]
            known = name in names
            error = {"message": f"the model {name!r} does not exist; did you mean 'math_reasoning'?", "code": "x"}
            self._json(200 if known else 404, {"id": name} if known else {"error": error})

    def do_POST(self) -> None:
        self.state.paths.append(self.path)
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path == "/v1/embeddings":
            data = [{"embedding": [float(len(text)), 0.5]} for text in body["input"]]
            self._json(200, {"model": "lengths", "data": data})
            return
        if self.path == "/tokenize":
            self._json(200, {"count": _characters(body), "max_model_len": self.state.context})
            return
        if self.state.context is not None and _characters(body) > self.state.context:
            error = {"message": "the prompt is too long", "code": "context_length_exceeded", "param": "messages"}
            self._json(400, {"error": error})
            return
        self.state.bodies.append(body)
        if self.state.refuse is not None:
            self._json(400, {"error": self.state.refuse})
            return
        try:
            self._answer()
        except OSError:
            self.state.client_left.set()

    def _answer(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("x-adaptrix-adapter", "math_reasoning")
        self.end_headers()
        for place, piece in enumerate(self.state.pieces):
            if place == self.state.hold_after:
                self._hold()
            self._event({"choices": [{"delta": {"content": piece}, "finish_reason": None}]})
        self._event({"choices": [{"delta": {}, "finish_reason": "stop", "adaptrix": self.state.told}]})
        usage = {"prompt_tokens": 5, "completion_tokens": len(self.state.pieces)}
        self._event({"choices": [], "usage": usage})
        self.wfile.write(b"data: [DONE]\n\n")

    def _hold(self) -> None:
        """Send comments, which clients skip, until the test lets the answer go on or the client leaves."""
        self.state.held.set()
        while not self.state.go_on.wait(0.02):
            self.wfile.write(b": waiting\n\n")
        self.state.held.clear()

    def _event(self, document: dict[str, Any]) -> None:
        self.wfile.write(f"data: {json.dumps(document)}\n\n".encode())

    def _json(self, status: int, document: dict[str, Any]) -> None:
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
