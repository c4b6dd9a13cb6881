"""What is known of a base model, where it runs, and how text reaches it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from transformers import GenerationConfig, PreTrainedTokenizerFast

from adaptrix_core.base import MODULES, BaseModel, BaseModelManager, canonical_name
from adaptrix_core.base.chat_options import ChatOptions
from adaptrix_core.base.families.parts import linear_shape
from adaptrix_core.base.manager import resolve_device, resolve_dtype
from adaptrix_core.base.model import FALLBACK_CHAT_TEMPLATE
from adaptrix_core.errors import BaseModelError, InvalidRequest
from tests.tiny_models import CONFIGS, CONTEXT, NUM_LAYERS, VOCAB_SIZE, byte_tokenizer, random_base, random_module

MESSAGES = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "the fox"}]


@pytest.fixture
def tokenizer() -> PreTrainedTokenizerFast:
    return byte_tokenizer()


@pytest.mark.parametrize("variant", list(CONFIGS))
def test_the_facts_of_every_family(variant: str) -> None:
    base = random_base(variant)
    info, module = base.info, base.module
    assert (info.num_layers, info.hidden_size, info.vocab_size, info.context_length) == (
        NUM_LAYERS,
        64,
        VOCAB_SIZE,
        CONTEXT,
    )
    assert info.family == variant.split("-")[0]
    assert info.num_parameters == sum(p.numel() for p in module.parameters())
    assert info.memory_bytes == 4 * info.num_parameters
    assert (info.device, info.dtype, info.chat_template) == ("cpu", "float32", "none")
    # Heads and their size are those of the keys that the model really computes.
    key = base.points[0, "self_attn.k_proj"]
    assert info.num_kv_heads * info.head_dim == key.d_out
    assert info.num_heads * info.head_dim == base.points[0, "self_attn.q_proj"].d_out


@pytest.mark.parametrize("variant", list(CONFIGS))
def test_every_point_of_every_family_is_a_real_module_of_that_shape(variant: str) -> None:
    base = random_base(variant)
    gated = variant.split("-")[0] not in ("gpt2", "gpt_neox", "opt")
    names = {name for name in MODULES if gated or name != "mlp.gate_proj"}
    assert set(base.points) == {(layer, name) for layer in range(NUM_LAYERS) for name in names}
    for (layer, name), spec in base.points.items():
        real = base.family.layers(base.module)[layer].get_submodule(spec.module_path)
        d_in, d_out = linear_shape(real)
        assert (spec.layer, spec.name, spec.d_in) == (layer, name, d_in)
        rows = spec.part.rows(d_out)
        output = torch.arange(d_out, dtype=torch.float32)[None]
        assert spec.part.view(output).reshape(-1).tolist() == rows.tolist()
        assert len(rows) == spec.d_out


def test_models_of_one_shape_share_a_signature_and_not_a_digest() -> None:
    one, other, wider = random_base(seed=0), random_base(seed=1), random_base(intermediate_size=128)
    assert one.info.signature == other.info.signature != wider.info.signature
    assert one.info.digest != other.info.digest
    assert one.info.digest == random_base(seed=0).info.digest
    signatures = [random_base(variant).info.signature for variant in ("llama", "mistral", "qwen3", "gpt2")]
    assert len(set(signatures)) == 4


@pytest.mark.parametrize("kind", ["longrope", "dynamic"])
def test_rotary_embeddings_that_change_with_the_length_end_the_context_where_they_would(kind: str) -> None:
    rope = {"rope_type": kind, "rope_theta": 1e4, "original_max_position_embeddings": 32, "factor": 2.0}
    if kind == "longrope":
        rope |= {"long_factor": [1.0] * 4, "short_factor": [1.0] * 4}
    variant = "phi3" if kind == "longrope" else "llama"
    module = random_module(variant, rope_parameters=rope, original_max_position_embeddings=32)
    assert BaseModel.from_module(module).info.context_length == 32


def test_module_names_have_aliases_and_unknown_ones_list_the_known() -> None:
    assert (canonical_name("mlp.c_fc"), canonical_name("mlp.c_proj")) == ("mlp.up_proj", "mlp.down_proj")
    assert all(canonical_name(name) == name for name in MODULES)
    with pytest.raises(BaseModelError, match=r"q_proj.*self_attn\.q_proj.*mlp\.c_fc") as refusal:
        canonical_name("q_proj")
    assert refusal.value.code == "unknown_module"


# --- devices and precisions ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("device", ["tpu", "", "cpu:0", "cuda:x", "cuda:-1", "CPU"])
def test_an_unknown_device_lists_the_known(device: str) -> None:
    with pytest.raises(BaseModelError, match="auto, cpu, cuda, cuda:N, mps") as refusal:
        BaseModelManager(device=device)
    assert refusal.value.code == "no_device"


@pytest.mark.parametrize("device", ["cuda:99"])
def test_a_device_that_is_not_there_says_how_many_are(device: str) -> None:
    count = torch.cuda.device_count()
    with pytest.raises(BaseModelError, match=rf"'cuda:99' asked, {count} cuda devices here") as refusal:
        BaseModelManager(device=device)
    assert refusal.value.code == "no_device"


def test_auto_picks_a_device_that_is_there() -> None:
    device = resolve_device("auto")
    assert torch.ones(2, device=device).sum() == 2
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        assert device.type == "cpu"


@pytest.mark.parametrize("precision", ["fp8", "float32", ""])
def test_an_unknown_precision_lists_the_known(precision: str) -> None:
    with pytest.raises(BaseModelError, match="auto, fp32, bf16, fp16"):
        BaseModelManager(device="cpu", precision=precision)


def test_precisions() -> None:
    cpu = torch.device("cpu")
    assert [resolve_dtype(p, cpu) for p in ("fp32", "bf16", "fp16")] == [torch.float32, torch.bfloat16, torch.float16]
    assert resolve_dtype("auto", cpu) in (torch.float32, torch.bfloat16)


@pytest.mark.parametrize(("precision", "dtype"), [("bf16", "bfloat16"), ("fp16", "float16")])
def test_a_model_is_loaded_in_the_precision_asked_for(save_model, precision: str, dtype: str) -> None:
    info = BaseModelManager(str(save_model("m")), device="cpu", precision=precision).get_model_info()
    assert info.dtype == dtype
    assert info.memory_bytes == 2 * info.num_parameters


# --- tokenizer -------------------------------------------------------------------------------------------------------


def test_a_base_without_a_chat_template_gets_the_stated_fallback(tokenizer: PreTrainedTokenizerFast) -> None:
    base = random_base(tokenizer=tokenizer)
    assert base.info.chat_template == "fallback"
    assert tokenizer.chat_template == FALLBACK_CHAT_TEMPLATE
    assert tokenizer.decode(base.encode_chat(MESSAGES)) == "system: be brief\nuser: the fox\nassistant:"
    assert tokenizer.decode(base.encode_chat(MESSAGES, ChatOptions(add_generation_prompt=False))).endswith("the fox\n")
    assert random_base(tokenizer=tokenizer).info.chat_template == "fallback"


def test_a_base_with_a_template_keeps_it(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.chat_template = "{% for m in messages %}[{{ m['content'] }}]{% endfor %}"
    base = random_base(tokenizer=tokenizer)
    assert base.info.chat_template == "model"
    assert tokenizer.decode(base.encode_chat(MESSAGES)) == "[be brief][the fox]"


def test_a_last_message_that_is_left_open_is_gone_on_with(tokenizer: PreTrainedTokenizerFast) -> None:
    base = random_base(tokenizer=tokenizer)
    begun = [*MESSAGES, {"role": "assistant", "content": "It is"}]
    left_open = ChatOptions(add_generation_prompt=False, continue_final_message=True)
    assert tokenizer.decode(base.encode_chat(begun, left_open)).endswith("the fox\nassistant: It is")


def test_a_template_gets_the_variables_of_the_request(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.chat_template = "{{ mood | default('plain') }}"
    base = random_base(tokenizer=tokenizer)
    assert tokenizer.decode(base.encode_chat(MESSAGES)) == "plain"
    assert tokenizer.decode(base.encode_chat(MESSAGES, ChatOptions(chat_template_kwargs={"mood": "the"}))) == "the"


@pytest.mark.parametrize(
    "fields",
    [{"continue_final_message": True}, {"chat_template_kwargs": {"tokenize": True}}],
)
def test_options_that_contradict_or_are_not_a_callers_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        ChatOptions(**fields)
    assert refused.value.param == next(iter(fields))


def test_messages_that_the_template_refuses_are_a_request_error(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.chat_template = "{{ raise_exception('no system role here') }}"
    with pytest.raises(InvalidRequest, match="no system role here") as refusal:
        random_base(tokenizer=tokenizer).encode_chat(MESSAGES)
    assert refusal.value.param == "messages"


def test_a_tokenizer_without_padding_gets_a_token_that_is_in_the_vocabulary(tokenizer) -> None:
    assert tokenizer.pad_token_id is None
    base = random_base(tokenizer=tokenizer)
    assert base.tokenizer.pad_token_id == tokenizer.eos_token_id
    assert base.module.config.pad_token_id == tokenizer.eos_token_id
    bare = copy.deepcopy(tokenizer)
    bare.pad_token = bare.eos_token = None
    assert random_base(tokenizer=bare).tokenizer.pad_token_id == 0


def test_a_tokenizer_with_padding_keeps_it(tokenizer: PreTrainedTokenizerFast) -> None:
    tokenizer.pad_token = "the"
    assert random_base(tokenizer=tokenizer).module.config.pad_token_id == tokenizer.convert_tokens_to_ids("the")


def test_text_without_a_tokenizer_says_to_send_token_ids() -> None:
    base = random_base()
    for encode in (lambda: base.encode("hi"), lambda: base.encode_chat(MESSAGES)):
        with pytest.raises(InvalidRequest, match="has no tokenizer; send token ids"):
            encode()


def test_every_declared_end_of_text_token_counts(tokenizer: PreTrainedTokenizerFast) -> None:
    module = random_module(vocab_size=len(tokenizer), eos_token_id=7)
    module.generation_config = GenerationConfig(eos_token_id=[7, 9])
    assert BaseModel.from_module(module, tokenizer).eos_token_ids == {7, 9, tokenizer.eos_token_id}
    assert BaseModel.from_module(random_module(eos_token_id=None)).eos_token_ids == frozenset()
