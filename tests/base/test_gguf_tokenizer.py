"""Text becomes the tokens that a `.gguf` file means: those that llama.cpp makes of it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from gguf import GGUFWriter

from adaptrix_core.base import BaseModel, BaseModelManager
from adaptrix_core.base.source import gguf_file_of
from adaptrix_core.errors import BaseModelError
from tests.base.gguf_files import replacing, text, write_gguf
from tests.tiny_models import byte_tokenizer, random_module

VOCAB = 288


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "embedded" not in request.node.name:  # its conversion is the user's own, made once
        monkeypatch.setenv("ADAPTRIX_CACHE", str(tmp_path / "cache"))


def load(path: Path) -> BaseModel:
    return BaseModelManager(str(path), device="cpu", precision="fp32").load_model()


SPLITS = ["gpt-2", "smollm", "llama-bpe", "tekken", "qwen2", "gpt-4o"]
TEXTS = [
    "Hello, world!  It's 12345 o'clock\n\n  now",
    "x=1234;\ty += 56\r\n# don't  stop",
    "Ünïcode — 日本語 12 ３４ 😀",
]


@pytest.mark.parametrize("split", SPLITS)
def test_text_is_split_as_the_file_says_and_as_llama_cpp_does(tmp_path: Path, split: str) -> None:
    llama_cpp = pytest.importorskip("llama_cpp", reason="the extra `peers` is not installed")
    tokenizer = byte_tokenizer()
    module = random_module(vocab_size=len(tokenizer))
    path = write_gguf(tmp_path / "m.gguf", module, replacing(text("tokenizer.ggml.pre", split)), tokenizer=tokenizer)
    base = load(path)
    theirs = llama_cpp.Llama(str(path), vocab_only=True, verbose=False)
    for sentence in TEXTS:
        assert base.encode(sentence) == theirs.tokenize(sentence.encode(), add_bos=False, special=True), sentence


@pytest.mark.slow
def test_the_embedded_default_makes_the_tokens_that_llama_cpp_makes() -> None:
    llama_cpp = pytest.importorskip("llama_cpp", reason="the extra `peers` is not installed")
    file = gguf_file_of("smollm2-135m")
    theirs = llama_cpp.Llama(str(file), vocab_only=True, verbose=False)
    base = BaseModelManager("smollm2-135m", device="cpu", precision="fp32").load_model()
    for sentence in (*TEXTS, "a list\n\n1. one\n\n2. two", "x  =  12", "½ cup", Path(__file__).read_text()):
        assert base.encode(sentence) == theirs.tokenize(sentence.encode(), add_bos=False, special=True), sentence


def test_digits_are_cut_apart_where_the_file_says_so(tmp_path: Path) -> None:
    pieces = {}
    for split in ("gpt-2", "smollm"):
        path = write_gguf(
            tmp_path / f"{split}.gguf",
            random_module(vocab_size=VOCAB),
            replacing(text("tokenizer.ggml.pre", split)),
        )
        tokenizer = load(path).require_tokenizer()
        pieces[split] = [piece for piece, _ in tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("a 123")]
    assert pieces == {"gpt-2": ["a", "Ġ123"], "smollm": ["a", "Ġ", "1", "2", "3"]}


def test_a_file_that_does_not_say_how_text_is_split_is_warned_about(tmp_path: Path, caplog) -> None:
    module = random_module(vocab_size=VOCAB)
    path = write_gguf(tmp_path / "m.gguf", module, lambda writer: writer.kv_data[0].pop("tokenizer.ggml.pre"))
    with caplog.at_level(logging.WARNING, logger="adaptrix_core"):
        load(path)
    assert "tokenizer.ggml.pre" in caplog.text


# --- vocabularies of SentencePiece --------------------------------------------------------------------------------

PIECES = [
    "<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)),
    "▁t", "he", "▁the", "▁a", "in", "er", "▁", *"abcdefghijklmnopqrstuvwxyz",
]  # fmt: skip
SENTENCES = ["the cat in a hat", "é 日 x", "two  spaces", "her hat\n in the inn"]


def sentencepiece(space: bool | None, begin: bool) -> object:
    plain = len(PIECES) - 259

    def change(writer: GGUFWriter) -> None:
        writer.add_tokenizer_model("llama")
        writer.add_tokenizer_pre("default")
        writer.add_token_list(PIECES)
        writer.add_token_scores([0.0] * 259 + [-float(index) for index in range(plain)])
        writer.add_token_types([2, 3, 3] + [6] * 256 + [1] * plain)
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        writer.add_unk_token_id(0)
        writer.add_add_bos_token(begin)
        if space is not None:
            writer.add_add_space_prefix(space)

    return change


@pytest.mark.parametrize("begin", [True, False])
@pytest.mark.parametrize(
    ("variant", "space"), [("llama", True), ("llama", False), ("llama", None), ("gemma2", False), ("phi3", None)]
)
def test_a_sentencepiece_vocabulary_begins_as_the_file_says_and_as_in_llama_cpp(
    tmp_path: Path, variant: str, space: bool | None, begin: bool
) -> None:
    llama_cpp = pytest.importorskip("llama_cpp", reason="the extra `peers` is not installed")
    base = load(written_with_pieces(tmp_path, variant, space, begin))
    theirs = llama_cpp.Llama(str(tmp_path / "m.gguf"), vocab_only=True, verbose=False)
    for sentence in SENTENCES:
        tokens = base.encode(sentence)
        assert tokens == theirs.tokenize(sentence.encode(), add_bos=True, special=True), sentence
        assert base.require_tokenizer().decode(tokens[begin:]) == sentence


def written_with_pieces(directory: Path, variant: str, space: bool | None, begin: bool) -> Path:
    changes = {"sliding_window": None} if variant == "phi3" else {}
    module = random_module(variant, vocab_size=len(PIECES), **changes)

    def change(writer: GGUFWriter) -> None:
        replacing(sentencepiece(space, begin))(writer)
        writer.kv_data[0].pop("tokenizer.ggml.merges")

    return write_gguf(directory / "m.gguf", module, change)


@pytest.mark.parametrize("space", [True, False])
def test_a_text_begins_with_a_space_where_the_file_says_so(tmp_path: Path, space: bool) -> None:
    base = load(written_with_pieces(tmp_path, "llama", space, begin=False))
    expected = ["▁the"] if space else ["t", "he"]
    assert base.require_tokenizer().convert_ids_to_tokens(base.encode("the")) == expected


def test_a_space_that_transformers_would_not_put_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BaseModelError, match="add_space_prefix"):
        load(written_with_pieces(tmp_path, "gemma2", space=True, begin=True))


def test_the_files_own_chat_template_is_used(tmp_path: Path) -> None:
    template = "{% for m in messages %}[{{ m['content'] }}]{% endfor %}"
    module = random_module(vocab_size=VOCAB)
    base = load(write_gguf(tmp_path / "m.gguf", module, lambda writer: writer.add_chat_template(template)))
    assert base.info.chat_template == "model"
    assert base.require_tokenizer().decode(base.encode_chat([{"role": "user", "content": "hi"}])) == "[hi]"
