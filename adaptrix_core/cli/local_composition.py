"""An answer of the local engine under a composition: its text comes when it is whole, with the steps before it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from adaptrix_core.cli.confidence.told_confidence import ToldConfidence
from adaptrix_core.cli.target import Answer, OnText, TargetRequest
from adaptrix_core.composition.compose import compose
from adaptrix_core.composition.model_strings import part_label
from adaptrix_core.composition.parts import Steps

if TYPE_CHECKING:
    from adaptrix_core.engine.engine import Engine
    from adaptrix_core.engine.loop import EngineLoop
    from adaptrix_core.engine.request import Completion, SamplingParams


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
    sampling = {**request.sampling(), "stop": tuple(request.stop), "grammar": grammar}
    params = SamplingParams(**sampling)
    messages = [dict(message) for message in request.messages]
    started = time.perf_counter()
    answer, answerer = await loop.call(
        lambda engine: _generated(engine, messages, composition, params, request.confidence)
    )
    duration_s = time.perf_counter() - started
    if on_text is not None:
        on_text(answer.text)
    groups = part.groups if isinstance(part, Steps) else ()
    earlier = answer.made_of[:-1] if groups else ()
    steps = [
        {"adapter": part_label(groups[min(number, len(groups) - 1)]), "text": step.text}
        for number, step in enumerate(earlier)
    ]
    made_of = answer.made_of or (answer,)
    return Answer(
        text=answer.text,
        adapter=part_label(part),
        package_digests=None,
        route_score=None,
        finish_reason=answer.finish_reason,
        num_prompt_tokens=sum(one.num_prompt_tokens for one in (made_of if groups else made_of[:1])),
        num_completion_tokens=sum(len(one.token_ids) for one in made_of),
        first_token_s=duration_s,
        duration_s=duration_s,
        steps=steps,
        confidence=ToldConfidence(answer.confidence, answerer=answerer) if request.confidence else None,
    )


def _generated(
    engine: Engine,
    messages: list[dict[str, str]],
    composition: Mapping[str, Any],
    params: SamplingParams,
    confidence: bool,
) -> tuple[Completion, str | None]:
    """The answer, and who gave it as its calibration names it, where there is one and it was asked for."""
    from adaptrix_core.engine.confidence.judged import calibration_of

    (answer,) = engine.generate([messages], composition, params, confidence=confidence)
    calibration = calibration_of(engine, composition, answer) if confidence else None
    return answer, None if calibration is None else calibration.answerer
