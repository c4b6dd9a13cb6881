"""An answer ends at the end of a turn or a message, wherever a model says which tokens these are."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from gguf import GGUFWriter
from transformers import PreTrainedTokenizerFast

from adaptrix_core.base import BaseModel, BaseModelManager
from adaptrix_core.engine import Engine, EngineOptions, SamplingParams
from adaptrix_core.errors import BaseModelError
from tests.base.gguf_files import write_gguf
from tests.tiny_models import byte_tokenizer, random_module

TEMPLATE = "{% for m in messages %}{{ m['role'] }}\n{{ m['content'] }}<|im_end|>{% endfor %}"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADAPTRIX_CACHE", str(tmp_path / "cache"))


def speaking(*special: str, template: str | None = TEMPLATE) -> PreTrainedTokenizerFast:
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens(list(special), special_tokens=True)
    tokenizer.chat_template = template
    return tokenizer


def ends(tokenizer: PreTrainedTokenizerFast, **config: object) -> frozenset[int]:
    module = random_module(vocab_size=len(tokenizer), eos_token_id=0)
    for name, value in config.items():
        setattr(module.generation_config, name, value)
    return BaseModel.from_module(module, tokenizer).eos_token_ids


def test_a_generation_config_may_name_several() -> None:
    assert ends(speaking(), eos_token_id=[0, 7, 9]) >= {0, 7, 9}


def test_what_closes_a_turn_in_the_template_ends_an_answer() -> None:
    tokenizer = speaking("<|im_end|>", "<|eom_id|>")
    assert ends(tokenizer) == {0, tokenizer.convert_tokens_to_ids("<|im_end|>")}
    assert ends(speaking("<|im_end|>", template=None)) == {0}, "without a template nothing is closed"


def test_what_only_looks_like_an_end_is_text() -> None:
    tokenizer = byte_tokenizer()
    tokenizer.add_tokens(["<|im_end|>"])
    tokenizer.chat_template = TEMPLATE
    assert ends(tokenizer) == {0}


def test_a_tokenizer_may_name_its_end_of_turn(tmp_path: Path) -> None:
    speaking("<|over|>", template=None).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    config["extra_special_tokens"] = {"eot_token": "<|over|>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = PreTrainedTokenizerFast.from_pretrained(tmp_path)
    assert tokenizer.convert_tokens_to_ids("<|over|>") in ends(tokenizer)


SAID: dict[str, Callable[[GGUFWriter, int], object]] = {
    "eot": lambda writer, token: writer.add_eot_token_id(token),
    "eom": lambda writer, token: writer.add_uint32("tokenizer.ggml.eom_token_id", token),
    "eog": lambda writer, token: writer.add_array("tokenizer.ggml.eog_token_ids", [0, token]),
}


@pytest.mark.parametrize("precision", ["fp32", "int8"])
@pytest.mark.parametrize("key", SAID)
def test_an_answer_ends_at_each_end_that_a_gguf_file_names(tmp_path: Path, key: str, precision: str) -> None:
    tokenizer = speaking("<|over|>", template=None)
    token = len(tokenizer) - 1
    module = random_module(vocab_size=len(tokenizer))
    with torch.no_grad():  # a model that says <|over|> always
        for layer in module.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
        module.model.norm.weight.fill_(1.0)
        module.model.embed_tokens.weight[:, 0] = 5.0
        module.lm_head.weight.zero_()
        module.lm_head.weight[token, 0] = 10.0
    path = write_gguf(tmp_path / "m.gguf", module, lambda writer: SAID[key](writer, token), tokenizer=tokenizer)
    base = BaseModelManager(str(path), device="cpu", precision=precision).load_model()
    assert base.eos_token_ids == {0, token}
    engine = Engine(base, None, options=EngineOptions(kv_cache_tokens=256))
    (answer,) = engine.generate([[5, 6, 7]], None, SamplingParams(max_tokens=8, temperature=0.0))
    assert (answer.finish_reason, len(answer.token_ids)) == ("stop", 1)


def test_an_end_outside_the_vocabulary_is_refused(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", random_module(vocab_size=288), lambda writer: writer.add_eot_token_id(900))
    with pytest.raises(BaseModelError, match="eot_token_id is 900, the vocabulary has 288") as refused:
        BaseModelManager(str(path), device="cpu", precision="fp32").load_model()
    assert refused.value.code == "unsupported_gguf"
