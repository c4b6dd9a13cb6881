"""Adapters at rest and in memory: the directory format, trust in it, and residency.

Importing this package is cheap: the names below are loaded on first use, and code that only handles files never loads
torch.

Files:

manager         The catalogue of adapters and compositions on disk: list, load, save, delete, validate
redistribution  Moves an adapter's updates to other layers, and measures the change of its predictions
reference       The grammar of references to adapters and mixes, shared by library, command line and server
gates/          Learned gates at rest: the file of a composition that has one
package/        The adapter directory (package): its format, its metadata, and every check before a tensor is used
peft/           PEFT directories in and out: features that are honoured, and all others refused by name
residency/      Residency: which adapters are in host memory and on the device, and the one owner of that
scan/           Looks at the weights of adapters that can be loaded, for what somebody should know before trusting
                them
sources/        Where adapters come from: directories, URLs and the hub, read alike
trust/          Who vouches for an adapter: keys, signatures, names and their owners, revocation
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adaptrix_core.lazy import lazy_exports

if TYPE_CHECKING:
    from adaptrix_core.adapters.manager import AdapterManager
    from adaptrix_core.adapters.package.contents import package_digest, sign_package
    from adaptrix_core.adapters.package.format import Adapter, read_package, write_package
    from adaptrix_core.adapters.package.limits import Limits
    from adaptrix_core.adapters.package.metadata import AdapterMetadata, describe
    from adaptrix_core.adapters.package.snapshot import Snapshot
    from adaptrix_core.adapters.package.validation import ValidationReport
    from adaptrix_core.adapters.peft.conversion import base_warnings, export_peft, import_peft, usable_name
    from adaptrix_core.adapters.peft.directory import is_peft_directory
    from adaptrix_core.adapters.redistribution import RedistributionCost, measure_cost, redistribute
    from adaptrix_core.adapters.residency.loader import DynamicLoader
    from adaptrix_core.adapters.residency.tiers import Residency
    from adaptrix_core.adapters.trust.keys import default_private_key, generate_key_pair
    from adaptrix_core.adapters.trust.policy import TrustPolicy, TrustReport
    from adaptrix_core.places import default_trusted_keys

__all__ = [
    "Adapter",
    "AdapterManager",
    "AdapterMetadata",
    "DynamicLoader",
    "Limits",
    "RedistributionCost",
    "Residency",
    "Snapshot",
    "TrustPolicy",
    "TrustReport",
    "ValidationReport",
    "base_warnings",
    "default_private_key",
    "default_trusted_keys",
    "describe",
    "export_peft",
    "generate_key_pair",
    "import_peft",
    "is_peft_directory",
    "measure_cost",
    "package_digest",
    "read_package",
    "redistribute",
    "sign_package",
    "usable_name",
    "write_package",
]

__getattr__ = lazy_exports(
    __name__,
    {
        "Adapter": "adaptrix_core.adapters.package.format",
        "AdapterManager": "adaptrix_core.adapters.manager",
        "AdapterMetadata": "adaptrix_core.adapters.package.metadata",
        "DynamicLoader": "adaptrix_core.adapters.residency.loader",
        "Limits": "adaptrix_core.adapters.package.limits",
        "RedistributionCost": "adaptrix_core.adapters.redistribution",
        "Residency": "adaptrix_core.adapters.residency.tiers",
        "Snapshot": "adaptrix_core.adapters.package.snapshot",
        "TrustPolicy": "adaptrix_core.adapters.trust.policy",
        "TrustReport": "adaptrix_core.adapters.trust.policy",
        "ValidationReport": "adaptrix_core.adapters.package.validation",
        "base_warnings": "adaptrix_core.adapters.peft.conversion",
        "default_private_key": "adaptrix_core.adapters.trust.keys",
        "default_trusted_keys": "adaptrix_core.places",
        "describe": "adaptrix_core.adapters.package.metadata",
        "export_peft": "adaptrix_core.adapters.peft.conversion",
        "generate_key_pair": "adaptrix_core.adapters.trust.keys",
        "import_peft": "adaptrix_core.adapters.peft.conversion",
        "is_peft_directory": "adaptrix_core.adapters.peft.directory",
        "measure_cost": "adaptrix_core.adapters.redistribution",
        "package_digest": "adaptrix_core.adapters.package.contents",
        "read_package": "adaptrix_core.adapters.package.format",
        "redistribute": "adaptrix_core.adapters.redistribution",
        "sign_package": "adaptrix_core.adapters.package.contents",
        "usable_name": "adaptrix_core.adapters.peft.conversion",
        "write_package": "adaptrix_core.adapters.package.format",
    },
)
