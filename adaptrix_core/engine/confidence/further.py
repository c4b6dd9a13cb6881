"""Scores answers by what needs further computing: samples, other mixes, and whether code runs.

Sampling shares the question's states, and what an answer is worth under other mixes is one fork over question and
answer: the trunk once, then a prefill of the branch for each mix. Knows neither embedder nor sandbox; both are handed
in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from adaptrix_core.confidence.evidence import AnswerEvidence, FurtherEvidence
from adaptrix_core.confidence.further.code_running import CallsCode, code_runs
from adaptrix_core.confidence.scoring import answer_scores, evidence_needed, further_needed
from adaptrix_core.confidence.until_sure import AGAIN_TEMPERATURE
from adaptrix_core.engine.choices import AdapterChoice
from adaptrix_core.engine.confidence.judged import evidence_of, told_as_asked
from adaptrix_core.engine.engine import Engine, Prompt
from adaptrix_core.engine.request import Completion, SamplingParams
from adaptrix_core.errors import InvalidRequest

Embeds = Callable[[Sequence[str]], NDArray[np.float32]]
"""Texts -> their meanings, ``(texts, dimension)``, each of length 1: `TextEmbedder.embed`."""


@dataclass(frozen=True)
class FurtherSources:
    """Where evidence that needs further computing comes from."""

    samples: int = 3
    """Further answers of the same mix."""
    seed: int = 1
    """Of the samples."""
    others: tuple[AdapterChoice, ...] = ()
    """Other mixes, that answer too and that the answer is scored under."""
    embed: Embeds | None = None
    call_code: CallsCode | None = None

    def check(self, needed: Collection[str]) -> None:
        """Raise InvalidRequest where something of `FurtherEvidence` is needed that these cannot give."""
        given = {
            "other_answers": (bool(self.others), "others", "the mixes that are asked too"),
            "under_others": (bool(self.others), "others", "the mixes that score the answer"),
            "similarities": (self.embed is not None, "embed", "such as `TextEmbedder().embed`"),
            "runs": (self.call_code is not None, "call_code", "which calls a function in a sandbox of yours"),
        }
        for name in sorted(needed):
            is_given, field, meaning = given.get(name, (True, "", ""))
            if not is_given:
                raise InvalidRequest(f"an estimator looks at {name}, and {field} is not given: {meaning}", param=field)
        if self.samples < 1:
            raise InvalidRequest(f"samples is {self.samples}; give 1 at least", param="samples")


_THREE_SAMPLES = FurtherSources()


def generate_compared(
    engine: Engine,
    prompts: Sequence[Prompt],
    choice: AdapterChoice,
    scores: Sequence[str],
    sources: FurtherSources = _THREE_SAMPLES,
    params: SamplingParams | None = None,
) -> list[Completion]:
    """An answer to each prompt under ``choice``, one mix, with its scores by any estimators, those of requests too.

    scores: names; one has no score for an answer without tokens. Costs up to ``samples`` and ``others`` further answers
    to each prompt, and a prefill under each other mix. Raises InvalidRequest, also where ``sources`` lack what an
    estimator looks at, AdapterNotFound and ExtensionError.
    """
    asked = params or SamplingParams()
    needed = further_needed(scores)
    sources.check(needed)
    if asked.n > 1:
        raise InvalidRequest(f"n is {asked.n}; one answer is compared at a time: leave n out", param="n")
    engine.resolve_mix(choice)
    own = replace(asked, logprobs=asked.logprobs or 0, **evidence_needed(scores)._asdict())
    completions = engine.generate(prompts, choice, own)
    answers = with_further(engine, prompts, choice, [evidence_of(one) for one in completions], needed, sources, asked)
    return [
        told_as_asked(replace(one, scores=answer_scores(scores, answer)), asked)
        for one, answer in zip(completions, answers, strict=True)
    ]


def with_further(
    engine: Engine,
    prompts: Sequence[Prompt],
    choice: AdapterChoice,
    answers: Sequence[AnswerEvidence],
    needed: Collection[str],
    sources: FurtherSources,
    params: SamplingParams,
) -> list[AnswerEvidence]:
    """Answers that ``choice`` has given to prompts, with the fields of `FurtherEvidence` that are ``needed``.

    params: by which further answers are made, those of other mixes greedily. Raises as `generate_compared`.
    """
    sources.check(needed)
    found = [FurtherEvidence() for _ in answers]
    if {"samples", "similarities"} & {*needed}:
        found = _sampled(engine, prompts, choice, found, sources, params)
    if "similarities" in needed and sources.embed is not None:
        alike = [_similarities(sources.embed, one.text, more.samples) for one, more in zip(answers, found, strict=True)]
        found = [replace(one, similarities=values) for one, values in zip(found, alike, strict=True)]
    if "other_answers" in needed:
        found = _answered_by_others(engine, prompts, found, sources, params)
    if {"under_base", "under_others"} & {*needed}:
        others = sources.others if "under_others" in needed else ()
        under = likelihoods(engine, prompts, answers, (None, *others))
        found = [
            replace(one, under_base=base, under_others=tuple(rest))
            for one, (base, *rest) in zip(found, under, strict=True)
        ]
    if "runs" in needed and sources.call_code is not None:
        runs = [code_runs(answer.text, sources.call_code) for answer in answers]
        found = [replace(one, runs=ran) for one, ran in zip(found, runs, strict=True)]
    return [replace(answer, further=one) for answer, one in zip(answers, found, strict=True)]


def likelihoods(
    engine: Engine, prompts: Sequence[Prompt], answers: Sequence[AnswerEvidence], choices: Sequence[AdapterChoice]
) -> list[list[float]]:
    """The natural-log probability of each answer under each of these mixes, ``(answers, choices)``."""
    encoded = [engine.encode(prompt) for prompt in prompts]
    whole = [(*prompt, *answer.token_ids) for prompt, answer in zip(encoded, answers, strict=True)]
    scored = engine.generate(whole, params=SamplingParams(max_tokens=0, prompt_logprobs=0), fork=choices)
    told = [one.prompt_logprobs or () for one in scored]  # of the tokens from the second on
    return [
        [
            math.fsum(token.logprob for token in told[number * len(choices) + place][len(prompt) - 1 :])
            for place in range(len(choices))
        ]
        for number, prompt in enumerate(encoded)
    ]


def _sampled(
    engine: Engine,
    prompts: Sequence[Prompt],
    choice: AdapterChoice,
    found: Sequence[FurtherEvidence],
    sources: FurtherSources,
    params: SamplingParams,
) -> list[FurtherEvidence]:
    count = sources.samples
    sampling = replace(params, n=count, seed=sources.seed, temperature=params.temperature or AGAIN_TEMPERATURE)
    texts = [one.text for one in engine.generate(prompts, choice, sampling)]
    return [replace(one, samples=tuple(texts[at * count : (at + 1) * count])) for at, one in enumerate(found)]


def _answered_by_others(
    engine: Engine,
    prompts: Sequence[Prompt],
    found: Sequence[FurtherEvidence],
    sources: FurtherSources,
    params: SamplingParams,
) -> list[FurtherEvidence]:
    count = len(sources.others)
    greedy = replace(params, temperature=0.0)
    texts = [one.text for one in engine.generate(prompts, params=greedy, fork=sources.others)]
    return [replace(one, other_answers=tuple(texts[at * count : (at + 1) * count])) for at, one in enumerate(found)]


def _similarities(embed: Embeds, text: str, samples: Sequence[str]) -> tuple[float, ...]:
    vectors = embed([text or " ", *(one or " " for one in samples)])
    return tuple((vectors[1:] @ vectors[0]).tolist())
