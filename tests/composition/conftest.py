"""A catalogue of signed adapters and compositions on a tiny base, and engines over it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adaptrix_core import Engine
from adaptrix_core.adapters import AdapterManager, TrustPolicy, describe, generate_key_pair
from adaptrix_core.adapters.trust.revocation_directory import revocations_directory
from adaptrix_core.base import BaseModel
from adaptrix_core.composition.manifests.making import made
from tests.tiny_models import byte_tokenizer, random_base, random_weights


@dataclass(frozen=True)
class Shelf:
    """A directory of packages, the key that signs them, and what trusts that key."""

    base: BaseModel
    manager: AdapterManager
    key: Path
    state: Path
    """Where the revocation list in force lies."""

    def adapter(self, name: str, seed: int, version: str = "1.0.0", key: Path | None = None, **fields: Any) -> Path:
        """A signed adapter at every point of layers 1 and 2, replacing what is there."""
        weights = random_weights(self.base, seed=seed)
        metadata = describe(weights, self.base.info, name, version=version, **fields)
        self.manager.save_adapter(metadata, weights, private_key=key or self.key, overwrite=True)
        return self.manager.path_of(metadata.identity)

    def composition(self, name: str, composition: dict[str, Any], sign: bool = True, **fields: Any) -> Path:
        """A composition of what is there now."""
        metadata = made(self.manager, name, composition, **fields)
        return self.manager.save_composition(metadata, private_key=self.key if sign else None, overwrite=True)

    def engine(self) -> Engine:
        """An engine that has read nothing of this yet."""
        return Engine(self.base, self.manager.root, self.manager.trust)


@pytest.fixture(scope="session")
def llama() -> BaseModel:
    return random_base("llama")


@pytest.fixture
def new_key(tmp_path: Path) -> Callable[[str], Path]:
    """``new_key(name)`` -> a private key that nobody trusts."""

    def build(name: str) -> Path:
        private = tmp_path / "private" / f"{name}.key"
        generate_key_pair(private, private.with_suffix(".pub"))
        return private

    return build


@pytest.fixture
def shelf(tmp_path: Path, llama: BaseModel) -> Shelf:
    """Adapters ``a``, ``b`` and ``c``."""
    return _shelf(tmp_path, llama)


@pytest.fixture
def llama_shelf(tmp_path: Path) -> Shelf:
    """The same for a base that reads text."""
    return _shelf(tmp_path, random_base("llama", tokenizer=byte_tokenizer()))


def _shelf(tmp_path: Path, llama: BaseModel) -> Shelf:
    private, public = tmp_path / "private" / "ours.key", tmp_path / "trusted" / "ours.pub"
    generate_key_pair(private, public)
    state = tmp_path / "state"
    trust = TrustPolicy("require", public.parent, revocations_dir=revocations_directory(state))
    built = Shelf(llama, AdapterManager(tmp_path / "adapters", llama, trust), private, state)
    for seed, name in enumerate("abc", start=1):
        built.adapter(name, seed)
    return built
