"""Streams: what is closed, what is said at the end, and that nothing behind a refusal keeps running."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from adaptrix_core.config import load_settings
from adaptrix_core.errors import AdaptrixError, InvalidRequest
from deployments.callers.principal import LOCAL
from deployments.generation.deadline import Deadline
from deployments.generation.model_names import NamedMix
from deployments.generation.pipeline import Pipeline
from deployments.generation.resolve import ResolvedRequest
from deployments.generation.start import start_request
from deployments.http.sse import server_sent_events
from deployments.openai.documents import AnswerHead, ChunkedAnswer, Kind
from deployments.openai.schemas import ChatRequest, StreamOptions
from deployments.replica.deployment import ModelReplica
from deployments.router.deployment import embedded
from deployments.shared.model_ids import public_id
from deployments.shared.wire import GenerateCall, Likely, Piece

pytestmark = pytest.mark.asyncio


def piece(text: str, finish_reason: str | None = None, error: str | None = None) -> Piece:
    return Piece(0, 1, 0, text, None, (), finish_reason, error, 3)


class Source:
    """Replicas that send these pieces, one per step, and know whether their stream was closed."""

    def __init__(self, *pieces: Piece) -> None:
        self._pieces = pieces
        self.closed = False

    async def generate(self, call: GenerateCall | None) -> AsyncGenerator[list[Piece]]:
        try:
            for one in self._pieces:
                yield [one]
        finally:
            self.closed = True


async def test_closing_a_stream_closes_what_it_reads() -> None:
    source = Source(piece("a"), piece("b"), piece("c", "stop"))
    events = server_sent_events(
        source.generate(None), ChunkedAnswer(AnswerHead("chat", "id", 0, "m"), 1), 1, StreamOptions()
    )
    first = await anext(events)
    assert b'"role":"assistant"' in first
    assert b'"content":"a"' in first
    assert not source.closed
    await events.aclose()
    assert source.closed


async def test_an_error_in_a_stream_closes_what_it_reads_and_is_the_last_event() -> None:
    source = Source(piece("a"), piece("", "error", "out of luck"), piece("never"))
    events = server_sent_events(
        source.generate(None), ChunkedAnswer(AnswerHead("chat", "id", 0, "m"), 1), 1, StreamOptions()
    )
    said = [event async for event in events]
    assert source.closed
    assert b"out of luck" in said[-2]
    assert said[-1] == b"data: [DONE]\n\n"


async def test_a_request_that_fails_at_its_first_piece_is_closed() -> None:
    source = Source(piece("", "error", "out of luck"), piece("never"))
    body = ChatRequest.model_validate({"model": "m", "messages": [{"role": "user", "content": "hi"}]})
    pipeline = Pipeline(source, lambda: None)
    with pytest.raises(AdaptrixError, match="out of luck"):
        await start_request(body, ResolvedRequest((NamedMix(),), "error"), LOCAL, pipeline, "m", Deadline(None))
    assert source.closed


async def test_a_replica_that_never_got_its_worker_ends_quietly() -> None:
    ModelReplica.__new__(ModelReplica).__del__()


async def test_an_embedder_in_a_directory_is_known_by_its_last_part(tmp_path: Path) -> None:
    (tmp_path / "models" / "embedder").mkdir(parents=True)
    (tmp_path / "adapters" / "trusted_keys").mkdir(parents=True)
    settings = load_settings({"router": {"embedder": "models/embedder"}}, root=tmp_path)
    assert settings.router.embedder == str(tmp_path / "models" / "embedder")
    assert public_id(settings.router.embedder) == "embedder"


class Narrow:
    """An embedding model that must not run."""

    dimension = 3


async def test_wrong_dimensions_are_refused_before_anything_is_embedded() -> None:
    with pytest.raises(InvalidRequest, match="dimensions is 4; the embedding model has 3"):
        embedded(Narrow(), ["text"], 4)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["chat", "text"])
async def test_what_a_message_says_of_one_row_is_one_event(kind: Kind) -> None:
    def said(index: int, text: str, finish_reason: str | None = None) -> Piece:
        return piece(text, finish_reason)._replace(row=index, logprob=Likely(text, 1, -0.5, text.encode()))

    answer = ChunkedAnswer(AnswerHead(kind, "id", 0, "m"), 2)
    first, other = answer.chunks([said(0, "He"), said(1, "A"), said(0, "llo"), said(1, "", None)])
    (last,) = answer.chunks([said(0, " you"), said(0, "!", "stop")])
    choices = [document["choices"][0] for document in (first, other, last)]
    assert [choice["index"] for choice in choices] == [0, 1, 0]
    assert [choice["finish_reason"] for choice in choices] == [None, None, "stop"]
    if kind == "chat":
        assert [choice["delta"]["content"] for choice in choices] == ["Hello", "A", " you!"]
        assert [len(choice["logprobs"]["content"]) for choice in choices] == [2, 2, 2]
    else:
        assert [choice["text"] for choice in choices] == ["Hello", "A", " you!"]
        assert [choice["logprobs"]["text_offset"] for choice in choices] == [[0, 2], [0, 1], [5, 9]]
