"""Messages that operators have had the router learn: their texts, and who should answer each, kept on disk.

    <state_dir>/routing/learnt.json

A label keeps no text (`feedback/labels.py`); these are kept because an operator says so, for all tenants alike.
Bounded: past the limit a further message is refused, as older ones were chosen by somebody. Knows files and bounds.
One process writes them.
"""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from adaptrix_core.errors import InvalidRequest
from adaptrix_core.replaced_file import replaced_file
from adaptrix_core.request_limits import MOST
from adaptrix_core.routing.conversation import excerpt

logger = logging.getLogger(__name__)

_MOST_BYTES = 16 * 1024 * 1024
"""Of the file: more than as many messages have as are kept, each character written as an escape."""


@dataclass(frozen=True)
class LearntMessage:
    """A message, and who should answer it."""

    text: str
    """As the router reads it: a long one as its beginning and its end."""
    right: str | None
    """The adapter's name; None is the base model."""

    @property
    def message_id(self) -> str:
        """The id by which it is forgotten: equal texts have equal ids, however they are spaced and capitalised."""
        plain = " ".join(self.text.casefold().split())
        return blake2b(plain.encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()


class LearntMessages:
    """The messages of one state directory, the same after a restart. Safe to share between threads."""

    def __init__(self, state_dir: Path) -> None:
        """Reads what is there; a file that cannot be read is put aside under another name, with a warning."""
        self._file = state_dir / "routing" / "learnt.json"
        self._lock = threading.Lock()
        self._messages = {message.message_id: message for message in self._read()}

    def all(self) -> tuple[LearntMessage, ...]:
        """Every message, in the order of learning."""
        return tuple(self._messages.values())

    def add(self, text: str, right: str | None) -> LearntMessage | None:
        """Keep one more; a message of the same words gives way to it and is returned.

        Raises InvalidRequest for a text of spaces and past ``MOST.learnt_messages``, OSError where the disk cannot be
        written to.
        """
        message = LearntMessage(excerpt(text), right)
        if not message.text:
            raise InvalidRequest("the last message of a user has no text to learn; send some", param="messages")
        with self._lock:
            before = self._messages.get(message.message_id)
            if before is None and len(self._messages) >= MOST.learnt_messages:
                raise InvalidRequest(
                    f"{MOST.learnt_messages} messages have been learnt, the most that are kept; forget some "
                    "(GET and DELETE /v1/feedback/learnt), or leave learn out",
                    param="learn",
                )
            self._keep({**self._messages, message.message_id: message})
        return before

    def forget(self, message_id: str) -> LearntMessage | None:
        """Forget one; what was forgotten, None where there is none of this id. Raises OSError."""
        with self._lock:
            gone = self._messages.get(message_id)
            if gone is not None:
                self._keep({known: one for known, one in self._messages.items() if known != message_id})
        return gone

    def _keep(self, messages: dict[str, LearntMessage]) -> None:
        """On disk first: what counts is what a restart finds."""
        with replaced_file(self._file) as file:
            file.write(json.dumps([[one.text, one.right] for one in messages.values()]).encode())
        self._messages = messages

    def _read(self) -> list[LearntMessage]:
        try:
            if self._file.stat().st_size > _MOST_BYTES:
                raise ValueError(f"it has more than {_MOST_BYTES} bytes")
            messages = [LearntMessage(text, right) for text, right in json.loads(self._file.read_text("utf-8"))]
            if not all(isinstance(m.text, str) and isinstance(m.right, str | None) for m in messages):
                raise ValueError("it holds something that is no message")
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, RecursionError) as error:
            aside = self._file.with_suffix(".unreadable")
            logger.warning("what the router has learnt is left out and put aside as %s: %s", aside, error)
            try:
                self._file.replace(aside)
            except OSError as kept:
                logger.warning("it cannot be put aside: %s", kept)
            return []
        return messages[: MOST.learnt_messages]
