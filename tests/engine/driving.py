"""Small steps that engine tests share: make a request, run an engine until it is idle, read events back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from adaptrix_core.engine import Completion, Engine, GenerationRequest, SamplingParams, TokenEvent
from adaptrix_core.engine.choices import AdapterChoice
from adaptrix_core.injection.mix import Mix, constant

SAFE_GAP = 1e-3
"""Where the two likeliest tokens are nearer than this, batches of other composition may choose differently."""

SAFE_DRAW = 1e-4
"""Where a number is drawn nearer than this to the border of two tokens' shares, other batches may draw the other."""


def request(
    request_id: str, prompt: Sequence[int], *mixes: Mix, priority: int = 0, salt: bytes = b"", **params: Any
) -> GenerationRequest:
    """A greedy request unless ``params`` say otherwise, one row per mix (under no adapter if none is given)."""
    return GenerationRequest(
        request_id,
        tuple(prompt),
        SamplingParams(**{"max_tokens": 8, "temperature": 0.0, "ignore_eos": True, **params}),
        tuple(constant(mix) for mix in mixes) or (constant(()),),
        salt,
        priority,
    )


def drain(engine: Engine, before_step: Callable[[], None] = lambda: None, limit: int = 2000) -> list[TokenEvent]:
    """Step until no work is left."""
    events: list[TokenEvent] = []
    for _ in range(limit):
        if not engine.has_work:
            return events
        before_step()
        events += engine.step()
    raise AssertionError(f"the engine still has work after {limit} steps")


def tokens_of(events: Iterable[TokenEvent]) -> dict[tuple[str, int], list[int]]:
    """Token ids by (request, row), in the order in which they came."""
    found: dict[tuple[str, int], list[int]] = defaultdict(list)
    for event in events:
        if event.token_id is not None:
            found[event.request_id, event.index].append(event.token_id)
    return found


def safe_length(completion: Completion) -> int:
    """How many tokens from the start were chosen with a clear margin; needs ``logprobs=2``."""
    assert completion.top_logprobs is not None
    for number, top in enumerate(completion.top_logprobs):
        if top[0][1] - top[1][1] <= SAFE_GAP:
            return number
    return len(completion.token_ids)


def assert_same_where_safe(actual: Sequence[int], alone: Completion) -> None:
    """Greedy tokens equal those of the row run alone, up to the first choice that was too close to call."""
    safe = min(safe_length(alone), len(actual))
    assert safe >= len(actual) // 2, "the model's choices are too close for this test to say anything"
    assert list(actual[:safe]) == list(alone.token_ids[:safe])


def assert_drawn_alike(
    engine: Engine,
    prompt: Sequence[int],
    choice: AdapterChoice,
    seed: int,
    actual: Sequence[int],
    expected: Sequence[int],
) -> None:
    """Tokens drawn at temperature 1 are equal up to the first draw that was too close to call, which is looked up.

    The cumulative probabilities are those of the text before that draw, computed anew; both tokens must border on the
    number drawn.
    """
    assert len(actual) == len(expected)
    split = next((i for i, pair in enumerate(zip(actual, expected, strict=True)) if pair[0] != pair[1]), None)
    if split is None:
        return
    text = [*prompt, *expected[:split]]
    drawn = engine.add(request("drawn", text, engine.resolve_mix(choice), seed=seed, temperature=1.0))[0].uniform()
    engine.abort("drawn")
    shares = engine.logits([text], [choice])[0][-1].double().softmax(-1)
    upper = shares.cumsum(-1)
    for token in (actual[split], expected[split]):
        reach = (upper[token] - shares[token] - SAFE_DRAW, upper[token] + SAFE_DRAW)
        assert reach[0] <= drawn <= reach[1], f"{drawn} at {split} is not token {token}'s, which has {reach}"
