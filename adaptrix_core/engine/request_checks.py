"""Checks of a request against the engine that is to compute it: its mixes, token ids and length."""

from __future__ import annotations

from adaptrix_core.base.model import BaseModelInfo
from adaptrix_core.engine.request import GenerationRequest
from adaptrix_core.errors import ContextLengthExceeded, InvalidRequest
from adaptrix_core.injection.mix import check_mix


def check_request(request: GenerationRequest, base: BaseModelInfo, max_row_tokens: int) -> None:
    """Raise InvalidRequest for what the base model doesn't have, ContextLengthExceeded for a row that is too long."""
    for _, mix in (entry for schedule in request.schedules for entry in schedule):
        check_mix(mix, base.num_layers, param="adaptrix.mix")
    _check_tokens(request, base.vocab_size)
    prompt, wanted = len(request.prompt_token_ids), request.params.max_tokens
    if prompt + (1 if wanted is None else wanted) > max_row_tokens:
        asked = "" if not wanted else f" and max_tokens {wanted}"
        raise ContextLengthExceeded(
            f"the prompt has {prompt} tokens{asked}; the context holds {max_row_tokens} tokens: shorten the prompt"
            + ("" if not wanted else " or lower max_tokens"),
            param="max_tokens" if prompt < max_row_tokens else "messages",
        )


def _check_tokens(request: GenerationRequest, vocab: int) -> None:
    for param, ids in (
        ("prompt", request.prompt_token_ids),
        ("logit_bias", request.params.logit_bias or {}),
        ("stop_token_ids", request.params.stop_token_ids),
        ("allowed_token_ids", request.params.allowed_token_ids or ()),
        ("resume", [token for row in request.resume for token in row.token_ids]),
    ):
        for token in ids:
            if not isinstance(token, int) or not 0 <= token < vocab:
                raise InvalidRequest(f"token id {token!r} is not in the vocabulary (0 to {vocab - 1})", param=param)
