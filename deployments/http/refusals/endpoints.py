"""Endpoints that other servers have and this one does not, with the reason: errors and the docs say it.

Those of OpenAI (as its client calls them), vLLM, SGLang and LoRAX.
"""

from __future__ import annotations

from collections.abc import Mapping

_ONLY_TEXT = "models here read and write text only"
_WITHDRAWN = "OpenAI has replaced it; use /v1/responses"
_NO_AGENTS = "the server runs no programs and keeps no agents; a client calls the functions that answers ask for"
_NO_ORGANIZATION = "keys are kept in a file of the server's operator"
_NO_RERANKER = "there is no model that compares texts; use /v1/embeddings"
_NO_CONTROL = "the cluster decides it by its own settings; the HTTP API does not"
_ONE_DEVICE = "a request is computed by one replica, which hands nothing over"

ABSENT: Mapping[str, str] = {
    # OpenAI
    "/v1/agents": _NO_AGENTS,
    "/v1/assistants": _WITHDRAWN,
    "/v1/audio": _ONLY_TEXT,
    "/v1/chat/completions": "chats are not kept once they are answered",
    "/v1/chatkit": _NO_AGENTS,
    "/v1/containers": _NO_AGENTS,
    "/v1/content_provenance_checks": "there is no model that does it",
    "/v1/decisions": "there is no model that does it",
    "/v1/evals": "an evaluation asks the server from outside; `adaptrix evaluate` does",
    "/v1/fine_tuning": "adapters are trained apart (`adaptrix train`), and published here",
    "/v1/images": _ONLY_TEXT,
    "/v1/live": _ONLY_TEXT,
    "/v1/models": "models come and go by /v1/load_lora_adapter and /v1/unload_lora_adapter",
    "/v1/moderations": "there is no moderation model",
    "/v1/organization": _NO_ORGANIZATION,
    "/v1/projects": _NO_ORGANIZATION,
    "/v1/realtime": _ONLY_TEXT,
    "/v1/responses": "responses are created, read and deleted whole",
    "/v1/safety": "there is no moderation model",
    "/v1/skills": _NO_AGENTS,
    "/v1/threads": _WITHDRAWN,
    "/v1/uploads": "a file is sent whole; use /v1/files",
    "/v1/vaults": _NO_AGENTS,
    "/v1/vector_stores": "the server keeps no texts to search; use /v1/embeddings",
    "/v1/videos": _ONLY_TEXT,
    "/v1/webhook_endpoints": "the server calls nobody; ask it",
    "/v1/webhook_event_types": "the server calls nobody; ask it",
    # vLLM
    "/abort_requests": "close the connection: that ends a request",
    "/classify": _NO_RERANKER,
    "/collective_rpc": _NO_CONTROL,
    "/inference": _ONE_DEVICE,
    "/invocations": "it guesses the endpoint from the body; ask that endpoint",
    "/is_paused": _NO_CONTROL,
    "/is_sleeping": _NO_CONTROL,
    "/load": "the load of each replica is in GET /metrics",
    "/pause": _NO_CONTROL,
    "/pooling": "only texts are pooled, to vectors; use /v1/embeddings",
    "/rerank": _NO_RERANKER,
    "/reset_prefix_cache": "a cached prefix never changes an answer, and goes by itself",
    "/resume": _NO_CONTROL,
    "/scale_elastic_ep": _NO_CONTROL,
    "/score": _NO_RERANKER,
    "/server_info": "the settings are the operator's; see GET /version and GET /v1/models",
    "/sleep": _NO_CONTROL,
    "/start_profile": _NO_CONTROL,
    "/stop_profile": _NO_CONTROL,
    "/tokenizer_info": "the tokenizer is the base model's; see GET /v1/models",
    "/v1/completions/render": "POST /tokenize says the tokens of a prompt",
    "/v1/rerank": _NO_RERANKER,
    "/v1/score": _NO_RERANKER,
    "/v2/rerank": _NO_RERANKER,
    "/wake_up": _NO_CONTROL,
    # SGLang and LoRAX
    "/flush_cache": "a cached prefix never changes an answer, and goes by itself",
    "/generate": "only OpenAI's forms are taken; use /v1/completions",
    "/generate_stream": "only OpenAI's forms are taken; use /v1/completions with stream: true",
    "/get_model_info": "see GET /v1/models",
    "/get_server_info": "the settings are the operator's; see GET /version and GET /v1/models",
    "/info": "see GET /version and GET /v1/models",
    "/update_weights_from_disk": "the base model is frozen",
}
"""Reason by the beginning of the path, where no endpoint answers; a path may have some for other methods."""


def reason_against(path: str) -> str | None:
    """Why no endpoint answers at ``path``; None where no other server has one either."""
    parts = path.rstrip("/").split("/")
    starts = ("/".join(parts[:length]) for length in range(len(parts), 1, -1))
    return next((ABSENT[start] for start in starts if start in ABSENT), None)
