"""Updates at injection points of an unpacked model, added while a context lasts and open to gradients.

Training adds what is not an adapter's alone in this way: gated sums, or an adapter whose inputs are looked at. Serving
has the injector for this (`adaptrix_core/injection`), which knows no gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from adaptrix_core.base import BaseModel
from adaptrix_core.injection.lora import PointWeights

if TYPE_CHECKING:
    from adaptrix_core.base.families.parts import Part, Point

Update = Callable[["Point", Tensor], Tensor]
"""What is added to a point's output, ``(tokens, d_out)``, for its inputs, ``(tokens, d_in)``."""


@contextmanager
def attached(base: BaseModel, points: Iterable[Point], update: Update) -> Iterator[None]:
    """While the context lasts, the model's modules add ``update`` to their outputs at ``points``."""
    layers = base.family.layers(base.module)
    handles = []
    for point in points:
        spec = base.points[point]
        module = layers[point[0]].get_submodule(spec.module_path)
        handles.append(module.register_forward_hook(_hook(point, spec.part, update)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def lora_update(inputs: Tensor, weights: PointWeights) -> Tensor:
    """An adapter's update in float32, ``(tokens, d_out)``. inputs: ``(tokens, d_in)``."""
    update: Tensor = inputs @ weights.lora_a.float().T @ weights.lora_b.float().T
    return update * weights.scaling


def _hook(point: Point, part: Part, update: Update) -> Callable[[nn.Module, tuple[Any, ...], Tensor], Tensor]:
    def add(_module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        changed = output.reshape(-1, output.shape[-1]).clone()
        own = part.view(changed)
        own += update(point, args[0].reshape(-1, args[0].shape[-1])).view(own.shape)
        return changed.view(output.shape)

    return add
