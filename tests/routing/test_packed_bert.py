"""The packed encoder computes what the model computes, to a cosine of 0.999, whatever lies beside a text."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from torch import nn

from adaptrix_core.base.layouts import quantize_rows
from adaptrix_core.native import why_not
from adaptrix_core.routing import prompts
from adaptrix_core.routing.embedder import PACKAGED, TextEmbedder
from adaptrix_core.routing.packed_bert import PackedBert, why_not_packed_bert

pytestmark = pytest.mark.skipif(why_not() is not None, reason=f"no native kernels: {why_not()}")

TEXTS = [
    "one",
    "  What is three plus four?  ",
    "日本語の文",
    "",
    "word " * 400,
    "🙂",
    *prompts.out_of_scope("test")[:60],
]


@pytest.fixture(scope="module")
def plain() -> TextEmbedder:
    return TextEmbedder(packed=False)


def test_vectors_are_the_models(embedder: TextEmbedder, plain: TextEmbedder) -> None:
    cosines = (embedder.embed(TEXTS) * plain.embed(TEXTS)).sum(axis=1)
    assert cosines.min() > 0.999
    assert not np.array_equal(embedder.embed(TEXTS), plain.embed(TEXTS)), "the packed encoder was not used"


def test_neighbours_change_nothing_at_all() -> None:
    alone = TextEmbedder(cache_entries=0)
    together = alone.embed(TEXTS)
    for index in (0, 4, 7):
        np.testing.assert_allclose(alone.embed([TEXTS[index]])[0], together[index], atol=1e-6)


def changed(what: str) -> SentenceTransformer:
    model = TextEmbedder(PACKAGED, packed=False)._model
    config = model[0].auto_model.config
    if what == "activation":
        config.hidden_act = "relu"
    elif what == "pooling":
        model[1].pooling_mode = "cls"
    elif what == "precision":
        model[0].auto_model.to(torch.bfloat16)
    elif what == "kind":
        config.model_type = "roberta"
    elif what == "heads":
        config.num_attention_heads = 96
    elif what == "prompt":
        model.default_prompt_name = "query"
    else:
        del model[2]
    return model


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("activation", "'relu' is not gelu"),
        ("pooling", "not the mean"),
        ("precision", "not float32"),
        ("heads", "not multiples of 8"),
        ("kind", "not BERT"),
        ("prompt", "a prompt before"),
        ("normalisation", "not BERT with pooling and normalisation: Transformer, Pooling"),
    ],
)
def test_a_model_that_would_come_out_otherwise_runs_as_it_is(what: str, reason: str) -> None:
    assert reason in (why_not_packed_bert(changed(what)) or "")


def test_with_the_packed_weights_the_model_itself_says_the_same() -> None:
    """Norms, attention and activation are the model's; what is left is the rounding of activations to 16 bits."""
    plain = TextEmbedder(packed=False)
    packed = PackedBert(plain._model)
    for layer in plain._model[0].auto_model.encoder.layer:
        for module in layer.modules():
            if isinstance(module, nn.Linear):
                module.weight.data = torch.from_numpy(quantize_rows(module.weight.detach().numpy()).floats())
    vectors = packed(plain._token_ids(TEXTS)).numpy()
    np.testing.assert_allclose(vectors, plain.embed(TEXTS), atol=5e-5)


def test_helpers_change_no_bit(plain: TextEmbedder) -> None:
    ids = [list(range(1000, 1200)), [5], list(range(2000, 2013))] * 13  # more than one part
    one, *others = (PackedBert(plain._model, threads)(ids) for threads in (1, 2, 5))
    assert all(torch.equal(one, other) for other in others)


def test_threads_that_share_an_encoder_get_what_is_theirs(plain: TextEmbedder) -> None:
    encoder = PackedBert(plain._model, 2)
    texts = [[1000 + i] * (3 + i) for i in range(16)]
    alone = [encoder([text]) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda text: encoder([text]), texts * 4))
    assert all(torch.equal(vector, alone[i % 16]) for i, vector in enumerate(together))
