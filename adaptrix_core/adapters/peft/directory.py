"""PEFT directories on disk: recognising one, its bytes, and hints for other directories that users give instead.

Knows files and names, not what tensors mean, and imports no torch.
"""

from __future__ import annotations

import re
import shlex
from itertools import islice
from pathlib import Path

from adaptrix_core.adapters.package.file_names import METADATA_FILE
from adaptrix_core.adapters.package.limits import DEFAULT_LIMITS, Limits
from adaptrix_core.adapters.package.snapshot import Snapshot, read_file
from adaptrix_core.adapters.peft.tokenizer import SUMMARY_FILE, summarize
from adaptrix_core.errors import AdapterRejected

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"

_MLX = (
    "an adapter of mlx-lm, which names and turns its tensors otherwise than PEFT; merge it into its base with "
    "`mlx_lm.fuse --model BASE --adapter-path DIRECTORY --save-path OUT` and serve OUT as the base model"
)
_TORCHTUNE = (
    "torchtune's own checkpoint; run the recipe with `checkpointer._component_="
    "torchtune.training.FullModelHFCheckpointer save_adapter_weights_only=True`, which writes a PEFT directory"
)
_PICKLE = (
    "adapter_model.bin is a pickle, which can run code when it is read; load it with PEFT where it was trained and "
    "save it again with `save_pretrained(DIRECTORY)`, which writes safetensors"
)
_GGUF = "a GGUF file for llama.cpp; give the PEFT directory that it was converted from"
_WHOLE_MODEL = "a whole model and not an adapter; name it as the base model instead"
_MOST_CHILDREN = 10_000


def is_peft_directory(path: Path) -> bool:
    """Whether this is a PEFT adapter and not one of ours."""
    return (path / CONFIG_FILE).is_file() and not (path / METADATA_FILE).exists()


def unsigned_peft(path: str) -> AdapterRejected:
    """The error for the PEFT directory ``path`` (in the user's spelling) where signatures are required."""
    return AdapterRejected(
        f"{path}: a PEFT directory, which carries no signature, and the trust policy requires one; "
        f"import it first: adaptrix import {shlex.quote(path)} --sign",
        code="signature_missing",
    )


def peft_snapshot(directory: Path, limits: Limits = DEFAULT_LIMITS, origin: str | None = None) -> Snapshot:
    """The two files of a PEFT directory that matter, and a summary of its own tokenizer.

    origin: its name in messages; the directory's name by default. AdapterRejected: missing_file, symlink, too_large,
    bad_peft.
    """
    config = read_file(directory, CONFIG_FILE, limits.max_metadata_bytes)
    try:
        weights = read_file(directory, WEIGHTS_FILE, limits.max_file_bytes)
    except AdapterRejected as error:
        reason = _weights_of_another_kind(directory) if error.code == "missing_file" else None
        if reason is None:
            raise
        raise AdapterRejected(f"{origin or directory.name}: {reason}", code="bad_peft") from error
    files = {CONFIG_FILE: config, WEIGHTS_FILE: weights}
    summary = summarize(directory)
    return Snapshot(origin or directory.name, files if summary is None else {**files, SUMMARY_FILE: summary})


def foreign_kind(directory: Path) -> str | None:
    """A hint for a directory that is no adapter of ours: its kind, and what to do; None for an unknown kind."""
    try:
        return None if (directory / METADATA_FILE).exists() or directory.is_symlink() else _kind(directory)
    except OSError:  # no directory, or not readable: reading it raises the error
        return None


def _kind(directory: Path) -> str | None:
    if is_peft_directory(directory):
        return f"a PEFT directory; import it first: adaptrix import {shlex.quote(str(directory))} --sign"
    inside = [child for child in islice(directory.iterdir(), _MOST_CHILDREN) if (child / CONFIG_FILE).is_file()]
    if inside:
        inside.sort(key=_numbers_last)
        names = ", ".join(child.name for child in inside[-3:])
        return f"it holds {len(inside)} adapters ({names}); give one of them, such as {str(inside[-1])!r}"
    if (directory / "config.json").is_file():
        return _WHOLE_MODEL
    return _weights_of_another_kind(directory)


def _weights_of_another_kind(directory: Path) -> str | None:
    found = {
        _MLX: ("adapters.safetensors", "adapters.npz"),
        _PICKLE: ("adapter_model.bin", "adapter_model.pt"),
        _TORCHTUNE: ("adapter_[0-9]*.pt", "adapter_[0-9]*.bin", "recipe_state.pt"),
        _GGUF: ("*.gguf",),
    }
    return next((kind for kind, names in found.items() if any(any(directory.glob(name)) for name in names)), None)


def _numbers_last(path: Path) -> tuple[int, str]:
    """Sort key that orders ``checkpoint-20`` before ``checkpoint-100``."""
    number = re.search(r"(\d{1,18})$", path.name)
    return (int(number[1]) if number else -1, path.name)
