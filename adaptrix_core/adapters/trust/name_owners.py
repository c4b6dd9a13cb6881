"""Names belong to signers: whose a name is, and which of its versions count.

The first key that signed a version of a name owns the name. Another trusted key is good for names of its own, not for
this one, until an operator hands the name over. Hand-overs are a file beside the trusted keys, read at every check as
these are: whoever decides which keys are trusted decides this, and nobody who may only load adapters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from adaptrix_core.adapters.package import atomic
from adaptrix_core.adapters.package.metadata import HEX64
from adaptrix_core.adapters.reference import NAME_PATTERN
from adaptrix_core.errors import ConfigError, Conflict

TRANSFERS_FILE = "name_transfers.json"


class Transfer(BaseModel):
    """A name handed over to a key, once and for all that follows."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    to: Annotated[str, Field(pattern=HEX64)]
    """Fingerprint of the key that owns the name from now on."""
    key: Annotated[str, Field(max_length=200)]
    """What that key was called then."""
    at: str
    """ISO 8601, UTC."""
    by: Annotated[str, Field(max_length=200)]
    """Who did it, as the system knew them."""


_TRANSFERS = TypeAdapter(tuple[Transfer, ...])


def read_transfers(trusted_keys_dir: Path) -> tuple[Transfer, ...]:
    """All transfers, oldest first; none where there is no file. Raises ConfigError where it cannot be read."""
    path = trusted_keys_dir / TRANSFERS_FILE
    try:
        return _TRANSFERS.validate_json(path.read_bytes())
    except FileNotFoundError:
        return ()
    except (OSError, ValidationError) as error:
        raise ConfigError([f"{path} cannot be read: {error}; restore it"]) from error


def record_transfer(trusted_keys_dir: Path, transfer: Transfer) -> None:
    """Add a transfer, durably. Raises ConfigError where the earlier ones cannot be read, OSError."""
    transfers = (*read_transfers(trusted_keys_dir), transfer)
    atomic.write_file(trusted_keys_dir / TRANSFERS_FILE, _TRANSFERS.dump_json(transfers, indent=1) + b"\n")


def owners_of(name: str, first: str | None, transfers: Sequence[Transfer]) -> tuple[str, ...]:
    """Fingerprints of all keys that ever owned ``name``, the present one last. first: who signed it first, if known."""
    handed = [transfer.to for transfer in transfers if transfer.name == name]
    return tuple(handed if first is None else [first, *handed])


def counting(owners: Sequence[str], signers: Sequence[str | None]) -> list[bool]:
    """Which versions of a name count. signers: of each version, the lowest version first; None for unsigned ones.

    What an earlier owner signed still counts, but not above the first version of a later one.
    """
    rank = {key: place for place, key in enumerate(owners)}
    reached, counts = 0, []
    for signer in signers:
        place = -1 if signer is None else rank.get(signer, -1)
        counts.append(place >= reached)
        reached = max(reached, place)
    return counts


@dataclass(frozen=True)
class NameOwners:
    """Whose a name of a catalogue on disk is, which remembers nothing but what lies there."""

    name: str
    owners: tuple[str, ...] = ()
    counting: tuple[bool, ...] = ()
    """Of each version in the catalogue, the lowest one first, whether it counts."""

    @classmethod
    def of(cls, name: str, signers: Sequence[str | None], trusted_keys_dir: Path) -> Self:
        """signers: of each version that lies there, the lowest one first. Raises ConfigError (`read_transfers`)."""
        first = next((signer for signer in signers if signer is not None), None)
        owners = owners_of(name, first, read_transfers(trusted_keys_dir))
        return cls(name, owners, tuple(counting(owners, signers)))

    def require(self, signer: str | None) -> None:
        """Raise Conflict (name_owned) where a new version of the name is not signed by its owner."""
        if self.owners and signer != self.owners[-1]:
            raise self._foreign("this")

    def require_counting(self, place: int) -> None:
        """Raise Conflict (name_owned) where a version that lies there does not count."""
        if self.owners and not self.counting[place]:
            raise self._foreign(f"its version {place + 1} of {len(self.counting)}")

    def _foreign(self, what: str) -> Conflict:
        return Conflict(
            f"the name {self.name!r} belongs to key {self.owners[-1][:12]}, which did not sign {what}; give it "
            f"a name of its own, or hand the name over: adaptrix trust transfer {self.name} --to KEY",
            code="name_owned",
        )
