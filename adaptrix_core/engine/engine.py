"""The engine's public face: a base model, adapters by name, text in and text out.

`Engine` is synchronous and used from one thread; `EngineLoop` (`loop.py`) gives it a thread of its own and asyncio
callers. It knows nothing of HTTP, Ray or routing.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from adaptrix_core.adapters import Adapter, AdapterManager, DynamicLoader, TrustPolicy
from adaptrix_core.adapters.package.composition import Composition
from adaptrix_core.adapters.package.fit import BaseMatch
from adaptrix_core.adapters.residency.held import held
from adaptrix_core.adapters.trust.policy import Policy
from adaptrix_core.base import BaseModel, BaseModelManager
from adaptrix_core.base.chat_options import ORDINARY, ChatOptions
from adaptrix_core.base.manager import Optimize
from adaptrix_core.composition.conflicts.guard import ConflictGuard
from adaptrix_core.composition.manifests.loaded import LoadedCompositions
from adaptrix_core.composition.parts import Group, Part, fork_of
from adaptrix_core.confidence.scoring import check_estimators
from adaptrix_core.confidence.shelf import CalibrationShelf
from adaptrix_core.engine.cache.cut import catalogue_cut
from adaptrix_core.engine.choices import AdapterChoice, choices_for, part_of, terms_of
from adaptrix_core.engine.compute.backend import backend_of
from adaptrix_core.engine.compute.inspected import INSPECTED_TOKENS, InspectedRun
from adaptrix_core.engine.confidence.judged import generate_judged
from adaptrix_core.engine.core import EngineCore, History, raise_failure
from adaptrix_core.engine.deferred import Settled
from adaptrix_core.engine.groups.asking import rows_asked, with_needed_logprobs
from adaptrix_core.engine.groups.beginning import QuestionReader, left_to_question, reader_of_questions
from adaptrix_core.engine.groups.chosen import ChosenAdapters
from adaptrix_core.engine.groups.composed import generate_composed, stream_composed
from adaptrix_core.engine.options import EngineOptions
from adaptrix_core.engine.request import Completion, GenerationRequest, SamplingParams, TokenEvent
from adaptrix_core.engine.request_checks import check_request
from adaptrix_core.engine.rows.outcome import Outcome
from adaptrix_core.engine.rows.row import Row
from adaptrix_core.engine.settled_mixes import with_mixes_settled
from adaptrix_core.errors import AdapterExists, ContextLengthExceeded, InvalidRequest, Overloaded
from adaptrix_core.injection.mix import Mix, constant, weights_digests_of
from adaptrix_core.places import shipped_adapters
from adaptrix_core.sampling import OURS, SamplingDefaults, first_opinions

Prompt = str | Sequence[int] | Sequence[Mapping[str, str]]
"""Raw text, token ids, or chat messages."""

Outcomes = dict[tuple[str, int], Outcome]
"""Outcomes by (request id, row index)."""

LogitsSchedule = Literal["one_shot", "chunked", "stepwise"]

_CHUNK_TOKENS: Mapping[LogitsSchedule, int | None] = {"one_shot": None, "chunked": 5, "stepwise": 1}


class Engine(EngineCore):
    """Runs one base model with many adapters."""

    def __init__(
        self,
        base: BaseModel,
        adapters_dir: Path | str | None = None,
        trust: TrustPolicy | None = None,
        options: EngineOptions | None = None,
        base_match: BaseMatch = "compatible",
        **loader_options: Any,
    ) -> None:
        """adapters_dir: the catalogue; the shipped adapters if None. loader_options: `DynamicLoader`."""
        options = options or EngineOptions()
        backend = backend_of(base, options)
        manager = AdapterManager(adapters_dir or shipped_adapters(), base, trust, base_match=base_match)
        super().__init__(base, backend, DynamicLoader(manager, backend.injector, **loader_options), options)
        self.manager = manager
        self.calibrations = CalibrationShelf.trusted_by(trust or TrustPolicy())
        self.conflicts = ConflictGuard.trusted_by(trust or TrustPolicy())
        self.compositions = LoadedCompositions(manager, self.loader)
        self.chosen = ChosenAdapters(self.loader, self.compositions, base.info.num_layers)
        self._request_numbers = itertools.count()
        self._inboxes: dict[str, deque[TokenEvent]] = {}
        """Events of running streams that their readers have not taken yet, by request."""

    @classmethod
    def from_pretrained(
        cls,
        source: str = "smollm2-135m",
        device: str = "auto",
        precision: str = "auto",
        adapters_dir: Path | str | None = None,
        trust: Policy | TrustPolicy = "require",
        options: EngineOptions | None = None,
        optimize: Optimize = "auto",
    ) -> Engine:
        """Load a base model and make an engine for it.

        source, device, precision, optimize: see `BaseModelManager`.
        adapters_dir: the catalogue; the shipped adapters if None.
        trust: ``require | warn | off`` with the user's trusted keys and, for the adapters that it ships, the project's;
        or a whole policy.
        options: if None, the defaults with a cut where the catalogue's adapters for this base begin.
        """
        base = BaseModelManager(source, device, precision, optimize=optimize).load_model()
        policy = trust if isinstance(trust, TrustPolicy) else TrustPolicy(trust)
        options = options or EngineOptions(cut=catalogue_cut(adapters_dir or shipped_adapters(), base))
        return cls(base, adapters_dir, policy, options)

    def load_adapter(self, path: Path | str, name: str | None = None) -> Adapter | Composition:
        """Verify and load the directory of an adapter or a composition, or a catalogue name, and make it usable.

        name: what it is called then, in place of its own. A composition loads its parts, each as it was signed.
        """
        composition = self.compositions.load(path, name)
        if composition is not None:
            return composition
        if name is not None and self.compositions.is_taken(name):
            raise AdapterExists(f"name {name!r} is in use for a composition; unload it first or choose another name")
        return self.loader.load(path, alias=name)

    def unload_adapter(self, name: str) -> None:
        """Forget an adapter: refused to new requests, freed when the last one ends. A composition's parts stay."""
        if not self.compositions.unload(name):
            self.loader.unload(name)

    def resolve_mix(self, choice: AdapterChoice) -> Mix:
        """Names -> the mix of their current weights, loading what is not loaded. Raises AdapterNotFound."""
        return self.chosen.mix(choice)

    def sampling_defaults(self, *choices: AdapterChoice) -> SamplingDefaults:
        """The sampling values for a request with these choices (several: a fork), where its parameters leave them open.

        Those of the adapters, then the model's, then ours (`sampling.py`). Loads adapters that are not loaded.
        """
        return first_opinions(self.chosen.sampling(choices), self.base.sampling, OURS)

    def encode(self, prompt: Prompt, chat: ChatOptions = ORDINARY) -> tuple[int, ...]:
        """Any kind of prompt -> token ids. Raises InvalidRequest for an empty one. chat: for chat messages."""
        if isinstance(prompt, str):
            return tuple(self.base.encode(prompt))
        if prompt and isinstance(prompt[0], Mapping):
            return tuple(self.base.encode_chat(prompt, chat))  # type: ignore[arg-type]
        return tuple(prompt)  # type: ignore[arg-type]

    def generate(
        self,
        prompts: Sequence[Prompt],
        adapters: AdapterChoice | Sequence[AdapterChoice] = None,
        params: SamplingParams | None = None,
        fork: Sequence[AdapterChoice] | None = None,
        scores: Sequence[str] = (),
        confidence: bool = False,
    ) -> list[Completion]:
        """Generate for every prompt, all in one running batch; completions come in the order of prompts.

        adapters: one choice for all prompts, or one per prompt. fork: run every prompt under each of these instead.
        params: fields that are left unset come from the adapters, then the model, then us: see `sampling_defaults`.
        scores: names of confidence estimators, whose scores are then in `Completion.scores`. confidence: whether
        `Completion.confidence` is wanted.
        With ``params.n`` choices or a fork of several mixes, a prompt has that many completions, in order.
        """
        if isinstance(prompts, str):
            raise InvalidRequest("prompts is one text; give a list of prompts", param="prompt")
        check_estimators(scores, param="scores")
        choices = choices_for(adapters, len(prompts))
        if scores or confidence:
            asked = partial(self.generate, prompts, adapters, fork=fork)
            return generate_judged(self, asked, fork or choices, params or SamplingParams(), scores, confidence)
        if fork is not None:
            parts: Sequence[Part[str]] = [fork_of(tuple(map(terms_of, fork)))] * len(prompts)
        else:
            parts = [self._part_of(choice) for choice in choices]
        parts = with_mixes_settled(parts, self.conflicts, self.chosen.of)
        if all(isinstance(part, Group) and part.combine != "vote" for part in parts):
            groups = [part for part in parts if isinstance(part, Group)]
            return self._run(
                [self.request_under("generate", *asked, params) for asked in zip(prompts, groups, strict=True)]
            )
        self._load_all(parts)
        return generate_composed(self._ask, prompts, parts, params or SamplingParams())

    def _part_of(self, choice: AdapterChoice) -> Part[str]:
        named = self.compositions.part(choice) if isinstance(choice, str) else None
        return part_of(choice) if named is None else named

    def _load_all(self, parts: Sequence[Part[str]]) -> None:
        """Load every adapter of these, so that a later step's is known to be there before the first begins."""
        for part in parts:
            self.chosen.of(tuple(part.terms()))

    def _ask(
        self, prompts: Sequence[Prompt], groups: Sequence[Group[str]], params: Sequence[SamplingParams]
    ) -> list[list[Completion]]:
        """The completions of each prompt under its group."""
        requests = [self.request_under("generate", *asked) for asked in zip(prompts, groups, params, strict=True)]
        by_request: dict[str, list[Completion]] = {request.request_id: [] for request in requests}
        for completion in self._run(requests):
            by_request[completion.request_id].append(completion)
        return list(by_request.values())

    def stream(
        self, prompt: Prompt, adapter: AdapterChoice = None, params: SamplingParams | None = None
    ) -> Iterator[TokenEvent]:
        """Generate for one prompt and yield its tokens as they come; leaving early ends the request.

        Between two events its adapter may be changed: ``engine.switch(event.request_id, other)``. Several streams may
        be read in turns. The last event of each row has a ``finish_reason``. Raises the error that a row failed with.
        The events of a sequence tell their step and whether it is an inner one, which is no part of the answer, and
        each step ends so; a vote is told once it is decided.
        """
        return stream_composed(self._listen, prompt, self.asked(adapter), params or SamplingParams())

    def asked(self, adapter: AdapterChoice) -> Part[str]:
        """A choice as what answers it: rows by name, or steps of such, their mixes settled, their adapters loaded."""
        (part,) = with_mixes_settled([self._part_of(adapter)], self.conflicts, self.chosen.of)
        self._load_all([part])
        return part

    def _listen(self, prompt: Prompt, group: Group[str], params: SamplingParams) -> Iterator[TokenEvent]:
        request = self.request_under("stream", prompt, group, params)
        inbox = self._inboxes[request.request_id] = deque[TokenEvent]()
        try:
            unfinished = len(self.add(request))
            while unfinished:
                while not inbox:
                    self.go_on()
                event = inbox.popleft()
                raise_failure([event])
                unfinished -= event.finish_reason is not None
                yield event
        finally:
            self.abort(request.request_id)
            del self._inboxes[request.request_id]

    def request_under(
        self, kind: str, prompt: Prompt, group: Group[str], params: SamplingParams | None
    ) -> GenerationRequest:
        """A request for ``prompt`` under the rows of ``group``, with an id of its own. kind: how the id begins."""
        wanted = with_needed_logprobs(params or SamplingParams(), group)
        rows = rows_asked(group, self.resolve_mix)
        request = GenerationRequest(
            request_id=f"{kind}-{next(self._request_numbers)}",
            prompt_token_ids=self.encode(prompt),
            params=self._with_defaults(wanted, (row.mix for row in group.rows)),
            schedules=rows.schedules,
            switches=rows.switches,
            shares=rows.shares,
        )
        if not group.subjects:
            return request
        question = self._questions(prompt, request.prompt_token_ids, group.subjects)
        begins = (group.mix, *(one.mix for one in group.rows[0].beginnings))
        otherwise, *rules = (Settled(self.resolve_mix(mix), self._with_defaults(wanted, [mix])) for mix in begins)
        return left_to_question(request, question, rules, otherwise)

    @cached_property
    def _questions(self) -> QuestionReader:
        return reader_of_questions(self)

    def _with_defaults(self, params: SamplingParams, choices: Iterable[AdapterChoice]) -> SamplingParams:
        return params.with_defaults(self.chosen.sampling(choices), self.base.sampling)

    def logits(
        self,
        batch: Sequence[Prompt],
        adapters: AdapterChoice | Sequence[AdapterChoice] = None,
        schedule: LogitsSchedule = "one_shot",
    ) -> list[Tensor]:
        """Logits of every token of every row, ``(tokens, vocab)`` float32, all rows in one running batch.

        batch: prompts of any kind; `encode` says which tokens text and messages become.
        They pass through the scheduler, KV cache and hooks that serving uses. schedule: ``one_shot`` computes a row in
        one step, ``chunked`` in chunks of a few tokens, ``stepwise`` token by token.
        """
        if isinstance(batch, str):
            raise InvalidRequest("batch is one text; give a list of prompts", param="prompt")
        choices = choices_for(adapters, len(batch))
        requests = [
            GenerationRequest(
                f"logits-{next(self._request_numbers)}",
                self.encode(row),
                SamplingParams(max_tokens=0),
                (constant(self.resolve_mix(choice)),),
            )
            for row, choice in zip(batch, choices, strict=True)
        ]
        return self.prompt_logits(requests, _CHUNK_TOKENS[schedule])

    def inspect(self, prompt: Prompt, adapter: AdapterChoice = None, attention: bool = True) -> InspectedRun:
        """Compute one prompt by itself and keep the inside: states of all layers and, if wanted, their attention.

        For looking at what a mix does (`adaptrix_core.context`). It is computed at once, outside of the running batch,
        which waits for it, and neither takes from the cache nor leaves anything there. Raises InvalidRequest (an empty
        prompt), ContextLengthExceeded, AdapterNotFound, and CacheFull or Overloaded where the adapters have no room.
        """
        schedule = constant(self.resolve_mix(adapter))
        request = GenerationRequest(
            f"inspect-{next(self._request_numbers)}", self.encode(prompt), SamplingParams(max_tokens=0), (schedule,)
        )
        check_request(request, self.base.info, self.max_row_tokens)
        if (length := len(request.prompt_token_ids)) > INSPECTED_TOKENS:
            raise ContextLengthExceeded(
                f"the prompt has {length} tokens; {INSPECTED_TOKENS} can be inspected: shorten it",
                param="prompt",
            )
        row = self._maker.row(request, 0, 0)
        with held(self.loader, weights_digests_of(schedule)):
            row.schedule = self._activated(schedule, request)
            return self._backend.inspect(row, attention)

    def switch(self, request_id: str, adapter: AdapterChoice, history: History = "keep") -> None:
        """Change a running request's adapter between tokens; see `EngineCore.switch_mix`."""
        self.switch_mix(request_id, self.resolve_mix(adapter), history)

    def stats(self) -> dict[str, Any]:
        """Counts and sizes: rows, blocks, adapters, steps, tokens, compiler."""
        used = self._cache.num_blocks - self._cache.num_free_blocks
        by_span = zip(self._cache.spans, self.runner.layer_tokens, self.prefixes.hit_tokens, strict=True)
        return {
            "base": asdict(self.base.info),
            "cut": self.options.cut,
            "rows": {"running": self.scheduler.num_running, "waiting": self.scheduler.num_waiting},
            "rows_waiting_adapter": self.scheduler.num_waiting_adapter,
            "longest_wait_s": self.scheduler.longest_wait_s,
            "backlog_tokens": self.scheduler.backlog_tokens,
            "kv_blocks": {"used": used, "total": self._cache.num_blocks, "block_size": self._cache.block_size},
            "layer_tokens": [
                {"layers": [span.start, span.stop - 1], "computed": computed, "taken_over": len(span) * hits}
                for span, computed, hits in by_span
            ],
            "steps": self.num_steps,
            "compute_s": self.compute_s,
            "tokens_generated": self.num_tokens_generated,
            "preemptions": self.scheduler.num_preemptions,
            "compile": compiled.stats() if (compiled := self._backend.compiled) is not None else None,
            "cuda_graphs": self._backend.graph_stats(),
            "adapters": self.loader.get_memory_usage(),
            "adapter_rows": self.scheduler.rows_by_adapter(),
            "adapter_counts": self.loader.residency_counts(),
            "banks": self._backend.injector.banks(),
        }

    def _add_when_room(self, request: GenerationRequest, outcomes: Outcomes) -> list[Row]:
        """Add a request of a batch that is larger than the queue, computing earlier ones meanwhile."""
        while True:
            try:
                return self.add(request)
            except Overloaded:
                if all(outcome.is_finished for outcome in outcomes.values()):
                    raise
                self._step_into(outcomes)

    def go_on(self) -> None:
        """Compute a step; the streams that run get what is theirs of it. Raises what another row failed with."""
        self._step_into({})

    def _step_into(self, outcomes: Outcomes) -> None:
        events = self.step()
        for event in events:
            if (inbox := self._inboxes.get(event.request_id)) is not None:
                inbox.append(event)
        raise_failure(event for event in events if event.request_id not in self._inboxes)
        for event in events:
            if (event.request_id, event.index) in outcomes:
                outcomes[event.request_id, event.index].add_event(event)

    def _run(self, requests: Iterable[GenerationRequest]) -> list[Completion]:
        outcomes: Outcomes = {}
        try:
            for request in requests:
                for row in self._add_when_room(request, outcomes):
                    outcomes[request.request_id, row.index] = Outcome(row)
            while any(not outcome.is_finished for outcome in outcomes.values()):
                self._step_into(outcomes)
        finally:
            for request_id, _ in outcomes:
                self.abort(request_id)  # rows that a refused request or a failed step left unfinished
        return [outcome.completion() for outcome in outcomes.values()]
