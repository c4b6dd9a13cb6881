"""Answers of compositions that one row cannot give: steps one after another, and votes on several answers.

Works on what the engine does with groups of rows, which is handed in, so every prompt's next step joins the same batch.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from adaptrix_core.composition.ballots import Ballot, winner_of
from adaptrix_core.composition.parameters import check_parameters
from adaptrix_core.composition.parts import Group, Part, Steps
from adaptrix_core.composition.questions import StepPrompt, planned, step_prompt
from adaptrix_core.engine.request import Completion, SamplingParams, TokenEvent

Ask = Callable[[Sequence[StepPrompt], Sequence[Group[str]], Sequence[SamplingParams]], list[list[Completion]]]
"""The engine: the completions of each prompt under its group, one for each row and choice."""
Listen = Callable[[StepPrompt, Group[str], SamplingParams], Iterator[TokenEvent]]
"""The engine for one prompt, event by event."""
ListenBeside = Callable[[StepPrompt, Group[str], SamplingParams], AsyncGenerator[TokenEvent]]
"""Likewise, of an engine that runs beside its callers."""


@dataclass
class _Answering:
    """One prompt on its way through the steps of its composition."""

    prompt: StepPrompt
    part: Part[str]
    params: SamplingParams
    done: list[Completion] = field(default_factory=list)
    answers: list[Completion] = field(default_factory=list)
    """Of the last step, once it has answered."""

    def __post_init__(self) -> None:
        if isinstance(self.part, Steps):
            self.part = planned(self.part, self.prompt)

    @property
    def steps(self) -> tuple[Group[str], ...]:
        return self.part.groups if isinstance(self.part, Steps) else (self.part,)

    @property
    def group(self) -> Group[str]:
        return self.steps[len(self.done)]

    @property
    def is_last(self) -> bool:
        return len(self.done) == len(self.steps) - 1

    @property
    def next_prompt(self) -> StepPrompt:
        if not isinstance(self.part, Steps):
            return self.prompt
        return step_prompt(self.prompt, self.part.plan, [completion.text for completion in self.done])

    @property
    def next_params(self) -> SamplingParams:
        """The parameters of the next step: a grammar is for the last one, votes need scores and samples."""
        params = self.params if self.is_last else replace(self.params, grammar=None)
        if self.group.combine != "vote":
            return params
        return replace(params, n=self.group.samples, logprobs=0 if params.logprobs is None else params.logprobs)

    def take(self, completions: list[Completion]) -> None:
        """Note what the rows of the step have answered."""
        if self.group.combine == "vote":
            completions = [voted(self.group, completions, self.params)]
        if isinstance(self.part, Steps):
            self.done += completions
            completions = [replace(completions[0], made_of=tuple(self.done))]
        self.answers = completions


def generate_composed(
    ask: Ask, prompts: Sequence[StepPrompt], parts: Sequence[Part[str]], params: SamplingParams
) -> list[Completion]:
    """The answers to all prompts, each under its composition, in the order of prompts and choices.

    A step of a sequence that ends in an error ends its prompt's answer with it.
    """
    for part in parts:
        check_parameters(part, {"n": params.n, "prompt_logprobs": params.prompt_logprobs})
    all_of = [_Answering(prompt, part, params) for prompt, part in zip(prompts, parts, strict=True)]
    under_way = all_of
    while under_way:
        completions = ask(
            [one.next_prompt for one in under_way],
            [one.group for one in under_way],
            [one.next_params for one in under_way],
        )
        for one, answered in zip(under_way, completions, strict=True):
            one.take(answered)
        under_way = [one for one in under_way if isinstance(one.part, Steps) and len(one.done) < len(one.steps)]
    return [completion for one in all_of for completion in one.answers]


def stream_composed(
    listen: Listen, prompt: StepPrompt, part: Part[str], params: SamplingParams
) -> Iterator[TokenEvent]:
    """The events of one answer under a composition: a sequence's with their step, a vote's once it is decided."""
    for step in _streamed_steps(prompt, part, params):
        for event in listen(*step.asked):
            yield from step.told(event)


async def stream_composed_beside(
    listen: ListenBeside, prompt: StepPrompt, part: Part[str], params: SamplingParams
) -> AsyncGenerator[TokenEvent]:
    """`stream_composed` of an engine that runs beside its callers."""
    for step in _streamed_steps(prompt, part, params):
        async with aclosing(listen(*step.asked)) as events:
            async for event in events:
                for told in step.told(event):
                    yield told


def _streamed_steps(prompt: StepPrompt, part: Part[str], params: SamplingParams) -> Iterator[_StreamedStep]:
    """The steps of an answer in order; each has to be heard to its end before the next is taken."""
    check_parameters(part, {"n": params.n, "prompt_logprobs": params.prompt_logprobs})
    answering = _Answering(prompt, part, params)
    for number in range(len(answering.steps)):
        step = _StreamedStep(answering, number)
        yield step
        if not answering.is_last:
            answering.done.append(_gathered(step.events))


class _StreamedStep:
    """One step of an answer, while its events come."""

    def __init__(self, answering: _Answering, number: int) -> None:
        self._group = answering.group
        self._step = number if isinstance(answering.part, Steps) else None
        self._is_inner = not answering.is_last
        self._ballot_box: list[TokenEvent] = []
        self._unfinished = len(self._group.rows) * self._group.samples
        self.asked = answering.next_prompt, self._group, answering.next_params
        """What the engine is asked for."""
        self.events: list[TokenEvent] = []
        """What was told."""

    def told(self, event: TokenEvent) -> Sequence[TokenEvent]:
        """What can be told once this event has come: of a vote nothing, until it is decided."""
        shown = [event] if self._group.combine != "vote" else self._voted(event)
        if self._step is not None:
            shown = [replace(one, step=self._step, is_inner=self._is_inner) for one in shown]
        self.events += shown
        return shown

    def _voted(self, event: TokenEvent) -> list[TokenEvent]:
        self._ballot_box.append(event)
        self._unfinished -= event.finish_reason is not None
        return [] if self._unfinished else _winning(self._ballot_box, self._group)


def voted(group: Group[str], completions: Sequence[Completion], params: SamplingParams) -> Completion:
    """The winner of a vote, made of all answers; log-probabilities as ``params`` ask for them."""
    scored = [(completion.text, completion.logprobs or ()) for completion in completions]
    winner = completions[winner_of(_ballots(group, scored))]
    shown = winner if params.logprobs is not None else replace(winner, logprobs=None, top_logprobs=None)
    return replace(shown, made_of=tuple(completions))


def _ballots(group: Group[str], answers: Sequence[tuple[str, Sequence[float]]]) -> list[Ballot]:
    """The ballots of rows and their samples, in the engine's order."""
    return [
        Ballot(text, sum(logprobs), group.rows[number // group.samples].weight)
        for number, (text, logprobs) in enumerate(answers)
    ]


def _winning(events: Sequence[TokenEvent], group: Group[str]) -> list[TokenEvent]:
    """The events of the row that wins, as row 0; the last one tells how many tokens the others have."""
    rows: Mapping[int, list[TokenEvent]] = {number: [] for number in range(len(group.rows) * group.samples)}
    for event in events:
        rows[event.index].append(event)
    answers = [
        ("".join(event.text for event in row), [event.logprob for event in row if event.logprob is not None])
        for row in rows.values()
    ]
    winner = [replace(event, index=0) for event in rows[winner_of(_ballots(group, answers))]]
    others = sum(event.token_id is not None for event in events) - sum(one.token_id is not None for one in winner)
    return [*winner[:-1], replace(winner[-1], other_tokens=others)]


def _gathered(events: Sequence[TokenEvent]) -> Completion:
    """What the next step has to know of a step that was streamed."""
    last = events[-1]
    assert last.finish_reason is not None
    return Completion(
        request_id=last.request_id,
        text="".join(event.text for event in events),
        token_ids=tuple(event.token_id for event in events if event.token_id is not None),
        finish_reason=last.finish_reason,
        mix=last.mix,
        weights_digest=None,
        num_prompt_tokens=last.num_prompt_tokens,
    )
