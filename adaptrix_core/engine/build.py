"""An engine as the settings describe it. The one place where settings become engine arguments."""

from __future__ import annotations

from pathlib import Path

from adaptrix_core.adapters import TrustPolicy
from adaptrix_core.base import BaseModelManager
from adaptrix_core.config import Settings
from adaptrix_core.engine.core import EngineOptions
from adaptrix_core.engine.engine import Engine


def build_engine(settings: Settings, adapters_dir: Path | None = None) -> Engine:
    """Load the base model and make its engine. ``adapters_dir``: another catalogue than ``settings.adapters.dir``."""
    base, adapters, wanted = settings.base, settings.adapters, settings.engine
    options = EngineOptions(
        max_rows=wanted.max_rows,
        max_batch_tokens=wanted.max_batch_tokens,
        max_waiting=wanted.max_queue,
        block_size=wanted.block_size,
        kv_cache_tokens=wanted.kv_cache_tokens or EngineOptions().kv_cache_tokens,
        cut=wanted.cut,
    )
    return Engine(
        BaseModelManager(base.model, base.device, base.precision, base.lineage).load_model(),
        adapters_dir or adapters.dir,
        TrustPolicy(adapters.trust, adapters.trusted_keys_dir, adapters.revocation_file),
        options,
        adapters.base_match,
        host_budget_bytes=wanted.host_cache_bytes,
        device_budget_bytes=wanted.device_budget_bytes,
    )
