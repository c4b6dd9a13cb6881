"""The fields and endpoints that OpenAI's client, vLLM, SGLang and LoRAX have: what the server has to say a word of.

OpenAI's are read from its installed client. Those of the servers are listed, as they are no packages here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import openai.resources
from openai.types import completion_create_params, embedding_create_params
from openai.types.chat import completion_create_params as chat_create_params
from openai.types.responses import response_create_params

OPENAIS: dict[str, set[str]] = {
    "ChatRequest": set(chat_create_params.CompletionCreateParamsStreaming.__annotations__),
    "CompletionRequest": set(completion_create_params.CompletionCreateParamsStreaming.__annotations__),
    "EmbeddingRequest": set(embedding_create_params.EmbeddingCreateParams.__annotations__),
    "ResponsesRequest": set(response_create_params.ResponseCreateParamsStreaming.__annotations__),
}
"""Fields by the name of our body, as the client's types have them."""

_SAMPLED = """model frequency_penalty logit_bias logprobs max_tokens n presence_penalty response_format seed stop stream
stream_options temperature top_p user use_beam_search top_k min_p repetition_penalty watermarking length_penalty
stop_token_ids include_stop_str_in_output ignore_eos min_tokens skip_special_tokens spaces_between_special_tokens
truncate_prompt_tokens truncation_side prompt_logprobs logprob_token_ids allowed_token_ids bad_words add_special_tokens
structured_outputs priority request_id session_id return_tokens_as_token_ids return_token_ids
routed_experts_prompt_start return_token_offsets return_mm_kwargs cache_salt kv_transfer_params ec_transfer_params
vllm_xargs repetition_detection thinking_token_budget stream_interval echo best_of early_stopping logits_processors
guided_json guided_regex guided_choice guided_grammar guided_whitespace_pattern guided_decoding_backend"""
_OF_CHAT = """messages top_logprobs max_completion_tokens tools tool_choice reasoning_effort include_reasoning
parallel_tool_calls add_generation_prompt continue_final_message documents chat_template chat_template_kwargs
media_io_kwargs mm_processor_kwargs return_prompt_text"""
_OF_EMBEDDINGS = """model input user encoding_format dimensions truncate_prompt_tokens padding truncation_side
request_id priority mm_processor_kwargs cache_salt add_special_tokens embed_dtype endianness use_activation normalize"""
_OF_TOKENIZE = """model prompt messages add_special_tokens return_token_strs add_generation_prompt
continue_final_message chat_template chat_template_kwargs mm_processor_kwargs tools"""

VLLMS: dict[str, set[str]] = {
    "ChatRequest": {*_SAMPLED.split(), *_OF_CHAT.split()},
    "CompletionRequest": {*_SAMPLED.split(), "prompt", "suffix", "prompt_embeds"},
    "EmbeddingRequest": set(_OF_EMBEDDINGS.split()),
    "TokenizeRequest": set(_OF_TOKENIZE.split()),
    "DetokenizeRequest": {"model", "tokens"},
    "LoadRequest": {"lora_name", "lora_path"},
    "UnloadRequest": {"lora_name"},
}
"""Of the released servers: the newest names, and those of the years before."""

SERVERS: tuple[tuple[str, str], ...] = tuple(
    (method, path)
    for method, paths in (
        (
            "GET",
            "/health /ping /version /metrics /load /v1/models /is_sleeping /is_paused /server_info /tokenizer_info "
            "/get_model_info /get_server_info /info",
        ),
        (
            "POST",
            "/tokenize /detokenize /v1/chat/completions /v1/chat/completions/batch /v1/chat/completions/render "
            "/v1/completions /v1/completions/render /v1/embeddings /v1/responses /v1/messages "
            "/v1/messages/count_tokens "
            "/v1/audio/transcriptions /v1/audio/translations /v1/realtime /pooling /classify /score /v1/score /rerank "
            "/v1/rerank /v2/rerank /invocations /inference/v1/generate /v1/load_lora_adapter /v1/unload_lora_adapter "
            "/sleep /wake_up /pause /resume /reset_prefix_cache /collective_rpc /scale_elastic_ep /start_profile "
            "/stop_profile /abort_requests /load_lora_adapter /unload_lora_adapter /generate /generate_stream "
            "/flush_cache /update_weights_from_disk",
        ),
    )
    for path in paths.split()
)
"""Endpoints of vLLM, then of SGLang and LoRAX."""

_CALL = re.compile(r'self\._(get_api_list|get|post|delete)\(\s*(?:path_template\(\s*)?f?"(/[^"?]*)"')


def openai_endpoints() -> set[tuple[str, str]]:
    """(method, path) of everything that OpenAI's client calls."""
    found: set[tuple[Any, ...]] = set()
    for source in Path(openai.resources.__file__).parent.rglob("*.py"):
        found.update(_CALL.findall(source.read_text()))
    return {("GET" if call.startswith("get") else call.upper(), f"/v1{path}") for call, path in found}
