"""A conversation written out with all that is remembered of it, in the form that the library goes on with.

`Conversation.restore` (`context/memory/conversation.py`) reads it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from adaptrix_core.adapters.reference import BASE
from adaptrix_core.cli.conversation.dialogue import Dialogue
from adaptrix_core.errors import InvalidRequest

FORM = 1


def write_export(dialogue: Dialogue, left_out: Sequence[int], path: Path) -> None:
    """Write it to a new file that only its owner can read. Raises InvalidRequest where ``path`` is there, OSError."""
    turns = [
        {
            "question": turn.question,
            "answer": turn.answer,
            "answered_by": "" if turn.adapter == BASE else turn.adapter,
            "asked_at": datetime.fromisoformat(turn.asked_at).timestamp(),
        }
        for turn in dialogue.turns
    ]
    document = {"form": FORM, "system": dialogue.system, "turns": turns, "left_out": list(left_out)}
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise InvalidRequest(f"{path} is there already; choose another name") from None
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogatepass") as file:
        json.dump(document, file, indent=2, ensure_ascii=False)
        file.write("\n")
