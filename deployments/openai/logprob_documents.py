"""Log-probabilities of tokens in the forms of OpenAI's chat and text answers."""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from deployments.shared.wire import Likely, Piece, numbered_token


def by_number(pieces: Iterable[Piece]) -> list[Piece]:
    """The pieces with their tokens written as ``token_id:123``, as vLLM does for clients that ask for it."""
    return [
        piece
        if piece.logprob is None
        else piece._replace(logprob=numbered(piece.logprob), top=tuple(map(numbered, piece.top)))
        for piece in pieces
    ]


def numbered(likely: Likely) -> Likely:
    """The token written as ``token_id:123``."""
    return replace(likely, token=numbered_token(likely.token_id))


def chat_logprobs(pieces: Sequence[Piece]) -> dict[str, Any] | None:
    """The ``logprobs`` member of a chat choice; None where none were asked for."""
    scored = [(piece.logprob, piece.top) for piece in pieces if piece.logprob is not None]
    if not scored:
        return None
    content = [{**_chat_token(one), "top_logprobs": [_chat_token(likely) for likely in top]} for one, top in scored]
    return {"content": content, "refusal": None}


class Offsets:
    """Offset of each token of a row in its text, in characters; a token inside a character has that one's offset."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._num_characters = 0

    def next(self, data: bytes | None) -> int:
        """The offset of the next token, which has these bytes."""
        if data and not _continues(data[0]):
            self._num_characters += len(self._decoder.decode(b"", final=True))  # a character that stays incomplete
        begins = self._num_characters
        self._num_characters += len(self._decoder.decode(data or b""))
        return begins


def _continues(byte: int) -> bool:
    """Whether a byte of UTF-8 belongs to a character that has begun."""
    return byte & 0b1100_0000 == 0b1000_0000


def text_logprobs(pieces: Iterable[Piece], offsets: Offsets) -> dict[str, Any] | None:
    """The ``logprobs`` member of a text choice; None where none were asked for. offsets: kept from piece to piece."""
    scored = [(piece.logprob, piece.top) for piece in pieces if piece.logprob is not None]
    if not scored:
        return None
    return {
        "tokens": [chosen.token for chosen, _ in scored],
        "token_logprobs": [chosen.logprob for chosen, _ in scored],
        "top_logprobs": [by_text(chosen, top) for chosen, top in scored],
        "text_offset": [offsets.next(chosen.data) for chosen, _ in scored],
    }


def joined(first: dict[str, Any] | None, second: dict[str, Any] | None) -> dict[str, Any] | None:
    """The ``logprobs`` of two parts of a text choice, one after the other."""
    if first is None or second is None:
        return first or second
    return {name: [*entries, *second[name]] for name, entries in first.items()}


def by_text(chosen: Likely, top: Iterable[Likely]) -> dict[str, float]:
    """Log-probability by text of the chosen token and the likeliest. Of equal texts, later ones go by their number."""
    others = [likely for likely in top if likely.token_id != chosen.token_id]
    named: dict[str, float] = {}
    for likely in sorted([chosen, *others], key=lambda likely: (likely is not chosen, -likely.logprob)):
        named[numbered_token(likely.token_id) if likely.token in named else likely.token] = likely.logprob
    return dict(sorted(named.items(), key=lambda entry: -entry[1]))


def _chat_token(likely: Likely) -> dict[str, Any]:
    data = None if likely.data is None else list(likely.data)
    return {"token": likely.token, "logprob": likely.logprob, "bytes": data}
