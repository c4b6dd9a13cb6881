"""Turns a finished run into the adapter directory that is served: bf16 weights, metadata, signature.

Knows the adapter format through `adaptrix_core.adapters`. Does not know how the weights were trained, nor their quality
(measured by `training/evaluation/evaluate.py` and passed in).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from adaptrix_core.adapters import AdapterManager, AdapterMetadata, import_peft, write_package
from adaptrix_core.adapters.package.file_names import METADATA_FILE
from adaptrix_core.adapters.package.metadata import PackageMetadata, parse_metadata
from adaptrix_core.base import BaseModel
from adaptrix_core.errors import AdapterExists
from adaptrix_core.injection.lora import LoraWeights
from adaptrix_core.training.config import TrainConfig
from adaptrix_core.training.provenance import described_data, public_model_name
from adaptrix_core.training.result import HISTORY


def stored(weights: LoraWeights) -> LoraWeights:
    """The weights in the published form: bfloat16, half the bytes; scalings unchanged."""
    cpu = torch.device("cpu")
    return LoraWeights(
        {point: w.to(cpu, torch.bfloat16) for point, w in weights.points.items()}, weights.invocation_tokens
    )


def publish(
    run_dir: Path,
    target: Path,
    base: BaseModel,
    config: TrainConfig,
    *,
    description: str,
    routing_examples: Sequence[str],
    version: str = "1.0.0",
    license_name: str = "unspecified",
    performance_metrics: Mapping[str, Any] | None = None,
    private_key: Path | None = None,
    replace: bool = True,
) -> AdapterMetadata:
    """Write ``target`` from the PEFT adapter in ``run_dir``; signed if a key is given. Returns the metadata as written.

    replace: whether other weights of the same version in ``target`` may be overwritten (AdapterExists otherwise).
    Raises what `import_peft` and `write_package` raise.
    """
    imported, weights = import_peft(run_dir, base, name=config.name)
    kept = stored(weights)
    metadata = imported.model_copy(
        update={
            "version": version,
            "description": description,
            "license": license_name,
            "routing_examples": tuple(routing_examples),
            "training": training_record(run_dir, config),
            "performance_metrics": dict(performance_metrics or {}),
        }
    )
    if not replace and (target / METADATA_FILE).is_file():
        there = parse_metadata((target / METADATA_FILE).read_bytes(), target.name)
        if there.weights_digest != kept.weights_digest:
            raise taken(there, target)
    return write_package(target, metadata, kept, private_key=private_key)


def target_of(root: Path, name: str, version: str) -> tuple[Path, PackageMetadata | None]:
    """(the directory of this version of an adapter below ``root``, the metadata of that version if it exists).

    ``root/name`` for the first version of a name, ``root/name@version`` for further ones.
    """
    catalogue = AdapterManager(root)
    same_name = [metadata for metadata in catalogue.list_adapters() if metadata.name == name]
    for metadata in same_name:
        if metadata.version == version:
            return catalogue.path_of(metadata.identity), metadata
    return root / (f"{name}@{version}" if same_name else name), None


def taken(there: PackageMetadata, target: Path) -> AdapterExists:
    """The error for overwriting an adapter that may be in use."""
    return AdapterExists(
        f"{target} holds {there.identity} already, with other weights; give yours another --version, or --overwrite it"
    )


def record_metrics(
    manager: AdapterManager, name: str, metrics: Mapping[str, Any], private_key: Path
) -> AdapterMetadata:
    """Write an adapter of a local catalogue again with these ``performance_metrics``, weights unchanged, and sign it.

    Raises what `AdapterManager.load_adapter` and `write_package` raise.
    """
    adapter = manager.load_adapter(name)
    metadata = adapter.metadata.model_copy(update={"performance_metrics": dict(metrics)})
    return write_package(manager.path_of(name), metadata, adapter.weights, private_key=private_key)


def training_record(run_dir: Path, config: TrainConfig) -> dict[str, Any]:
    """Data and settings of the run, its length, its losses, and what reusing the trunk saved; JSON values only.

    Of a run that it started from, the length and the final loss. No paths (`provenance.py`).
    """
    history = json.loads((run_dir / HISTORY).read_text())
    settings = {
        k: v for k, v in asdict(config).items() if k not in ("output_dir", "threads", "checkpoint_every", "name")
    }
    kept = ("final_loss", "trainable_parameters", "trunk_layer_tokens", "trunk_layer_tokens_reused")
    record = {
        **settings,
        "alpha": config.lora_alpha,
        "base_model": public_model_name(config.base_model),
        "data": described_data(config.data),
        **{key: history[key] for key in (*kept, "num_examples", "num_held_out", "validation")},
        "trunk_seconds": round(history["trunk_seconds"], 1),
        "trunk_seconds_saved": round(history["trunk_seconds_saved"], 1),
        "steps": len(history["steps"]),
        "seconds": round(sum(step[-1] for step in history["steps"]), 1),
        "stored_dtype": "bfloat16",
    }
    if config.init_from is not None:
        earlier = json.loads((config.init_from / HISTORY).read_text())
        record["init_from"] = {"steps": len(earlier["steps"]), "final_loss": earlier["final_loss"]}
    plain: dict[str, Any] = json.loads(json.dumps(record))
    return plain
