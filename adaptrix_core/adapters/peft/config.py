"""Reads PEFT's adapter_config.json: the features that are honoured, and refusal of the others.

Knows PEFT's fields and defaults (PEFT 0.21: `LoraConfig`; selection of modules is `selection.py`'s). Every field is
either used, harmless for inference, or refused by name when it is set: nothing is ignored silently.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adaptrix_core.errors import AdapterRejected
from adaptrix_core.git_lfs import ADVICE, is_pointer

ALL_LINEAR = "all-linear"

_USED = frozenset(
    {
        "peft_type", "base_model_name_or_path", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern",
        "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "init_lora_weights", "task_type",
        "alora_invocation_tokens",
    }
)  # fmt: skip

# About training, storage or how PEFT wraps a model; fan_in_fan_out changes how the base weight is read, not A or B.
_HARMLESS = frozenset(
    {
        "auto_mapping", "revision", "inference_mode", "peft_version", "lora_dropout", "fan_in_fan_out", "megatron_core",
        "eva_config", "qalora_group_size", "runtime_config",
        # PEFT 0.2: whether to merge when inference begins. ms-swift: a storage format, a learning rate.
        "merge_weights", "lora_dtype", "lorap_lr_ratio",
    }
)  # fmt: skip

# These concern A and B alone. The others (pissa, olora, loftq, corda, lora_ga, …) also change the base weights, so that
# their A and B mean nothing beside the unchanged base.
_HARMLESS_INITS = (True, False, "gaussian", "eva", "orthogonal", None)

_MOST = 1_000_000
"""Largest rank or alpha that is read: far above those of real files, and far below a number that is costly to compute
with."""
_MOST_NAMED = 10

_OFF: Mapping[str, tuple[Any, ...]] = {"bias": ("none",)}
_TASKS = (None, "CAUSAL_LM")


@dataclass(frozen=True)
class PeftConfig:
    """The part of adapter_config.json that inference needs."""

    base_model: str | None
    rank: int
    alpha: float
    use_rslora: bool
    rank_pattern: Mapping[str, int]
    alpha_pattern: Mapping[str, float]
    target_modules: str | tuple[str, ...] | None
    exclude_modules: str | tuple[str, ...] | None
    layers_to_transform: tuple[int, ...] | None
    layers_pattern: tuple[str, ...]
    invocation_tokens: tuple[int, ...] | None


def parse_peft_config(data: bytes, origin: str) -> PeftConfig:
    """Parse adapter_config.json. AdapterRejected: bad_peft, unsupported_peft_feature (naming every such feature)."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _bad(origin, f"it {ADVICE}" if is_pointer(data) else f"not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise _bad(origin, "not a JSON object")
    unsupported = _unsupported(fields)
    if unsupported:
        raise AdapterRejected(
            f"{origin}: PEFT features that are not supported: {', '.join(unsupported)}; merge the adapter into its "
            "base, or train it as plain LoRA",
            code="unsupported_peft_feature",
        )
    config = PeftConfig(
        base_model=_typed(fields, "base_model_name_or_path", (str, type(None)), None, origin),
        rank=_typed(fields, "r", (int,), 8, origin),
        alpha=_typed(fields, "lora_alpha", (int, float), 8, origin),
        use_rslora=_typed(fields, "use_rslora", (bool,), False, origin),
        rank_pattern=_pattern(fields, "rank_pattern", (int,), origin),
        alpha_pattern=_pattern(fields, "alpha_pattern", (int, float), origin),
        target_modules=_modules(fields, "target_modules", origin),
        exclude_modules=_modules(fields, "exclude_modules", origin),
        layers_to_transform=_layers(fields, origin),
        layers_pattern=_layers_pattern(fields, origin),
        invocation_tokens=_invocation_tokens(fields, origin),
    )
    _check_numbers(config, origin)
    return config


def _unsupported(fields: Mapping[str, Any]) -> list[str]:
    found = []
    if fields.get("peft_type") != "LORA":
        found.append(f"peft_type={_shown(fields.get('peft_type'))}")
    if fields.get("task_type") not in _TASKS:
        found.append(f"task_type={_shown(fields['task_type'])}")
    if fields.get("init_lora_weights", True) not in _HARMLESS_INITS:
        found.append(f"init_lora_weights={_shown(fields['init_lora_weights'])}")
    for name, value in fields.items():
        if name not in _USED | _HARMLESS and value not in (None, False, {}, [], "", *_OFF.get(name, ())):
            found.append(name[:80] if value is True else f"{name[:80]}={json.dumps(value)[:60]}")
    more = len(found) - _MOST_NAMED
    return [*found[:_MOST_NAMED], f"{more} more"] if more > 0 else found


def _typed(fields: Mapping[str, Any], name: str, types: tuple[type, ...], default: Any, origin: str) -> Any:
    value = fields.get(name, default)
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise _bad(origin, f"{name} is {_shown(value)}")
    return value


def _pattern(fields: Mapping[str, Any], name: str, types: tuple[type, ...], origin: str) -> dict[str, Any]:
    pattern = fields.get(name) or {}
    if not isinstance(pattern, dict) or not all(type(value) in types for value in pattern.values()):
        raise _bad(origin, f"{name} is not a mapping of module patterns to numbers")
    return pattern


def _modules(fields: Mapping[str, Any], name: str, origin: str) -> str | tuple[str, ...] | None:
    value = fields.get(name)
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise _bad(origin, f"{name} is neither a pattern nor a list of names")


def _layers(fields: Mapping[str, Any], origin: str) -> tuple[int, ...] | None:
    value = fields.get("layers_to_transform")
    layers = [value] if type(value) is int else value
    if layers is None:
        return None
    if isinstance(layers, list) and all(type(layer) is int for layer in layers):
        return tuple(layers)
    raise _bad(origin, f"layers_to_transform is {_shown(value)}")


def _layers_pattern(fields: Mapping[str, Any], origin: str) -> tuple[str, ...]:
    value = fields.get("layers_pattern") or []
    patterns = [value] if isinstance(value, str) else value
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
        raise _bad(origin, f"layers_pattern is {_shown(value)}")
    return tuple(patterns)


def _invocation_tokens(fields: Mapping[str, Any], origin: str) -> tuple[int, ...] | None:
    value = fields.get("alora_invocation_tokens")
    if value is None or (isinstance(value, list) and value and all(type(item) is int and item >= 0 for item in value)):
        return None if value is None else tuple(value)
    raise _bad(origin, f"alora_invocation_tokens is {_shown(value)}, a list of one or more token ids is needed")


def _check_numbers(config: PeftConfig, origin: str) -> None:
    for name, value in [("r", config.rank), *config.rank_pattern.items()]:
        if not 1 <= value <= _MOST:
            raise _bad(origin, f"rank of {name[:80]!r} is {_shown(value)}, 1 to {_MOST} is possible")
    for name, alpha in [("lora_alpha", config.alpha), *config.alpha_pattern.items()]:
        if not abs(alpha) <= _MOST:  # NaN too
            raise _bad(origin, f"alpha of {name[:80]!r} is {_shown(alpha)}, -{_MOST} to {_MOST} is possible")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _bad(origin: str, what: str) -> AdapterRejected:
    return AdapterRejected(f"{origin}: adapter_config.json cannot be used: {what}", code="bad_peft")
