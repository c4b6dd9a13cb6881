"""The settings of a training run, checked before anything is loaded."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from adaptrix_core.adapters.package.limits import DEFAULT_LIMITS
from adaptrix_core.adapters.reference import NAME_PATTERN, RESERVED_NAMES
from adaptrix_core.errors import ConfigError
from adaptrix_core.training.result import WEIGHTS

ALL_MODULES = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "self_attn.o_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
    "mlp.down_proj",
)
MAX_RANK = DEFAULT_LIMITS.max_rank
NAME_RULE = f"{NAME_PATTERN.strip('^$')}, and not {' or '.join(sorted(RESERVED_NAMES))}"


@dataclass(frozen=True)
class TrainConfig:
    """Settings of one run. ``layers`` are indices, or fractions of the depth (``floor(f * layers)``).

    Raises :class:`ConfigError` on construction, naming every fault.
    """

    name: str
    output_dir: Path
    base_model: str = "smollm2-135m"
    data: str = ""
    """A task family (``math_reasoning``…), a JSONL file, or one of ``gsm8k``, ``code-alpaca``, ``reclor``."""
    examples: int = 2000
    held_out: float = 0.05
    """Share of the examples that is not trained on: their loss is measured before, between and after epochs."""
    epochs: float = 2.0
    """Passes over the examples; a fraction stops within an epoch. A resumed run may have another number."""
    batch_size: int = 16
    learning_rate: float = 1e-3
    warmup_fraction: float = 0.05
    weight_decay: float = 0.0
    max_gradient_norm: float = 1.0
    rank: int = 64
    alpha: float | None = None
    """LoRA alpha; None: twice the rank, so that the scaling (alpha / rank) is 2 for every rank."""
    layers: tuple[int | float, ...] = (0.34, 0.47, 0.6)
    modules: tuple[str, ...] = ALL_MODULES
    seed: int = 0
    init_from: Path | None = None
    """Directory of an earlier run (same layers, modules and rank) whose adapter this one starts from."""
    reuse_trunk: bool = True
    gradient_checkpointing: bool = False
    pack_tokens: int = 512
    max_tokens_per_example: int = 1024
    checkpoint_every: int = 25
    threads: int = 0
    """CPU threads for torch; 0 leaves torch's choice."""

    def __post_init__(self) -> None:
        faults = [
            f"{name} is {getattr(self, name)!r}: it must be {rule}" for name, rule, good in self._rules() if not good
        ]
        if faults:
            raise ConfigError(faults)

    @property
    def lora_alpha(self) -> float:
        """``alpha``, or its default by the rank."""
        return 2.0 * self.rank if self.alpha is None else self.alpha

    def _rules(self) -> list[tuple[str, str, bool]]:
        positive = (
            "examples",
            "batch_size",
            "pack_tokens",
            "max_tokens_per_example",
            "checkpoint_every",
        )
        return [
            *((name, "a whole number of at least 1", _whole(getattr(self, name), 1)) for name in positive),
            ("threads", "a whole number of at least 0", _whole(self.threads, 0)),
            ("rank", f"a whole number, 1 to {MAX_RANK}", _whole(self.rank, 1) and self.rank <= MAX_RANK),
            ("name", f"an adapter name: {NAME_RULE}", _is_name(self.name)),
            ("data", "a task family, a JSONL file or a data set name", bool(self.data)),
            ("init_from", f"a directory with {WEIGHTS}", _is_run(self.init_from)),
            ("learning_rate", "between 0 and 1, both excluded", 0 < self.learning_rate < 1),
            ("epochs", "above 0 and at most 1000", 0 < self.epochs <= 1000),
            ("warmup_fraction", "at least 0 and below 1", 0 <= self.warmup_fraction < 1),
            ("weight_decay", "at least 0", self.weight_decay >= 0),
            ("max_gradient_norm", "above 0", self.max_gradient_norm > 0),
            ("held_out", "at least 0 and below 1", 0 <= self.held_out < 1),
            ("alpha", "above 0", 0 < self.lora_alpha < float("inf")),
            ("layers", "one or more layer indices (0 or more) or fractions (from 0 up to 1)", _are_layers(self.layers)),
            ("modules", f"one or more of {', '.join(ALL_MODULES)}", _are_modules(self.modules)),
        ]


def resolve_layers(layers: tuple[int | float, ...], depth: int) -> tuple[int, ...]:
    """Layer indices, sorted; a fraction ``f`` means ``floor(f * depth)``. An index past the depth is a ConfigError."""
    resolved = sorted({int(layer * depth) if isinstance(layer, float) else layer for layer in layers})
    if resolved[-1] >= depth:
        raise ConfigError([f"layers contains {resolved[-1]}: the base model has {depth} layers, 0 to {depth - 1}"])
    return tuple(resolved)


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_run(directory: Path | None) -> bool:
    return directory is None or (directory / WEIGHTS).is_file()


def _is_name(name: str) -> bool:
    return re.fullmatch(NAME_PATTERN, name) is not None and name not in RESERVED_NAMES


def _are_layers(layers: tuple[int | float, ...]) -> bool:
    return bool(layers) and all((0 <= layer < 1) if isinstance(layer, float) else _whole(layer, 0) for layer in layers)


def _are_modules(modules: tuple[str, ...]) -> bool:
    return bool(modules) and set(modules) <= set(ALL_MODULES)
