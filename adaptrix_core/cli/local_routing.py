"""The router of a local engine: its decisions, and labels of them, which count for later commands too.

It starts when needed, without the base model. Knows settings and routing; nothing of engines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from adaptrix_core.adapters.reference import BASE
from adaptrix_core.cli.output import Output
from adaptrix_core.cli.target import Message
from adaptrix_core.composition.planning.plan import with_example_answers
from adaptrix_core.composition.planning.planner import plan_of
from adaptrix_core.config import Settings
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.routing.policy import Decision

if TYPE_CHECKING:
    from adaptrix_core.routing.feedback.adaptive import AdaptiveThresholds
    from adaptrix_core.routing.semantic import SemanticRouter

OWNER = b"adaptrix-command-line"
"""Whose labels count here."""


class LocalRouting:
    """Routes over the adapter directory of ``settings``, as the settings say."""

    def __init__(self, settings: Settings, output: Output) -> None:
        self._settings = settings
        self._output = output
        self._router: SemanticRouter | None = None
        self._thresholds: AdaptiveThresholds | None = None

    def start(self) -> None:
        """Load the router, unless it is loaded or switched off; takes seconds."""
        if self._router is not None or not self._settings.router.enabled:
            return
        with self._output.waiting("loading the router"):
            from adaptrix_core.routing.feedback.adaptive import AdaptiveThresholds

            self._router = build_router(self._settings)
            self._thresholds = AdaptiveThresholds(self._router, self._settings.adapters.state_dir)

    def decide(self, messages: Sequence[Message]) -> Decision:
        """Who answers ``messages``: the base model where the router is switched off."""
        self.start()
        if self._router is None:
            return Decision({}, {}, 1.0, "base model: the router is switched off (setting router.enabled)")
        accepts = self._thresholds.of(OWNER) if self._thresholds else {}
        return self._router.decide([dict(message) for message in messages], accepts=accepts)

    def explained(self, messages: Sequence[Message]) -> dict[str, Any]:
        """The decision and what led to it, as JSON values."""
        decision = self.decide(messages)
        return {
            "adapter": decision.adapter or BASE,
            "mix": dict(decision.mix_names),
            "scores": dict(decision.scores),
            "score": decision.score,
            "confidence": decision.confidence,
            "reason": decision.reason,
            "previous": decision.previous,
            "votes": [asdict(said) for said in decision.votes],
            "touches": list(self._touched(messages)),
            "plan": self.plan(messages),
        }

    def plan(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """The steps that ``auto`` divides the last message into, and who answers each; empty where it does not."""
        wanted, last = self._settings.router, messages[-1]
        divides = wanted.enabled and wanted.divide and last.get("role") == "user"
        plan = plan_of(last["content"]) if divides else None
        decided = [
            (step, self.decide([{"role": "user", "content": with_example_answers(step)}]))
            for step in (plan.steps if plan else ())
        ]
        return [
            {"question": step, "adapter": made.adapter or BASE, "score": made.score, "reason": made.reason}
            for step, made in decided
        ]

    def label(self, messages: Sequence[Message], right: str, learn: bool) -> dict[str, Any]:
        """Note who should answer; what has changed. Raises InvalidRequest where the router is switched off."""
        decision = self.decide(messages)
        if self._thresholds is None:
            raise InvalidRequest("the router is switched off (setting router.enabled); switch it on")
        named = None if right == BASE else right
        taken = self._thresholds.label(OWNER, decision, named)
        learnt = self._learn(messages, named) if learn else {}
        return {
            "right": right,
            "decided": taken.decided or BASE,
            "labels": taken.labels,
            "threshold": taken.calibrated,
            "thresholds": dict(taken.thresholds),
            **learnt,
        }

    def _learn(self, messages: Sequence[Message], right: str | None) -> Mapping[str, int]:
        """Keep the last message for later commands; how many there are now."""
        from adaptrix_core.routing.conversation import user_turns
        from adaptrix_core.routing.signals.learnt_messages import LearntMessages

        learnt = LearntMessages(self._settings.adapters.state_dir)
        turns = user_turns([dict(message) for message in messages])
        learnt.add(turns[-1] if turns else "", right)
        return {"learnt": len(learnt.all())}

    def _touched(self, messages: Sequence[Message]) -> tuple[str, ...]:
        last = messages[-1].get("content")
        return self._router.touched(last) if self._router is not None and isinstance(last, str) else ()


def build_router(settings: Settings) -> SemanticRouter:
    """The router over the adapter directory, with the thresholds that the settings ask for."""
    from adaptrix_core.routing.calibration import Calibration, load_calibration
    from adaptrix_core.routing.catalogue import cards_in, with_keywords
    from adaptrix_core.routing.embedder import embedder_of
    from adaptrix_core.routing.semantic import SemanticRouter
    from adaptrix_core.routing.signals.evidence_file import read_evidence
    from adaptrix_core.routing.signals.learnt_messages import LearntMessages

    wanted = settings.router
    calibration = load_calibration(wanted.calibration_file) if wanted.calibration_file else Calibration()
    if wanted.threshold is not None:
        calibration = calibration.with_threshold(wanted.threshold)
    learnt = LearntMessages(settings.adapters.state_dir).all()
    evidence = read_evidence(wanted.evidence_file).with_learnt(learnt)
    cards = evidence.on(with_keywords(cards_in(settings.adapters.dir), wanted.keywords))
    return SemanticRouter(embedder_of(wanted.embedder), cards, calibration, wanted.signals)
