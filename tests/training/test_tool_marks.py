"""Replies that may call functions: asked under the grammar of serving, and marked by what they decide, call and say."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from adaptrix_core.adapters import TrustPolicy
from adaptrix_core.engine import Engine
from adaptrix_core.errors import ConfigError
from adaptrix_core.tools.call_form import HERMES
from adaptrix_core.tools.toolset import Function, Toolset
from adaptrix_core.training.evaluation.prompting import EngineGenerator, Prompt, PromptWithTools
from adaptrix_core.training.evaluation.remembered import RememberedReplies
from adaptrix_core.training.evaluation.scoring import Score
from adaptrix_core.training.evaluation.tool_evaluation import evaluate_tools, tool_tables
from adaptrix_core.training.evaluation.tool_marks import ReadReply, marks
from adaptrix_core.training.examples.conversation import LearntConversation
from adaptrix_core.training.examples.encoding import reply_text
from adaptrix_core.training.examples.openai_form import conversation_of
from adaptrix_core.training.tasks.tool_use.family import TOOL_USE
from tests.tiny_models import byte_tokenizer, random_base
from tests.training.test_conversations import ASKED, CALLED, RESULT, SAID, row

CALL, TEXT = conversation_of(row(ASKED, CALLED)), conversation_of(row(ASKED, SAID))
AFTER = conversation_of(row(ASKED, CALLED, RESULT, SAID))
OSLO = HERMES.written("get_weather", '{"city":"Oslo"}')
ROME = HERMES.written("get_weather", '{"city": "Rome"}')


@pytest.mark.parametrize(
    ("conversation", "reply", "right"),
    [
        (CALL, OSLO, {"decision": True, "function": True, "arguments": True}),
        (CALL, f"Let me see. {OSLO}", {"decision": True, "function": True, "arguments": True}),
        (CALL, ROME, {"decision": True, "function": True, "arguments": False}),
        (CALL, f"{OSLO}\n{ROME}", {"decision": True, "function": False, "arguments": False}),
        (CALL, HERMES.written("add", "{}"), {"decision": True, "function": False, "arguments": False}),
        (CALL, OSLO[:60], {"decision": True, "function": True, "arguments": False}),
        (CALL, "It is sunny.", {"decision": False, "function": False, "arguments": False}),
        (TEXT, "Hello", {"decision": True, "text": True}),
        (TEXT, OSLO, {"decision": False, "text": False}),
        (AFTER, "Oslo is sunny!", {"decision": True, "after a result": True}),
        (AFTER, "Oslo is rainy.", {"decision": True, "after a result": False}),
        (AFTER, "<tool_response>\nsunny\n</tool_response>", {"decision": True, "after a result": False}),
        (AFTER, f"It is sunny. {OSLO}", {"decision": False, "after a result": False}),
    ],
)
def test_marks(conversation: LearntConversation, reply: str, right: dict[str, bool]) -> None:
    assert marks(conversation, ReadReply.of(reply, HERMES)) == right


class KnowsAll:
    """Right under the adapter; under the base, a text that says nothing."""

    def __init__(self) -> None:
        known = [*TOOL_USE.to_measure(40), *TOOL_USE.hand_written()]
        self._replies = {one.prompt_text: reply_text(one.reply, HERMES) for one in known}

    def reply(self, prompts: Sequence[Prompt], adapter: str | None, max_tokens: int) -> list[str]:
        asked = [one for one in prompts if isinstance(one, PromptWithTools)]
        assert len(asked) == len(prompts)
        keys = [LearntConversation(tuple(one.messages), {}, one.toolset).prompt_text for one in asked]
        return [self._replies[key] if adapter else "I cannot say." for key in keys]


def test_both_sets_are_measured_under_the_base_and_the_adapter_and_shown_alike() -> None:
    said: list[str] = []
    evaluation = evaluate_tools(TOOL_USE, ["tool_use"], KnowsAll(), HERMES, 40, 64, said.append)
    assert evaluation.held_out["tool_use"] == {
        "decision": Score(40, 40),
        "function": Score(20, 20),
        "arguments": Score(20, 20),
        "text": Score(10, 10),
        "after a result": Score(10, 10),
    }
    assert evaluation.held_out["base"]["decision"] == Score(20, 40)
    assert evaluation.held_out["base"]["function"] == Score(0, 20)
    assert said[0] == "base: 40 requests with held-out functions"
    made = json.loads(json.dumps(evaluation.as_json()))
    assert made["hand_written"]["tool_use"]["arguments"]["share"] == 1.0
    assert set(evaluation.metrics_of("tool_use")["held_out"]) == {"base", "tool_use"}
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115 - closed with the process
    for table in tool_tables(evaluation):
        console.print(table)
    text = console.export_text()
    assert "decision (40)" in text
    assert "50 (35-65)" in text
    assert "hand-written" in text


@pytest.mark.parametrize(("problems", "max_tokens"), [(0, 64), (1001, 64), (10, 0), (10, 5000)])
def test_numbers_out_of_range_are_refused(problems: int, max_tokens: int) -> None:
    with pytest.raises(ConfigError, match="it must be 1 to"):
        evaluate_tools(TOOL_USE, [], KnowsAll(), HERMES, problems, max_tokens)


def test_replies_are_held_to_the_functions_of_their_own_prompt(tmp_path: Path) -> None:
    engine = Engine(random_base(tokenizer=byte_tokenizer(), max_position_embeddings=2000), tmp_path, TrustPolicy("off"))
    schema = {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]}
    sets = [Toolset((Function(name, "", schema),), must_call=True) for name in ("lamp", "fan")]
    question = [{"role": "user", "content": "On?"}]
    prompts: list[Prompt] = [PromptWithTools(question, sets[0]), question, PromptWithTools(question, sets[1])]
    first, plain, last = EngineGenerator(engine).reply(prompts, None, 80)
    assert ReadReply.of(first, HERMES).functions[0] == "lamp"
    assert ReadReply.of(last, HERMES).functions[0] == "fan"
    assert json.loads(ReadReply.of(last, HERMES).arguments[0]).keys() == {"on"}
    assert plain == EngineGenerator(engine).reply([question], None, 80)[0]


def test_replies_are_remembered_by_their_functions_too(tmp_path: Path) -> None:
    asked: list[int] = []

    class Counting:
        def reply(self, prompts: Sequence[Prompt], adapter: str | None, max_tokens: int) -> list[str]:
            asked.append(len(prompts))
            return ["x"] * len(prompts)

    kept = RememberedReplies(Counting(), tmp_path / "replies.jsonl", lambda adapter: "weights")
    question = [{"role": "user", "content": "On?"}]
    lamp, fan = (PromptWithTools(question, Toolset((Function(name),))) for name in ("lamp", "fan"))
    kept.reply([lamp, lamp, question], None, 8)
    kept.reply([lamp, fan], None, 8)
    assert asked == [2, 1]
