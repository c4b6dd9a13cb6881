"""An engine as the settings describe it. The one place where settings become engine arguments."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from adaptrix_core.adapters import TrustPolicy
from adaptrix_core.base import BaseModelManager
from adaptrix_core.composition.conflicts.guard import ConflictGuard
from adaptrix_core.confidence.shelf import CalibrationShelf
from adaptrix_core.config import Settings
from adaptrix_core.engine.cache.cut import catalogue_cut
from adaptrix_core.engine.engine import Engine
from adaptrix_core.engine.options import EngineOptions


def build_engine(settings: Settings, adapters_dir: Path | None = None, trust: TrustPolicy | None = None) -> Engine:
    """Load the base model and make its engine.

    adapters_dir, trust: another catalogue than ``settings.adapters.dir``, and another policy than its settings'.
    """
    adapters, wanted = settings.adapters, settings.engine
    wanted_base = settings.base
    base = BaseModelManager(
        wanted_base.model, wanted_base.device, wanted_base.precision, wanted_base.lineage, wanted_base.optimize
    ).load_model()
    shared = {field.name: getattr(wanted, field.name) for field in fields(EngineOptions) if field.name != "cut"}
    # Only here is the catalogue known: null asks for the layer where its adapters begin, 0 for one span.
    options = EngineOptions(
        **shared, cut=catalogue_cut(adapters.dir, base) if wanted.cut is None else wanted.cut or None
    )
    engine = Engine(
        base,
        adapters_dir or adapters.dir,
        trust or TrustPolicy.of(adapters),
        options,
        adapters.base_match,
        host_budget_bytes=wanted.host_cache_bytes,
        device_budget_bytes=wanted.device_budget_bytes,
    )
    engine.conflicts = ConflictGuard.of(settings)
    engine.calibrations = CalibrationShelf.of(settings)
    return engine
