"""Engines over tiny random models, with real adapters in a real catalogue."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from adaptrix_core.adapters import TrustPolicy, describe, write_package
from adaptrix_core.base import BaseModel
from adaptrix_core.engine import Engine, EngineOptions
from adaptrix_core.injection.lora import LoraWeights
from tests.tiny_models import byte_tokenizer, random_base, random_weights

MakeEngine = Callable[..., Engine]


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return byte_tokenizer()


@pytest.fixture(scope="session")
def save_adapter(tmp_path_factory: pytest.TempPathFactory) -> Callable[[BaseModel, str, LoraWeights], Path]:
    """``save_adapter(base, name, weights)`` -> an unsigned package directory."""

    def save(base: BaseModel, name: str, weights: LoraWeights) -> Path:
        directory = tmp_path_factory.mktemp("packages") / name
        write_package(directory, describe(weights, base.info, name), weights)
        return directory

    return save


@pytest.fixture
def make_engine(
    save_adapter: Callable[[BaseModel, str, LoraWeights], Path], tmp_path: Path
) -> Iterator[Callable[..., Engine]]:
    """``make_engine(variant="llama", adapters=("red", "blue"), **options)`` -> an engine with these adapters loaded.

    Every adapter has other points, ranks and values. When the test ends, an idle engine must account for everything.
    """
    made: list[Engine] = []

    def build(
        variant: str = "llama",
        adapters: tuple[str, ...] | Mapping[str, LoraWeights] = ("red", "blue"),
        base: BaseModel | None = None,
        tokenizer: PreTrainedTokenizerFast | None = None,
        loader: Mapping[str, int] | None = None,
        **options: int | bool | None,
    ) -> Engine:
        base = base or random_base(variant, tokenizer=tokenizer)
        sizes = EngineOptions(**{"block_size": 4, "kv_cache_tokens": 1024, "max_batch_tokens": 128, **options})
        engine = Engine(base, tmp_path / "catalogue", TrustPolicy("off"), sizes, **(loader or {}))
        made.append(engine)
        for number, name in enumerate(adapters):
            weights = (
                adapters[name]
                if isinstance(adapters, Mapping)
                else random_weights(base, points=_some_points(base, number), rank=2 + number, seed=number)
            )
            engine.load_adapter(save_adapter(base, name, weights), name)
        return engine

    yield build
    for engine in made:
        if not engine.has_work:
            assert idle_faults(engine) == []
        engine.loader.close()


def _some_points(base: BaseModel, number: int) -> list[tuple[int, str]]:
    layers = {number % base.info.num_layers, (number + 2) % base.info.num_layers}
    return [point for point in base.points if point[0] in layers]


def idle_faults(engine: Engine) -> list[str]:
    """What an idle engine still holds though it should hold nothing."""
    stats = engine.stats()
    faults = engine.check_integrity()
    if stats["kv_blocks"]["used"]:
        faults.append(f"{stats['kv_blocks']['used']} blocks in use")
    usage = stats["adapters"]
    faults += [f"{name} has {entry['pins']} pins" for name, entry in usage["adapters"].items() if entry["pins"]]
    faults += [f"{place} has pinned bytes" for place in ("host", "device") if usage[place].get("pinned_bytes")]
    return faults
