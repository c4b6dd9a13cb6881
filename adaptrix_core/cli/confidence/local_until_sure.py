"""Holds a local engine's answers back until one is sure enough, as servers do (policy: `confidence/until_sure.py`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from adaptrix_core.cli.confidence.told_confidence import ToldConfidence
from adaptrix_core.cli.target import Answer, TargetRequest
from adaptrix_core.confidence.fallbacks import ABSTAIN, AGAIN
from adaptrix_core.confidence.feedback import threshold_for
from adaptrix_core.confidence.until_sure import AnswerAttempt, Given, again, settled


async def answer_until_sure(
    request: TargetRequest,
    at_least: float,
    answer: Callable[[TargetRequest], Awaitable[Answer]],
    moved: Mapping[str, float],
) -> Answer:
    """The first answer that is sure enough, or what the request's fallbacks say in its place.

    answer: answers a request and tells how sure it is. moved: by who answers, how far labels have moved what is asked
    for. Raises InvalidRequest where nothing is calibrated for who answers first, and any error of an attempt.
    """
    fallbacks = request.fallback or (ABSTAIN,)
    plain = replace(request, confidence=True, min_confidence=None, fallback=())
    attempts = [_attempt(await answer(plain), at_least, moved)]
    while isinstance(following := settled(attempts, fallbacks), str):
        attempts.append(_attempt(await answer(_other(plain, following, len(attempts))), at_least, moved))
    return _told(following)


def _other(request: TargetRequest, fallback: str, attempts: int) -> TargetRequest:
    """The request that a fallback answers."""
    if fallback == AGAIN:
        seed, temperature = again(request.seed, request.temperature, attempts)
        return replace(request, seed=seed, temperature=temperature)
    return replace(request, model=fallback, compose=None)


def _attempt(answer: Answer, at_least: float, moved: Mapping[str, float]) -> AnswerAttempt[Answer]:
    told = answer.confidence or ToldConfidence(None)
    return AnswerAttempt(
        answer,
        answer.adapter,
        told.confidence,
        is_calibrated=told.answerer is not None,
        least=at_least if told.answerer is None else threshold_for(at_least, moved, told.answerer),
        num_tokens=answer.num_completion_tokens,
    )


def _told(given: Given[Answer]) -> Answer:
    """What is given, as a server tells it: its usage counts the other attempts, and its time is that of all."""
    last, marks = given.last.answer, ToldConfidence.of(given.told())
    duration_s = last.duration_s + sum(other.answer.duration_s for other in given.others if other is not given.last)
    if given.words is None:
        answer = replace(last, confidence=replace(marks, confidence=given.last.confidence))
        num_tokens = last.num_completion_tokens + given.num_other_tokens
    else:
        answer = replace(last, text=given.words, finish_reason="stop", confidence=marks)
        num_tokens = given.num_other_tokens
    return replace(answer, num_completion_tokens=num_tokens, first_token_s=duration_s, duration_s=duration_s)
