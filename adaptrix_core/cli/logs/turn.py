"""One question and its answer, the record of conversations and the log."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from adaptrix_core.cli.target import Answer


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(frozen=True, kw_only=True)
class LoggedTurn:
    """A question, its answer, and the facts about its making."""

    question: str
    answer: str
    model: str
    """The requested model: ``auto``, ``base``, an adapter or a mix."""
    adapter: str = ""
    """The adapter or mix that answered; empty where unknown, and where nobody's answer was sure enough."""
    digest: str | None = None
    """Package digests in the order of ``adapter``, joined by ``+``; None for the base model."""
    finish_reason: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    duration_s: float = 0.0
    asked_at: str = field(default_factory=_now)
    """ISO 8601, UTC."""

    @classmethod
    def of(cls, question: str, model: str, answer: Answer) -> LoggedTurn:
        """The turn made of a question and its ``answer``."""
        return cls(
            question=question,
            answer=answer.text,
            model=model,
            adapter=answer.adapter if answer.is_an_answer else "",
            digest=answer.package_digests if answer.is_an_answer else None,
            finish_reason=answer.finish_reason,
            prompt_tokens=answer.num_prompt_tokens,
            completion_tokens=answer.num_completion_tokens,
            duration_s=round(answer.duration_s, 4),
        )

    def messages(self) -> tuple[dict[str, str], dict[str, str]]:
        """The two chat messages."""
        return {"role": "user", "content": self.question}, {"role": "assistant", "content": self.answer}

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)
