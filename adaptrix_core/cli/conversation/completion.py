"""What Tab offers: commands, and after a command what it takes."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from adaptrix_core.errors import AdaptrixError

if TYPE_CHECKING:
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document

logger = logging.getLogger(__name__)

Suggest = Callable[[], Awaitable[Iterable[str]]] | str | None
"""What may follow a command: words, asked for when needed; ``"path"`` for files; None for nothing."""

PATH = "path"


def command_completer(suggest: Mapping[str, Suggest]) -> Completer:
    """Completes the commands that ``suggest`` names, and what each of them takes. Questions are left alone."""
    from prompt_toolkit.completion import Completer, Completion, PathCompleter
    from prompt_toolkit.document import Document

    paths = PathCompleter(expanduser=True)

    class CommandCompleter(Completer):
        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
            return ()  # the editor asks the other method

        async def get_completions_async(
            self, document: Document, complete_event: CompleteEvent
        ) -> AsyncGenerator[Completion, None]:
            text = document.text_before_cursor
            if not text.startswith("/") or "\n" in text:
                return
            command, space, argument = text.partition(" ")
            follows = suggest.get(command) if space else None
            if follows == PATH:
                for found in paths.get_completions(Document(argument), complete_event):
                    yield found
                return
            words = list(suggest) if not space else await _words(follows)
            typed = argument if space else command
            for word in words:
                if word.startswith(typed) and word != typed:
                    yield Completion(word, start_position=-len(typed))

    return CommandCompleter()


async def _words(follows: Suggest) -> list[str]:
    if follows is None or isinstance(follows, str):
        return []
    try:
        return list(await follows())
    except AdaptrixError as error:
        logger.debug("nothing to complete with: %s", error.message)
        return []
