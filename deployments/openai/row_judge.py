"""How sure each row of an answer is, gathered from its pieces: scores, confidence, and numbers token by token.

Knows pieces and calibrations. Does not know documents or where the pieces come from.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from adaptrix_core.confidence.calibration import ConfidenceCalibration
from adaptrix_core.confidence.evidence import AnswerEvidence, Spread, TokenAttention
from adaptrix_core.confidence.judging import confidence_of
from adaptrix_core.confidence.scoring import answer_scores
from adaptrix_core.confidence.shelf import CalibrationShelf
from deployments.shared.wire import Piece

_DIGITS = 5


@dataclass(frozen=True)
class Judging:
    """What a request wants to know of how sure its answers are."""

    scores: tuple[str, ...] = ()
    confidence: bool = False
    token_scores: bool = False


@dataclass
class _RowSeen:
    token_ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    spreads: list[Spread] = field(default_factory=list)
    attention: list[TokenAttention] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    finish_reason: str | None = None

    def evidence(self) -> AnswerEvidence:
        text = "".join(self.texts)
        return AnswerEvidence(
            tuple(self.token_ids), tuple(self.logprobs), tuple(self.spreads), text, tuple(self.attention)
        )


class RowJudge:
    """Judges the rows of one request."""

    def __init__(
        self, asked: Judging, answerers: Sequence[str], rows_per_answerer: int, shelf: CalibrationShelf
    ) -> None:
        """answerers: who answers, as calibrations name it, in the order of forks or of prompts."""
        self._asked, self._answerers, self._rows_per_answerer = asked, answerers, rows_per_answerer
        self._shelf = shelf
        self._rows: dict[int, _RowSeen] = defaultdict(_RowSeen)
        self._computed_by: tuple[str, str] | None = None

    def look(self, piece: Piece) -> None:
        """Note the next piece of a row."""
        self._computed_by = self._computed_by or piece.computed_by
        row = self._rows[piece.row]
        row.texts.append(piece.text)
        row.finish_reason = piece.finish_reason or row.finish_reason
        if piece.logprob is not None:
            row.token_ids.append(piece.logprob.token_id)
            row.logprobs.append(piece.logprob.logprob)
            if piece.spread is not None:
                row.spreads.append(piece.spread)
            if piece.attention is not None:
                row.attention.append(piece.attention)

    def anew(self) -> RowJudge:
        """A judge of the same request that has seen nothing yet."""
        return RowJudge(self._asked, self._answerers, self._rows_per_answerer, self._shelf)

    def is_calibrated(self, index: int) -> bool:
        """Whether there is a calibration for who answers in a row that has begun."""
        return self._calibration(index) is not None

    def confidence(self, index: int) -> float | None:
        """The calibrated probability that a finished row is right; None where nothing is calibrated for it."""
        row = self._rows[index]
        return confidence_of(row.evidence(), row.finish_reason, self._calibration(index))

    def answerer(self, index: int) -> str | None:
        """Who answers in a row, as calibrations name it; None for an answer that is composed of others."""
        return self._answerers[(index // self._rows_per_answerer) % len(self._answerers)] if self._answerers else None

    def _calibration(self, index: int) -> ConfidenceCalibration | None:
        answerer = self.answerer(index)
        if self._computed_by is None or answerer is None:
            return None
        return self._shelf.find(*self._computed_by, answerer)

    def told(self, index: int) -> dict[str, Any]:
        """The members that a finished row's choice tells. Raises ExtensionError."""
        row, told = self._rows[index], dict[str, Any]()
        if self._asked.scores and row.logprobs:
            told["scores"] = answer_scores(self._asked.scores, row.evidence())
        if self._asked.confidence:
            confidence = self.confidence(index)
            told["confidence"] = None if confidence is None else round(confidence, 4)
        if self._asked.token_scores:
            told["token_scores"] = {
                "logprobs": [round(value, _DIGITS) for value in row.logprobs],
                "entropies": [round(spread.entropy, _DIGITS) for spread in row.spreads],
                "margins": [round(spread.margin, _DIGITS) for spread in row.spreads],
            }
        return told
