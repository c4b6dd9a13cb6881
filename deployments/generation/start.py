"""Starts a generation request: makes its calls, one for each prompt, and opens the stream that comes back.

Knows seeds, ids and the parts of a request that go to a replica. Does not know HTTP.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from adaptrix_core.adapters.reference import mix_label
from adaptrix_core.composition.model_strings import part_label
from adaptrix_core.composition.parts import Part, Steps
from adaptrix_core.confidence.scoring import EvidenceNeeded, evidence_needed
from adaptrix_core.confidence.shelf import CalibrationShelf
from adaptrix_core.errors import AdaptrixError
from adaptrix_core.observe.tracing import carrier
from deployments.callers.principal import Principal
from deployments.generation.composed_call import ComposedCall, composed
from deployments.generation.deadline import Deadline
from deployments.generation.model_names import NamedMix, Within
from deployments.generation.pipeline import Pipeline, Stream
from deployments.generation.resolve import ResolvedRequest, without_broken_adapter
from deployments.openai.documents import AnswerHead, Kind
from deployments.openai.row_judge import Judging, RowJudge
from deployments.openai.schemas import ChatRequest, CompletionRequest
from deployments.shared.entry import Entry
from deployments.shared.wire import GenerateCall

NONE_CALIBRATED = CalibrationShelf(())
"""A shelf without any calibration."""


@dataclass(frozen=True)
class RunningRequest:
    """An accepted request: its first pieces are there already."""

    head: AnswerHead
    resolved: ResolvedRequest
    stream: Stream
    num_rows: int
    """Rows of all prompts together."""
    rows_per_prompt: int

    def kind_of(self, index: int) -> str:
        """The label of the mix that answers a row, for counting."""
        prompt, row = divmod(index, self.rows_per_prompt)
        if self.resolved.part is not None:
            return self.resolved.kind
        return self.resolved.mixes_of(prompt)[row // self.head.rows_per_fork].kind

    def headers(self, told: Iterable[Mapping[str, Any]] = ()) -> dict[str, str]:
        """The ``x-adaptrix-*`` response headers.

        told: what a whole answer says of each of its choices in ``adaptrix``. How sure they are, where that was asked
        for, is told by a header too; a stream's headers are sent before it is known.
        """
        headers, members = self.resolved.headers(), list(told)
        if any("confidence" in member for member in members):
            known = [member.get("confidence") for member in members]
            headers["x-adaptrix-confidence"] = ",".join("none" if one is None else f"{one:.4f}" for one in known)
        return headers


async def start_request(
    body: ChatRequest | CompletionRequest,
    resolved: ResolvedRequest,
    principal: Principal,
    pipeline: Pipeline,
    base_id: str,
    deadline: Deadline,
    response_id: str | None = None,
    calibrations: CalibrationShelf = NONE_CALIBRATED,
) -> RunningRequest:
    """Send the request to replicas and wait until each prompt has its first piece, so that refusals become a status.

    response_id: of the answer; None for one of the form that OpenAI gives the answers of such a body. calibrations: by
    which answers have a confidence, where that is asked for.

    Raises any AdaptrixError. Where an adapter cannot be used and the request allows it, the base model takes its place.
    """
    kind: Kind = "chat" if isinstance(body, ChatRequest) else "text"
    response_id = response_id or f"{'chatcmpl' if kind == 'chat' else 'cmpl'}-{secrets.token_hex(16)}"
    seed = secrets.randbits(62) if body.seed is None else body.seed
    needed = {name: True for name, is_needed in _needed(body.judging, calibrations)._asdict().items() if is_needed}
    while True:
        sampling = {**body.sampling(), "seed": seed, **needed}
        plain_calls = _calls(body, resolved, principal, response_id, sampling, deadline)
        calls = _composed(plain_calls, resolved, deadline)
        stream = pipeline.open(calls, deadline)
        try:
            await stream.begin()
        except AdaptrixError as error:
            resolved = without_broken_adapter(resolved, error)
        else:
            break
    rows_per_prompt = calls[0].num_rows
    resolved = resolved.settled(stream.settled(rows_per_prompt))
    head = _head(body, kind, response_id, resolved, base_id, calibrations)
    return RunningRequest(head, resolved, stream, rows_per_prompt * len(calls), rows_per_prompt)


def _calls(
    body: ChatRequest | CompletionRequest,
    resolved: ResolvedRequest,
    principal: Principal,
    response_id: str,
    sampling: Mapping[str, Any],
    deadline: Deadline,
) -> list[GenerateCall]:
    """The calls of a request, one for each prompt."""
    prompts, form = _prompts(body), body.output_form()
    return [
        GenerateCall(
            request_id=f"{response_id}-{number}",
            prompt=prompt,
            mixes=tuple(mix.bundles for mix in resolved.mixes_of(number)),
            sampling=sampling,
            salt=principal.salt,
            cache_salt=principal.era + (body.cache_salt or "").encode(),
            chat=body.chat_options(),
            keep_last=body.truncate_prompt_tokens,
            echo=body.echoes,
            output_form=form,
            priority=body.priority,
            timeout_s=deadline.remaining_s,
            is_streamed=body.stream,
            is_alone=len(prompts) == 1,
            trace=carrier(),
            deferred=resolved.deferral_of(number),
        )
        for number, prompt in enumerate(prompts)
    ]


def _composed(
    calls: Sequence[GenerateCall], resolved: ResolvedRequest, deadline: Deadline
) -> Sequence[GenerateCall | ComposedCall]:
    """The calls as compositions answer them, where they do. Raises InvalidRequest for a plan that fails."""
    return [_composed_call(call, resolved, number, deadline) for number, call in enumerate(calls)]


def _composed_call(
    call: GenerateCall, resolved: ResolvedRequest, number: int, deadline: Deadline
) -> GenerateCall | ComposedCall:
    part = resolved.part_of(number)
    if part is None:
        return call
    signed = resolved.signed_of(number)
    by_bundle = part.called(lambda adapter: adapter.bundle_digest)
    return composed(call, by_bundle, deadline, None if signed is None else signed.step)


def _prompts(body: ChatRequest | CompletionRequest) -> Sequence[str | tuple[int, ...] | tuple[dict[str, Any], ...]]:
    if isinstance(body, ChatRequest):
        return [tuple(message.plain() for message in body.messages)]
    return body.prompts()


def _head(
    body: ChatRequest | CompletionRequest,
    kind: Kind,
    response_id: str,
    resolved: ResolvedRequest,
    base_id: str,
    calibrations: CalibrationShelf,
) -> AnswerHead:
    parts = [resolved.part_of(number) for number in range(len(resolved.by_prompt) or 1)]
    return AnswerHead(
        kind,
        response_id,
        int(time.time()),
        model=resolved.label if any(mix.terms for mix in resolved.mixes) else base_id,
        answered_by=_answered_by(resolved),
        steps=tuple(map(_steps, parts)),
        changes=tuple(map(_changes, parts)),
        rows_per_fork=body.n,
        rows_per_prompt=body.n * (1 if resolved.part is not None else len(resolved.mixes_of(0))),
        about=resolved.about,
        judge=None if body.judging is None else RowJudge(body.judging, _answerers(resolved), body.n, calibrations),
        shows_logprobs=body.shows_logprobs,
        shows_token_ids=body.return_token_ids,
        numbers_tokens=body.return_tokens_as_token_ids,
        echo=body.echoes,
        shows_prompt_logprobs=body.prompt_logprobs is not None,
    )


def _answered_by(resolved: ResolvedRequest) -> tuple[dict[str, Any], ...]:
    """Who answers, in the order of forks or of prompts that were routed apart; empty where one adapter answers all."""
    if resolved.part is not None:
        return ()
    if not resolved.by_prompt:
        is_told = len(resolved.mixes) > 1 or any(mix.parts for mix in resolved.mixes)
        return tuple(_answering(mix) for mix in resolved.mixes) if is_told else ()
    return tuple(
        _answering(one.mix) | ({} if one.route is None else {"route_score": round(one.route.score, 4)})
        for one in resolved.by_prompt
    )


def _steps(part: Part[Entry] | Part[Within] | None) -> tuple[str, ...]:
    """Labels of the parts of a sequence, in order; empty for other answers."""
    if not isinstance(part, Steps):
        return ()
    return tuple(part_label(group) for group in part.called(lambda adapter: adapter.public_name).groups)


def _answerers(resolved: ResolvedRequest) -> tuple[str, ...]:
    """Who answers, as calibrations name it, in the order of forks or of prompts that were routed apart.

    None for an answer that is composed of others: a calibration is of one mix.
    """
    if resolved.part is not None:
        return ()
    mixes = [one.mix for one in resolved.by_prompt] or resolved.mixes
    return tuple(mix.answerer for mix in mixes)


def _needed(asked: Judging | None, calibrations: CalibrationShelf) -> EvidenceNeeded:
    """What replicas have to compute beside the answer."""
    if asked is None:
        return EvidenceNeeded()
    needed = EvidenceNeeded(spread=asked.token_scores).either(evidence_needed(asked.scores))
    return needed.either(calibrations.evidence_needed()) if asked.confidence else needed


def _changes(part: Part[Entry] | Part[Within] | None) -> tuple[str, ...]:
    """Who answers after each change of mix of the last step, then who may begin it by what its question is about."""
    if part is None:
        return ()
    named = part.called(lambda adapter: adapter.public_name)
    last = named.groups[-1] if isinstance(named, Steps) else named
    row = last.rows[0]
    mixes = (*(switch.mix for switch in row.switches), *(one.mix for one in row.beginnings))
    return tuple(map(mix_label, mixes)) if last.combine is None else ()


def _answering(mix: NamedMix) -> dict[str, Any]:
    return {"adapter": mix.label, "digest": mix.package_digests, **({"parts": mix.parts} if mix.parts else {})}
