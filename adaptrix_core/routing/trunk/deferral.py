"""A choice of adapters that is left to a replica, on its way there and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from adaptrix_core.digests import BundleDigest
from adaptrix_core.injection.mix import Term
from adaptrix_core.routing.policy import Decision
from adaptrix_core.routing.trunk.settlement import OpenChoice


@dataclass(frozen=True)
class Deferral:
    """What a replica needs to settle at the cut who answers (`replica/at_the_cut.py`)."""

    choice: OpenChoice
    candidates: Mapping[str, tuple[Term[BundleDigest], ...]]
    """By the public name of the adapter."""
    broken: frozenset[str] = frozenset()
    """Candidates that cannot be used: where one of them is chosen, the base model answers."""


@dataclass(frozen=True)
class SettledChoice:
    """What a replica has settled at the cut."""

    mix: tuple[Term[BundleDigest], ...]
    """The adapters by bundle; ``()`` is the base model."""
    decision: Decision
