"""The router, through its deployment handle: for the ingress, and for replicas that ask while they compute."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ray.serve.handle import DeploymentHandle

from adaptrix_core.confidence.feedback import AnswerLabel
from adaptrix_core.observe.tracing import carrier
from adaptrix_core.routing.feedback.answers import AnswerLabelTaken
from adaptrix_core.routing.feedback.labels import LabelTaken
from adaptrix_core.routing.signals.learnt_messages import LearntMessage
from deployments.ray_seam import ask
from deployments.shared.wire import PLAIN, RouteAnswer


class HandleRouter:
    """The router, through its deployment handle."""

    def __init__(self, handle: DeploymentHandle) -> None:
        self._handle: Any = handle.options(request_serialization=PLAIN, response_serialization=PLAIN)

    async def route(
        self, messages: Sequence[dict[str, str]], salt: bytes = b"", explained: bool = False
    ) -> RouteAnswer:
        """The adapter that should answer these messages."""
        answer: RouteAnswer = await ask(self._handle.route, list(messages), salt, carrier(), explained)
        return answer

    async def has_to_be_asked(self) -> bool:
        """Whether every question has to be put to it."""
        answer: bool = await ask(self._handle.has_to_be_asked)
        return answer

    async def feedback(
        self, messages: Sequence[dict[str, str]], right: str | None, salt: bytes = b"", learn: bool = False
    ) -> LabelTaken:
        """Note which adapter should answer these messages."""
        taken: LabelTaken = await ask(self._handle.feedback, list(messages), right, salt, learn)
        return taken

    async def learnt(self) -> tuple[LearntMessage, ...]:
        """The messages that were learnt with their text."""
        messages: tuple[LearntMessage, ...] = await ask(self._handle.learnt)
        return messages

    async def forget(self, message_id: str) -> LearntMessage | None:
        """Forget a learnt message."""
        gone: LearntMessage | None = await ask(self._handle.forget, message_id)
        return gone

    async def label_answer(self, label: AnswerLabel, salt: bytes = b"") -> AnswerLabelTaken:
        """Note whether an answer was right."""
        taken: AnswerLabelTaken = await ask(self._handle.label_answer, label, salt)
        return taken

    async def confidence_moved(self, salt: bytes = b"") -> Mapping[str, float]:
        """By who answers, how far the tenant's thresholds of confidence are moved."""
        moved: Mapping[str, float] = await ask(self._handle.confidence_moved, salt)
        return moved

    async def embed(
        self, inputs: Sequence[str | tuple[int, ...]], dimensions: int | None, salt: bytes = b""
    ) -> tuple[list[list[float]], int]:
        """One vector for each text, or for each list of token ids, and how many tokens were read.

        Raises InvalidRequest for other ``dimensions`` and for token ids that the model cannot read.
        """
        embedded: tuple[list[list[float]], int] = await ask(self._handle.embed, list(inputs), dimensions, salt)
        return embedded
