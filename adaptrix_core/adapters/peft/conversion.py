"""PEFT directories in and out.

In: adapter_config.json and adapter_model.safetensors become weights at canonical injection points, checked as
strictly as an adapter of our own, fused modules sliced. Out: a directory that PEFT loads and that computes the same.
PEFT itself is not needed for either. Not covered: pickled weights (`adapter_model.bin`), and every feature that
`config.py` refuses.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import safetensors.torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from adaptrix_core.adapters.package.atomic import refuse_foreign_files, write_directory
from adaptrix_core.adapters.package.file_names import PEFT_CONFIG_FILE, PEFT_TOKENIZER_FILE, PEFT_WEIGHTS_FILE
from adaptrix_core.adapters.package.fit import check_points
from adaptrix_core.adapters.package.format import load_tensors
from adaptrix_core.adapters.package.limits import DEFAULT_LIMITS, Limits
from adaptrix_core.adapters.package.magnitudes import check_values
from adaptrix_core.adapters.package.metadata import AdapterMetadata, describe
from adaptrix_core.adapters.package.safetensors_header import TensorEntry, read_header
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.peft import fused
from adaptrix_core.adapters.peft.config import parse_peft_config
from adaptrix_core.adapters.peft.directory import peft_snapshot
from adaptrix_core.adapters.peft.selection import PeftSelection
from adaptrix_core.adapters.peft.tokenizer import tokenizer_warning
from adaptrix_core.adapters.reference import RESERVED_NAMES
from adaptrix_core.adapters.sources.local import LocalDirectory
from adaptrix_core.errors import AdapterRejected
from adaptrix_core.injection.lora import LoraWeights, PointWeights

if TYPE_CHECKING:
    from adaptrix_core.base import BaseModel, BaseModelInfo, Point
    from adaptrix_core.base.families.parts import Part

_PREFIX = "base_model.model."
_KEY = re.compile(r"^base_model\.model\.(?P<module>.+)\.lora_(?P<which>[AB])(?:\.default)?\.weight$")
_FEATURE_KEYS = {
    "lora_embedding_": "LoRA on embeddings",
    "embed_tokens.": "a whole embedding (PEFT saves one where tokens were added)",
    "lm_head.weight": "a whole output head (modules_to_save, or tokens were added)",
    "lora_magnitude_vector": "use_dora",
    "modules_to_save": "modules_to_save",
    "trainable_tokens": "trainable_token_indices",
    ".base_layer.": "saved base layers",
    ".lora_B.bias": "lora_bias",
}


def usable_name(text: str) -> str:
    """An adapter name made from any text, such as a directory's or a repository's name."""
    name = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("._-")[:64]
    return name if name and name not in RESERVED_NAMES else f"adapter-{name}".rstrip("-")


def import_peft(
    source: Path | Snapshot,
    base: BaseModel,
    name: str,
    *,
    limits: Limits = DEFAULT_LIMITS,
    **fields: Any,
) -> tuple[AdapterMetadata, LoraWeights]:
    """A PEFT directory -> metadata and weights for `write_package`. ``fields``: more of `AdapterMetadata` (version, …).

    Raises AdapterRejected: bad_peft, unsupported_peft_feature, the codes of `adapters/package/format.py` for tensors
    and base. `base_warnings` says whether the config names another base.
    """
    snapshot = source if isinstance(source, Snapshot) else peft_snapshot(LocalDirectory(source), limits)
    config = parse_peft_config(snapshot.files[PEFT_CONFIG_FILE], snapshot.origin)
    modules = _RealModules(base)
    header = read_header(
        snapshot.files[PEFT_WEIGHTS_FILE], f"{snapshot.origin}/{PEFT_WEIGHTS_FILE}", limits.max_header_bytes
    )
    keys = _module_keys(header, snapshot.origin)
    for module in keys:
        if module not in modules.parts:
            raise _unknown_module(module, modules, snapshot.origin)
    selection = PeftSelection(config, list(modules.linear), modules.head, snapshot.origin)
    _check_selection(selection, keys, snapshot.origin)
    for module, (a_key, b_key) in keys.items():
        _check_module(module, header[a_key], header[b_key], selection, modules, limits, snapshot.origin)
    tensors = load_tensors(snapshot, PEFT_WEIGHTS_FILE)
    points: dict[Point, PointWeights] = {}
    for module, (a_key, b_key) in keys.items():
        layer, parts = modules.parts[module]
        whole = PointWeights(tensors[a_key], tensors[b_key], selection.scaling_of(module))
        points.update({(layer, part): value for part, value in fused.split(whole, parts).items()})
    weights = LoraWeights(dict(sorted(points.items())), config.invocation_tokens)
    check_values(snapshot.origin, weights, base.dtype)
    metadata = describe(weights, base.info, name, **fields)
    check_points(metadata, base.info.num_layers, base.points, limits)
    return metadata, weights


def check_peft(snapshot: Snapshot, limits: Limits = DEFAULT_LIMITS) -> None:
    """Raise those errors of `import_peft` that do not depend on the base model, before one is loaded.

    AdapterRejected: bad_peft, unsupported_peft_feature, and the codes of a malformed or foreign tensor file.
    """
    parse_peft_config(snapshot.files[PEFT_CONFIG_FILE], snapshot.origin)
    header = read_header(
        snapshot.files[PEFT_WEIGHTS_FILE], f"{snapshot.origin}/{PEFT_WEIGHTS_FILE}", limits.max_header_bytes
    )
    _module_keys(header, snapshot.origin)


def base_warnings(source: Path | Snapshot, base: BaseModel) -> tuple[str, ...]:
    """Warnings about a PEFT directory that loads: trained on another base, with a tokenizer of its own."""
    snapshot = source if isinstance(source, Snapshot) else peft_snapshot(LocalDirectory(source))
    tokenizer = tokenizer_warning(snapshot.files.get(PEFT_TOKENIZER_FILE), snapshot.origin, base)
    return tuple(warning for warning in (_lineage_warning(snapshot, base), tokenizer) if warning is not None)


def _lineage_warning(snapshot: Snapshot, base: BaseModel) -> str | None:
    """A warning where a PEFT config names a base whose name is not this one's lineage; PEFT records no digest."""
    named = parse_peft_config(snapshot.files[PEFT_CONFIG_FILE], snapshot.origin).base_model
    if named is not None and _names(named.rstrip("/"), base.info):
        return None
    said = f"was trained on {named!r}" if named else "does not say which base it was trained on"
    loaded = f"the loaded base is {base.info.lineage!r}"
    return f"peft_base: {snapshot.origin} {said}; {loaded}. Shapes fit, meanings may not"


def _names(named: str, base: BaseModelInfo) -> bool:
    """Whether a PEFT config means ``base``: by its id, by the name it was loaded by, or by its place on disk."""
    known = {base.lineage.lower(), base.lineage.split("@")[0].lower(), base.name.rstrip("/").lower()}
    # PEFT records the model's place: a directory of that name, or our own conversion, named after the digest.
    place = Path(named).name
    return named.lower() in known or place.startswith(base.digest[:32]) or place.lower() == base.lineage.lower()


def export_peft(weights: LoraWeights, base: BaseModel, directory: Path) -> None:
    """Write ``weights`` as a PEFT directory for ``base``, replacing an older export in one step.

    Raises AdapterExists where the directory holds something else.
    """
    refuse_foreign_files(directory, lambda name: name in (PEFT_CONFIG_FILE, PEFT_WEIGHTS_FILE))
    modules = _RealModules(base)
    by_module: defaultdict[str, dict[str, PointWeights]] = defaultdict(dict)
    for (layer, name), value in sorted(weights.points.items()):
        by_module[modules.name_of(layer, base.points[layer, name].module_path)][name] = value
    joined = {
        module: fused.join(values, modules.parts[module][1], modules.shapes[module][1])
        for module, values in by_module.items()
    }
    tensors = {}
    for module, value in joined.items():
        tensors[f"{_PREFIX}{module}.lora_A.weight"] = value.lora_a.detach().cpu().contiguous()
        tensors[f"{_PREFIX}{module}.lora_B.weight"] = value.lora_b.detach().cpu().contiguous()
    config = _export_config(joined, modules, base, weights)
    write_directory(
        directory,
        {
            PEFT_CONFIG_FILE: (json.dumps(config, indent=2, sort_keys=True) + "\n").encode(),
            PEFT_WEIGHTS_FILE: safetensors.torch.save(tensors, metadata={"format": "pt"}),
        },
    )


class _RealModules:
    """The real linear modules of a base model by their full names, as PEFT sees them."""

    def __init__(self, base: BaseModel) -> None:
        self.layers_path = base.family.layers_path
        self.linear = {
            name: module for name, module in base.module.named_modules() if isinstance(module, nn.Linear | Conv1D)
        }
        head = base.module.get_output_embeddings()
        self.head = next((name for name, module in self.linear.items() if module is head), "")
        self.parts: dict[str, tuple[int, dict[str, Part]]] = {}
        """Full name -> (layer, canonical name -> part)."""
        self.shapes: dict[str, tuple[int, int]] = {}
        """Full name -> (d_in, d_out) of the real module."""
        for (layer, canonical), spec in base.points.items():
            name = self.name_of(layer, spec.module_path)
            self.parts.setdefault(name, (layer, {}))[1][canonical] = spec.part
            d_out = sum(base.points[layer, part].d_out for part in self.parts[name][1])
            self.shapes[name] = (spec.d_in, d_out)

    def name_of(self, layer: int, module_path: str) -> str:
        """Full name of a real module."""
        return f"{self.layers_path}.{layer}.{module_path}"

    def split_name(self, module: str) -> tuple[int, str]:
        """(layer, path inside the layer) of a full name."""
        layer, _, path = module.removeprefix(self.layers_path + ".").partition(".")
        return int(layer), path


def _module_keys(header: Mapping[str, TensorEntry], origin: str) -> dict[str, tuple[str, str]]:
    """Module -> (key of A, key of B)."""
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for key in header:
        match = _KEY.match(key)
        if match is None:
            feature = _feature_of(key)
            if feature is not None:
                raise AdapterRejected(
                    f"{origin}: tensor {key!r} belongs to {feature}, which is not supported",
                    code="unsupported_peft_feature",
                )
            raise AdapterRejected(f"{origin}: tensor {key[:200]!r} {_stranger(key)}", code="unexpected_tensor")
        if match["which"] in found[match["module"]]:
            raise AdapterRejected(
                f"{origin}: two tensors for lora_{match['which']} of {match['module']!r}", code="bad_peft"
            )
        found[match["module"]][match["which"]] = key
    if not found:
        raise AdapterRejected(f"{origin}: {PEFT_WEIGHTS_FILE} holds no LoRA tensors", code="no_tensors")
    for module, pair in found.items():
        if len(pair) != 2:
            missing = "B" if "A" in pair else "A"
            raise AdapterRejected(f"{origin}: {module!r} has no lora_{missing}", code="missing_tensor")
    return {module: (pair["A"], pair["B"]) for module, pair in sorted(found.items())}


def _feature_of(key: str) -> str | None:
    """The PEFT feature that a tensor outside plain LoRA belongs to."""
    for part, feature in _FEATURE_KEYS.items():
        if part in key:
            return feature
    whole_parameter = key.startswith(_PREFIX) and key.endswith((".weight", ".bias"))
    return "bias or modules_to_save" if whole_parameter else None


def _stranger(key: str) -> str:
    """Why a tensor is not one that PEFT writes."""
    if re.search(r"\.lora_[ab](?:\.|$)", key):
        return "is named as mlx-lm and torchtune name theirs; save the adapter in PEFT's format"
    if ".lora_A" in key or ".lora_B" in key:
        return f"does not begin with {_PREFIX}, as PEFT's `save_pretrained` writes it; save the adapter again with PEFT"
    return "is not one of a LoRA adapter"


def _check_selection(selection: PeftSelection, keys: Mapping[str, tuple[str, str]], origin: str) -> None:
    """Raise unless the file holds exactly the config's modules: PEFT would drop or invent the others silently."""
    selected = selection.targets()
    if selected is None:
        return
    for code, faults, what in (
        ("missing_tensor", selected - keys.keys(), "selected by adapter_config.json but without tensors"),
        ("unexpected_tensor", keys.keys() - selected, "with tensors but not selected by adapter_config.json"),
    ):
        if faults:
            raise AdapterRejected(f"{origin}: modules {what}: {', '.join(sorted(faults)[:5])}", code=code)


def _unknown_module(module: str, modules: _RealModules, origin: str) -> AdapterRejected:
    depth = 1 + max(layer for layer, _ in modules.parts.values())
    layer = re.match(re.escape(modules.layers_path) + r"\.(\d+)\.", module)
    if layer is not None and int(layer[1]) >= depth:
        return AdapterRejected(
            f"{origin}: {module!r} is in layer {layer[1]}, the base model has {depth} layers", code="layer_out_of_range"
        )
    known = sorted({modules.split_name(name)[1] for name in modules.parts})
    if module == modules.head:
        return AdapterRejected(
            f"{origin}: LoRA on the output head ({module}), which is not supported: only modules of the decoder layers "
            f"are adapted ({', '.join(known)}); train it without the head, or merge it into its base",
            code="unknown_module",
        )
    return AdapterRejected(
        f"{origin}: the base model has no adaptable module {module!r}; its layers have {', '.join(known)}",
        code="unknown_module",
    )


def _check_module(
    module: str,
    a: TensorEntry,
    b: TensorEntry,
    selection: PeftSelection,
    modules: _RealModules,
    limits: Limits,
    origin: str,
) -> None:
    rank, (d_in, d_out) = selection.rank_of(module), modules.shapes[module]
    highest = min(limits.max_rank, max(d_in, d_out))
    if rank > highest:
        raise AdapterRejected(f"{origin}: {module} has rank {rank}, limit {highest}", code="bad_rank")
    if len(a.shape) == len(b.shape) == 2 and (a.shape[0] != rank or b.shape[1] != rank):
        raise AdapterRejected(
            f"{origin}: {module} has lora_A {a.shape} and lora_B {b.shape}, adapter_config.json gives rank {rank}",
            code="bad_rank",
        )
    if a.shape != (rank, d_in) or b.shape != (d_out, rank):
        raise AdapterRejected(
            f"{origin}: {module} has lora_A {a.shape} and lora_B {b.shape}; the base's module takes {d_in} inputs and "
            f"gives {d_out} outputs",
            code="bad_shape",
        )


def _export_config(
    joined: Mapping[str, PointWeights], modules: _RealModules, base: BaseModel, weights: LoraWeights
) -> dict[str, Any]:
    rank = Counter(value.rank for value in joined.values()).most_common(1)[0][0]
    alphas = {module: value.scaling * value.rank for module, value in joined.items()}
    alpha = Counter(alphas.values()).most_common(1)[0][0]
    split = [modules.split_name(module) for module in joined]
    layers, paths = sorted({layer for layer, _ in split}), sorted({path for _, path in split})
    is_product = len(layers) * len(paths) == len(joined)
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base.info.lineage,
        "inference_mode": True,
        "bias": "none",
        "lora_dropout": 0.0,
        "fan_in_fan_out": any(isinstance(modules.linear[module], Conv1D) for module in joined),
        "use_rslora": False,
        "r": rank,
        "lora_alpha": alpha,
        "alora_invocation_tokens": list(weights.invocation_tokens) if weights.invocation_tokens else None,
        "rank_pattern": {re.escape(module): value.rank for module, value in joined.items() if value.rank != rank},
        "alpha_pattern": {re.escape(module): value for module, value in alphas.items() if value != alpha},
        # Layers times modules is a form that other servers understand too; anything else is spelt out.
        "target_modules": paths if is_product else sorted(joined),
        "layers_to_transform": layers if is_product else None,
    }
