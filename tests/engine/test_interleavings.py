"""Whatever order requests come, end, switch and are aborted in, nothing leaks and every row ends once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adaptrix_core.adapters import TrustPolicy
from adaptrix_core.base import BaseModel
from adaptrix_core.engine import Completion, Engine, EngineOptions, TokenEvent
from adaptrix_core.errors import CacheFull, Overloaded, RequestNotFound
from adaptrix_core.injection.lora import LoraWeights
from tests.engine.conftest import idle_faults
from tests.engine.driving import assert_same_where_safe, drain, request, tokens_of
from tests.tiny_models import random_base, random_prompts, random_weights

PROMPTS = random_prompts([2, 7, 13, 20], seed=1)
NAMES = (None, "a", "b", "c")
MAX_TOKENS = 8

adds = st.tuples(
    st.just("add"),
    st.integers(0, 3),
    st.sampled_from(NAMES),
    st.integers(0, MAX_TOKENS),
    st.integers(1, 2),
    st.sampled_from([0, 0, 1, -1]),
    st.sampled_from([b"", b"other"]),
)
aborts = st.tuples(st.just("abort"), st.integers(0, 20))
switches = st.tuples(
    st.just("switch"), st.integers(0, 20), st.sampled_from(NAMES), st.sampled_from(["keep", "recompute"])
)
steps = st.tuples(st.just("step"), st.integers(1, 6))


@pytest.fixture(scope="module", params=[None, 2], ids=["one-span", "two-spans"])
def engine(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    save_adapter: Callable[[BaseModel, str, LoraWeights], Path],
) -> Iterator[Engine]:
    """Everything is scarce: two of three adapters fit the device, 12 blocks, three rows, eight tokens a step."""
    base = random_base()
    adapters = {name: random_weights(base, seed=number) for number, name in enumerate("abc")}
    sizes = EngineOptions(
        max_rows=3,
        max_batch_tokens=8,
        mixed_prefill_tokens=3,
        max_queue=6,
        block_size=4,
        kv_cache_tokens=48,
        cut=request.param,
    )
    budget = 2 * adapters["a"].nbytes
    catalogue = tmp_path_factory.mktemp("catalogue")
    built = Engine(base, catalogue, TrustPolicy("off"), sizes, device_budget_bytes=budget, preload=False)
    for name, weights in adapters.items():
        built.load_adapter(save_adapter(base, name, weights), name)
    yield built
    built.loader.close()


@pytest.fixture(scope="module")
def alone(engine: Engine) -> dict[tuple[int, str | None], Completion]:
    """What every prompt generates under every adapter with the engine to itself."""
    params = request("x", PROMPTS[0], max_tokens=MAX_TOKENS, logprobs=2).params
    return {
        (number, name): engine.generate([prompt], name, params)[0]
        for number, prompt in enumerate(PROMPTS)
        for name in NAMES
    }


class Session:
    """Applies actions to an engine and remembers what must come of them."""

    ids = count()

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.events: list[TokenEvent] = []
        self.added: dict[str, tuple[int, str | None, int, int]] = {}
        self.disturbed: set[str] = set()

    def apply(self, action: tuple) -> None:
        kind, *args = action
        getattr(self, kind)(*args)
        assert self.engine.check_integrity() == []

    def add(self, prompt: int, name: str | None, max_tokens: int, n: int, priority: int, salt: bytes) -> None:
        request_id = f"request-{next(self.ids)}"
        mix = self.engine.resolve_mix(name)
        try:
            self.engine.add(
                request(request_id, PROMPTS[prompt], mix, max_tokens=max_tokens, n=n, priority=priority, salt=salt)
            )
        except Overloaded:
            return
        self.added[request_id] = (prompt, name, max_tokens, n)

    def abort(self, which: int) -> None:
        if self.added:
            request_id = list(self.added)[which % len(self.added)]
            self.disturbed.add(request_id)
            self.events += self.engine.abort(request_id)

    def switch(self, which: int, name: str | None, history: str) -> None:
        if self.added:
            request_id = list(self.added)[which % len(self.added)]
            try:
                self.engine.switch(request_id, name, history)
            except (RequestNotFound, CacheFull):  # ended, or its past and future need three adapters together
                return
            self.disturbed.add(request_id)

    def step(self, number: int) -> None:
        for _ in range(number):
            self.events += self.engine.step()


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(actions=st.lists(st.one_of(adds, adds, steps, aborts, switches), max_size=25))
def test_any_interleaving(engine: Engine, alone: dict[tuple[int, str | None], Completion], actions: list) -> None:
    session = Session(engine)
    for action in actions:
        session.apply(action)
    session.events += drain(engine)

    assert idle_faults(engine) == []
    finals = Counter((e.request_id, e.index) for e in session.events if e.finish_reason is not None)
    rows = {(name, index) for name, (_, _, _, n) in session.added.items() for index in range(n)}
    assert finals == dict.fromkeys(rows, 1)
    assert [event.error for event in session.events if event.error is not None] == []
    tokens = tokens_of(session.events)
    for name, index in rows:
        prompt, adapter, max_tokens, _ = session.added[name]
        generated = tokens.get((name, index), [])
        if name not in session.disturbed:
            assert len(generated) == max_tokens
            assert_same_where_safe(generated, alone[prompt, adapter])
        last = [e for e in session.events if (e.request_id, e.index) == (name, index)][-1]
        assert last.finish_reason in (("length",) if name not in session.disturbed else ("length", "abort"))
