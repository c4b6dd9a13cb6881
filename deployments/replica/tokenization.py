"""Prompts told in tokens, and tokens told as text, without an answer: short ones at once, long ones in other threads.

As a prompt is read, but a text may be as long as a request's: people count tokens before they cut a text.
"""

from __future__ import annotations

from adaptrix_core.context.memory.exchanges import in_exchanges
from adaptrix_core.context.memory.sizes import prompt_sizes
from adaptrix_core.engine import Engine
from adaptrix_core.engine.tenant_queue import TenantQueue
from adaptrix_core.errors import InvalidRequest
from deployments.replica.prompt_encoding import QUICK_CHARACTERS, num_characters
from deployments.shared.token_calls import CountCall, Counted, DetokenizeCall, TokenizeCall, Tokenized

QUICK_TOKENS = 1000
"""Most tokens whose text is made in the event loop, in some tenths of a millisecond."""


class Tokenization:
    """The tokenizer of one engine's base model. Belongs to one event loop."""

    def __init__(self, engine: Engine, long_texts: TenantQueue) -> None:
        """long_texts: where they are encoded, beside the event loop."""
        self._engine = engine
        self._long_texts = long_texts

    async def tokenize(self, call: TokenizeCall) -> Tokenized:
        """The tokens of a prompt. Raises InvalidRequest (no tokenizer, the template refuses), Overloaded."""
        if num_characters(call.prompt) + call.chat.num_characters <= QUICK_CHARACTERS:
            return self._tokenized(call)
        return await self._long_texts.run(call.salt, self._tokenized, call)

    async def detokenize(self, call: DetokenizeCall) -> str:
        """The text of token ids. Raises InvalidRequest for an id that the vocabulary lacks, Overloaded."""
        if len(call.token_ids) <= QUICK_TOKENS:
            return self._text(call)
        return await self._long_texts.run(call.salt, self._text, call)

    async def count(self, call: CountCall) -> Counted:
        """The sizes of a conversation's parts. Raises as `tokenize`."""
        if num_characters(call.messages) + call.chat.num_characters <= QUICK_CHARACTERS:
            return self._counted(call)
        return await self._long_texts.run(call.salt, self._counted, call)

    def _counted(self, call: CountCall) -> Counted:
        sizes = prompt_sizes(self._engine.base, in_exchanges(call.messages), call.chat)
        return Counted(sizes, self._engine.max_row_tokens)

    def _tokenized(self, call: TokenizeCall) -> Tokenized:
        base = self._engine.base
        if isinstance(call.prompt, str):
            ids = base.encode(call.prompt, special=call.special is not False)
        else:
            ids = base.encode_chat(call.prompt, call.chat, special=call.special is True)
        names = None
        if call.with_names:
            names = tuple(map(str, base.require_tokenizer().convert_ids_to_tokens(ids)))
        return Tokenized(tuple(ids), self._engine.max_row_tokens, names)

    def _text(self, call: DetokenizeCall) -> str:
        base = self._engine.base
        if (largest := max(call.token_ids, default=0)) >= base.info.vocab_size:
            raise InvalidRequest(
                f"the token id {largest} is beyond the vocabulary, which ends at {base.info.vocab_size - 1}: send ids "
                "of this model's tokenizer",
                param="tokens",
            )
        return str(base.require_tokenizer().decode(list(call.token_ids), skip_special_tokens=call.skip_special))
