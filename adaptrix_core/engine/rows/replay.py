"""Puts a new row into the state that another engine left it in, so that it continues with the same tokens.

Its tokens so far become context, computed under the mix schedule at their positions: the row is then like one that was
preempted here. Everything else that depends on the past (text held back, grammar, counts) is replayed.
"""

from __future__ import annotations

from itertools import zip_longest

from adaptrix_core.engine.request import RowProgress
from adaptrix_core.engine.rows.row import Row
from adaptrix_core.errors import InvalidRequest
from adaptrix_core.injection.mix import switched


def replay(row: Row, progress: RowProgress) -> None:
    """Append the output so far to a new row, and to those of its ensemble.

    Raises InvalidRequest where the row would have ended.
    """
    for token_id in progress.token_ids:
        row.text.push(token_id)
        if row.constraint is not None:
            row.constraint.accept(token_id)
    _replay_switches(row, progress)
    for member in row.together:
        member.tokens.extend(progress.token_ids)
        member.output_counts.update(progress.token_ids)
    ended = _why_ended(row)
    if ended is not None:
        raise InvalidRequest(f"resume says that row {row.index} goes on, but {ended}", param="resume")


def _replay_switches(row: Row, progress: RowProgress) -> None:
    """Change the row's mix where it did; a token is the first that is computed under the mix after it."""
    if row.switching is None:
        return
    text = row.text.again()
    for number, (token_id, logprob) in enumerate(zip_longest(progress.token_ids, progress.logprobs)):
        text.push(token_id)
        change = row.switching.after_token(text.decoded, logprob)
        if change is not None:
            row.schedule = switched(row.schedule, row.num_prompt + number, row.switching.mix(change))


def _why_ended(row: Row) -> str | None:
    if row.num_output and row.num_output >= row.max_tokens:
        return f"it has {row.num_output} tokens already and may have {row.max_tokens}"
    if row.text.stopped_by is not None:
        return "its text holds a stop string"
    constraint = row.constraint
    if constraint is not None and (constraint.failure is not None or constraint.is_complete):
        return "its grammar allows nothing further"
    return None
