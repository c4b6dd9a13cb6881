"""The frozen base model: where it comes from, what family it is, and how a span of its layers runs."""

from adaptrix_core.base.families import MODULES, Point, PointSpec, canonical_name
from adaptrix_core.base.manager import BaseModelManager
from adaptrix_core.base.model import BaseModel, BaseModelInfo

__all__ = ["MODULES", "BaseModel", "BaseModelInfo", "BaseModelManager", "Point", "PointSpec", "canonical_name"]
