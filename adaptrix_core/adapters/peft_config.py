"""What an adapter_config.json of PEFT says, and which of it we can honour.

Knows PEFT's fields, defaults and matching rules (PEFT 0.21: `LoraConfig`, `check_target_module_exists`,
`get_pattern_key`). Every field is either used, harmless for inference, or refused by name when it is set: nothing is
ignored silently.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from adaptrix_core.errors import AdapterRejected

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
    }
)  # fmt: skip

# These concern A and B alone. The others (pissa, olora, loftq, corda, lora_ga, …) also change the base weights, so that
# their A and B mean nothing beside the unchanged base.
_HARMLESS_INITS = (True, False, "gaussian", "eva", "orthogonal", None)

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

    def rank_of(self, module: str) -> int:
        """LoRA rank of a module, by its full name in the model."""
        return int(_lookup(self.rank_pattern, module, self.rank))

    def scaling_of(self, module: str) -> float:
        """``alpha / rank``, or ``alpha / sqrt(rank)`` for rsLoRA."""
        rank, alpha = self.rank_of(module), float(_lookup(self.alpha_pattern, module, self.alpha))
        return alpha / math.sqrt(rank) if self.use_rslora else alpha / rank

    def targets(self, modules: Iterable[str], head: str) -> set[str] | None:
        """Which of ``modules`` (full names of linear modules) PEFT would adapt; None where the config does not say.

        head: the output layer, which "all-linear" leaves out.
        """
        if self.target_modules is None:
            return None
        return {module for module in modules if self._is_target(module, head) and not self._is_excluded(module)}

    def _is_target(self, module: str, head: str) -> bool:
        wanted = self.target_modules
        if isinstance(wanted, str):
            return module != head if wanted.lower() == ALL_LINEAR else re.fullmatch(wanted, module) is not None
        if module in (wanted or ()):
            return True
        return _ends_with(module, wanted or ()) and self._is_target_layer(module)

    def _is_target_layer(self, module: str) -> bool:
        if not self.layers_to_transform:
            return True
        patterns = [rf"(?:^|.*?\.){p}\.(\d+)\." for p in self.layers_pattern] or [r".*?\.[^.]*\.(\d+)\."]
        matches = (re.match(pattern, module) for pattern in patterns)
        match = next((m for m in matches if m is not None), None)
        return match is not None and int(match[1]) in self.layers_to_transform

    def _is_excluded(self, module: str) -> bool:
        excluded = self.exclude_modules or ()
        if isinstance(excluded, str):
            return re.fullmatch(excluded, module) is not None
        return module in excluded or _ends_with(module, excluded)


def parse_peft_config(data: bytes, origin: str) -> PeftConfig:
    """Parse adapter_config.json. AdapterRejected: bad_peft, unsupported_peft_feature (naming every such feature)."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _bad(origin, f"not JSON: {error}") from error
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
        found.append(f"peft_type={fields.get('peft_type')!r}")
    if fields.get("task_type") not in _TASKS:
        found.append(f"task_type={fields['task_type']!r}")
    if fields.get("init_lora_weights", True) not in _HARMLESS_INITS:
        found.append(f"init_lora_weights={fields['init_lora_weights']!r}")
    for name, value in fields.items():
        if name not in _USED | _HARMLESS and value not in (None, False, {}, [], "", *_OFF.get(name, ())):
            found.append(name if value is True else f"{name}={json.dumps(value)[:60]}")
    return found


def _typed(fields: Mapping[str, Any], name: str, types: tuple[type, ...], default: Any, origin: str) -> Any:
    value = fields.get(name, default)
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise _bad(origin, f"{name} is {value!r}")
    return value


def _pattern(fields: Mapping[str, Any], name: str, types: tuple[type, ...], origin: str) -> dict[str, Any]:
    pattern = fields.get(name) or {}
    if not isinstance(pattern, dict) or not all(type(value) in types for value in pattern.values()):
        raise _bad(origin, f"{name} is not a mapping of module patterns to numbers")
    for key in pattern:
        _check_regex(key, name, origin)
    return pattern


def _modules(fields: Mapping[str, Any], name: str, origin: str) -> str | tuple[str, ...] | None:
    value = fields.get(name)
    if isinstance(value, str):
        _check_regex(value, name, origin)
        return value
    if value is None:
        return None
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
    raise _bad(origin, f"layers_to_transform is {value!r}")


def _layers_pattern(fields: Mapping[str, Any], origin: str) -> tuple[str, ...]:
    value = fields.get("layers_pattern") or []
    patterns = [value] if isinstance(value, str) else value
    if not isinstance(patterns, list) or not all(isinstance(pattern, str) for pattern in patterns):
        raise _bad(origin, f"layers_pattern is {value!r}")
    for pattern in patterns:
        _check_regex(pattern, "layers_pattern", origin)
    return tuple(patterns)


def _invocation_tokens(fields: Mapping[str, Any], origin: str) -> tuple[int, ...] | None:
    value = fields.get("alora_invocation_tokens")
    if value is None or (isinstance(value, list) and value and all(type(item) is int and item >= 0 for item in value)):
        return None if value is None else tuple(value)
    raise _bad(origin, f"alora_invocation_tokens is {value!r}, a list of one or more token ids is needed")


def _check_regex(pattern: str, name: str, origin: str) -> None:
    # A quantified group that is quantified again can take exponential time on a non-matching name.
    if len(pattern) > 1000 or re.search(r"[+*}]\)[+*{]", pattern):
        raise _bad(origin, f"{name} holds a pattern too costly to match: {pattern[:80]!r}")
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise _bad(origin, f"{name} holds {pattern[:80]!r}, not a regular expression: {error}") from error


def _check_numbers(config: PeftConfig, origin: str) -> None:
    for name, value in [("r", config.rank), *config.rank_pattern.items()]:
        if value < 1:
            raise _bad(origin, f"rank of {name!r} is {value}, at least 1 is needed")
    for name, alpha in [("lora_alpha", config.alpha), *config.alpha_pattern.items()]:
        if not math.isfinite(alpha):
            raise _bad(origin, f"alpha of {name!r} is {alpha}")


def _lookup(pattern: Mapping[str, float], module: str, default: float) -> float:
    """The first matching pattern counts, as in PEFT's `get_pattern_key`."""
    return next((value for key, value in pattern.items() if re.match(rf"(.*\.)?({key})$", module)), default)


def _ends_with(module: str, names: Iterable[str]) -> bool:
    return any(module.endswith(f".{name}") for name in names)


def _bad(origin: str, what: str) -> AdapterRejected:
    return AdapterRejected(f"{origin}: adapter_config.json cannot be used: {what}", code="bad_peft")
