"""One step of a composition with a name, as whoever asks for it knows it, and the form in which manifests are compared.

Who runs the steps need not have read the manifest itself: what was read elsewhere is compared with it wherever a step
is computed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from adaptrix_core.composition.compose import compose
from adaptrix_core.composition.parts import Group, Named, Part, Steps
from adaptrix_core.digests import BundleDigest

_KEPT = 256
"""Compositions that are kept read; each is some hundred bytes."""


@dataclass(frozen=True)
class SignedStep:
    """A step of the composition in a bundle."""

    bundle: BundleDigest
    composition: str
    """What its manifest says, in the form of `canonical`; another one than is signed there is refused."""
    number: int = 0
    """From 0 on. A planner's further questions go to the last part."""

    def of(self, part: Part[Named]) -> Group[Named]:
        """The rows of the step, of what the composition comes to."""
        return part.groups[min(self.number, len(part.groups) - 1)] if isinstance(part, Steps) else part


def canonical(composition: Mapping[str, Any]) -> str:
    """A composition as one text, equal for equal ones; the order of parts counts."""
    return json.dumps(composition, separators=(",", ":"))


@lru_cache(_KEPT)
def part_by_name(composition: str) -> Part[str]:
    """What a composition in the form of `canonical` comes to, by its parts' names.

    Raises InvalidRequest, ExtensionError: as `compose`.
    """
    return compose(json.loads(composition), param="composition")
