"""An engine in this process with the interface of a server; it starts when needed and ends with the command."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from adaptrix_core.adapters.manager import AdapterManager
from adaptrix_core.adapters.package.about import about_package
from adaptrix_core.adapters.package.composition import Composition
from adaptrix_core.adapters.package.contents import package_metadata_of
from adaptrix_core.adapters.package.metadata import PackageMetadata
from adaptrix_core.adapters.reference import AUTO, BASE, AdapterReference, mix_label, parse_mix
from adaptrix_core.adapters.trust.policy import TrustPolicy
from adaptrix_core.cli.confidence.local_confidence import LocalConfidence
from adaptrix_core.cli.confidence.local_until_sure import answer_until_sure
from adaptrix_core.cli.local_composition import answer_composed
from adaptrix_core.cli.local_routing import OWNER, LocalRouting
from adaptrix_core.cli.output import Output
from adaptrix_core.cli.target import AdapterRow, Answer, Embeddings, Message, OnText, Room, TargetRequest
from adaptrix_core.composition.model_strings import composition_named, mix_named
from adaptrix_core.confidence.calibration import BASE_ANSWERS, answerer_of
from adaptrix_core.confidence.fallbacks import adapters_among
from adaptrix_core.confidence.feedback import AnswerLabel
from adaptrix_core.confidence.shelf import CalibrationShelf
from adaptrix_core.config import Settings
from adaptrix_core.digests import PackageDigest
from adaptrix_core.errors import AdapterRejected, EngineStopped, InvalidRequest
from adaptrix_core.injection.mix import Term
from adaptrix_core.routing.feedback.answers import AnswerThresholds

if TYPE_CHECKING:
    from adaptrix_core.adapters import Adapter
    from adaptrix_core.context.anchoring import AnchorBy
    from adaptrix_core.engine.loop import EngineLoop
    from adaptrix_core.injection.mix import MixSchedule
    from adaptrix_core.routing.embedder import TextEmbedder

HERE = "local"
"""Name of this process in the place of a server's replica ids."""


class LocalTarget:
    """Serves the base model, adapter directory and trust policy of ``settings``."""

    def __init__(self, settings: Settings, output: Output) -> None:
        adapters = settings.adapters
        self._settings = settings
        self._output = output
        self._trust = TrustPolicy.of(adapters)
        self._manager = AdapterManager(adapters.dir, None, self._trust, base_match=adapters.base_match)
        self._loop: EngineLoop | None = None
        self._routing = LocalRouting(settings, output)
        self._embedder: TextEmbedder | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._loop is not None:
            self._loop.stop()

    async def chat(self, request: TargetRequest, on_text: OnText | None = None) -> Answer:
        """Answer one request in the engine's running batch; cancelling aborts it there."""
        if request.min_confidence is None:
            return await self._answer(request, on_text)
        for name in adapters_among(request.fallback):
            self._manager.check_exists(name)
        moved = AnswerThresholds(self._settings.adapters.state_dir).of(OWNER)
        answer = await answer_until_sure(request, request.min_confidence, self._answer, moved)
        if on_text is not None:
            on_text(answer.text)
        return answer

    async def _answer(self, request: TargetRequest, on_text: OnText | None = None) -> Answer:
        """Answer as asked, however sure the answer is."""
        from adaptrix_core.engine.request import GenerationRequest, SamplingParams

        loop = self._started()
        composition = request.compose or composition_named(request.model) or self._divided(request)
        if composition is not None:
            return await answer_composed(loop, request, composition, _grammar(request), on_text)
        if request.model == AUTO:
            self._routing.start()
        started = time.perf_counter()  # loading, which happens once, does not count as an answer's time
        terms, score = self._who(request)
        packages = [await loop.load_adapter(term.adapter) for term in terms]
        prompt = loop.engine.encode([dict(message) for message in request.messages])
        schedule = await self._schedule(loop, prompt, terms, request.anchor)
        sampling = {**request.sampling(), "stop": tuple(request.stop), "grammar": _grammar(request)}
        params = SamplingParams(**sampling).with_defaults(loop.engine.sampling_defaults(terms))
        judge = LocalConfidence(loop.engine) if request.confidence else None
        if judge is not None:
            params = judge.asking(params)
        generation = GenerationRequest(f"local-{uuid.uuid4().hex}", prompt, params, schedules=(schedule,))
        pieces: list[str] = []
        num_tokens = 0
        first_token_s: float | None = None
        async for event in loop.generate(generation):
            if event.error is not None:
                raise EngineStopped(event.error)
            if judge is not None:
                judge.look(event)
            if event.token_id is not None:
                num_tokens += 1
                first_token_s = first_token_s or time.perf_counter() - started
            if event.text:
                pieces.append(event.text)
                if on_text is not None:
                    on_text(event.text)
        duration_s = time.perf_counter() - started
        return Answer(
            text="".join(pieces),
            adapter=_label(terms),
            package_digests="+".join(package.package_digest for package in packages) or None,
            route_score=score,
            finish_reason=event.finish_reason or "error",
            num_prompt_tokens=len(prompt),
            num_completion_tokens=num_tokens,
            first_token_s=first_token_s or duration_s,
            duration_s=duration_s,
            confidence=None if judge is None else judge.told(terms if request.anchor is None else None),
        )

    async def adapters(self) -> list[AdapterRow]:
        """The adapter directory; signatures are checked, tensors are not read."""
        return [self._row(metadata) for metadata in self._manager.list_adapters()]

    async def show(self, name: str) -> dict[str, Any]:
        """See `Target`: from the adapter directory, with its signature checked, tensors not read."""
        snapshot = self._manager.snapshot(name)
        about = about_package(snapshot)
        said = about["metadata"] or {}
        try:
            trusted = self._trust.check(snapshot)
            signer, warnings = trusted.signer, list(trusted.warnings)
        except AdapterRejected as error:
            signer, warnings = None, [f"it would be refused: {error.message}"]
        return {
            "name": said.get("name", snapshot.origin),
            "version": said.get("version", "0"),
            "description": said.get("description", ""),
            "digest": snapshot.package_digest,
            "weights_digest": said.get("weights_digest"),
            "signer": signer,
            "warnings": warnings,
            "sampling": {name: {"value": v, "from": "adapter"} for name, v in (said.get("sampling") or {}).items()},
            **about,
            "calibrations": self._calibrations(snapshot.package_digest),
        }

    async def show_mix(self, name: str) -> dict[str, Any]:
        """See `Target`: from the adapter directory; tensors are not read."""
        terms = mix_named(name, self._settings.base.model)
        shown = [await self.show(term.adapter) for term in terms]
        packages = [term.called(PackageDigest(one["digest"])) for term, one in zip(terms, shown, strict=True)]
        return {
            "name": _label(terms),
            "parts": [{"name": f"{one['name']}@{one['version']}", "package_digest": one["digest"]} for one in shown],
            "calibrations": self._calibrations(answerer_of(packages)),
        }

    def _calibrations(self, answerer: str) -> list[dict[str, Any]]:
        shelf = CalibrationShelf.of(self._settings)
        shelf.refresh()
        return shelf.described(answerer)

    async def model_names(self) -> list[str]:
        """The router, the base model, and the adapters of the directory."""
        return [AUTO, BASE, *dict.fromkeys(metadata.name for metadata in self._manager.list_adapters())]

    async def check_model(self, model: str) -> None:
        """Look every adapter of a mix up in the adapter directory; tensors are not read."""
        base_id = self._settings.base.model
        if model not in (AUTO, BASE, base_id):
            for term in parse_mix(model, base_id):
                self._manager.check_exists(term.adapter)

    async def measure(self, messages: Sequence[Message]) -> Room:
        """See `Target`."""
        engine = self._started().engine
        tokens = len(engine.encode([dict(message) for message in messages]))
        characters = sum(len(message["content"]) for message in messages)
        return Room(tokens=tokens, characters=characters, context=engine.max_row_tokens)

    async def embed(self, texts: Sequence[str]) -> Embeddings:
        """See `Target`: by the router's embedder, which needs no base model."""
        from adaptrix_core.routing.embedder import TextEmbedder

        source = self._settings.router.embedder
        if source is None:
            raise InvalidRequest("there is no embedding model (setting router.embedder); name one")
        if self._embedder is None:
            with self._output.waiting("loading the embedder"):
                self._embedder = TextEmbedder(source)
        return Embeddings(model=source, vectors=self._embedder.embed(list(texts)).tolist())

    async def load_adapter(self, path: str, name: str | None, allow_downgrade: bool = False) -> dict[str, Any]:
        """Load into the engine, with every check of a server; no name has an earlier meaning here."""
        package = await self._started().load_adapter(path, name)
        weights_digest = None if isinstance(package, Composition) else package.weights_digest
        return {
            "message": f"{package.identity} loads: {_described(package)}, signed by {package.signer or 'nobody'}",
            "name": package.name,
            "version": package.version,
            "package_digest": package.package_digest,
            "weights_digest": weights_digest,
            "signer": package.signer,
            "warnings": list(package.warnings),
        }

    async def unload_adapter(self, name: str, allow_downgrade: bool = False) -> dict[str, Any]:
        """Drain and forget ``name`` in this process's engine."""
        await self._started().call(lambda engine: engine.unload_adapter(name))
        return {"message": f"unloaded {name}"}

    async def feedback(self, messages: Sequence[Message], right: str, learn: bool = False) -> dict[str, Any]:
        """See `Target`: kept beside the adapters that are loaded at run time, for this command alone."""
        return self._routing.label(messages, right, learn)

    async def label_answer(self, adapter: str, confidence: float, right: bool) -> dict[str, Any]:
        """See `Target`: kept as labels of decisions are; no model is loaded."""
        answerer = BASE_ANSWERS if adapter == BASE else self._manager.snapshot(adapter).package_digest
        thresholds = AnswerThresholds(self._settings.adapters.state_dir)
        taken = thresholds.label(OWNER, AnswerLabel(answerer, confidence, right))
        return {"adapter": adapter, "labels": taken.labels, "moved_log_odds": round(taken.moved, 4)}

    async def route(self, messages: Sequence[Message]) -> dict[str, Any]:
        """The router's decision; needs no base model."""
        return self._routing.explained(messages)

    async def status(self) -> dict[str, Any]:
        """The base model's facts, the engine's counters, and the adapter directory."""
        stats = await self._started().call(lambda engine: engine.stats())
        return {**stats, "adapters": [row.as_dict() for row in await self.adapters()]}

    def _started(self) -> EngineLoop:
        if self._loop is None:
            with self._output.waiting(f"loading {self._settings.base.model}"):
                from transformers.utils import logging as transformers_logging

                from adaptrix_core.engine.build import build_engine
                from adaptrix_core.engine.loop import EngineLoop

                transformers_logging.disable_progress_bar()  # this command shows its own progress
                self._loop = EngineLoop(build_engine(self._settings))
                self._loop.start()
        return self._loop

    async def _schedule(
        self, loop: EngineLoop, prompt: Sequence[int], terms: tuple[Term[str], ...], anchor: AnchorBy | None
    ) -> MixSchedule:
        """The mix for every token of a request, anchored where that is asked for."""
        from adaptrix_core.injection.mix import constant

        if anchor is None:
            return constant(await loop.resolve_mix(terms))
        from adaptrix_core.context.anchoring import anchored

        found = await loop.call(anchored, prompt, terms, anchor, self._settings.context)
        since = "nothing has drifted" if found.since is None else f"weights are reduced from {anchor} {found.since} on"
        self._output.note(f"anchored: {since}")
        return found.resolved(loop.engine)

    def _who(self, request: TargetRequest) -> tuple[tuple[Term[str], ...], float | None]:
        """The mix that answers, by name, and the route score where the router chose."""
        if request.model != AUTO:
            base_id = self._settings.base.model
            return () if request.model in (BASE, base_id) else parse_mix(request.model, base_id), None
        decision = self._routing.decide(request.messages)
        terms = tuple(Term(name, weight) for name, weight in decision.mix_names.items())
        return terms, decision.score if self._settings.router.enabled else None

    def _divided(self, request: TargetRequest) -> Mapping[str, Any] | None:
        """The steps of the question as a composition; None where it is to be answered as it is."""
        steps = self._routing.plan(request.messages) if request.model == AUTO and request.anchor is None else []
        if not steps:
            return None
        parts = [None if step["adapter"] == BASE else step["adapter"] for step in steps]
        return {"sequential": parts, "plan": [step["question"] for step in steps]}

    def _row(self, metadata: PackageMetadata) -> AdapterRow:
        snapshot = self._manager.snapshot(metadata.identity)
        try:
            signer = self._trust.check(snapshot).signer
            wishes = package_metadata_of(snapshot).sampling
        except AdapterRejected:
            signer = wishes = None
        place = self._loop.engine.loader.residency(metadata.identity) if self._loop else "disk"
        return AdapterRow(
            name=metadata.name,
            version=metadata.version,
            package_digest=snapshot.package_digest,
            signer=signer,
            description=metadata.description,
            residency={HERE: place},
            sampling={
                name: {"value": value, "from": "adapter"} for name, value in (wishes.named() if wishes else {}).items()
            },
        )


def _grammar(request: TargetRequest) -> str | None:
    from adaptrix_core.engine.rows.output_form import json_grammar

    return None if request.schema is None else json_grammar(request.schema)


def _described(package: Adapter | Composition) -> str:
    if isinstance(package, Composition):
        return f"a composition of {', '.join(map(package.metadata.identity_of, package.metadata.parts))}"
    weights = package.weights
    return f"rank {weights.max_rank}, layers {', '.join(map(str, weights.layers))}, {weights.nbytes} bytes"


def _label(terms: Iterable[Term[str]]) -> str:
    """As the server's header names it: ``base``, a name, or ``a*0.7+b*0.3``; the digests say which version."""
    return mix_label(term.called(AdapterReference.split(term.adapter).name) for term in terms)
