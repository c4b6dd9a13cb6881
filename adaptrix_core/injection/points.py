"""Whether a model has the points that an adapter is for, and whether the weights fit them."""

from __future__ import annotations

from adaptrix_core.base.families.parts import Point, canonical_name
from adaptrix_core.base.model import BaseModel
from adaptrix_core.errors import AdapterRejected, InvalidRequest
from adaptrix_core.injection.lora import LoraWeights, PointWeights


def check_point(base: BaseModel, layer: int, module: str) -> Point:
    """The point by its canonical name. Raises InvalidRequest for a layer or module that the model does not have."""
    point = (layer, canonical_name(module))
    if point not in base.points:
        raise InvalidRequest(
            f"no injection point {layer}.{module}: the model has {base.info.num_layers} layers "
            f"(0 to {base.info.num_layers - 1}) with modules {', '.join(_modules(base))}"
        )
    return point


def check_points(base: BaseModel, weights: LoraWeights) -> None:
    """Raise AdapterRejected unless there are weights, and all of them fit."""
    if not weights.points:
        raise AdapterRejected("the adapter has no tensors, so it would do nothing", code="no_tensors")
    for point, value in weights.points.items():
        _check_fit(base, point, value)


def _check_fit(base: BaseModel, point: Point, value: PointWeights) -> None:
    spec = base.points.get(point)
    if spec is None:
        raise AdapterRejected(
            f"the adapter has weights for {point[0]}.{point[1]}; the model has {base.info.num_layers} layers "
            f"with modules {', '.join(_modules(base))}",
            code="unknown_module",
        )
    expected = ((value.rank, spec.d_in), (spec.d_out, value.rank))
    actual = (tuple(value.lora_a.shape), tuple(value.lora_b.shape))
    if actual != expected:
        raise AdapterRejected(
            f"{point[0]}.{point[1]} has shapes {actual}, the model needs {expected}", code="bad_shape"
        )


def _modules(base: BaseModel) -> list[str]:
    return sorted({module for _, module in base.points})
