"""What is done with a mix that a request asks for and that was measured to spoil its adapters' answers.

Nothing is measured here: a mix of which nothing is known is computed as it was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from adaptrix_core.adapters.trust.policy import TrustPolicy
from adaptrix_core.adapters.trust.signed_shelf import SignedPlace
from adaptrix_core.composition.conflicts.measured_mix import MeasuredMix, mix_key
from adaptrix_core.composition.conflicts.shelf import ConflictShelf, user_measurements
from adaptrix_core.config import Settings
from adaptrix_core.config.composition_section import CompositionSettings
from adaptrix_core.digests import PackageDigest
from adaptrix_core.errors import Conflict
from adaptrix_core.injection.mix import Term

NEXT_STEP = "ask one of its adapters, or let them answer in turns (sequential)"


@dataclass(frozen=True)
class OverLimitMix:
    """A mix that is over the limit and is computed all the same."""

    warning: str
    """What is told: the mix, its score, the limit."""
    weights: tuple[float, ...] | None
    """The reduced weights that it is computed with, in the order of its terms; None where they are left."""


class ConflictGuard:
    """Looks mixes up among the measured ones and does as the settings say."""

    def __init__(self, settings: CompositionSettings, shelf: ConflictShelf) -> None:
        self._settings = settings
        self.shelf = shelf

    @classmethod
    def of(cls, settings: Settings) -> ConflictGuard:
        """As the settings of a deployment say."""
        adapters, wanted = settings.adapters, settings.composition
        place = SignedPlace(wanted.conflicts_dir or user_measurements(), (adapters.trusted_keys_dir,))
        return cls(wanted, ConflictShelf([place], adapters.trust, adapters.poll_s))

    @classmethod
    def trusted_by(cls, policy: TrustPolicy) -> ConflictGuard:
        """By default settings, with the user's measurements as a policy trusts their signers."""
        place = SignedPlace(user_measurements(), (policy.trusted_keys_dir,))
        return cls(CompositionSettings(), ConflictShelf([place], policy.policy))

    @property
    def is_off(self) -> bool:
        """Whether no mix is looked up."""
        return self._settings.over_limit == "off"

    def judge(self, mix: Sequence[Term[PackageDigest]], label: str, is_reducible: bool = True) -> OverLimitMix | None:
        """What is done with a mix of packages; None where nothing is. label: the mix for people.

        Looks at what the shelf has read (`ConflictShelf.refresh`). is_reducible: whether its weights may be reduced.
        Raises Conflict (mix_conflict) where the settings refuse it.
        """
        key = None if self.is_off or len(mix) < 2 else mix_key(mix)
        measured = None if key is None else self.shelf.find(key)
        if measured is None or measured.score <= self._settings.conflict_limit:
            return None
        told = self._told(measured, label)
        if self._settings.over_limit == "refuse":
            raise Conflict(f"{told}; {NEXT_STEP}", code="mix_conflict", param="adaptrix.mix")
        if self._settings.over_limit == "resolve" and is_reducible:
            weights = tuple(measured.reduced[term.adapter] for term in mix)
            if weights != tuple(term.weight for term in mix):
                listed = ", ".join(f"{weight:g}" for weight in weights)
                return OverLimitMix(f"mix_conflict: {told}; its weights are reduced to {listed}", weights)
        return OverLimitMix(f"mix_conflict: {told}; {NEXT_STEP}", None)

    def _told(self, measured: MeasuredMix, label: str) -> str:
        lost = ", ".join(f"{part.identity} {part.lost:.2f}" for part in measured.parts)
        return (
            f"{label} is expected to lose {measured.score:.2f} of its adapters' right answers ({lost}; measured on "
            f"{measured.layout}), more than composition.conflict_limit {self._settings.conflict_limit:g}"
        )
