"""`BaseModelManager`: loads a base model by its name."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from adaptrix_core.base.families.lookup import family_of
from adaptrix_core.base.gguf.scan import GGUFScan, scan_gguf
from adaptrix_core.base.layouts import KEPT_TYPES, Layout
from adaptrix_core.base.model import BaseModel, BaseModelInfo
from adaptrix_core.base.packed import PACKED_FILE, ModuleTensors, PackedWeights, pack_weights, why_not_packed
from adaptrix_core.base.packed_model import PackedModel, describe_module
from adaptrix_core.base.source import EMBEDDED, Source, gguf_file_of, resolve
from adaptrix_core.errors import BaseModelError
from adaptrix_core.native import why_not
from adaptrix_core.sampling import SamplingDefaults, first_opinions, from_generation_config

log = logging.getLogger(__name__)

DTYPES: Mapping[str, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}

LAYOUTS: Mapping[str, Layout] = {"int4": "int4", "int8": "int8"}

Optimize = Literal["auto", "exactness", "latency", "throughput"]

_FASTEST: Mapping[Optimize, Layout] = {"latency": "int4", "throughput": "int4"}
"""The fastest packed layout for each wish. On AVX2, int4 reads half the bytes of int8 and multiplies at twice its rate,
so it wins at 1 and at 32 rows alike (`python -m benchmarks.compare --precisions int4 int8`)."""


class BaseModelManager:
    """Loads one base model, once.

    model_name: embedded name, hub id ``org/name[@revision]``, directory, or `.gguf` file.
    device: ``auto | cpu | cuda | cuda:N | mps``. precision: ``auto | fp32 | bf16 | fp16``, or ``int4 | int8``: packed
    weights on the CPU (int8 for what the source does not have in 4 bits). Where packed weights cannot be used, the same
    model is loaded unpacked and a warning says why.
    lineage: overrides the recorded lineage, for example for a local copy of a hub model.
    optimize: the goal by which precision ``auto`` chooses. ``auto``: on the CPU a quantised file is computed in its own
    form, anything else as numbers. ``exactness``: weights as float32, equal to PEFT. ``latency``, ``throughput``: the
    packed layout that is fastest for few, for many rows, whatever the source has. One log line says which, and why.
    """

    def __init__(
        self,
        model_name: str = "smollm2-135m",
        device: str = "auto",
        precision: str = "auto",
        lineage: str | None = None,
        optimize: Optimize = "auto",
    ) -> None:
        self.model_name = model_name
        self.device = resolve_device(device)
        file = gguf_file_of(model_name)
        self._scan = GGUFScan() if file is None else scan_gguf(file)
        self.layout, self._why = _layout(self._scan, precision, optimize, self.device)
        is_exact = precision == "auto" and optimize == "exactness"
        self.dtype = resolve_dtype("fp32" if is_exact else precision if self.layout is None else "auto", self.device)
        self._lineage = lineage
        self._model: BaseModel | None = None

    def load_model(self) -> BaseModel:
        """The loaded model (loaded on the first call). Raises BaseModelError."""
        if self._model is None:
            self._model = self._load()
            self._model.sampling = first_opinions(self._own_sampling(), self._model.sampling)
            unpacked = self.layout is not None and not isinstance(self._model, PackedModel)
            level = logging.WARNING if unpacked else logging.INFO
            log.log(level, "base model %s: weights as %s: %s", self.model_name, self._model.layout, self._why)
        return self._model

    def _own_sampling(self) -> SamplingDefaults:
        """The source's own sampling values, beside those of its generation config."""
        carried = from_generation_config(self._scan.sampling, self.model_name)
        embedded = EMBEDDED.get(self.model_name)
        return first_opinions(carried, embedded.sampling if embedded is not None else None)

    def _load(self) -> BaseModel:
        """The model over packed weights where they are wanted and possible, else as numbers."""
        reason = None if self.layout is None else self._why_not_packed_here()
        layout = self.layout if reason is None else None
        source = resolve(self.model_name, self.dtype, self._lineage, layout)
        if layout is not None:
            config = AutoConfig.from_pretrained(source.directory)
            reason = why_not_packed(config)
            if reason is None:
                weights, module = _packed_weights(source, config), describe_module(config, source.directory)
                tokenizer = _load_tokenizer(source)
                return PackedModel(module, weights, tokenizer, source.name, source.lineage, source.digest)
        if reason is not None:
            self._why = f"packed ones cannot be had ({reason})"
        module = _load_module(source, self.dtype).to(self.device)
        return BaseModel(module, _load_tokenizer(source), source.name, source.lineage, source.digest)

    def _why_not_packed_here(self) -> str | None:
        """Why no packed weights can be computed with on this machine and device; None if they can."""
        return why_not() if self.device.type == "cpu" else f"they run on the CPU, not on {self.device}"

    def get_model_info(self) -> BaseModelInfo:
        """Facts of the model; loads it if need be."""
        return self.load_model().info


def resolve_device(device: str) -> torch.device:
    """``auto`` picks CUDA, then MPS, then the CPU. Raises BaseModelError for a device that is not there."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    kind, _, index = device.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and (kind != "cuda" or not index.isdigit())):
        raise BaseModelError(f"device {device!r} is not one of auto, cpu, cuda, cuda:N, mps", code="no_device")
    available = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[kind]
    if int(index or 0) >= available:
        raise BaseModelError(
            f"device {device!r} asked, {available} {kind} devices here; use auto or cpu", code="no_device"
        )
    return torch.device(device)


def resolve_dtype(precision: str, device: torch.device) -> torch.dtype:
    """``auto`` is bf16 where the device computes it natively, fp32 elsewhere: emulated bf16 is far slower."""
    if precision == "auto":
        native = torch.cuda.is_bf16_supported() if device.type == "cuda" else _cpu_has_bf16() and device.type == "cpu"
        return torch.bfloat16 if native else torch.float32
    if precision not in DTYPES:
        known = ", ".join(("auto", *DTYPES, *LAYOUTS))
        raise BaseModelError(f"precision {precision!r} is not one of {known}", code="bad_base")
    return DTYPES[precision]


def _cpu_has_bf16() -> bool:
    capabilities = torch.backends.cpu.get_cpu_capability()
    return "AVX512" in capabilities and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _layout(scan: GGUFScan, precision: str, optimize: Optimize, device: torch.device) -> tuple[Layout | None, str]:
    """(the packed layout to use, or None for numbers; the reason)."""
    if precision != "auto":
        return LAYOUTS.get(precision), f"precision is {precision}"
    if optimize != "auto":
        return _FASTEST.get(optimize) if device.type == "cpu" else None, f"optimize is {optimize}"
    if not scan.quantised:
        return None, "the source is not quantised"
    if device.type != "cpu":
        return None, f"packed ones are computed on the CPU, not on {device}"
    form = "the form that its file has" if KEPT_TYPES.issuperset(scan.quantised) else "the nearest to what its file has"
    return "int4", f"{form} ({', '.join(scan.quantised)})"


def _packed_weights(source: Source, config: Any) -> PackedWeights:
    kept = source.directory / PACKED_FILE
    if kept.is_file():
        return PackedWeights.load(kept)
    return pack_weights(ModuleTensors(_load_module(source, torch.float32)), config)


def _load_module(source: Source, dtype: torch.dtype) -> PreTrainedModel:
    try:
        config = AutoConfig.from_pretrained(source.directory)
        family_of(config.model_type)
        transformers_logging.disable_progress_bar()
        module, report = AutoModelForCausalLM.from_pretrained(
            source.directory, config=config, dtype=dtype, use_safetensors=True, output_loading_info=True
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise BaseModelError(f"base model {source.name!r} could not be loaded: {error}", code="bad_base") from error
    missing = sorted(report["missing_keys"])
    if missing:  # transformers would leave random weights in their place
        raise BaseModelError(
            f"base model {source.name!r} lacks {len(missing)} tensors, {missing[0]} for one; fetch or convert it again",
            code="bad_base",
        )
    return module


def _load_tokenizer(source: Source) -> PreTrainedTokenizerBase | None:
    if (
        not (source.directory / "tokenizer_config.json").is_file()
        and not (source.directory / "tokenizer.json").is_file()
    ):
        return None
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source.directory)
    except (OSError, ValueError, KeyError) as error:
        raise BaseModelError(f"tokenizer of {source.name!r} could not be loaded: {error}", code="bad_base") from error
    return tokenizer
