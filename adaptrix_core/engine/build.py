"""An engine as the settings describe it. The one place where settings become engine arguments."""

from __future__ import annotations

from pathlib import Path

from adaptrix_core.adapters import TrustPolicy
from adaptrix_core.base import BaseModelManager
from adaptrix_core.config import Settings
from adaptrix_core.engine.cache.cut import catalogue_cut
from adaptrix_core.engine.engine import Engine
from adaptrix_core.engine.options import EngineOptions


def build_engine(settings: Settings, adapters_dir: Path | None = None) -> Engine:
    """Load the base model and make its engine. ``adapters_dir``: another catalogue than ``settings.adapters.dir``."""
    adapters, wanted = settings.adapters, settings.engine
    wanted_base = settings.base
    base = BaseModelManager(
        wanted_base.model, wanted_base.device, wanted_base.precision, wanted_base.lineage, wanted_base.optimize
    ).load_model()
    options = EngineOptions(
        max_rows=wanted.max_rows,
        max_batch_tokens=wanted.max_batch_tokens,
        mixed_prefill_tokens=wanted.mixed_prefill_tokens,
        short_prompt_tokens=wanted.short_prompt_tokens,
        max_waiting=wanted.max_queue,
        max_wait_s=wanted.max_wait_s,
        block_size=wanted.block_size,
        kv_cache_tokens=wanted.kv_cache_tokens or EngineOptions().kv_cache_tokens,
        cut=catalogue_cut(adapters.dir, base) if wanted.cut is None else wanted.cut or None,
        prefix_cache=wanted.prefix_cache,
        bank=wanted.adapter_bank,
        compile=wanted.compile,
        cuda_graphs=wanted.cuda_graphs,
    )
    return Engine(
        base,
        adapters_dir or adapters.dir,
        TrustPolicy(adapters.trust, adapters.trusted_keys_dir, adapters.revocation_file),
        options,
        adapters.base_match,
        host_budget_bytes=wanted.host_cache_bytes,
        device_budget_bytes=wanted.device_budget_bytes,
    )
