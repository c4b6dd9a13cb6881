"""Embeddings over HTTP, of token ids as of texts."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest

from adaptrix_core.routing.embedder import TextEmbedder
from tests.serving.conftest import Local

TEXTS = ["one text", "another, longer text"]


async def embed(local: Local, content: Any) -> httpx.Response:
    return await local.http.post("/v1/embeddings", json={"model": "auto", "input": content})


def vectors(answer: httpx.Response) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    return np.array([entry["embedding"] for entry in answer.json()["data"]])


async def test_token_ids_stand_for_the_text_that_they_are(local: Local, embedder: TextEmbedder) -> None:
    ids = [list(map(int, text)) for text in embedder._token_ids(TEXTS)]
    texts, tokens = await embed(local, TEXTS), await embed(local, ids)
    np.testing.assert_allclose(vectors(tokens), vectors(texts), atol=1e-5)
    assert tokens.json()["usage"] == texts.json()["usage"]
    one = await embed(local, ids[1])
    np.testing.assert_allclose(vectors(one), vectors(texts)[1:], atol=1e-5)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([1, 2, 1_000_000], "vocabulary"),
        ([[1], [2, 1_000_000]], "input[1]"),
        ([7] * 10_000, "at most 256"),
        ([], "at least 1"),
        ([[]], "at least 1"),
        ([[1], []], "at least 1"),
        ([1, -1], "greater than or equal to 0"),
        ([1, "two"], "integer"),
        ([[1], "two"], "list"),
        (["two", [1]], "string"),
        ([1.5], "integer"),
        ([True, 1], "integer"),
    ],
)
async def test_token_ids_that_cannot_be_read_are_refused(local: Local, content: Any, says: str) -> None:
    answer = await embed(local, content)
    error = answer.json()["error"]
    assert answer.status_code == 400, answer.text
    assert error["param"].startswith("input")
    assert says in error["message"]
