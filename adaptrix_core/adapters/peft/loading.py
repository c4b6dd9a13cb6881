"""Loads a PEFT adapter as it stands, without importing it first: never signed, so only where the policy allows that."""

from __future__ import annotations

from typing import TYPE_CHECKING

from adaptrix_core.adapters.package.format import Adapter
from adaptrix_core.adapters.package.limits import Limits
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.peft.conversion import base_warnings, import_peft, usable_name
from adaptrix_core.adapters.peft.directory import unsigned_peft
from adaptrix_core.adapters.scan.norm_outliers import norm_warnings
from adaptrix_core.adapters.trust.policy import TrustPolicy
from adaptrix_core.errors import AdapterRejected

if TYPE_CHECKING:
    from adaptrix_core.base import BaseModel


def load_peft(snapshot: Snapshot, base: BaseModel, trust: TrustPolicy, limits: Limits, location: str) -> Adapter:
    """The adapter in a snapshot that `peft_snapshot` made, called as its directory. location: for messages.

    Raises AdapterRejected: signature_missing where signatures are required, and the codes of `import_peft`.
    """
    try:
        trusted = trust.check(snapshot)
    except AdapterRejected as error:
        if error.code != "signature_missing":
            raise
        raise unsigned_peft(location) from error
    metadata, weights = import_peft(snapshot, base, usable_name(snapshot.origin), limits=limits)
    warnings = (
        *trusted.warnings,
        *base_warnings(snapshot, base),
        *norm_warnings(metadata.identity, weights),
    )
    return Adapter(
        metadata.name, metadata.version, metadata, weights, snapshot.package_digest, trusted.signer, warnings
    )
