"""Evaluation arithmetic, conditions, remembered replies, and what people and programs are shown."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from adaptrix_core.errors import ConfigError, DataError
from adaptrix_core.routing.prompts import paraphrases
from adaptrix_core.training.evaluation.evaluate import EvaluateConfig, Evaluation, as_problem, left_to_base
from adaptrix_core.training.evaluation.prompting import Prompt, PromptWithTools, base_prompts
from adaptrix_core.training.evaluation.remembered import RememberedReplies
from adaptrix_core.training.evaluation.report import as_json, tables
from adaptrix_core.training.evaluation.scoring import FEW_SHOT, ROUTED, ZERO_SHOT, FamilyResult, Score, measure, wilson
from adaptrix_core.training.tasks.families import FAMILIES
from tests.sandboxes import FOR_OWN_CODE

MATH = FAMILIES["math_reasoning"]


class Scripted:
    """A generator that knows the references: right under the adapter that was trained for it, "0" otherwise."""

    def __init__(self, right_under: str) -> None:
        self.right_under = right_under
        self.asked: list[tuple[str | None, int]] = []
        self._replies = {p.question: p.reference for p in MATH.held_out(30)}

    def reply(self, prompts: Sequence[Prompt], adapter: str | None, max_tokens: int) -> list[str]:
        self.asked.append((adapter, len(prompts)))
        plain = [prompt for prompt in prompts if not isinstance(prompt, PromptWithTools)]
        known = [self._replies.get(prompt[-1]["content"], "nothing") for prompt in plain]
        return known if adapter == self.right_under else ["nothing"] * len(prompts)


def measured(**changes: object) -> FamilyResult:
    settings: dict[str, object] = {
        "adapters": ("math_reasoning", "logical_reasoning"), "shots": 4, "max_tokens": 8, "choose": None,
    }  # fmt: skip
    generator = changes.pop("generator", None) or Scripted("math_reasoning")
    return measure(MATH, MATH.held_out(30), generator, **{**settings, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("right", "total", "low", "high"), [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (190, 200, 0.9104, 0.9726)]
)
def test_wilson_intervals_are_the_published_ones(right: int, total: int, low: float, high: float) -> None:
    assert wilson(right, total) == pytest.approx((low, high), abs=1e-3)
    assert wilson(0, 0) == (0.0, 1.0)


def test_every_condition_is_measured_by_task() -> None:
    result = measured()
    assert list(result.scores) == [ZERO_SHOT, FEW_SHOT, "math_reasoning", "logical_reasoning"]
    assert result.total("math_reasoning") == Score(30, 30)
    assert result.total("logical_reasoning") == Score(0, 30)
    assert {task: score.total for task, score in result.scores[ZERO_SHOT].items()} == {
        "chain_sum": 10, "simple_equations": 10, "leg_counting": 10,
    }  # fmt: skip
    assert result.lead_over_base() == {
        "chain_sum": 100, "simple_equations": 100, "leg_counting": 100, "mean": 100,
    }  # fmt: skip


def test_the_routed_reply_is_the_chosen_adapters_and_is_not_made_twice() -> None:
    generator = Scripted("math_reasoning")
    choices = iter(["math_reasoning"] * 20 + ["logical_reasoning"] * 4 + [None] * 6)
    result = measured(generator=generator, shots=None, choose=lambda messages: next(choices))
    assert result.total(ROUTED) == Score(20, 30)
    assert result.choices == {"math_reasoning": 20, "logical_reasoning": 4, "base": 6}
    assert generator.asked == [("math_reasoning", 30), ("logical_reasoning", 30), (None, 6)]


def test_the_base_gets_the_answer_format_and_solved_examples() -> None:
    (problem,) = MATH.held_out(1)
    (zero,) = base_prompts(MATH, [problem], 0)
    (four,) = base_prompts(MATH, [problem], 4)
    assert len(zero) == 1
    assert len(four) == 9
    assert zero[0]["content"].startswith(problem.question)
    assert 'Answer: <number>"' in zero[0]["content"]
    assert four[-1] == zero[0]
    assert all(problem.question not in m["content"] for m in four[:-1])
    assert all("Answer:" in m["content"] for m in four[1::2])


def test_replies_are_remembered_by_prompt_weights_and_length(tmp_path: Path) -> None:
    path = tmp_path / "replies.jsonl"
    prompts = [[{"role": "user", "content": p.question}] for p in MATH.held_out(5)]
    digests = {"math_reasoning": "v1", None: "base"}

    def asked(name: str | None, count: int, max_tokens: int = 8) -> int:
        generator = Scripted("math_reasoning")
        kept = RememberedReplies(generator, path, lambda adapter: digests[adapter], batch_size=2)
        replies = kept.reply(prompts[:count], name, max_tokens)
        expected = [p.reference if name else "nothing" for p in MATH.held_out(5)][:count]
        assert replies == expected
        return sum(number for _, number in generator.asked)

    assert asked("math_reasoning", 3) == 3
    assert asked("math_reasoning", 5) == 2
    assert asked("math_reasoning", 5) == 0
    assert asked("math_reasoning", 5, max_tokens=9) == 5
    assert asked(None, 5) == 5
    digests["math_reasoning"] = "v2"
    assert asked("math_reasoning", 5) == 5


def test_paraphrases_are_marked_by_their_tasks_scorer() -> None:
    for family in FAMILIES.values():
        problems = [as_problem(p) for p in paraphrases() if p.family == family.name]
        assert len(problems) >= 20
        for task in family.tasks:
            own = [p for p in problems if p.task == task.name]
            replies = [f"```python\n{p.answer}\n```" if p.facts else f"Answer: {p.answer}" for p in own]
            assert task.score(own, replies, FOR_OWN_CODE) == [True] * len(own)


def test_prompts_that_reach_an_adapter_are_counted() -> None:
    assert left_to_base(lambda m: "x" if "sum" in m[0]["content"] else None, ["a sum", "hello", "hi"]) == Score(2, 3)


def test_tables_and_json_say_the_same() -> None:
    choices = iter(["math_reasoning"] * 60)
    result = measured(choose=lambda messages: next(choices))
    evaluation = Evaluation((result,), (result,), Score(198, 200))
    made = json.loads(json.dumps(as_json(evaluation)))
    assert made["held_out"]["math_reasoning"]["conditions"]["routed"]["all"]["right"] == 30
    assert made["held_out"]["math_reasoning"]["lead_over_base_points"]["mean"] == 100.0
    assert made["out_of_scope_to_base"]["share"] == 0.99
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115 - closed with the process
    for table in tables(evaluation):
        console.print(table)
    text = console.export_text()
    assert "logical_reasoning (wrong adapter)" in text
    assert "100 (89-100)" in text
    assert "out-of-scope prompts left to the base: 99 (96-100)" in text


def test_all_faults_of_the_settings_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        EvaluateConfig(adapters=("cooking",), problems=0, shots=99, max_tokens=0, batch_size=0)
    assert len(raised.value.faults) == 5
    assert "math_reasoning" in raised.value.faults[0]
    with pytest.raises(ConfigError, match="adapters is empty"):
        EvaluateConfig(adapters=())


def test_a_reply_that_was_cut_off_is_made_again_and_a_foreign_file_is_refused(tmp_path: Path) -> None:
    class Echo:
        def reply(self, prompts: Sequence[Prompt], adapter: str | None, max_tokens: int) -> list[str]:
            return [prompt[-1]["content"] for prompt in prompts]

    def remembered(path: Path) -> RememberedReplies:
        return RememberedReplies(Echo(), path, lambda adapter: "digest")

    path = tmp_path / "replies.jsonl"
    prompts: list[Prompt] = [[{"role": "user", "content": text}] for text in ("one", "two")]
    remembered(path).reply(prompts, None, 4)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    assert remembered(path).reply(prompts, None, 4) == ["one", "two"]
    assert path.read_bytes() == whole
    path.write_bytes(b"not a reply\n" + whole)
    with pytest.raises(DataError, match="line 1 holds no reply"):
        remembered(path)
