"""Puts a new row into the state that another engine left it in, so that it continues with the same tokens.

Its tokens so far become context, computed under the mix schedule at their positions: the row is then like one that was
preempted here. Everything else that depends on the past (text held back, grammar, counts) is replayed.
"""

from __future__ import annotations

from collections.abc import Sequence

from adaptrix_core.engine.rows.row import Row
from adaptrix_core.errors import InvalidRequest


def replay(row: Row, token_ids: Sequence[int]) -> None:
    """Append ``token_ids``, the output so far, to a new row. Raises InvalidRequest where it would have ended."""
    for token_id in token_ids:
        row.text.push(token_id)
        if row.constraint is not None:
            row.constraint.accept(token_id)
    row.tokens.extend(token_ids)
    row.output_counts.update(token_ids)
    ended = _why_ended(row)
    if ended is not None:
        raise InvalidRequest(f"resume says that row {row.index} goes on, but {ended}", param="resume")


def _why_ended(row: Row) -> str | None:
    if row.num_output and row.num_output >= row.max_tokens:
        return f"it has {row.num_output} tokens already and may have {row.max_tokens}"
    if row.text.stopped_by is not None:
        return "its text holds a stop string"
    constraint = row.constraint
    if constraint is not None and (constraint.failure is not None or constraint.is_complete):
        return "its grammar allows nothing further"
    return None
