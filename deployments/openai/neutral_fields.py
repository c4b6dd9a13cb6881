"""Fields that OpenAI's and vLLM's clients send and that do nothing here, with the values that ask for nothing.

Many clients send every field that they know, null or at its default, and send an answer's message back as it came. So:

- null and empty values of every field below are accepted, as if they were not there;
- so are the values that mean the same as leaving the field out (``neutral``);
- hints never change the text, only billing, storage or speed: any value of them is accepted.

Everything else is refused by name, because the answer would differ from the requested one. `http/refusals/fields.py`
says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

EMPTY: tuple[object, ...] = (None, "", [], {})


@dataclass(frozen=True)
class Neutral:
    """The fields that one kind of document may contain although they do nothing."""

    hints: frozenset[str] = frozenset()
    values: Mapping[str, tuple[object, ...]] = field(default_factory=dict)
    """Field to its neutral values, beside the empty ones."""
    asked_by_empty: frozenset[str] = frozenset()
    """Fields whose empty value asks for something; only null is neutral."""

    def means_nothing(self, name: str, value: object) -> bool:
        """Whether the field is known, and this value of it the same as leaving it out."""
        if name in self.hints or (name in self.asked_by_empty and value is None):
            return True
        # `1 == True` and `0 == False`, but a number is not a switch: types are compared too.
        return name in self.values and any(
            type(value) is type(other) and value == other for other in (*EMPTY, *self.values[name])
        )

    @property
    def refused(self) -> frozenset[str]:
        """The fields that are refused where they ask for something."""
        return self.asked_by_empty | frozenset(self.values)

    def schema(self) -> dict[str, Any]:
        """JSON schema properties of these fields."""
        hints = {name: {"description": "Accepted; changes nothing."} for name in sorted(self.hints)}
        described = "Not supported; accepted at values that ask for nothing."
        neutral = {
            name: {"enum": [*EMPTY, *values], "description": described} for name, values in sorted(self.values.items())
        }
        null = {name: {"type": "null", "description": described} for name in sorted(self.asked_by_empty)}
        return {**hints, **neutral, **null}


NOTHING = Neutral()

_HINTS = frozenset(
    {
        "user",
        "metadata",
        "store",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "prompt_cache_retention",
        "prompt_cache_options",
        "request_id",
        "session_id",
        "guided_decoding_backend",
    }
)

_GENERATION: Mapping[str, tuple[object, ...]] = {
    # vLLM's, of both endpoints
    "best_of": (1,),
    "use_beam_search": (False,),
    "length_penalty": (1, 1.0),
    "early_stopping": (False,),
    "spaces_between_special_tokens": (True,),
    "logits_processors": (),
    "kv_transfer_params": (),
    "vllm_xargs": (),
    "thinking_token_budget": (),
    "ec_transfer_params": (),
    "logprob_token_ids": (),
    "repetition_detection": (),
    "return_mm_kwargs": (True, False),
    "return_token_offsets": (False,),
    "routed_experts_prompt_start": (0,),
    "truncation_side": ("left",),
    # LoRAX's
    "adapter_source": ("local",),
    "api_token": (),
    "merged_adapters": (),
    "watermarking": (False,),
}

CHAT = Neutral(
    _HINTS | {"reasoning_effort", "verbosity", "prediction", "stream_interval"},
    {
        **_GENERATION,
        "echo": (False,),
        "functions": (),
        "function_call": ("none", "auto"),
        "modalities": (["text"],),
        "audio": (),
        "moderation": (),
        "add_special_tokens": (False,),
        "chat_template": (),
        "documents": (),
        "mm_processor_kwargs": (),
        "media_io_kwargs": (),
        "return_prompt_text": (False,),
        "include_reasoning": (True, False),
    },
    frozenset({"web_search_options"}),
)

COMPLETION = Neutral(
    _HINTS | {"stream_interval"},
    {**_GENERATION, "suffix": (), "add_special_tokens": (True,), "prompt_embeds": ()},
)

EMBEDDING = Neutral(
    _HINTS,
    {
        "truncate_prompt_tokens": (),
        "add_special_tokens": (True,),
        "priority": (0,),
        "normalize": (True,),
        "use_activation": (True,),
        "embed_dtype": ("float32",),
        "endianness": ("native", "little"),
        "cache_salt": (),
        "mm_processor_kwargs": (),
        "padding": ("do_not_pad",),
        "truncation_side": (),
    },
)

LOAD = Neutral(frozenset({"pinned", "lora_id"}), {"is_3d_lora_weight": (False,), "added_tokens_config": ()})
"""Of vLLM and SGLang. The device keeps what is used most, so a wish to keep one there changes nothing."""

UNLOAD = Neutral(frozenset({"lora_int_id", "lora_id"}))
"""Numbers by which vLLM and SGLang find an adapter beside its name."""

TOKENIZE = Neutral(values={"chat_template": (), "mm_processor_kwargs": (), "media_io_kwargs": ()})

MESSAGE = Neutral(
    values={
        "refusal": (),
        "annotations": (),
        "audio": (),
        "function_call": (),
        "reasoning": (),
        "reasoning_content": (),
    }
)
"""Further fields of an assistant's message as OpenAI, vLLM and this server send it."""

TOOL_CALL = Neutral(frozenset({"index"}), {"custom": ()})
"""Where clients put a stream's parts together, its ``index`` often stays in the call."""

PART = Neutral(
    frozenset({"prompt_cache_breakpoint"}),
    {"image_url": (), "input_audio": (), "file": (), "refusal": (), "annotations": ()},
)

STREAM_OPTIONS = Neutral(frozenset({"include_obfuscation"}))

RESPONSES = Neutral(
    frozenset(
        {
            "service_tier",
            "prompt_cache_retention",
            "prompt_cache_options",
            "reasoning",
            "max_tool_calls",
            "request_id",
        }
    ),
    {
        "background": (False,),
        "background_options": (),
        "prompt": (),
        "context_management": (),
        "moderation": (),
        "image": (),
        "access_programs": (),
        "mm_processor_kwargs": (),
        "vllm_xargs": (),
        "kv_transfer_params": (),
        "enable_response_messages": (False,),
        "previous_input_messages": (),
    },
)
"""Of ``POST /v1/responses``; ``max_tool_calls`` counts calls of OpenAI's own tools."""

RESPONSES_TOOL = Neutral(
    frozenset({"output_schema"}), {"defer_loading": (False,), "async": (False,), "allowed_callers": (["direct"],)}
)
ITEM = Neutral(frozenset({"status", "phase"}))
CALL_ITEM = Neutral(frozenset({"status", "namespace", "caller", "async", "created_by"}))
ITEM_PART = Neutral(frozenset({"annotations", "logprobs", "parsed", "prompt_cache_breakpoint"}))
REASONING_ITEM = Neutral(frozenset({"id", "summary", "content", "encrypted_content", "status"}))
"""Of the items of a response's input, which may be an earlier response's output."""

MESSAGES = Neutral(
    frozenset(
        {
            "metadata",
            "service_tier",
            "cache_control",
            "diagnostics",
            "inference_geo",
            "speed",
            "user_profile_id",
            "workspace_id",
        }
    ),
    {"container": (), "mcp_servers": (), "context_management": (), "kv_transfer_params": ()},
)
"""Of Anthropic's ``POST /v1/messages``."""

BLOCK = Neutral(frozenset({"cache_control", "citations"}))
CALL_BLOCK = Neutral(frozenset({"cache_control", "caller"}), {"toolset_name": ()})
ANTHROPIC_TOOL = Neutral(
    frozenset({"cache_control", "input_examples", "eager_input_streaming"}),
    {"defer_loading": (False,), "allowed_callers": (["direct"],)},
)
THOUGHT_BLOCK = Neutral(frozenset({"thinking", "signature", "data", "cache_control"}))
THINKING = Neutral(frozenset({"display"}))
OUTPUT_CONFIG = Neutral(frozenset({"effort"}))

STRUCTURED_OUTPUTS = Neutral(
    frozenset({"disable_fallback", "disable_any_whitespace", "disable_additional_properties"}),
    {"structural_tag": ()},
)
"""JSON is compact and objects are closed in any case (`rows/output_form.py` in the core)."""
