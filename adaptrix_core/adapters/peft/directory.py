"""PEFT directories of any source: recognising one, its bytes, and hints for other directories that users give instead.

Knows files and names, not what tensors mean, and imports no torch.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection
from fnmatch import fnmatch
from pathlib import Path

from adaptrix_core.adapters.package.file_names import (
    METADATA_FILE,
    PEFT_CONFIG_FILE,
    PEFT_TOKENIZER_FILE,
    PEFT_WEIGHTS_FILE,
    are_peft,
)
from adaptrix_core.adapters.package.file_rules import LEAVE, REFUSE, FileRule, FileRules
from adaptrix_core.adapters.package.limits import DEFAULT_LIMITS, Limits
from adaptrix_core.adapters.package.snapshot import Snapshot
from adaptrix_core.adapters.peft.tokenizer import TOKENIZER_RULES, summarize
from adaptrix_core.adapters.sources.local import LocalDirectory
from adaptrix_core.adapters.sources.protocol import AdapterDirectory
from adaptrix_core.errors import AdapterNotFound, AdapterRejected

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
_MOST_CHILDREN = 200
"""Directories within a directory that are looked into for a hint; behind a URL each costs a call."""


def is_peft(directory: AdapterDirectory) -> bool:
    """Whether this is a PEFT adapter and not one of ours; False where it cannot be listed: reading it says why."""
    return are_peft(_names(directory))


def is_peft_directory(path: Path) -> bool:
    """As `is_peft`, of a local directory."""
    return is_peft(LocalDirectory(path))


def unsigned_peft(path: str) -> AdapterRejected:
    """The error for the PEFT directory ``path`` (in the user's spelling) where signatures are required."""
    return AdapterRejected(
        f"{path}: a PEFT directory, which carries no signature, and the trust policy requires one; "
        f"import it first: adaptrix import {shlex.quote(path)} --sign",
        code="signature_missing",
    )


def peft_snapshot(directory: AdapterDirectory, limits: Limits = DEFAULT_LIMITS, origin: str | None = None) -> Snapshot:
    """The two files of a PEFT directory that matter, and a summary of its own tokenizer.

    origin: its name in messages; the directory's name by default. AdapterRejected: missing_file, bad_peft, and the
    codes of `AdapterDirectory.snapshot`.
    """
    found = directory.snapshot(_rules(limits), limits).files
    name = origin or directory.name
    for wanted in (PEFT_CONFIG_FILE, PEFT_WEIGHTS_FILE):
        if wanted not in found:
            reason = _weights_of_another_kind(_names(directory)) if wanted == PEFT_WEIGHTS_FILE else None
            if reason is not None:
                raise AdapterRejected(f"{name}: {reason}", code="bad_peft")
            raise AdapterRejected(f"{name}: no {wanted}", code="missing_file")
    summary = summarize(found)
    files = {wanted: found[wanted] for wanted in (PEFT_CONFIG_FILE, PEFT_WEIGHTS_FILE)}
    return Snapshot(name, files if summary is None else {**files, PEFT_TOKENIZER_FILE: summary})


def peft_copy_rules(limits: Limits) -> FileRules:
    """For the files of `peft_snapshot` themselves, wherever they were copied to: no others, so nothing is ignored."""
    return lambda name: _whole(limits).get(name, REFUSE)


def foreign_kind(directory: AdapterDirectory, names: Collection[str]) -> str | None:
    """A hint for a directory that is no adapter of ours: its kind, and what to do; None for an unknown kind.

    names: of its files.
    """
    if METADATA_FILE in names:
        return None
    if are_peft(names):
        return f"a PEFT directory; import it first: adaptrix import {shlex.quote(directory.location)} --sign"
    if (parent := _parent_of_adapters(directory)) is not None:
        return parent
    return _WHOLE_MODEL if "config.json" in names else _weights_of_another_kind(names)


def _names(directory: AdapterDirectory) -> Collection[str]:
    """The names of its files; none where it cannot be listed."""
    try:
        return directory.file_names()
    except (AdapterNotFound, AdapterRejected):
        return ()


def _whole(limits: Limits) -> dict[str, FileRule]:
    return {
        PEFT_CONFIG_FILE: FileRule("whole", limits.max_metadata_bytes),
        PEFT_WEIGHTS_FILE: FileRule("whole", limits.max_file_bytes),
        PEFT_TOKENIZER_FILE: FileRule("whole", limits.max_metadata_bytes),
    }


def _rules(limits: Limits) -> FileRules:
    rules = {**_whole(limits), **TOKENIZER_RULES}
    return lambda name: rules.get(name, LEAVE)


def _parent_of_adapters(directory: AdapterDirectory) -> str | None:
    try:
        children = directory.directories()[:_MOST_CHILDREN]
    except (AdapterRejected, OSError):
        return None
    inside = [child for child in children if PEFT_CONFIG_FILE in _names(child)]
    if not inside:
        return None
    inside.sort(key=lambda child: _numbers_last(child.name))
    names = ", ".join(child.name for child in inside[-3:])
    return f"it holds {len(inside)} adapters ({names}); give one of them, such as {inside[-1].location!r}"


def _weights_of_another_kind(names: Collection[str]) -> str | None:
    found = {
        _MLX: ("adapters.safetensors", "adapters.npz"),
        _PICKLE: ("adapter_model.bin", "adapter_model.pt"),
        _TORCHTUNE: ("adapter_[0-9]*.pt", "adapter_[0-9]*.bin", "recipe_state.pt"),
        _GGUF: ("*.gguf",),
    }
    return next(
        (kind for kind, marks in found.items() if any(fnmatch(name, mark) for name in names for mark in marks)), None
    )


def _numbers_last(name: str) -> tuple[int, str]:
    """Sort key that orders ``checkpoint-20`` before ``checkpoint-100``."""
    number = re.search(r"(\d{1,18})$", name)
    return (int(number[1]) if number else -1, name)
