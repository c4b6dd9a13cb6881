"""``/tokenize`` and ``/detokenize``: prompts told in tokens, and tokens told as text."""

from __future__ import annotations

import asyncio

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from adaptrix_core.errors import AdapterNotFound
from deployments.callers.principal import Principal
from deployments.generation.model_names import choose
from deployments.http.description.endpoints import DETOKENIZE, TOKENIZE
from deployments.http.endpoint import authorized, body_of
from deployments.http.services import Services
from deployments.openai.vllm.token_bodies import DetokenizeRequest, TokenizeRequest
from deployments.openai.vllm.token_documents import tokenize_answer
from deployments.shared.token_calls import DetokenizeCall, TokenizeCall


def token_endpoints(app: FastAPI, services: Services) -> None:
    """Add the endpoints to ``app``."""

    async def tokenize(request: Request) -> Response:
        principal = authorized(request, services, "generate")
        body: TokenizeRequest = await body_of(request, services, TokenizeRequest)
        options = body.chat_options()
        await require_model(body.model, services, principal)
        calls = [
            TokenizeCall(prompt, principal.salt, options, body.add_special_tokens, body.return_token_strs)
            for prompt in body.prompts()
        ]
        told = await asyncio.gather(*map(services.tokenizer.tokenize, calls))
        return Response(await tokenize_answer(told, isinstance(body.prompt, list)), media_type="application/json")

    async def detokenize(request: Request) -> Response:
        principal = authorized(request, services, "generate")
        body: DetokenizeRequest = await body_of(request, services, DetokenizeRequest)
        await require_model(body.model, services, principal)
        calls = [DetokenizeCall(ids, principal.salt, body.skip_special_tokens) for ids in body.texts_of()]
        texts = await asyncio.gather(*map(services.tokenizer.detokenize, calls))
        text = texts if body.is_list else texts[0]
        return JSONResponse({"prompt": text, "text": text})

    for prefix in ("", "/v1"):  # vLLM's paths, then SGLang's
        app.post(f"{prefix}/tokenize", **TOKENIZE)(tokenize)
        app.post(f"{prefix}/detokenize", **DETOKENIZE)(detokenize)


async def require_model(model: str | None, services: Services, principal: Principal) -> None:
    """Raise AdapterNotFound unless a request could name this model; all of them have one tokenizer."""
    if model is None:
        return
    base_id = await services.store.base_id()
    try:
        choose(model, base_id, principal.sees(services.store.catalogue))
    except AdapterNotFound:
        choose(model, base_id, principal.sees(await services.store.refresh()))
