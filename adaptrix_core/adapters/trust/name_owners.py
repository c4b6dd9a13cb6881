"""Owners of names: the signer that owns a name, and the versions of the name that count.

The first key that signed a version of a name owns the name. Another trusted key may sign other names, but not this one,
until an operator transfers the name. Transfers are a file beside the trusted keys, read at every check like these: the
operator who decides which keys are trusted decides about names, not everybody who may load adapters.
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
    """The transfer of a name to a key, for all later versions."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    to: Annotated[str, Field(pattern=HEX64)]
    """Fingerprint of the key that owns the name from now on."""
    key: Annotated[str, Field(max_length=200)]
    """Name of that key at the time."""
    at: str
    """Time of the transfer, ISO 8601, UTC."""
    by: Annotated[str, Field(max_length=200)]
    """System user who made the transfer."""


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
    """Fingerprints of all keys that ever owned ``name``, the present one last. first: its first signer, if known."""
    handed = [transfer.to for transfer in transfers if transfer.name == name]
    return tuple(handed if first is None else [first, *handed])


def counting(owners: Sequence[str], signers: Sequence[str | None]) -> list[bool]:
    """For each version of a name, whether it counts. signers: of each version, lowest first; None for unsigned ones.

    Versions signed by an earlier owner still count, unless they are above the first version of a later one.
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
    """The owners of a name in a catalogue on disk, which has no record beside its files."""

    name: str
    owners: tuple[str, ...] = ()
    counting: tuple[bool, ...] = ()
    """For each version in the catalogue, lowest first, whether it counts."""

    @classmethod
    def of(cls, name: str, signers: Sequence[str | None], trusted_keys_dir: Path) -> Self:
        """signers: of each version in the catalogue, lowest first. Raises ConfigError (`read_transfers`)."""
        first = next((signer for signer in signers if signer is not None), None)
        owners = owners_of(name, first, read_transfers(trusted_keys_dir))
        return cls(name, owners, tuple(counting(owners, signers)))

    def require(self, signer: str | None) -> None:
        """Raise Conflict (name_owned) where a new version of the name is not signed by its owner."""
        if self.owners and signer != self.owners[-1]:
            raise self._foreign("this")

    def require_counting(self, place: int) -> None:
        """Raise Conflict (name_owned) where a version in the catalogue does not count."""
        if self.owners and not self.counting[place]:
            raise self._foreign(f"its version {place + 1} of {len(self.counting)}")

    def _foreign(self, what: str) -> Conflict:
        return Conflict(
            f"the name {self.name!r} belongs to key {self.owners[-1][:12]}, which did not sign {what}; give it "
            f"a name of its own, or hand the name over: adaptrix trust transfer {self.name} --to KEY",
            code="name_owned",
        )
