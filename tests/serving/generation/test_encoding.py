"""What a prompt takes to encode, as far as it can be told beforehand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from adaptrix_core.config import load_settings
from adaptrix_core.errors import ContextLengthExceeded
from adaptrix_core.observe.tracing import start_tracing
from deployments.replica.prompt_encoding import PROBE_CHARACTERS, TEMPLATE_CHARACTERS, num_characters
from deployments.replica.worker import EngineWorker
from deployments.shared.wire import GenerateCall
from tests.serving.tiny import World


def test_the_text_of_a_prompt_is_what_takes_time_and_each_message_takes_some() -> None:
    assert num_characters("four") == 4
    assert num_characters(tuple(range(5000))) == 0
    messages = tuple({"role": "user", "content": text} for text in ("four", ""))
    assert num_characters(messages) == 4 + 2 * TEMPLATE_CHARACTERS


@pytest.fixture
def worker(world: World) -> Iterator[EngineWorker]:
    settings = load_settings(world.settings())
    made = EngineWorker(settings, lambda _: None, start_tracing(settings.observe, "replica", "t"))  # type: ignore[arg-type]
    yield made
    made.stop()


async def refused(worker: EngineWorker, prompt: object) -> ContextLengthExceeded:
    call = GenerateCall("one", prompt, ((),), {"max_tokens": 1, "seed": 1}, b"")  # type: ignore[arg-type]
    with pytest.raises(ContextLengthExceeded) as refusal:
        await anext(worker.generate(call))
    return refusal.value


async def test_of_a_text_far_beyond_the_context_only_the_beginning_is_encoded(
    worker: EngineWorker, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    encode = worker._engine.base.encode

    def noting(text: str) -> list[int]:
        encoded.append(len(text))
        return encode(text)

    monkeypatch.setattr(worker._engine.base, "encode", noting)
    text = "What is 12 + 30 - 5? " * 20_000
    error = await refused(worker, text)
    assert f"{len(text)} characters" in error.message
    assert (await refused(worker, ({"role": "user", "content": text},))).param == "messages"
    assert encoded == [PROBE_CHARACTERS * worker._engine.max_row_tokens] * 2


async def test_how_a_prompt_was_read_is_told_once(worker: EngineWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deployments.replica.token_pacing.SHORTEST_S", 1e-9)
    monkeypatch.setattr("deployments.replica.token_pacing.LONGEST_S", 1e-9)
    call = GenerateCall("one", (5, 6, 7), ((),), {"max_tokens": 4, "seed": 1, "ignore_eos": True}, b"")
    batches = [pieces async for pieces in worker.generate(call)]
    assert len(batches) > 1
    told = [piece.prompt_token_ids for pieces in batches for piece in pieces]
    assert told == [(5, 6, 7), (), (), ()]


async def test_a_long_text_of_few_tokens_is_answered(worker: EngineWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    length = PROBE_CHARACTERS * worker._engine.max_row_tokens
    monkeypatch.setattr(worker._engine.base, "encode", lambda text: [5] * 7 if len(text) > length else [5] * 6)
    call = GenerateCall("one", "x" * (length + 1), ((),), {"max_tokens": 1, "seed": 1}, b"")
    pieces = [piece async for pieces in worker.generate(call) for piece in pieces]
    assert pieces[0].prompt_tokens == 7
