"""Encodes prompts to token ids: short ones at once, long ones in other threads, none that is far beyond the context.

The cost of a text is its caller's choice, so one tenant's long texts wait for one another and not for other tenants'.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from adaptrix_core.engine import Engine
from adaptrix_core.engine.tenant_queue import TenantQueue
from adaptrix_core.errors import ContextLengthExceeded, InvalidRequest
from deployments.shared.wire import GenerateCall

Prompt = str | tuple[int, ...] | tuple[Mapping[str, Any], ...]
"""Raw text, token ids, or chat messages ``{"role", "content"}``, some with calls of functions."""

QUICK_CHARACTERS = 1000
"""Longest text, in characters, that is encoded in the event loop, in some tenths of a millisecond; a longer one would
delay the streams there."""
PROBE_CHARACTERS = 8
"""Length of the beginning of a long text that is encoded first, in characters per token of the context. Most texts have
3 to 5 characters per token, so one whose beginning fills the context is too long."""
TEMPLATE_CHARACTERS = 40
"""Estimated characters that a chat template adds around each message."""


class PromptEncoder:
    """Encodes for one engine. Belongs to one event loop."""

    def __init__(self, engine: Engine, long_texts: TenantQueue) -> None:
        """long_texts: where they are encoded, beside the event loop."""
        self._engine = engine
        self._long_texts = long_texts

    async def encode(self, call: GenerateCall) -> tuple[int, ...]:
        """Token ids of a call's prompt, at least one.

        Raises InvalidRequest for an empty prompt, ContextLengthExceeded for a text far too long, Overloaded where too
        many of the tenant's long texts wait.
        """
        if num_characters(call.prompt) + call.chat.num_characters <= QUICK_CHARACTERS:
            return self._encoded(call)
        return await self._long_texts.run(call.salt, self._encoded_if_it_may_fit, call)

    def _encoded(self, call: GenerateCall) -> tuple[int, ...]:
        token_ids = self._engine.encode(call.prompt, call.chat)
        if not token_ids:
            raise InvalidRequest("the prompt is empty; send text or token ids", param="prompt")
        if call.keep_last is None:
            return token_ids
        room = self._engine.max_row_tokens - (call.sampling.get("max_tokens") or 1)
        return token_ids[-max(1, room if call.keep_last == -1 else call.keep_last) :]

    def _encoded_if_it_may_fit(self, call: GenerateCall) -> tuple[int, ...]:
        """Token ids. Of a text that is far too long only the beginning is encoded, and the text is refused by it."""
        if call.keep_last is not None:
            return self._encoded(call)
        prompt, limit = call.prompt, self._engine.max_row_tokens
        length = PROBE_CHARACTERS * limit
        for text in texts_of(prompt):
            if len(text) > length and len(self._engine.base.encode(text[:length])) > limit:
                raise ContextLengthExceeded(
                    f"a text of {len(text)} characters has more than {limit} tokens, which is what the context holds; "
                    "shorten it",
                    param="messages" if isinstance(prompt, tuple) else "prompt",
                )
        return self._encoded(call)


def num_characters(prompt: Prompt) -> int:
    """Characters of text to encode, `TEMPLATE_CHARACTERS` of them around each message; 0 for token ids."""
    if isinstance(prompt, str):
        return len(prompt)
    return sum(len(text) + TEMPLATE_CHARACTERS for text in texts_of(prompt))


def texts_of(prompt: Prompt) -> list[str]:
    """The texts of a prompt; none for token ids."""
    if isinstance(prompt, str):
        return [prompt]
    return [text for part in prompt if not isinstance(part, int) for text in _texts_of_message(part)]


def _texts_of_message(message: Mapping[str, Any]) -> Iterator[str]:
    yield message["content"]
    for call in message.get("tool_calls", ()):
        yield call["function"]["arguments"]
