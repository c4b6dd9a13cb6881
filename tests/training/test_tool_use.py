"""The family of conversations with functions: drawn alike every time, and nothing that is held out is trained on."""

from __future__ import annotations

import hashlib
import json
from itertools import islice
from pathlib import Path

import jsonschema
import pytest

from adaptrix_core.errors import ConfigError
from adaptrix_core.tools.call_form import HERMES
from adaptrix_core.training.config import TrainConfig
from adaptrix_core.training.evaluation.tool_marks import ReadReply, marks
from adaptrix_core.training.examples.conversation import LearntConversation
from adaptrix_core.training.examples.data import read_training_data
from adaptrix_core.training.examples.encoding import encode_examples, reply_text
from adaptrix_core.training.tasks.tool_use.family import TOOL_USE, TRAINED
from adaptrix_core.training.tasks.tool_use.held_out_skills import HELD_OUT
from adaptrix_core.training.tasks.tool_use.make_texts import whole_sentences
from adaptrix_core.training.tasks.tool_use.texts import held_out_texts, plain_questions, trained_texts
from tests.tiny_models import byte_tokenizer, random_base

TRAINING = list(islice(TOOL_USE.training(0), 400))
HELD_OUT_ONES = list(islice(TOOL_USE.held_out(0), 100))
MEASURED = [*TOOL_USE.to_measure(200), *TOOL_USE.hand_written()]


def functions_of(conversations: list[LearntConversation]) -> set[str]:
    return {function.name for one in conversations if one.toolset is not None for function in one.toolset.functions}


def test_the_shipped_adapters_examples_are_still_the_ones_that_its_command_draws() -> None:
    """A change here makes the command in docs/evaluation.md train another adapter."""
    rows = [one.as_row() for one in islice(TOOL_USE.training(0), 790)] + [
        one.as_row() for one in islice(TOOL_USE.held_out(0), 26)
    ]
    digest = hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()
    assert digest == "2570f2c0a79cb223491db01175975c77a646df501e7b3e98e9b556dc9eb3997b"


def test_another_seed_draws_other_conversations() -> None:
    assert list(islice(TOOL_USE.training(5), 50)) != TRAINING[:50]


def test_nothing_that_is_held_out_is_trained_on() -> None:
    unseen = {name for skill in HELD_OUT.values() for name in skill.names}
    assert unseen == functions_of(HELD_OUT_ONES) == functions_of(TOOL_USE.to_measure(200))
    assert unseen.isdisjoint(functions_of(TRAINING))
    assert functions_of(TRAINING) == {name for skill in TRAINED for name in skill.names}
    assert set(trained_texts()).isdisjoint(held_out_texts())
    asked = {message["content"] for one in TRAINING for message in one.messages if message["role"] == "user"}
    measured = {one.messages[-1]["content"] for one in MEASURED if one.messages[-1]["role"] == "user"}
    assert asked.isdisjoint(measured)


@pytest.mark.parametrize("conversations", [TRAINING, HELD_OUT_ONES, MEASURED], ids=["trained", "held out", "measured"])
def test_references_are_right_by_their_own_marks_and_calls_by_their_schemas(
    conversations: list[LearntConversation],
) -> None:
    for conversation in conversations:
        read = ReadReply.of(reply_text(conversation.reply, HERMES), HERMES)
        assert all(marks(conversation, read).values())
        assert conversation.toolset is not None
        schemas = {function.name: function.schema for function in conversation.toolset.functions}
        for name, arguments in zip(read.functions, read.arguments, strict=True):
            jsonschema.validate(json.loads(arguments), schemas[name])


def test_what_is_measured_is_half_calls_and_a_quarter_each_of_texts_and_answers() -> None:
    problems = TOOL_USE.to_measure(40)
    assert problems == TOOL_USE.to_measure(80)[:40]
    assert sum("tool_calls" in one.reply for one in problems) == 20
    assert sum(one.messages[-1]["role"] == "tool" for one in problems) == 10


def test_texts_are_answers_to_the_plain_questions() -> None:
    assert {question for question, _ in (*trained_texts(), *held_out_texts())} <= set(plain_questions())


@pytest.mark.parametrize(
    ("cut", "whole"),
    [
        ("One is here. Two is there. Thr", "One is here. Two is there."),
        ("No end to it", ""),
        ("Too. early", ""),
        ("What a very fine day it is! And th", "What a very fine day it is!"),
    ],
)
def test_an_answer_that_was_cut_ends_after_its_last_sentence(cut: str, whole: str) -> None:
    assert whole_sentences(cut) == whole


def config(directory: Path, most: int) -> TrainConfig:
    return TrainConfig(
        name="tool_use", output_dir=directory, data="tool_use", examples=12, held_out=0.25, max_tokens_per_example=most
    )


def test_long_ones_are_drawn_again_so_that_there_are_as_many_as_asked_for(tmp_path: Path) -> None:
    base = random_base(tokenizer=byte_tokenizer())
    lengths = [len(example.token_ids) for example in encode_examples(base, TRAINING[:60], 10_000)]
    most = sorted(lengths)[30]
    train, held_out = read_training_data(config(tmp_path, most)).sides(base, config(tmp_path, most))
    assert train == [one for one, length in zip(TRAINING, lengths, strict=False) if length <= most][:12]
    assert len(held_out) == 3
    assert len(encode_examples(base, [*train, *held_out], most)) == 15
    with pytest.raises(ConfigError, match="max_tokens_per_example is 20: hardly any"):
        read_training_data(config(tmp_path, 20)).sides(base, config(tmp_path, 20))
