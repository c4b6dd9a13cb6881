"""The engine on the model and the tokenizer that people really use."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from adaptrix_core.engine import Engine, EngineOptions, SamplingParams
from adaptrix_core.engine.rows.detokenizer import TextStream
from adaptrix_core.engine.rows.output_form import json_grammar

pytestmark = pytest.mark.slow

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "population": {"type": "integer"}},
    "required": ["city", "population"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    catalogue = tmp_path_factory.mktemp("catalogue")
    built = Engine.from_pretrained(
        device="cpu", precision="fp32", adapters_dir=catalogue, options=EngineOptions(kv_cache_tokens=1024)
    )
    yield built
    built.loader.close()


def test_it_answers(engine: Engine) -> None:
    question = [{"role": "user", "content": "What is the capital of France?"}]
    [completion] = engine.generate([question], None, SamplingParams(max_tokens=30, temperature=0.0))
    assert "Paris" in completion.text
    assert completion.finish_reason == "stop"


def test_json_under_a_schema(engine: Engine) -> None:
    question = [{"role": "user", "content": "Describe Paris as JSON."}]
    params = SamplingParams(max_tokens=80, temperature=0.8, seed=1, grammar=json_grammar(SCHEMA))
    [completion] = engine.generate([question], None, params)
    assert completion.finish_reason == "stop"
    assert sorted(json.loads(completion.text)) == ["city", "population"]


def test_its_tokenizer_streams_whole_characters(engine: Engine) -> None:
    for text in ("日本語 中文", "😀 👩‍👩‍👧‍👦 🇫🇷", "naïve café"):
        stream = TextStream(engine.base.tokenizer)
        deltas = [stream.push(token) for token in engine.base.encode(text)]
        assert "".join(deltas) + stream.finish() == text
        assert "\ufffd" not in "".join(deltas)
