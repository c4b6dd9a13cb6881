"""Route cards: each adapter's own description of its purpose.

Knows adapters' descriptions. Does not know embeddings, nor whether an adapter can be loaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adaptrix_core.adapters import AdapterManager, AdapterMetadata
from adaptrix_core.routing import prompts
from adaptrix_core.routing.conversation import excerpt


@dataclass(frozen=True)
class RouteCard:
    """An adapter's description and examples. Without any, it is never chosen by meaning."""

    name: str
    description: str = ""
    examples: tuple[str, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """The texts that a message is compared with."""
        return tuple(text for text in (excerpt(t) for t in (self.description, *self.examples)) if text)


def card_of(metadata: AdapterMetadata) -> RouteCard:
    """The card of an adapter, from its metadata."""
    return RouteCard(metadata.name, metadata.description, metadata.routing_examples)


def cards_in(directory: Path | str) -> tuple[RouteCard, ...]:
    """Cards of the adapters in ``directory``, the newest version of each name.

    Signatures are not checked: nothing is loaded here, and a later load verifies.
    """
    listed = AdapterManager(directory).list_adapters()  # by name, then version: the last of a name is its newest
    return tuple(card_of(metadata) for metadata in {metadata.name: metadata for metadata in listed}.values())


def suggested() -> tuple[RouteCard, ...]:
    """The cards written for the three shipped adapters."""
    return tuple(
        RouteCard(name, card["description"], tuple(card["routing_examples"]))
        for name, card in prompts.suggested_cards().items()
    )
