"""Checks of a request against the engine that is to compute it: its mixes, token ids and length."""

from __future__ import annotations

import math

from adaptrix_core.base.model import BaseModelInfo
from adaptrix_core.composition.conditions import ConfidenceBelow, Marker
from adaptrix_core.digests import WeightsDigest
from adaptrix_core.engine.request import GenerationRequest
from adaptrix_core.errors import ContextLengthExceeded, InvalidRequest
from adaptrix_core.injection.mix import check_mix, weights_digests_of


def check_request(request: GenerationRequest, base: BaseModelInfo, max_row_tokens: int) -> None:
    """Raise InvalidRequest for what the base model doesn't have, ContextLengthExceeded for a row that is too long."""
    changed = [(0, switch.mix) for switches in request.switches for switch in switches]
    for _, mix in (*(entry for schedule in request.schedules for entry in schedule), *changed):
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


def check_group(request: GenerationRequest, has_text: bool, capacity_tokens: int, max_rows: int) -> None:
    """Raise InvalidRequest for rows that this engine cannot compute together, or changes that it cannot make.

    has_text: whether tokens have texts. capacity_tokens: of the cache. max_rows: of one step.
    """
    for number, given in (("switches", request.switches), ("shares", request.shares)):
        if given and len(given) != len(request.schedules):
            raise InvalidRequest(f"{number} has {len(given)} entries; give one for each mix schedule", param=number)
    conditions = [switch.when for switches in request.switches for switch in switches]
    if not has_text and any(isinstance(condition, Marker) for condition in conditions):
        raise InvalidRequest("this base model has no tokenizer, so no answer can hold a marker", param="switches")
    if any(isinstance(one, ConfidenceBelow) for one in conditions) and request.params.logprobs is None:
        raise InvalidRequest("changes of mix depend on log-probabilities; ask for them (logprobs 0)", param="logprobs")
    if request.shares:
        _check_ensemble(request, capacity_tokens, max_rows)


def _check_ensemble(request: GenerationRequest, capacity_tokens: int, max_rows: int) -> None:
    width, wanted = len(request.shares), request.params.max_tokens
    if not all(math.isfinite(share) and share > 0 for share in request.shares) or request.switches or request.deferred:
        raise InvalidRequest("rows that choose tokens together have finite shares above 0, and mixes that stay")
    if wanted == 0 or request.params.prompt_logprobs is not None:
        raise InvalidRequest("rows that choose tokens together tell of no prompt; ask for tokens", param="max_tokens")
    if width > max_rows:
        raise InvalidRequest(f"{width} rows are to choose tokens together, and a step has {max_rows}; combine fewer")
    tokens = width * (len(request.prompt_token_ids) + (1 if wanted is None else wanted))
    if tokens > capacity_tokens:
        raise ContextLengthExceeded(
            f"{width} rows that choose tokens together need {tokens} tokens of cache, which holds {capacity_tokens}: "
            "shorten the prompt, lower max_tokens, or combine fewer",
            param="max_tokens",
        )


def needed_at_once(request: GenerationRequest) -> list[frozenset[WeightsDigest]]:
    """The adapters that must be on the device together, for each row: those of all its mixes, or of its ensemble's.

    A row that is preempted is computed again under every mix that it had.
    """
    changes = request.switches or ((),) * len(request.schedules)
    needed = [
        weights_digests_of((*schedule, *((0, switch.mix) for switch in switches)))
        for schedule, switches in zip(request.schedules, changes, strict=True)
    ]
    return [frozenset[WeightsDigest]().union(*needed)] if request.shares else needed
