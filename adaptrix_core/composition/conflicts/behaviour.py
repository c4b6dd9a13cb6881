"""What a mix does to the answers of its adapters: the records, how they are keyed and kept, and one score for a mix.

The score is the mean, over the adapters of the mix, of what each is expected to lose of its right answers
(`expected_loss.py`): of all that was tried that alone foretells what a mix loses. How much less likely the adapters'
own answers become is shown beside it. Who computes these is `training/evaluation/interference.py`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from adaptrix_core.adapters.package.atomic import write_file
from adaptrix_core.cache_dir import cache_root
from adaptrix_core.composition.conflicts.expected_loss import expected_loss
from adaptrix_core.digests import WeightsDigest
from adaptrix_core.injection.mix import Term

FORMAT = 3
"""Version of what is measured; a record of another one is measured again."""


@dataclass(frozen=True)
class Effect:
    """What a mix does to the answers that one of its adapters gives alone."""

    prompts: int
    """Prompts of the adapter's own that were asked."""
    tokens: int
    """Tokens of its own answers to them, over all prompts."""
    loss_rise: float
    """Mean over those tokens: how much less likely the mix makes them than the adapter alone does, in nats."""
    tokens_kept: float
    """Share of those tokens that are the likeliest under the mix, too: 0 to 1."""
    displacement: float
    """How far the mix's update is from the adapter's own, in lengths of the latter."""

    @property
    def answers_lost(self) -> float:
        """Share of its right answers that the adapter is expected to lose, 0 to 1."""
        return expected_loss(self.displacement)


@dataclass(frozen=True)
class Interference:
    """What a mix does to the answers of each of its adapters."""

    effects: Mapping[str, Effect]
    """By adapter name."""

    @property
    def score(self) -> float:
        """Mean of `Effect.answers_lost` over the adapters, 0 to 1; 0 for an adapter alone."""
        return sum(effect.answers_lost for effect in self.effects.values()) / len(self.effects)

    def to_json(self) -> dict[str, object]:
        """Score, and effects by adapter, as plain numbers."""
        return {"score": self.score, "effects": {name: asdict(effect) for name, effect in self.effects.items()}}


def key_of(
    base: tuple[str, str],
    mix: Iterable[Term[str]],
    weights_digests: Mapping[str, WeightsDigest],
    prompts: Mapping[str, Sequence[str]],
    max_tokens: int,
) -> str:
    """The key of a measurement: everything that it depends on, whatever the adapters are called.

    base: the base model's digest, and its layout. mix: by adapter name, layers as numbers. weights_digests, prompts: by
    adapter name.
    """
    terms = sorted(
        [weights_digests[term.adapter], list(term.weights), _listed(term), list(prompts[term.adapter])] for term in mix
    )
    return hashlib.sha256(json.dumps([FORMAT, *base, terms, max_tokens]).encode()).hexdigest()


def _listed(term: Term[str]) -> list[int] | None:
    assert not isinstance(term.layers, str)
    return None if term.layers is None else sorted(term.layers)


def remembered(key: str, names: Mapping[WeightsDigest, str], place: Path | None = None) -> Interference | None:
    """A measurement made before, under the names that the adapters have now; None where there is none to be read."""
    try:
        found = json.loads(_file(key, place).read_text(encoding="utf-8"))
        return Interference({names[WeightsDigest(digest)]: Effect(**effect) for digest, effect in found.items()})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def remember(
    key: str, found: Interference, weights_digests: Mapping[str, WeightsDigest], place: Path | None = None
) -> None:
    """Keep a measurement. place: the directory, by default one in the user's cache.

    A directory that cannot be written is no error: the measurement is made again next time.
    """
    rows = {weights_digests[name]: asdict(effect) for name, effect in found.effects.items()}
    file = _file(key, place)
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(file, json.dumps(rows).encode())


def _file(key: str, place: Path | None) -> Path:
    return (place or cache_root() / "interference") / f"{key}.json"
