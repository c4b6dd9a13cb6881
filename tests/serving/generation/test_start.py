"""What a request's start sends to the replicas, what it says of the answer, and which ends of a row are errors."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from adaptrix_core.engine.rows.output_form import OutputForm
from adaptrix_core.errors import AdapterRejected, AdaptrixError, RequestTimeout
from adaptrix_core.injection.mix import Term
from deployments.callers.principal import LOCAL
from deployments.generation.deadline import Deadline
from deployments.generation.model_names import NamedMix
from deployments.generation.pipeline import Pipeline
from deployments.generation.ports import Batches
from deployments.generation.resolve import ResolvedRequest
from deployments.generation.row_ends import broke_off, raise_if_broken
from deployments.generation.start import RunningRequest, start_request
from deployments.openai.schemas import ChatRequest, CompletionRequest
from deployments.shared.entry import Entry
from deployments.shared.wire import GenerateCall, Piece

BASE = "org/base"
MATH = NamedMix((Term(Entry("math", "1.0", "A" * 64, "a" * 64), 0.5),))
LOGIC = NamedMix((Term(Entry("logic", "1.0", "C" * 64, "c" * 64)),))
NO_DEADLINE = Deadline(None)


class Noting:
    """Replicas that note each call and send its first piece, but refuse some calls."""

    def __init__(self, refuses: Callable[[GenerateCall], AdaptrixError | None] = lambda _: None) -> None:
        self._refuses = refuses
        self.calls: list[GenerateCall] = []

    async def generate(self, call: GenerateCall) -> Batches:
        self.calls.append(call)
        error = self._refuses(call)
        if error is not None:
            raise error
        yield [Piece(0, 1, 0, "a", None, (), None, None, 3)]


async def started(
    replicas: Noting,
    body: ChatRequest | CompletionRequest,
    *mixes: NamedMix,
    fallback: Any = "error",
    deadline: Deadline = NO_DEADLINE,
) -> RunningRequest:
    resolved = ResolvedRequest(mixes or (NamedMix(),), fallback)
    running = await start_request(body, resolved, LOCAL, Pipeline(replicas, lambda: None), BASE, deadline)
    await running.stream.aclose()
    return running


def chat(**fields: Any) -> ChatRequest:
    messages = [{"role": "developer", "content": "be brief"}, {"role": "user", "content": "hi"}]
    return ChatRequest.model_validate({"model": "m", "messages": messages, **fields})


def text(prompt: Any, **fields: Any) -> CompletionRequest:
    return CompletionRequest.model_validate({"model": "m", "prompt": prompt, **fields})


async def test_a_call_says_all_that_its_request_asks_for() -> None:
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}}
    response_format = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    body = chat(n=2, seed=0, priority=3, stream=True, max_tokens=7, response_format=response_format)
    replicas = Noting()
    await started(replicas, body, MATH, LOGIC)
    [call] = replicas.calls
    assert call == GenerateCall(
        call.request_id,
        ({"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}),
        mixes=((Term("a" * 64, 0.5),), (Term("c" * 64),)),
        sampling={**body.sampling(), "seed": 0},
        salt=LOCAL.salt,
        output_form=OutputForm("json_schema", schema),
        priority=3,
        timeout_s=None,
        is_streamed=True,
        is_alone=True,
    )
    assert (call.sampling["n"], call.sampling["max_tokens"]) == (2, 7)


async def test_each_prompt_is_a_call_of_its_own_with_the_seed_of_all() -> None:
    replicas = Noting()
    running = await started(replicas, text(["one", "two"], n=3), MATH, LOGIC, deadline=Deadline(100.0))
    assert [call.prompt for call in replicas.calls] == ["one", "two"]
    assert [call.request_id for call in replicas.calls] == [f"{running.head.response_id}-{n}" for n in range(2)]
    assert len({call.sampling["seed"] for call in replicas.calls}) == 1
    for call in replicas.calls:
        assert not call.is_alone
        assert not call.is_streamed
        assert call.output_form is None
        assert call.timeout_s == pytest.approx(99.75, abs=1.0)
    assert (running.num_rows, running.rows_per_prompt) == (12, 6)


async def test_open_seeds_and_ids_are_new_for_every_request() -> None:
    replicas = Noting()
    running = [await started(replicas, chat()) for _ in range(2)]
    assert len({call.sampling["seed"] for call in replicas.calls}) == 2
    assert all(type(call.sampling["seed"]) is int for call in replicas.calls)
    assert len({one.head.response_id for one in running}) == 2


@pytest.mark.parametrize(("body", "kind", "prefix"), [(chat(), "chat", "chatcmpl"), (text([5, 6]), "text", "cmpl")])
async def test_the_head_says_what_and_when_and_who(body: Any, kind: str, prefix: str) -> None:
    head = (await started(Noting(), body, MATH)).head
    assert head.kind == kind
    assert re.fullmatch(prefix + "-[0-9a-f]{32}", head.response_id)
    assert time.time() - 5 < head.created <= time.time()
    assert type(head.created) is int
    assert (head.model, head.answered_by, head.rows_per_fork, head.about) == ("math*0.5", (), 1, {})
    assert (head.judge, head.shows_logprobs) == (None, False)


async def test_the_head_says_which_scores_are_asked_for_and_whether_log_probabilities_are_shown() -> None:
    running = await started(Noting(), chat(logprobs=True, adaptrix={"scores": ["logprob_sum"]}), MATH)
    assert running.head.judge is not None
    assert running.head.shows_logprobs


async def test_the_base_model_answers_under_its_own_id_and_forks_under_all_their_names() -> None:
    assert (await started(Noting(), chat())).head.model == BASE
    assert (await started(Noting(), chat(), NamedMix(), NamedMix())).head.model == BASE
    running = await started(Noting(), text(["one", "two"], n=2), MATH, NamedMix())
    assert running.head.model == "math*0.5,base"
    assert running.head.rows_per_fork == 2
    assert running.head.answered_by == ({"adapter": "math*0.5", "digest": "A" * 64}, {"adapter": "base", "digest": ""})
    assert [running.kind_of(index) for index in range(8)] == ["math", "math", "base", "base"] * 2


async def test_where_an_adapter_fails_the_same_request_goes_out_again_without_it() -> None:
    def refuses(call: GenerateCall) -> AdaptrixError | None:
        if not call.mixes[0]:
            return None
        error = AdapterRejected("revoked")
        error.bundle_digest = "a" * 64
        return error

    replicas = Noting(refuses)
    running = await started(replicas, chat(), MATH, LOGIC, fallback="base")
    first, again = replicas.calls
    assert again == replace(first, mixes=((), first.mixes[1]))
    assert running.resolved.mixes == (NamedMix(), LOGIC)
    assert running.head.about == {"fallback": "math*0.5: adapter_rejected: revoked"}
    with pytest.raises(AdapterRejected):
        await started(replicas, chat(), MATH, fallback="error")


# --- ends of rows -----------------------------------------------------------------------------------------------------


def ending(finish_reason: str | None, error: str | None = None, failure: AdaptrixError | None = None) -> Piece:
    return Piece(0, None, 0, "", None, (), finish_reason, error, 3, failure=failure)


@pytest.mark.parametrize("finish_reason", [None, "stop", "length"])
def test_what_the_model_or_its_limit_ends_is_no_error(finish_reason: str | None) -> None:
    assert not broke_off(ending(finish_reason))
    raise_if_broken([ending(finish_reason)])


@pytest.mark.parametrize(
    ("piece", "kind", "code", "said"),
    [
        (ending("error", "out of luck"), AdaptrixError, "internal_error", "out of luck"),
        (ending("error"), AdaptrixError, "internal_error", "see the log"),
        (ending("error", "other", AdapterRejected("bad")), AdapterRejected, "adapter_rejected", "bad"),
        (ending("abort"), AdaptrixError, "aborted", "send it again"),
        (ending("deadline_exceeded", "too late"), RequestTimeout, "deadline_exceeded", "too late; allow more time"),
    ],
)
def test_a_row_that_broke_off_is_an_error_of_its_request(piece: Piece, kind: type, code: str, said: str) -> None:
    assert broke_off(piece)
    with pytest.raises(AdaptrixError, match=said) as raised:
        raise_if_broken([ending("stop"), piece])
    assert type(raised.value) is kind
    assert raised.value.code == code
