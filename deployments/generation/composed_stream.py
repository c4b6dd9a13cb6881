"""The pieces of a prompt that a composition answers: steps one after another, votes once they are decided.

To its reader it is a stream like that of one call: each row of the answer ends once, and everything that was generated
is counted. Closing it closes the call that runs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from adaptrix_core.composition.ballots import Ballot, winner_of
from adaptrix_core.composition.parts import Group
from adaptrix_core.digests import BundleDigest
from deployments.generation.composed_call import ComposedCall
from deployments.generation.ports import PieceStream
from deployments.generation.row_ends import broke_off
from deployments.shared.wire import GenerateCall, Piece

Open = Callable[[GenerateCall], PieceStream]
"""Opens the stream of one call."""


async def composed_stream(composed: ComposedCall, opened: Open) -> AsyncGenerator[list[Piece]]:
    """The pieces of all steps in order. Raises the project's errors."""
    texts: list[str] = []
    last = len(composed.groups) - 1
    for number, group in enumerate(composed.groups):
        call = composed.step(texts)
        source = opened(call)
        said: list[str] = []
        async with aclosing(
            vote_stream(source, group, call.rows_per_mix) if group.combine == "vote" else source
        ) as step:
            async for pieces in step:
                said += [piece.text for piece in pieces if piece.row == 0]
                if not last:
                    yield pieces
                    continue
                yield [_of_step(piece, number, is_inner=number < last) for piece in pieces]
                if any(map(broke_off, pieces)):
                    return
        texts.append("".join(said))


def _of_step(piece: Piece, number: int, is_inner: bool) -> Piece:
    """A piece with its step. The end of an inner step is not the answer's, unless it broke off."""
    if is_inner and not broke_off(piece):
        piece = piece._replace(finish_reason=None, stop_reason=None, times=None)
    return piece._replace(step=number, is_inner=is_inner)


async def vote_stream(
    source: PieceStream, group: Group[BundleDigest], rows_per_part: int
) -> AsyncGenerator[list[Piece]]:
    """The pieces of the row that wins, as row 0, once all rows have ended.

    Its first piece comes at once and says nothing, so that a refusal of the call is known before it is decided. A row
    that breaks off ends the vote.
    """
    rows: defaultdict[int, list[Piece]] = defaultdict(list)
    has_begun = False
    async with aclosing(source):
        async for pieces in source:
            broken = [piece._replace(row=0) for piece in pieces if broke_off(piece)]
            if broken:
                yield broken[:1]
                return
            for piece in pieces:
                rows[piece.row].append(piece)
            if not has_begun:
                has_begun = True
                yield [_silent(pieces[0])]
    if not has_begun:
        return
    numbers = sorted(rows)
    ballots = [_ballot(rows[number], group.rows[number // rows_per_part].weight) for number in numbers]
    winner = rows[numbers[winner_of(ballots)]]
    others = sum(piece.token_id is not None for row in rows.values() for piece in row if row is not winner)
    yield [
        *(piece._replace(row=0, prompt_token_ids=()) for piece in winner[:-1]),
        winner[-1]._replace(row=0, prompt_token_ids=(), other_tokens=others),
    ]


def _silent(piece: Piece) -> Piece:
    """What a call's first piece says of the prompt, without its token."""
    return piece._replace(row=0, token_id=None, text="", logprob=None, top=(), finish_reason=None, times=None)


def _ballot(pieces: Sequence[Piece], weight: float) -> Ballot:
    score = sum(piece.logprob.logprob for piece in pieces if piece.logprob is not None)
    return Ballot("".join(piece.text for piece in pieces), score, weight)
