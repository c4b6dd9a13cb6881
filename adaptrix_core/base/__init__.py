"""The frozen base model: where it comes from, what family it is, and how a span of its layers runs.

Importing this package is cheap: the names below load torch and transformers on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from adaptrix_core.lazy import lazy_exports

if TYPE_CHECKING:
    from adaptrix_core.base.families import MODULES, Point, PointSpec, canonical_name
    from adaptrix_core.base.manager import BaseModelManager
    from adaptrix_core.base.model import BaseModel, BaseModelInfo

__all__ = ["MODULES", "BaseModel", "BaseModelInfo", "BaseModelManager", "Point", "PointSpec", "canonical_name"]

__getattr__ = lazy_exports(
    __name__,
    {
        "MODULES": "adaptrix_core.base.families",
        "BaseModel": "adaptrix_core.base.model",
        "BaseModelInfo": "adaptrix_core.base.model",
        "BaseModelManager": "adaptrix_core.base.manager",
        "Point": "adaptrix_core.base.families",
        "PointSpec": "adaptrix_core.base.families",
        "canonical_name": "adaptrix_core.base.families",
    },
)
