"""Describes what each endpoint takes, gives and refuses, for OpenAPI: keyword arguments of its decorator."""

from __future__ import annotations

from typing import Any

from adaptrix_core.request_limits import MOST
from deployments.anthropic.request import MessagesRequest, TokenCountRequest
from deployments.http.description import (
    answers,
    conversation_answers,
    generated_answers,
    loading_answers,
    message_answers,
    response_answers,
    stored_answers,
    token_answers,
)
from deployments.http.description.answers import Document, ErrorDocument
from deployments.http.description.described import GENERATING, KEPT, READING, TAKING, described
from deployments.http.keys import documents as key_documents
from deployments.http.usage import answers as usage_answers
from deployments.openai import schemas
from deployments.openai.batches.request import BatchRequest
from deployments.openai.body import Body
from deployments.openai.confidence_body import AnswerFeedbackRequest
from deployments.openai.vllm import adapter_bodies, token_bodies
from deployments.responses.conversation_bodies import ConversationItems, ConversationRequest, ConversationUpdate
from deployments.responses.request import ResponsesRequest

BODIES: tuple[type[Body], ...] = (
    schemas.ChatRequest,
    schemas.CompletionRequest,
    ResponsesRequest,
    ConversationRequest,
    ConversationUpdate,
    ConversationItems,
    MessagesRequest,
    TokenCountRequest,
    schemas.EmbeddingRequest,
    schemas.RouteRequest,
    schemas.FeedbackRequest,
    AnswerFeedbackRequest,
    adapter_bodies.LoadRequest,
    adapter_bodies.UnloadRequest,
    adapter_bodies.ShareRequest,
    schemas.RevocationRequest,
    key_documents.KeyRequest,
    key_documents.KeyChange,
    key_documents.KeyRotation,
    BatchRequest,
    token_bodies.TokenizeRequest,
    token_bodies.DetokenizeRequest,
)
ANSWERS: tuple[type[Document], ...] = (
    ErrorDocument,
    generated_answers.ChatCompletion,
    generated_answers.ChatCompletionChunk,
    generated_answers.TextCompletion,
    response_answers.ResponseDocument,
    response_answers.ResponseEvent,
    response_answers.ResponseDeleted,
    response_answers.InputItemList,
    conversation_answers.ConversationDocument,
    conversation_answers.ConversationDeleted,
    conversation_answers.ConversationItemDocument,
    message_answers.AnthropicError,
    message_answers.MessageDocument,
    message_answers.MessageEvent,
    message_answers.TokenCount,
    answers.EmbeddingList,
    answers.Route,
    answers.FeedbackTaken,
    answers.AnswerFeedbackTaken,
    answers.ModelList,
    answers.AdapterList,
    answers.AdapterInFull,
    answers.AdaptersShared,
    answers.ConfidenceCard,
    answers.Published,
    loading_answers.AdaptersNow,
    answers.Revocations,
    answers.RevocationsPut,
    key_documents.KeyList,
    key_documents.KeyCard,
    key_documents.MadeKey,
    key_documents.KeyDeleted,
    answers.Health,
    answers.Version,
    token_answers.TokenizedDocument,
    token_answers.DetokenizedDocument,
    stored_answers.FileDocument,
    stored_answers.FileList,
    stored_answers.FileDeleted,
    stored_answers.BatchDocument,
    stored_answers.BatchList,
    usage_answers.UsageList,
    usage_answers.LiveUsage,
    usage_answers.CostList,
)

CHAT = described(
    "Chat, streamed or not",
    scope="generate",
    takes=schemas.ChatRequest,
    example={"model": "auto", "messages": [{"role": "user", "content": "What is 12 + 30 - 5?"}], "max_tokens": 32},
    gives=generated_answers.ChatCompletion,
    events=generated_answers.ChatCompletionChunk,
    errors=GENERATING,
)
COMPLETION = described(
    "Raw text or token ids, one prompt or several",
    scope="generate",
    takes=schemas.CompletionRequest,
    example={"model": "smollm2-135m", "prompt": "Once upon a time", "max_tokens": 16, "temperature": 0},
    gives=generated_answers.TextCompletion,
    events=generated_answers.TextCompletion,
    errors=GENERATING,
)
TOKENIZE = described(
    "The tokens of a prompt, or of chat messages",
    scope="generate",
    takes=token_bodies.TokenizeRequest,
    example={"model": "smollm2-135m", "prompt": "Once upon a time", "return_token_strs": True},
    gives=token_answers.TokenizedDocument,
    errors=(*TAKING, 404, 429),
)
DETOKENIZE = described(
    "The text of tokens",
    scope="generate",
    takes=token_bodies.DetokenizeRequest,
    example={"model": "smollm2-135m", "tokens": [1, 2, 3]},
    gives=token_answers.DetokenizedDocument,
    errors=(*TAKING, 404, 429),
)
RESPONSES = described(
    "One answer in OpenAI's Responses API, streamed or not",
    scope="generate",
    takes=ResponsesRequest,
    example={"model": "auto", "input": "What is 12 + 30 - 5?", "max_output_tokens": 32},
    gives=response_answers.ResponseDocument,
    events=response_answers.ResponseEvent,
    errors=GENERATING,
)
RESPONSE = described(
    "A stored response", scope="generate", gives=response_answers.ResponseDocument, errors=(400, *READING, 404, 507)
)
RESPONSE["openapi_extra"]["parameters"] = [
    {"name": "stream", "in": "query", "description": "Only false: it is sent whole.", "schema": {"enum": ["false"]}}
]
RESPONSE_DELETED = described(
    "Delete a stored response",
    scope="generate",
    gives=response_answers.ResponseDeleted,
    errors=(*READING, 404, 507),
)
MESSAGES = described(
    "One answer in Anthropic's Messages API, streamed or not",
    scope="generate",
    takes=MessagesRequest,
    example={"model": "auto", "messages": [{"role": "user", "content": "What is 12 + 30 - 5?"}], "max_tokens": 32},
    gives=message_answers.MessageDocument,
    events=message_answers.MessageEvent,
    errors=GENERATING,
    refuses=message_answers.AnthropicError,
)
COUNT_TOKENS = described(
    "How many tokens the prompt of a message has",
    scope="generate",
    takes=TokenCountRequest,
    example={"model": "auto", "messages": [{"role": "user", "content": "What is 12 + 30 - 5?"}]},
    gives=message_answers.TokenCount,
    errors=(*TAKING, 404, 429),
    refuses=message_answers.AnthropicError,
)
EMBEDDINGS = described(
    "Vectors of the router's embedder",
    scope="generate",
    takes=schemas.EmbeddingRequest,
    example={"model": "auto", "input": ["one text", "another one"]},
    gives=answers.EmbeddingList,
    errors=TAKING,
)
ROUTE = described(
    "Explain a routing decision without generating",
    scope="generate",
    takes=schemas.RouteRequest,
    example={"messages": [{"role": "user", "content": "Write a function that reverses a list."}]},
    gives=answers.Route,
    errors=TAKING,
)
FEEDBACK = described(
    "Say who should have answered; moves the thresholds of your own requests to auto",
    scope="generate",
    takes=schemas.FeedbackRequest,
    example={
        "messages": [{"role": "user", "content": "Tot up the legs of two hens and a goat."}],
        "right": "math_reasoning",
    },
    gives=answers.FeedbackTaken,
    errors=(*TAKING, 429, 507),
)
ANSWER_FEEDBACK = described(
    "Say whether an answer was right; moves how sure its adapter must be for your own min_confidence",
    scope="generate",
    takes=AnswerFeedbackRequest,
    example={"adapter": "math_reasoning", "confidence": 0.82, "right": False},
    gives=answers.AnswerFeedbackTaken,
    errors=(*TAKING, 404, 429, 507),
)
LEARNT = described(
    "The messages that the router has learnt with their text",
    scope="operate",
    gives=answers.LearntMessagesShown,
    errors=READING,
)
FORGET = described(
    "Have the router forget a learnt message",
    scope="operate",
    gives=answers.MessageForgotten,
    errors=(*READING, 404, 507),
)
_PAGE: list[dict[str, Any]] = [
    {"name": name, "in": "query", "description": meaning, "schema": schema}
    for name, meaning, schema in (
        ("after", "Id of the object before the first one of the page.", {"type": "string"}),
        ("order", "By the time of making.", {"enum": ["asc", "desc"], "default": "desc"}),
    )
]


def _limit(most: int, default: int) -> dict[str, Any]:
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return {"name": "limit", "in": "query", "description": "Most objects of the page.", "schema": schema}


FILE_UPLOAD = described(
    "Upload a file, such as the lines of a batch",
    scope="generate",
    takes_file="multipart/form-data",
    gives=stored_answers.FileDocument,
    errors=(*TAKING, 429, 507),
)
FILE_UPLOAD["openapi_extra"]["requestBody"]["content"]["multipart/form-data"]["schema"] = {
    "type": "object",
    "required": ["file", "purpose"],
    "properties": {
        "file": {"type": "string", "format": "binary"},
        "purpose": {"enum": ["batch"]},
        "expires_after[anchor]": {"enum": ["created_at"]},
        "expires_after[seconds]": {"type": "integer", "minimum": 3600},
    },
    "dependentRequired": {
        "expires_after[anchor]": ["expires_after[seconds]"],
        "expires_after[seconds]": ["expires_after[anchor]"],
    },
    "additionalProperties": False,
}
FILES = described("The tenant's files", scope="generate", gives=stored_answers.FileList, errors=KEPT)
_PURPOSE = {"name": "purpose", "in": "query", "description": "Only files of it.", "schema": {"type": "string"}}
FILES["openapi_extra"]["parameters"] = [*_PAGE, _limit(MOST.listed_files, MOST.listed_files), _PURPOSE]
FILE = described("One of the files", scope="generate", gives=stored_answers.FileDocument, errors=KEPT)
FILE_DELETE = described("Delete a file", scope="generate", gives=stored_answers.FileDeleted, errors=(*KEPT, 409))
FILE_CONTENT = described("What is in a file", scope="generate", gives="application/octet-stream", errors=KEPT)
RESPONSE_ITEMS = described(
    "What a stored response answered: all items of the conversation before it",
    scope="generate",
    gives=response_answers.InputItemList,
    errors=(400, *READING, 404, 507),
)
RESPONSE_ITEMS["openapi_extra"]["parameters"] = [*_PAGE, _limit(MOST.listed_items, 20)]
BATCH_CREATE = described(
    "Have a file of requests answered, behind all others",
    scope="generate",
    takes=BatchRequest,
    example={"input_file_id": "file-0", "endpoint": "/v1/chat/completions", "completion_window": "24h"},
    gives=stored_answers.BatchDocument,
    errors=(*TAKING, 404, 429, 507),
)
BATCHES = described("The tenant's batches", scope="generate", gives=stored_answers.BatchList, errors=KEPT)
BATCHES["openapi_extra"]["parameters"] = [_PAGE[0], _limit(MOST.listed_batches, 20)]
BATCH = described("One of the batches", scope="generate", gives=stored_answers.BatchDocument, errors=KEPT)
BATCH_CANCEL = described(
    "End a batch; what is answered is kept", scope="generate", gives=stored_answers.BatchDocument, errors=(*KEPT, 409)
)
HEALTH = described("Whether requests can be served", gives=answers.Health)
HEALTH["openapi_extra"]["parameters"] = [
    {
        "name": name,
        "in": "query",
        "allowEmptyValue": True,
        "schema": {"type": "string", "maxLength": 0},
        "description": meaning,
    }
    for name, meaning in (
        ("live", "Whether this ingress answers at all; asks nobody else. For liveness probes."),
        ("ready", "Whether requests can be served, as without it. For load balancers."),
    )
]
HEALTH["responses"][503] = {**HEALTH["responses"][200], "description": "Not ready; what is missing."}
PING = described("Whether requests can be served, as SageMaker asks: 200 or 503, without a body", gives="text/plain")
PING["responses"][503] = {**PING["responses"][200], "description": "Not ready."}
VERSION = described("The version of this server", gives=answers.Version)
METRICS = described("Prometheus text", scope="operate", errors=(401, 403))
