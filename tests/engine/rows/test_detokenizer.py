"""Text as it streams: whole characters only, and nothing that may still become a stop string."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from adaptrix_core.engine.rows.detokenizer import TextStream
from tests.tiny_models import byte_tokenizer, sentencepiece_tokenizer

BYTES, PIECES = byte_tokenizer(), sentencepiece_tokenizer()
TOKENIZERS = pytest.mark.parametrize("tokenizer", [BYTES, PIECES], ids=["byte-level", "sentencepiece"])
TEXTS = [
    "日本語の文字, 中文",
    "emoji 😀 👩‍👩‍👧‍👦 🇫🇷!",
    "accents éàü ñ",
    "plain text",
    " leading and  double  spaces",
    "a\n\tb",
]


def stream(tokenizer: PreTrainedTokenizerFast, tokens: list[int], *stop: str) -> tuple[list[str], str, bool]:
    """Deltas of every token (up to a stop), what came at the end, and whether it stopped."""
    text, deltas = TextStream(tokenizer, stop), []
    for token in tokens:
        deltas.append(text.push(token))
        if text.stopped_by is not None:
            break
    last = text.finish()
    return deltas, last, text.stopped_by is not None


@TOKENIZERS
@pytest.mark.parametrize("text", TEXTS)
def test_no_character_is_ever_split(tokenizer: PreTrainedTokenizerFast, text: str) -> None:
    tokens = tokenizer.encode(text, add_special_tokens=False)
    deltas, last, _ = stream(tokenizer, tokens)
    whole = tokenizer.decode(tokens)
    assert "".join(deltas) + last == whole
    assert last == ""
    assert "\ufffd" not in "".join(deltas)
    shown = ""
    for delta in deltas:
        shown += delta
        assert whole.startswith(shown)


def test_a_character_of_several_tokens_comes_with_its_last_one() -> None:
    tokens = [BYTES.convert_tokens_to_ids(piece) for piece in ("ð", "Ł", "Ĳ", "Ģ")]  # the bytes F0 9F 90 80
    assert BYTES.decode(tokens) == "🐀"
    assert stream(BYTES, tokens) == (["", "", "", "🐀"], "", False)


def test_a_character_that_is_never_finished_is_shown_as_a_replacement_at_the_end() -> None:
    tokens = [BYTES.convert_tokens_to_ids(piece) for piece in ("a", "ð", "Ł")]
    deltas, last, _ = stream(BYTES, tokens)
    assert deltas == ["a", "", ""]
    assert set(last) == {"\ufffd"}


@TOKENIZERS
@settings(deadline=None, max_examples=150)
@given(data=st.data())
def test_deltas_of_any_tokens_make_up_the_full_decode(tokenizer: PreTrainedTokenizerFast, data: st.DataObject) -> None:
    # Mostly bytes that make no valid character, as a model may well produce them; 0 and 1 may be special.
    tokens = data.draw(st.lists(st.integers(2, len(tokenizer) - 1), max_size=24))
    deltas, last, _ = stream(tokenizer, tokens)
    whole = tokenizer.decode(tokens)
    # Byte tokens of the sentencepiece kind decode as a run: one bad byte spoils characters that were shown already.
    if tokenizer is BYTES or "\ufffd" not in whole:
        assert "".join(deltas) + last == whole


def test_a_byte_that_spoils_the_ones_before_it_does_not_end_the_stream() -> None:
    # 00 alone is a character and is shown; 80 after it makes both invalid, which the decoder reports as an error.
    tokens = [PIECES.convert_tokens_to_ids(piece) for piece in ("<0x00>", "<0x80>", "▁", "a", "▁", "b")]
    deltas, last, _ = stream(PIECES, tokens)
    assert deltas[0] == "\x00"
    assert ("".join(deltas) + last).endswith("a b")


def test_special_tokens_have_no_text() -> None:
    tokens = [BYTES.eos_token_id, *BYTES.encode("the fox"), BYTES.eos_token_id]
    deltas, last, _ = stream(BYTES, tokens)
    assert "".join(deltas) + last == "the fox"


def test_without_a_tokenizer_there_is_no_text() -> None:
    text = TextStream(None, ("stop",))
    assert [text.push(5), text.push(6), text.finish()] == ["", "", ""]


# --- stop strings ----------------------------------------------------------------------------------------------------

texts = st.text(st.sampled_from("abc é日"), max_size=20)
stops = st.lists(st.text(st.sampled_from("abc é日"), min_size=1, max_size=4), max_size=3)


@settings(deadline=None, max_examples=200)
@given(texts, stops)
def test_text_ends_before_the_first_stop_string_and_none_of_it_was_shown(text: str, stop: list[str]) -> None:
    tokens = BYTES.encode(text, add_special_tokens=False)
    deltas, last, stopped = stream(BYTES, tokens, *stop)
    hits = [text.find(s) for s in stop if s in text]
    assert stopped == bool(hits)
    shown = "".join(deltas) + last
    # Tokens come one by one: the text stops at the first place where some stop string is complete.
    if not hits:
        assert shown == text
    else:
        complete = min(text.find(s) + len(s) for s in stop if s in text)
        assert not any(s in shown for s in stop)
        assert text.startswith(shown)
        assert len(shown) < complete


def test_a_stop_string_across_tokens_is_found() -> None:
    tokens = [BYTES.convert_tokens_to_ids(letter) for letter in "xEN"] + [BYTES.convert_tokens_to_ids("D")]
    deltas, last, stopped = stream(BYTES, tokens, "END")
    assert (deltas, last, stopped) == (["x", "", "", ""], "", True)


def test_what_might_have_become_a_stop_string_is_released_when_it_does_not() -> None:
    tokens = [BYTES.convert_tokens_to_ids(letter) for letter in "xENx"]
    assert stream(BYTES, tokens, "END") == (["x", "", "", "ENx"], "", False)


def test_what_might_have_become_a_stop_string_is_released_at_the_end() -> None:
    tokens = [BYTES.convert_tokens_to_ids(letter) for letter in "xEN"]
    assert stream(BYTES, tokens, "END") == (["x", "", ""], "EN", False)


def test_the_earlier_of_two_stop_strings_counts() -> None:
    tokens = BYTES.encode("abcdef", add_special_tokens=False)
    deltas, last, stopped = stream(BYTES, tokens, "ef", "cd")
    assert ("".join(deltas) + last, stopped) == ("ab", True)
