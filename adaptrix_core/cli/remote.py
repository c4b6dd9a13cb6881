"""A running Adaptrix server, over its HTTP API. Knows the wire format; decides nothing."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self
from urllib.parse import quote, urlencode

import httpx

from adaptrix_core.adapters.package.file_names import REVOCATIONS_FILE, SIGNATURE_FILE
from adaptrix_core.adapters.reference import AUTO, BASE, parse_mix
from adaptrix_core.cli.confidence.confidence_options import confidence_fields
from adaptrix_core.cli.confidence.told_confidence import ToldConfidence
from adaptrix_core.cli.target import AdapterRow, Answer, Embeddings, Message, OnText, Room, TargetRequest
from adaptrix_core.errors import AdaptrixError, ServerUnavailable

CONNECT_TIMEOUT_S = 5.0
# Seconds between two bytes, not for the whole answer: the first load of a large adapter may take minutes.
READ_TIMEOUT_S = 600.0


class RemoteTarget:
    """Talks to ``url`` (scheme, host and port, with or without ``/v1``)."""

    def __init__(self, url: str, api_key: str | None = None) -> None:
        self._url = url.rstrip("/").removesuffix("/v1")
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        timeout = httpx.Timeout(READ_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        limits = httpx.Limits(max_connections=None)
        self._client = httpx.AsyncClient(base_url=self._url, headers=headers, timeout=timeout, limits=limits)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._client.aclose()

    async def chat(self, request: TargetRequest, on_text: OnText | None = None) -> Answer:
        """Stream ``POST /v1/chat/completions``; closing the connection (cancellation) aborts it in the engine."""
        asked = confidence_fields(request)
        options = asked if request.compose is None else {"compose": request.compose, **asked}
        body = {
            "model": await self._model_id(request.model),
            "messages": [dict(message) for message in request.messages],
            "stream": True,
            "stream_options": {"include_usage": True},
            **request.sampling(),
            **_response_format(request),
            **({"adaptrix": options} if options else {}),
        }
        started = time.perf_counter()
        first_token_s: float | None = None
        pieces: list[str] = []
        finish_reason = "error"
        usage: Mapping[str, int] = {}
        steps: dict[int, dict[str, str]] = {}
        told: Mapping[str, Any] = {}
        async with self._stream("/v1/chat/completions", body) as response:
            async for chunk in _server_sent_events(response):
                usage = chunk.get("usage") or usage
                for choice in chunk["choices"]:
                    _add_step(steps, choice.get("adaptrix", {}))
                    piece = choice["delta"].get("content") or ""
                    if piece:
                        first_token_s = first_token_s or time.perf_counter() - started
                        pieces.append(piece)
                        if on_text is not None:
                            on_text(piece)
                    if choice.get("finish_reason"):
                        finish_reason, told = choice["finish_reason"], choice.get("adaptrix", {})
        duration_s = time.perf_counter() - started
        score = response.headers.get("x-adaptrix-route-score")
        return Answer(
            text="".join(pieces),
            adapter=response.headers.get("x-adaptrix-adapter", request.model),
            package_digests=response.headers.get("x-adaptrix-digest") or None,
            route_score=float(score) if score else None,
            finish_reason=finish_reason,
            num_prompt_tokens=usage.get("prompt_tokens", 0),
            num_completion_tokens=usage.get("completion_tokens", 0),
            first_token_s=first_token_s or duration_s,
            duration_s=duration_s,
            steps=list(steps.values()),
            confidence=ToldConfidence.of(told) if asked else None,
        )

    async def adapters(self) -> list[AdapterRow]:
        """``GET /v1/adapters``."""
        listing = await self._json("GET", "/v1/adapters")
        return [adapter_row(entry) for entry in listing["data"]]

    async def show(self, name: str) -> dict[str, Any]:
        """``GET /v1/adapters/{name}``."""
        return await self._json("GET", f"/v1/adapters/{quote(name, safe='')}")

    async def show_mix(self, name: str) -> dict[str, Any]:
        """``GET /v1/confidence/{model}``."""
        return await self._json("GET", f"/v1/confidence/{quote(name, safe='')}")

    async def model_names(self) -> list[str]:
        """``GET /v1/models``, and the word for the base model."""
        models = await self._json("GET", "/v1/models")
        return [BASE, *(model["id"] for model in models["data"])]

    async def check_model(self, model: str) -> None:
        """``GET /v1/models/{id}`` for every adapter of a mix; the server's error has the nearest names."""
        if model == BASE:
            return
        models = await self._json("GET", "/v1/models")
        cards = models["data"]
        if model in {card["id"] for card in cards}:
            return
        base_id = next(card["id"] for card in cards if card["parent"] is None)
        for term in parse_mix(model, base_id):
            await self._json("GET", f"/v1/models/{quote(term.adapter, safe='')}")

    async def measure(self, messages: Sequence[Message]) -> Room:
        """``POST /tokenize``."""
        sent = [dict(message) for message in messages]
        told = await self._json("POST", "/tokenize", {"model": AUTO, "messages": sent})
        characters = sum(len(message["content"]) for message in messages)
        return Room(tokens=told["count"], characters=characters, context=told["max_model_len"])

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """``POST /v1/embeddings``."""
        document = await self._json("POST", "/v1/embeddings", {"model": AUTO, "input": list(texts)})
        return Embeddings(model=document["model"], vectors=[entry["embedding"] for entry in document["data"]])

    async def load_adapter(self, path: str, name: str | None, allow_downgrade: bool = False) -> dict[str, Any]:
        """``POST /v1/load_lora_adapter``; the server requires a name: by default the directory's."""
        lora_name = name or path.rstrip("/").rsplit("/", 1)[-1].split("@")[0]
        body = {"lora_name": lora_name, "lora_path": path, "allow_downgrade": allow_downgrade}
        return await self._json("POST", "/v1/load_lora_adapter", body)

    async def unload_adapter(self, name: str, allow_downgrade: bool = False) -> dict[str, Any]:
        """``POST /v1/unload_lora_adapter``."""
        body = {"lora_name": name, "allow_downgrade": allow_downgrade}
        return await self._json("POST", "/v1/unload_lora_adapter", body)

    async def publish_adapter(self, archive: bytes, allow_downgrade: bool = False) -> dict[str, Any]:
        """``POST /v1/adapters``: a plain tar archive of an adapter directory."""
        query = "?allow_downgrade=true" if allow_downgrade else ""
        return await self._json("POST", f"/v1/adapters{query}", content=archive)

    async def revocation_list(self) -> dict[str, bytes] | None:
        """``GET /v1/revocations``: the files of the list in force, unverified; None where there is none."""
        document = await self._json("GET", "/v1/revocations")
        if document["revocations"] is None:
            return None
        pairs = ((REVOCATIONS_FILE, "revocations"), (SIGNATURE_FILE, "signature"))
        return {name: base64.b64decode(document[field]) for name, field in pairs}

    async def publish_revocations(self, files: Mapping[str, bytes]) -> dict[str, Any]:
        """``POST /v1/revocations``: put a signed list in force."""
        pairs = (("revocations", REVOCATIONS_FILE), ("signature", SIGNATURE_FILE))
        body = {field: base64.b64encode(files[name]).decode() for field, name in pairs}
        return await self._json("POST", "/v1/revocations", body)

    async def feedback(self, messages: Sequence[Message], right: str, learn: bool = False) -> dict[str, Any]:
        """``POST /v1/feedback``."""
        body = {"messages": [dict(message) for message in messages], "right": right, "learn": learn}
        return await self._json("POST", "/v1/feedback", body)

    async def label_answer(self, adapter: str, confidence: float, right: bool) -> dict[str, Any]:
        """``POST /v1/feedback/answers``."""
        body = {"adapter": adapter, "confidence": confidence, "right": right}
        return await self._json("POST", "/v1/feedback/answers", body)

    async def route(self, messages: Sequence[Message]) -> dict[str, Any]:
        """``POST /v1/route``."""
        return await self._json("POST", "/v1/route", {"messages": [dict(message) for message in messages]})

    async def usage(self, parameters: Mapping[str, str]) -> dict[str, Any]:
        """``GET /v1/usage``."""
        return await self._json("GET", f"/v1/usage?{urlencode(parameters)}")

    async def status(self) -> dict[str, Any]:
        """``GET /health``, ``/v1/models``, ``/v1/adapters`` and ``/v1/usage/live`` in one document."""
        health = await self._json("GET", "/health")
        models = await self._json("GET", "/v1/models")
        listing = await self._json("GET", "/v1/adapters")
        return {
            "url": self._url,
            "health": health,
            "models": [model["id"] for model in models["data"]],
            "cut": listing["cut"],
            "adapters": [adapter_row(entry).as_dict() for entry in listing["data"]],
            # An older server does not send it.
            "unloaded": listing.get("unloaded", []),
            "last_minute": await self._last_minute(),
        }

    async def _last_minute(self) -> list[dict[str, Any]] | None:
        """Figures by adapter; None of a server that keeps none."""
        try:
            live = await self._json("GET", "/v1/usage/live")
        except ServerUnavailable:
            raise
        except AdaptrixError:
            return None
        figures: list[dict[str, Any]] = live["data"]
        return figures

    async def _model_id(self, model: str) -> str:
        """The server's id of the base model for ``base``; any other name unchanged."""
        if model != BASE:
            return model
        models = await self._json("GET", "/v1/models")
        base_id: str = next(card["id"] for card in models["data"] if card["parent"] is None)
        return base_id

    async def _json(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, content: bytes | None = None
    ) -> dict[str, Any]:
        try:
            response = await self._client.request(method, path, json=body, content=content)
        except httpx.HTTPError as error:
            raise self._unavailable(error) from error
        if response.is_error:
            raise _server_error(response)
        return _decoded(response)

    @asynccontextmanager
    async def _stream(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[httpx.Response]:
        try:
            async with self._client.stream("POST", path, json=body) as response:
                if response.is_error:
                    await response.aread()
                    raise _server_error(response)
                yield response
        except httpx.HTTPError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: httpx.HTTPError) -> ServerUnavailable:
        reason = str(error) or type(error).__name__
        return ServerUnavailable(
            f"no answer from {self._url}: {reason}; start a server with `adaptrix serve`, name another with --url, "
            "or use --local"
        )


def _add_step(steps: dict[int, dict[str, str]], told: Mapping[str, Any]) -> None:
    """Add what an event tells of an earlier step of a sequence."""
    if "text" in told:
        step = steps.setdefault(told["step"], {"adapter": told["adapter"], "text": ""})
        step["text"] += told["text"]


def _response_format(request: TargetRequest) -> dict[str, Any]:
    if request.schema is None:
        return {}
    return {
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": dict(request.schema), "strict": True},
        }
    }


async def _server_sent_events(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """The JSON documents of an event stream, up to ``[DONE]``. Raises AdaptrixError for an error event."""
    async for line in response.aiter_lines():
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == "[DONE]":
            return
        event = json.loads(data)
        if "error" in event:
            raise _error_from(event["error"])
        yield event


def _decoded(response: httpx.Response) -> dict[str, Any]:
    """The JSON object of a good response; a bare text (``ok``) becomes ``{"message": …}``."""
    try:
        document = response.json()
    except json.JSONDecodeError:
        document = None
    return document if isinstance(document, dict) else {"message": response.text}


def _server_error(response: httpx.Response) -> AdaptrixError:
    detail = _decoded(response).get("error")
    if isinstance(detail, dict):
        return _error_from(detail)
    return ServerUnavailable(
        f"the server answered {response.status_code} to {response.request.url}: {response.text[:300]}"
    )


def _error_from(detail: Mapping[str, Any]) -> AdaptrixError:
    return AdaptrixError(
        str(detail.get("message", "no message")),
        code=str(detail.get("code") or detail.get("type") or "server_error"),
        param=detail.get("param"),
    )


def adapter_row(entry: Mapping[str, Any]) -> AdapterRow:
    """One entry of ``GET /v1/adapters``."""
    return AdapterRow(
        name=entry["name"],
        version=str(entry["version"]),
        package_digest=entry.get("digest"),
        signer=entry.get("signer"),
        description=entry.get("description") or "",
        residency=entry.get("residency") or {},
        sampling=entry.get("sampling"),
    )
