"""How sure the local engine's answers are: gathered from the events of a row while its text is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from adaptrix_core.cli.confidence.told_confidence import ToldConfidence
from adaptrix_core.confidence.calibration import ConfidenceCalibration
from adaptrix_core.confidence.evidence import AnswerEvidence, Spread, TokenAttention
from adaptrix_core.confidence.judging import confidence_of

if TYPE_CHECKING:
    from adaptrix_core.engine.engine import Engine
    from adaptrix_core.engine.request import SamplingParams, TokenEvent
    from adaptrix_core.injection.mix import Mix, Term


class LocalConfidence:
    """Judges one answer of an engine, whose calibrations are read anew for it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._texts: list[str] = []
        self._tokens: list[tuple[int, float]] = []
        self._spreads: list[Spread] = []
        self._attention: list[TokenAttention] = []
        self._finish_reason: str | None = None
        self._mix: Mix = ()
        engine.calibrations.refresh()

    def asking(self, params: SamplingParams) -> SamplingParams:
        """These parameters, with what the calibrated estimators look at computed beside the answer."""
        return replace(params, logprobs=0, **self._engine.calibrations.evidence_needed()._asdict())

    def look(self, event: TokenEvent) -> None:
        """Note the next event of the row."""
        self._texts.append(event.text)
        self._finish_reason, self._mix = event.finish_reason, event.mix
        if event.token_id is not None and event.logprob is not None:
            self._tokens.append((event.token_id, event.logprob))
        if event.spread is not None:
            self._spreads.append(event.spread)
        if event.attention is not None:
            self._attention.append(event.attention)

    def told(self, terms: tuple[Term[str], ...] | None) -> ToldConfidence:
        """How sure the finished answer is. terms: the mix by name; None where it was not computed under that alone.

        Raises ExtensionError where an estimator fails.
        """
        from adaptrix_core.engine.confidence.judged import answerer_in

        if terms is None:
            return ToldConfidence(None)
        info = self._engine.base.info
        return self._by(self._engine.calibrations.find(info.digest, info.layout, answerer_in(self._engine, terms)))

    def told_under(self, composition: Mapping[str, Any]) -> ToldConfidence:
        """How sure the finished answer is, to a request for a composition that is one mix; unknown where conflicts had
        its weights reduced, as that is another mix. Raises ExtensionError where an estimator fails."""
        from adaptrix_core.engine.confidence.judged import calibration_of

        return self._by(calibration_of(self._engine, composition, self._mix))

    def _by(self, calibration: ConfidenceCalibration | None) -> ToldConfidence:
        confidence = confidence_of(self._evidence(), self._finish_reason, calibration)
        return ToldConfidence(confidence, answerer=None if calibration is None else calibration.answerer)

    def _evidence(self) -> AnswerEvidence:
        return AnswerEvidence(
            tuple(token_id for token_id, _ in self._tokens),
            tuple(logprob for _, logprob in self._tokens),
            tuple(self._spreads),
            "".join(self._texts),
            tuple(self._attention),
        )
