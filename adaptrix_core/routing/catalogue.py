"""Route cards: each adapter's own description of its purpose.

Knows adapters' descriptions. Does not know embeddings, nor whether an adapter can be loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from adaptrix_core.routing import prompts
from adaptrix_core.routing.conversation import excerpt

if TYPE_CHECKING:
    from adaptrix_core.adapters.package.metadata import PackageMetadata


@dataclass(frozen=True)
class RouteTask:
    """A task that an adapter was measured on, by some of its questions."""

    name: str
    questions: tuple[str, ...]
    is_good: bool = True
    """Whether the adapter answers it better than the base model."""


@dataclass(frozen=True)
class RouteCard:
    """An adapter's description and examples. Without any, it is never chosen by meaning."""

    name: str
    description: str = ""
    examples: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    """Words and phrases that speak for it; ``@math``, ``@code`` and ``@reasoning`` stand for our lists."""
    labelled_right: tuple[str, ...] = ()
    """Messages that somebody has labelled as its own."""
    labelled_wrong: tuple[str, ...] = ()
    """Messages that somebody has labelled as others'."""
    tasks: tuple[RouteTask, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts that a message is compared with."""
        return tuple(text for text in (excerpt(t) for t in (self.description, *self.examples)) if text)


def card_of(metadata: PackageMetadata) -> RouteCard:
    """The card of an adapter or a composition, from its metadata."""
    return RouteCard(metadata.name, metadata.description, metadata.routing_examples, metadata.routing_keywords)


def with_keywords(cards: Iterable[RouteCard], rules: Mapping[str, Sequence[str]]) -> tuple[RouteCard, ...]:
    """The cards, with ``rules`` in place of the keywords of the adapters that they name."""
    return tuple(replace(card, keywords=tuple(rules[card.name])) if card.name in rules else card for card in cards)


def cards_in(directory: Path | str) -> tuple[RouteCard, ...]:
    """Cards of the adapters in ``directory``, the newest version of each name.

    Signatures are not checked: nothing is loaded here, and a later load verifies.
    """
    from adaptrix_core.adapters import AdapterManager  # not above: cards are read where torch is not installed too

    listed = AdapterManager(directory).list_adapters()  # by name, then version: the last of a name is its newest
    return tuple(card_of(metadata) for metadata in {metadata.name: metadata for metadata in listed}.values())


def suggested() -> tuple[RouteCard, ...]:
    """The cards written for the three shipped adapters."""
    return tuple(
        RouteCard(name, card["description"], tuple(card["routing_examples"]))
        for name, card in prompts.suggested_cards().items()
    )
