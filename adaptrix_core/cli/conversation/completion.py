"""Tab completion: commands, and the arguments of a command."""

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
"""Completions of a command's argument: a function of words, called when needed; ``"path"`` for files; None for none."""

PATH = "path"


def command_completer(suggest: Mapping[str, Suggest]) -> Completer:
    """Completes the commands in ``suggest`` and their arguments, but no questions."""
    from prompt_toolkit.completion import Completer, Completion, PathCompleter
    from prompt_toolkit.document import Document

    paths = PathCompleter(expanduser=True)

    class CommandCompleter(Completer):
        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
            return ()  # the editor calls the async method

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
