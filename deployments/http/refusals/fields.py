"""Why a field that OpenAI's or vLLM's clients have is not supported, by its name: errors and the docs say it.

A field without effect needs none. `openai/neutral_fields.py` has both kinds, and the values that ask for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

_ONLY_TEXT = "models here read and write text only"
_ONE_DEVICE = "a request is computed by one replica, which hands nothing over"
_NO_PROCESSOR = "there is no processor of pictures and sound"
_RENDERS = "it belongs to endpoints that write prompts out; use POST /tokenize"

REASONS: Mapping[str, str] = {
    # chat and text completions
    "adapter_source": "adapters are loaded before they are asked for; use POST /v1/load_lora_adapter",
    "api_token": "nothing is fetched for a request; use POST /v1/load_lora_adapter",
    "merged_adapters": "write the mix as model, as in a*0.7+b*0.3, or in adaptrix.mix",
    "add_special_tokens": "special tokens are added to raw text, and never to a chat, whose template writes them",
    "best_of": "choices are not compared with each other; ask for n and choose",
    "cache_salt": "vectors are never shared between tenants; give each of your users a key of another tenant",
    "chat_template": "a template is a program; the model's own is used, with chat_template_kwargs as its variables",
    "documents": "no model here has a template that knows them; write them into a message",
    "early_stopping": "there is no beam search",
    "echo": "a chat does not say the last message again; use POST /v1/completions",
    "ec_transfer_params": _ONE_DEVICE,
    "function_call": "it is the old name of tool_choice; send tools and tool_choice",
    "functions": "it is the old name of tools; send tools",
    "include_reasoning": "answers have no part apart that holds reasoning",
    "kv_transfer_params": _ONE_DEVICE,
    "length_penalty": "there is no beam search",
    "logits_processors": "code that comes with a request is not run; use logit_bias, bad_words or a form of the text",
    "logprob_token_ids": "chosen tokens cannot be scored apart; ask for the likeliest ones",
    "media_io_kwargs": _NO_PROCESSOR,
    "mm_processor_kwargs": _NO_PROCESSOR,
    "moderation": "there is no moderation model",
    "prompt_embeds": "prompts are text or token ids",
    "repetition_detection": "answers are not watched for repetition; use repetition_penalty or max_tokens",
    "return_mm_kwargs": _RENDERS,
    "return_prompt_text": _RENDERS,
    "return_token_offsets": _RENDERS,
    "routed_experts_prompt_start": "models here have no experts that tokens are routed to",
    "spaces_between_special_tokens": "special tokens are written without spaces between them",
    "suffix": "models here were not trained to fill a gap",
    "thinking_token_budget": "thinking is not told apart from the answer; use max_tokens",
    "truncation_side": "it is the beginning of a prompt that is left out",
    "use_beam_search": "there is no beam search; ask for n",
    "vllm_xargs": "there are no extensions that read them",
    "watermarking": "answers carry no watermark",
    "web_search_options": "the server asks nobody else",
    # what is in messages
    "annotations": "it is a part of answers, and empty in those of this server",
    "audio": _ONLY_TEXT,
    "custom": "a custom tool's input is free text; only functions are supported",
    "file": _ONLY_TEXT,
    "image_url": _ONLY_TEXT,
    "input_audio": _ONLY_TEXT,
    "modalities": _ONLY_TEXT,
    "reasoning": "a model's template would have to know it; leave it out, or put it into content",
    "reasoning_content": "a model's template would have to know it; leave it out, or put it into content",
    "refusal": "it is a part of answers, and null in those of this server",
    # embeddings
    "embed_dtype": "vectors are 32-bit floats",
    "endianness": "vectors are little-endian",
    "normalize": "vectors always have length 1",
    "padding": "texts are not padded",
    "priority": "texts are embedded together as they come; none waits for a batch to fill",
    "truncate_prompt_tokens": "a text is read up to the embedding model's own limit",
    "use_activation": "vectors always have length 1",
    # forms of the text
    "structural_tag": "it mixes free text with parts in a form; use tools, or one form for the whole text",
    # responses and messages
    "access_programs": "the server runs no programs",
    "allowed_callers": "only the model calls functions here; no programs do",
    "async": "a call waits for its result",
    "background": "an answer ends with its connection; use /v1/batches for what nobody waits for",
    "background_options": "an answer ends with its connection; use /v1/batches for what nobody waits for",
    "container": "the server runs no programs",
    "context_management": "use truncation: auto, which leaves the least relevant turns out",
    "defer_loading": "all functions are told to the model at once",
    "enable_response_messages": "answers are told as items only",
    "image": _ONLY_TEXT,
    "mcp_servers": "the server asks nobody else",
    "previous_input_messages": "conversations are kept by previous_response_id",
    "prompt": "no prompts are kept here by name; send it as input",
    "toolset_name": "only functions are supported, and they belong to no toolset",
    # loading adapters
    "added_tokens_config": "an adapter adds no tokens; the base model's tokenizer is used",
    "is_3d_lora_weight": "it is a layout of experts' weights, which adapters here do not have",
}
