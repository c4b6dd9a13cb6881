"""The load generator never waits for answers, counts from when a request was due, and keeps what went wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.routing.embedder import TextEmbedder
from loadtest.load import open_client, request_body, run_load
from loadtest.records import Record, read_jsonl, summarise, write_jsonl
from loadtest.workload import Arrival
from tests.serving.inprocess import application, listening
from tests.serving.tiny import make_world

Answer = Callable[[dict[str, object]], AsyncIterator[bytes]]

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
TOKEN = b'data: {"choices":[{"index":0,"text":"a"}]}\n\n'
USAGE = b'data: {"choices":[],"usage":{"completion_tokens":1}}\n\n'
DONE = b"data: [DONE]\n\n"


@asynccontextmanager
async def peer(answer: Answer) -> AsyncIterator[aiohttp.ClientSession]:
    """A server that reads one request per connection and sends what ``answer`` yields for it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        async for part in answer(json.loads(await reader.readexactly(length))):
            writer.write(part)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, open_client(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") as client:
        yield client


def arrivals(count: int, gap_s: float = 0.0) -> list[Arrival]:
    return [Arrival(index, index * gap_s, 0, 5, 1) for index in range(count)]


async def test_no_request_waits_for_an_earlier_ones_answer() -> None:
    arrived = asyncio.Barrier(30)

    async def answer(_body: dict[str, object]) -> AsyncIterator[bytes]:
        await arrived.wait()  # nobody is answered before all have been sent
        yield HEAD + TOKEN + USAGE + DONE

    async with peer(answer) as client:
        records = await asyncio.wait_for(run_load(client, ["m"], arrivals(30)), 60)
    assert [record.index for record in records] == list(range(30))
    assert all(record.succeeded and record.output_tokens == 1 for record in records)


async def test_requests_are_sent_when_they_are_due() -> None:
    async def answer(_body: dict[str, object]) -> AsyncIterator[bytes]:
        yield HEAD + TOKEN + USAGE + DONE

    async with peer(answer) as client:
        records = await run_load(client, ["m"], arrivals(5, gap_s=0.05))
    for record in records:
        assert record.sent_s is not None
        assert record.first_token_s is not None
        assert record.due_s <= record.sent_s <= record.first_token_s


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b'HTTP/1.1 429 Too Many\r\nconnection: close\r\n\r\n{"error":{"code":"overloaded"}}', "overloaded"),
        (b"HTTP/1.1 502 Bad\r\nconnection: close\r\n\r\n<html>", "http_502"),
        (HEAD + TOKEN, "truncated"),
        (HEAD + TOKEN + b'data: {"error":{"code":"aborted"}}\n\n' + DONE, "aborted"),
        (b"", "ServerDisconnectedError"),
    ],
)
async def test_what_goes_wrong_is_recorded_and_never_raised(sent: bytes, error: str) -> None:
    async def answer(_body: dict[str, object]) -> AsyncIterator[bytes]:
        yield sent

    async with peer(answer) as client:
        (record,) = await run_load(client, ["m"], arrivals(1))
    assert record.error == error
    assert not record.succeeded


async def test_a_workload_with_more_adapters_than_models_is_refused() -> None:
    async with open_client("http://127.0.0.1:9") as client:
        with pytest.raises(InvalidRequest, match="asks for adapter 3; only 2 models"):
            await run_load(client, ["a", "b"], [Arrival(0, 0.0, 3, 5, 1)])


async def test_the_real_server_answers_with_exactly_the_wanted_lengths(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    wanted = [Arrival(0, 0.0, 0, 40, 7), Arrival(1, 0.0, 1, 3, 1)]
    async with (
        application(world.settings(), TextEmbedder()) as (app, _store),
        listening(app) as url,
        open_client(url) as client,
    ):
        records = await run_load(client, ["tiny-llama", "math_reasoning"], wanted)
    assert [record.error for record in records] == [None, None]
    assert [record.output_tokens for record in records] == [7, 1]


def test_prompts_share_no_prefix_and_come_again_with_the_seed() -> None:
    first, second = (request_body(arrival, "m", 0)["prompt"] for arrival in arrivals(2))
    assert len(first) == 5
    assert first[0] != second[0]
    assert request_body(arrivals(1)[0], "m", 0)["prompt"] == first
    assert request_body(arrivals(1)[0], "m", 1)["prompt"] != first


def test_the_summary_of_a_run_worked_out_by_hand(tmp_path: Path) -> None:
    records = [
        Record(0, 0, 0.0, 8, 99, first_token_s=0.1, end_s=0.2, warm=True),  # warm-up only
        Record(1, 0, 10.0, 8, 3, first_token_s=11.0, end_s=12.0, warm=True),
        Record(2, 0, 15.0, 8, 5, first_token_s=18.0, end_s=20.0, warm=False),
        Record(3, 0, 20.0, 8, 0, warm=True, error="overloaded"),
    ]
    summary = summarise(records, slo_s=2.0, since_s=10.0)
    assert (summary.requests, summary.failed) == (3, 1)
    assert summary.request_rate == pytest.approx(0.3)
    assert summary.tokens_per_s == pytest.approx(0.8)  # 3 + 5 tokens in the ten seconds
    assert summary.first_token_p50_s == pytest.approx(2.0)  # between 1.0 and 3.0
    assert summary.token_p50_s == pytest.approx(0.5)
    assert summary.hit_rate == pytest.approx(2 / 3)
    assert summary.slo_attainment == pytest.approx(1 / 3)
    write_jsonl(tmp_path / "records.jsonl", records)
    assert read_jsonl(tmp_path / "records.jsonl") == records


def test_a_window_without_requests_is_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"no request is due after 5\.0 s"):
        summarise([Record(0, 0, 0.0, 8, 1)], slo_s=1.0, since_s=5.0)
