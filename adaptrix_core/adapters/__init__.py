"""Adapters at rest and in memory: the directory format, trust in it, and who holds what in memory."""

from adaptrix_core.adapters.keys import default_private_key, default_trusted_keys, generate_key_pair
from adaptrix_core.adapters.limits import Limits
from adaptrix_core.adapters.loader import DynamicLoader, Residency
from adaptrix_core.adapters.manager import AdapterManager
from adaptrix_core.adapters.metadata import AdapterMetadata, describe
from adaptrix_core.adapters.package import Adapter, package_digest, read_package, sign_package, write_package
from adaptrix_core.adapters.snapshot import Snapshot
from adaptrix_core.adapters.trust import TrustPolicy, TrustReport
from adaptrix_core.adapters.validation import ValidationReport

__all__ = [
    "Adapter",
    "AdapterManager",
    "AdapterMetadata",
    "DynamicLoader",
    "Limits",
    "Residency",
    "Snapshot",
    "TrustPolicy",
    "TrustReport",
    "ValidationReport",
    "default_private_key",
    "default_trusted_keys",
    "describe",
    "generate_key_pair",
    "package_digest",
    "read_package",
    "sign_package",
    "write_package",
]
