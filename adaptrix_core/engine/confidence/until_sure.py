"""Answers one question until an answer is sure enough, as servers do; the policy is `confidence/until_sure.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from adaptrix_core.adapters.reference import BASE
from adaptrix_core.composition.model_strings import part_label
from adaptrix_core.confidence.fallbacks import ABSTAIN, AGAIN, WITHOUT_AN_ANSWER, adapters_among, fault_in
from adaptrix_core.confidence.feedback import threshold_for
from adaptrix_core.confidence.until_sure import PARAM, AnswerAttempt, Given, again, settled
from adaptrix_core.engine.choices import AdapterChoice, part_of
from adaptrix_core.engine.confidence.judged import calibration_of
from adaptrix_core.engine.engine import Engine, Prompt
from adaptrix_core.engine.request import Completion, SamplingParams
from adaptrix_core.errors import InvalidRequest

NOTHING_MOVED: Mapping[str, float] = {}


def generate_until_sure(
    engine: Engine,
    prompt: Prompt,
    adapter: AdapterChoice,
    at_least: float,
    fallback: Sequence[str] = (ABSTAIN,),
    params: SamplingParams | None = None,
    moved: Mapping[str, float] = NOTHING_MOVED,
) -> Given[Completion]:
    """The first answer that is right with a probability of ``at_least``, or what ``fallback`` says in its place.

    at_least: above 0 and below 1. fallback: what comes after a less sure answer, in turns: ``again``, ``base``, the
    name of an adapter, ``abstain`` or ``ask``. moved: by who answers, how far labels have moved what is asked for, in
    log-odds (`thresholds_moved`). `Given.answer` is None where `Given.words` stand in its place.

    Every adapter is loaded before the first answer. Raises InvalidRequest, also where nothing is calibrated for
    ``adapter`` (not_calibrated), and AdapterNotFound.
    """
    asked = params or SamplingParams()
    _check(at_least, fallback, asked)
    for name in adapters_among(fallback):
        engine.load_adapter(name)
    attempts = [_attempt(engine, prompt, adapter, asked, at_least, moved)]
    while isinstance(following := settled(attempts, fallback), str):
        choice, sampling = adapter, asked
        if following == AGAIN:
            seed, temperature = again(asked.seed, asked.temperature, len(attempts))
            sampling = replace(asked, seed=seed, temperature=temperature)
        else:
            choice = None if following == BASE else following
        attempts.append(_attempt(engine, prompt, choice, sampling, at_least, moved))
    return following


def _check(at_least: float, fallback: Sequence[str], params: SamplingParams) -> None:
    if not 0 < at_least < 1:  # NaN too
        raise InvalidRequest(f"at_least is {at_least!r}; it must be above 0 and below 1, such as 0.7", param=PARAM)
    if not fallback or (fault := fault_in(fallback)) is not None:
        fault = fault if fallback else "the list is empty; leave it out to abstain"
        raise InvalidRequest(f"fallback: {fault}", param=PARAM)
    if params.n > 1:
        raise InvalidRequest(f"n is {params.n}; one answer is held back at a time: leave n out", param=PARAM)
    words = [name for name in fallback if name in WITHOUT_AN_ANSWER]
    if words and params.grammar is not None:
        raise InvalidRequest(
            f"fallback {words[0]!r} answers in words, and a grammar asks for another form; leave out one of them",
            param=PARAM,
        )


def _attempt(
    engine: Engine,
    prompt: Prompt,
    choice: AdapterChoice,
    params: SamplingParams,
    at_least: float,
    moved: Mapping[str, float],
) -> AnswerAttempt[Completion]:
    (answer,) = engine.generate([prompt], choice, params, confidence=True)
    calibration = calibration_of(engine, choice, answer.mix)
    return AnswerAttempt(
        answer,
        part_label(part_of(choice)),
        answer.confidence,
        is_calibrated=calibration is not None,
        least=at_least if calibration is None else threshold_for(at_least, moved, calibration.answerer),
        num_tokens=sum(len(one.token_ids) for one in answer.made_of or (answer,)),
    )
