"""What sections of the settings are made of: their base class, and the types of paths and sizes.

Knows how a value becomes what the program uses. Does not know any setting.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationInfo,
)

from adaptrix_core.places import project_root

BUILT_IN_MODELS = frozenset({"smollm2-135m", "all-minilm-l6-v2"})
"""Names of the base model and embedder that come in Python packages; directories of these names are ignored."""


def anchored(path: Path, info: ValidationInfo) -> Path:
    """Resolve a relative path from the directory given to `load_settings`."""
    root: Path = (info.context or {}).get("root", project_root())
    return (root / path.expanduser()).resolve()


def anchored_or_url(place: Path | str, info: ValidationInfo) -> Path | str:
    """As `anchored`, but a URL stays as it is."""
    return place if "://" in str(place) else anchored(Path(place), info)


def anchored_if_there(source: str, info: ValidationInfo) -> str:
    """A model source: a path if it exists, else a hub id. Built-in names are never paths."""
    if source in BUILT_IN_MODELS:
        return source
    candidate = anchored(Path(source), info)
    return str(candidate) if candidate.exists() else source


def _spelled_bytes(value: object) -> object:
    """ "2GiB" and the like become a number; anything else is left for the integer check."""
    return int(TypeAdapter(ByteSize).validate_python(value)) if isinstance(value, str) else value


SettingsPath = Annotated[Path, Field(strict=False), AfterValidator(anchored)]
Bytes = Annotated[int, BeforeValidator(_spelled_bytes)]


class Section(BaseModel):
    """Base of all sections: frozen, unknown keys refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, validate_default=True)
