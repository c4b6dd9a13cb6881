"""An answer of the local engine under a composition: the text of its last step as it comes, earlier steps beside it."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from adaptrix_core.cli.confidence.local_confidence import LocalConfidence
from adaptrix_core.cli.confidence.told_confidence import ToldConfidence
from adaptrix_core.cli.target import Answer, OnText, TargetRequest
from adaptrix_core.composition.compose import compose
from adaptrix_core.composition.model_strings import part_label
from adaptrix_core.composition.parts import Part, Steps

if TYPE_CHECKING:
    from adaptrix_core.engine.loop import EngineLoop
    from adaptrix_core.engine.request import TokenEvent


async def answer_composed(
    loop: EngineLoop,
    request: TargetRequest,
    composition: Mapping[str, Any],
    grammar: str | None,
    on_text: OnText | None,
) -> Answer:
    """Answer under ``composition``. Raises any AdaptrixError."""
    from adaptrix_core.engine.request import SamplingParams

    part = compose(composition, "compose")
    params = SamplingParams(**{**request.sampling(), "stop": tuple(request.stop), "grammar": grammar})
    judge = LocalConfidence(loop.engine) if request.confidence else None
    if judge is not None:
        params = judge.asking(params)
    for name in dict.fromkeys(term.adapter for term in part.terms()):
        await loop.load_adapter(name)  # which happens once, and does not count as an answer's time
    said, started = _Said(), time.perf_counter()
    async with aclosing(loop.stream([dict(message) for message in request.messages], composition, params)) as events:
        async for event in events:
            said.add(event)
            if event.is_inner:
                continue
            if judge is not None:
                judge.look(event)
            if event.token_id is not None:
                said.first_token_at = said.first_token_at or time.perf_counter()
            if event.text and on_text is not None:
                on_text(event.text)
    ended = time.perf_counter()
    *earlier, text = ("".join(pieces) for _, pieces in sorted(said.texts.items()))
    return Answer(
        text=text,
        adapter=part_label(part),
        package_digests=None,
        route_score=None,
        finish_reason=event.finish_reason or "error",
        num_prompt_tokens=sum(said.prompt_tokens.values()),
        num_completion_tokens=said.num_tokens,
        first_token_s=(said.first_token_at or ended) - started,
        duration_s=ended - started,
        steps=_steps(part, earlier),
        confidence=None if judge is None else _confidence(judge, part, composition),
    )


class _Said:
    """What an answer has said so far, by step, and what it took."""

    def __init__(self) -> None:
        self.texts: dict[int, list[str]] = defaultdict(list)
        self.prompt_tokens: dict[int, int] = {}
        self.num_tokens = 0
        self.first_token_at: float | None = None
        """When the last step's first token came, by ``time.perf_counter``."""

    def add(self, event: TokenEvent) -> None:
        """Note the next event."""
        step = event.step or 0
        self.texts[step].append(event.text)
        self.prompt_tokens[step] = event.num_prompt_tokens
        self.num_tokens += event.other_tokens + (event.token_id is not None)


def _steps(part: Part[str], earlier: list[str]) -> list[dict[str, str]]:
    """Who answered the steps before the last, and what; a planner's further questions go to the last part."""
    groups = part.groups if isinstance(part, Steps) else ()
    return [
        {"adapter": part_label(groups[min(number, len(groups) - 1)]), "text": text}
        for number, text in enumerate(earlier)
    ]


def _confidence(judge: LocalConfidence, part: Part[str], composition: Mapping[str, Any]) -> ToldConfidence:
    """How sure the answer is, where it was given under one mix; a calibration is of one."""
    is_one_mix = not isinstance(part, Steps) and part.is_plain
    return judge.told_under(composition) if is_one_mix else ToldConfidence(None)
