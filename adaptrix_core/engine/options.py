"""The sizes of an engine, and which of its passes are on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from adaptrix_core.config.sections import EngineSettings
from adaptrix_core.engine.scheduling.prompt_budget import PromptLimits
from adaptrix_core.errors import InvalidRequest

if TYPE_CHECKING:
    import torch

    from adaptrix_core.injection.bank import Bank

_DEFAULTS = EngineSettings()


@dataclass(frozen=True)
class EngineOptions:
    """Sizes of the engine. Names and defaults are those of the settings (`EngineSettings`)."""

    max_rows: int = _DEFAULTS.max_rows
    """Rows computed in one step."""
    max_batch_tokens: int = _DEFAULTS.max_batch_tokens
    """Tokens computed in one step; a longer prompt is computed in chunks."""
    mixed_prefill_tokens: int | None = _DEFAULTS.mixed_prefill_tokens
    """Prompt tokens computed in a step in which rows decode, beside one for each of these rows. As many as fit into the
    time of reading the weights once hardly slow the rows' streams; None: 2 on a CPU, 256 on an accelerator."""
    short_prompt_tokens: int = _DEFAULTS.short_prompt_tokens
    """Longest prompt that is computed whole in the step it joins, tokens found in the cache left out."""
    max_queue: int = _DEFAULTS.max_queue
    """Rows that may wait; further requests are refused."""
    max_wait_s: float | None = _DEFAULTS.max_wait_s
    """Longest expected wait of a request, in seconds; one that would wait longer is refused. None: no such limit."""
    block_size: int = _DEFAULTS.block_size
    """Tokens per KV block."""
    kv_cache_tokens: int = _DEFAULTS.kv_cache_tokens
    """Tokens whose keys and values the cache holds."""
    cut: int | None = None
    """First layer of the branch span; None keeps all layers in one span. `engine/cache/cut.py` chooses one from a
    catalogue."""
    prefix_cache: bool = _DEFAULTS.prefix_cache
    """Whether rows take over blocks that earlier rows have computed."""
    adapter_bank: Bank = _DEFAULTS.adapter_bank
    """Precision of adapters in the native kernels' banks; other backends keep the base model's."""
    compile: bool = _DEFAULTS.compile
    """Whether layers are compiled, in the background; see `engine/compute/compiled.py`."""
    cuda_graphs: bool | None = _DEFAULTS.cuda_graphs
    """Whether decode steps are replayed as CUDA graphs, see `engine/compute/graphed.py`; None: where the device is a
    CUDA device."""

    def __post_init__(self) -> None:
        for name in (
            "max_rows",
            "max_batch_tokens",
            "mixed_prefill_tokens",
            "short_prompt_tokens",
            "max_queue",
            "block_size",
            "kv_cache_tokens",
        ):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise InvalidRequest(
                    f"engine option {name} is {getattr(self, name)}; it must be at least 1", param=name
                )

    def cuda_graphs_on(self, device: torch.device) -> bool:
        """``cuda_graphs``, or its default for ``device``. Raises InvalidRequest where they are wanted without CUDA."""
        if self.cuda_graphs and device.type != "cuda":
            raise InvalidRequest(
                f"engine option cuda_graphs is true, but the model is on {device}; leave it unset or take CUDA",
                param="cuda_graphs",
            )
        return device.type == "cuda" if self.cuda_graphs is None else self.cuda_graphs

    def prompt_limits_on(self, device: torch.device) -> PromptLimits:
        """The limits of one step, with the defaults of ``device`` for those left open."""
        beside = self.mixed_prefill_tokens or (2 if device.type == "cpu" else 256)
        return PromptLimits(self.max_batch_tokens, beside, self.short_prompt_tokens)
