"""Where the user's turns stand in a prompt: the token ranges of what was asked, without the template around it.

The template is rendered a second time with marks in place of the turns. If the text is what stands between the marks
with the turns in between, their places are known exactly, whatever they say; of any other template nothing is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate, chain, pairwise
from typing import Any

from transformers import PreTrainedTokenizerBase

from adaptrix_core.base.chat_options import ORDINARY, ChatOptions
from adaptrix_core.base.model import BaseModel

TokenRange = tuple[int, int]
"""``(start, stop)``"""

_MARK = "\ue0f0\ue0f1{}\ue0f1\ue0f0"
"""Characters for private use, in place of a turn."""


def question_ranges(
    base: BaseModel,
    prompt: str | Sequence[int] | Sequence[Mapping[str, Any]],
    token_ids: Sequence[int],
    turns: int,
    options: ChatOptions = ORDINARY,
) -> tuple[TokenRange, ...]:
    """The tokens of the latest user turns in a prompt, in order; of text and token ids all but a leading special token.

    token_ids: the whole prompt, encoded. turns: most of them that are wanted. Empty where the template does not tell
    where they stand; turns without text are left out.
    """
    if not prompt or isinstance(prompt, str) or isinstance(prompt[0], int):
        special = set() if base.tokenizer is None else set(base.tokenizer.all_special_ids)
        start = int(len(token_ids) > 1 and token_ids[0] in special)
        return ((start, len(token_ids)),) if len(token_ids) > start else ()
    messages: Sequence[Mapping[str, Any]] = prompt  # type: ignore[assignment]
    spans = _character_spans(base, messages, turns, options)
    return _token_ranges(base.require_tokenizer(), base.chat_text(messages, options), token_ids, spans)


def _character_spans(
    base: BaseModel, messages: Sequence[Mapping[str, Any]], turns: int, options: ChatOptions
) -> list[TokenRange]:
    """Where the turns stand in the rendered text; empty where that is not certain."""
    asked = [i for i, m in enumerate(messages) if m.get("role") == "user" and str(m.get("content") or "").strip()]
    asked = asked[-turns:]
    marked = [{**m, "content": _MARK.format(i)} if i in asked else m for i, m in enumerate(messages)]
    parts, rest = [], base.chat_text(marked, options)
    for i in asked:
        before, mark, rest = rest.partition(_MARK.format(i))
        if not mark:
            return []
        parts.append(before)
    text = base.chat_text(messages, options)
    contents = [str(messages[i]["content"]) for i in asked]
    for written in (contents, [content.strip() for content in contents]):  # many templates strip
        pieces = [*chain.from_iterable(zip(parts, written, strict=True)), rest]
        if "".join(pieces) == text:
            edges = [0, *accumulate(map(len, pieces))]
            return list(pairwise(edges))[1:-1:2]
    return []


def _token_ranges(
    tokenizer: PreTrainedTokenizerBase, text: str, token_ids: Sequence[int], spans: Sequence[TokenRange]
) -> tuple[TokenRange, ...]:
    """The tokens that have characters in these spans; empty where the tokens' places are not known."""
    if not spans or not tokenizer.is_fast:
        return ()
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    if list(encoded["input_ids"]) != list(token_ids):
        return ()
    offsets = encoded["offset_mapping"]
    ranges = []
    for start, stop in spans:
        inside = [i for i, (first, last) in enumerate(offsets) if first < stop and last > start]
        if inside:
            ranges.append((inside[0], inside[-1] + 1))
    return tuple(ranges)
