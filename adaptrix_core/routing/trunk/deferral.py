"""A choice of adapters that is left to a replica, on its way there and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adaptrix_core.digests import BundleDigest
from adaptrix_core.injection.mix import Term
from adaptrix_core.routing.trunk.route_answer import RouteAnswer


@dataclass(frozen=True)
class Deferral:
    """What a replica needs to settle at the cut who answers (`replica/settlement.py`)."""

    turns: tuple[str, ...]
    """The user's latest turns (`conversation.user_turns`), which the router goes by."""
    candidates: Mapping[str, tuple[Term[BundleDigest], ...]]
    """By the public name of the adapter."""
    said: RouteAnswer | None = None
    """What the router says. None: the replica asks it, while the trunk is computed."""
    broken: frozenset[str] = frozenset()
    """Candidates that cannot be used: where one of them is chosen, the base model answers."""
    is_explained: bool = False
    """Whether the answer is to say how each signal has voted."""
    falls_back: bool = True
    """Whether the base model answers where the router fails and the trunk cannot say either; else that is an error."""


@dataclass(frozen=True)
class SettledChoice:
    """What a replica has settled."""

    mix: tuple[Term[BundleDigest], ...]
    """The adapters by bundle; ``()`` is the base model."""
    answer: RouteAnswer
    trouble: str = ""
    """Why the base model answers in place of what the router chose, or would have chosen; empty where it does not."""
