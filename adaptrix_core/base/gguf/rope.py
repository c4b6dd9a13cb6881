"""A GGUF file's scaling of rotary position embeddings, in transformers' terms.

Follows llama.cpp (`llama_model_base::load_hparams`, `llama_context`, `get_rope_factors`): linear scaling, YaRN
(arXiv:2309.00071), and one factor per frequency, which Llama 3.1 files carry as `rope_freqs.weight` and LongRoPE files
(arXiv:2402.13753) as one set up to the original context length and one past it.
"""

from __future__ import annotations

import math
from typing import Any

from adaptrix_core.base.gguf.file import GGUFFile
from adaptrix_core.errors import BaseModelError

_FREQS, _LONG, _SHORT = "rope_freqs.weight", "rope_factors_long.weight", "rope_factors_short.weight"
_DEFAULT_THETA = 10_000.0


def rope_parameters(file: GGUFFile, rotary_dim: int, context_length: int) -> dict[str, Any]:
    """transformers' ``rope_parameters`` of a file. Raises BaseModelError for a scaling that cannot be expressed.

    rotary_dim: dimensions of a head that are rotated; there is a frequency for each pair of them.
    """
    scaling = _Scaling(file)
    theta = float(file.get(f"{file.architecture}.rope.freq_base", _DEFAULT_THETA))
    parameters: dict[str, Any] = {"rope_theta": theta}
    if _FREQS in file:
        factors = _factors(file, _FREQS, rotary_dim)
        linear = scaling.linear_factor()
        factors = [factor * linear for factor in factors]
        # transformers knows factors per frequency from LongRoPE; one set for any length is exact, whatever made it.
        return parameters | {
            "rope_type": "longrope",
            "short_factor": factors,
            "long_factor": factors,
            "factor": 1.0,
            "attention_factor": scaling.attention_factor,
            "original_max_position_embeddings": context_length,
        }
    if _SHORT in file or _LONG in file:
        original = scaling.original_length or context_length
        return parameters | {
            "rope_type": "longrope",
            "short_factor": _factors(file, _SHORT, rotary_dim),
            "long_factor": _factors(file, _LONG, rotary_dim),
            "factor": max(context_length / original, 1.0),
            "attention_factor": scaling.attention_factor,
            "original_max_position_embeddings": original,
        }
    if scaling.kind == "yarn":
        return parameters | scaling.yarn(context_length)
    factor = scaling.linear_factor()
    if scaling.attention_factor != 1.0:
        raise scaling.refused("attn_factor", scaling.attention_factor)
    return parameters | ({"rope_type": "default"} if factor == 1.0 else {"rope_type": "linear", "factor": factor})


class _Scaling:
    """The keys under ``<architecture>.rope.scaling.``; all are read, so that none is left over."""

    def __init__(self, file: GGUFFile) -> None:
        self._file = file
        self.kind = str(self._get("type", "linear"))
        self.factor = float(self._get("factor", 0) or file.get(f"{file.architecture}.rope.scale_linear", 0) or 1.0)
        file.ignore(f"{file.architecture}.rope.scale_linear")
        self.attention_factor = float(self._get("attn_factor", 1.0))
        self.original_length = int(self._get("original_context_length", 0))
        file.ignore(f"{file.architecture}.rope.scaling.finetuned")
        self._beta_fast = float(self._get("yarn_beta_fast", 32.0))
        self._beta_slow = float(self._get("yarn_beta_slow", 1.0))
        # Keys that transformers cannot express, or that llama.cpp and transformers read differently.
        for name, neutral in (("alpha", 0.0), ("yarn_ext_factor", 1.0), ("yarn_attn_factor", 1.0)):
            value = float(self._get(name, neutral))
            if value != neutral:
                raise self.refused(name, value)
        if float(self._get("yarn_log_multiplier", 0.0)) != 0.0:
            raise self.refused("yarn_log_multiplier", self._get("yarn_log_multiplier"))

    def linear_factor(self) -> float:
        """Factor of linear scaling; 1 without any. Raises BaseModelError where the file asks for another kind."""
        if self.kind == "none":
            return 1.0
        if self.kind == "linear" or (self.kind == "longrope" and self.factor == 1.0 and self._has_factors()):
            return self.factor
        raise self.refused("type", self.kind)

    def yarn(self, context_length: int) -> dict[str, Any]:
        """YaRN's parameters; its usual attention factor is ``0.1 ln(factor) + 1``, and attn_factor multiplies it."""
        usual = 0.1 * math.log(self.factor) + 1.0 if self.factor > 1.0 else 1.0
        return {
            "rope_type": "yarn",
            "factor": self.factor,
            "beta_fast": self._beta_fast,
            "beta_slow": self._beta_slow,
            "attention_factor": usual * self.attention_factor,
            "original_max_position_embeddings": self.original_length or context_length,
        }

    def refused(self, name: str, value: object) -> BaseModelError:
        """The error for a scaling key with a value that cannot be honoured."""
        return self._file.refused(f"{self._file.architecture}.rope.scaling.{name} = {value} is not supported")

    def _has_factors(self) -> bool:
        return _FREQS in self._file

    def _get(self, name: str, default: Any = None) -> Any:
        return self._file.get(f"{self._file.architecture}.rope.scaling.{name}", default)


def _factors(file: GGUFFile, name: str, rotary_dim: int) -> list[float]:
    factors = file.values(name).reshape(-1)
    if len(factors) != rotary_dim // 2:
        raise file.refused(f"{name} has {len(factors)} factors, {rotary_dim // 2} frequencies are rotated")
    return [float(factor) for factor in factors]
