"""Engines over tiny models, as the tests of the engine make them."""

from __future__ import annotations

from tests.engine.conftest import make_engine, save_adapter, tokenizer

__all__ = ["make_engine", "save_adapter", "tokenizer"]
