"""An adapter on somebody's own examples: losses are PEFT's, replies are marked by the scorer that was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from adaptrix_core.adapters import TrustPolicy, describe, export_peft, write_package
from adaptrix_core.engine import Engine, EngineOptions
from adaptrix_core.training.evaluation.data_evaluation import evaluate_data, reply_loss
from adaptrix_core.training.evaluation.prompting import EngineGenerator, Prompt
from adaptrix_core.training.evaluation.scorers import SCORERS
from adaptrix_core.training.examples.conversation import LearntConversation
from adaptrix_core.training.examples.encoding import encode_examples
from adaptrix_core.training.examples.packing import Example
from tests.tiny_models import byte_tokenizer, random_base, random_weights

PAIRS = [LearntConversation.of_pair(f"Say {c}.", c * 3) for c in "abcdef"]


@pytest.mark.parametrize(
    ("scorer", "reply", "reference", "right"),
    [
        ("exact", " 42\n", "42", True),
        ("exact", "a  b", "a b", True),
        ("exact", "42.", "42", False),
        ("contains", "The capital is PARIS, of course.", "Paris", True),
        ("contains", "London", "Paris", False),
        ("number", "12 + 30 = 42\nAnswer: 42", "Answer: 42.0", True),
        ("number", "41", "42", False),
        ("number", "none", "none", False),
        ("answer", "Well.\nAnswer: Yes.", "Answer: yes", True),
        ("answer", "Answer: grand-mother", "grand-mother", True),
        ("answer", "yes", "Answer: yes", False),
    ],
)
def test_scorers(scorer: str, reply: str, reference: str, right: bool) -> None:
    assert SCORERS[scorer](reply, reference) is right


def reference_loss(module: torch.nn.Module, examples: Sequence[Example]) -> float:
    total = 0.0
    with torch.no_grad():
        for example in examples:
            start = len(example.token_ids) - example.answer_length
            logits = module(torch.tensor([example.token_ids])).logits[0, start - 1 : -1].float()
            wanted = torch.tensor(example.token_ids[start:])
            total += torch.nn.functional.cross_entropy(logits, wanted, reduction="sum").item()
    return total / sum(example.answer_length for example in examples)


def test_losses_equal_those_of_transformers_and_peft(tmp_path: Path) -> None:
    base = random_base(tokenizer=byte_tokenizer())
    weights = random_weights(base)
    write_package(tmp_path / "adapters" / "letters", describe(weights, base.info, "letters"), weights)
    export_peft(weights, base, tmp_path / "peft")
    engine = Engine(base, tmp_path / "adapters", TrustPolicy("off"))
    examples = encode_examples(base, PAIRS, 64)
    plain = random_base(tokenizer=byte_tokenizer()).module
    unadapted = reference_loss(plain, examples)
    adapted = reference_loss(PeftModel.from_pretrained(plain, str(tmp_path / "peft")).eval(), examples)
    assert reply_loss(engine, examples, None) == pytest.approx(unadapted, rel=1e-4)
    assert reply_loss(engine, examples, "letters") == pytest.approx(adapted, rel=1e-4)
    assert abs(adapted - unadapted) > 0.002 * unadapted  # twenty times the tolerance

    said: list[str] = []
    scores = evaluate_data(
        engine, PAIRS, ["letters"], SCORERS["exact"], EngineGenerator(engine), 4, on_condition=said.append
    )
    assert list(scores) == ["base", "letters"]
    assert [result.score.total for result in scores.values()] == [6, 6]
    assert scores["letters"].loss == pytest.approx(adapted, rel=1e-4)
    assert said == [f"{n}: {w}" for n in scores for w in ("replies to 6 prompts", "loss on 6 replies")]


def test_no_reply_has_to_wait_for_a_place_where_it_could_be_refused(tmp_path: Path) -> None:
    base = random_base(tokenizer=byte_tokenizer())
    engine = Engine(base, tmp_path, TrustPolicy("off"), EngineOptions(max_rows=2, max_queue=2))
    prompts: list[Prompt] = [[{"role": "user", "content": c}] for c in "abcdef"]
    assert len(EngineGenerator(engine, batch_size=6).reply(prompts, None, 4)) == 6
