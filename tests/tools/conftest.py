"""A tokenizer for the tests of templates."""

from __future__ import annotations

import pytest
from transformers import PreTrainedTokenizerFast

from tests.tiny_models import byte_tokenizer


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    return byte_tokenizer()
