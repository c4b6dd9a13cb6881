"""Log-probabilities of a prompt's own tokens, collected chunk by chunk while it is computed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from adaptrix_core.engine.request import GenerationRequest, ScoredToken


class PromptLogprobs:
    """Scores the tokens of one prompt but the first, which nothing precedes."""

    def __init__(self, prompt: Sequence[int], count: int) -> None:
        """count: the likeliest tokens that are told for each place."""
        self._prompt = prompt
        self._count = count
        self._scored: dict[int, ScoredToken] = {}

    def add(self, start: int, logits: Tensor) -> None:
        """Score the tokens that follow ``start``, by logits ``(tokens, vocab)`` of the tokens from there on."""
        stop = min(start + len(logits), len(self._prompt) - 1)
        if stop <= start:
            return
        logprobs = logits[: stop - start].float().log_softmax(-1)
        tokens = torch.tensor(self._prompt[start + 1 : stop + 1], device=logprobs.device)
        chosen = logprobs.gather(-1, tokens[:, None])
        ranks = (logprobs > chosen).sum(-1) + 1
        values, indices = logprobs.topk(min(self._count, logprobs.shape[-1]))
        for place, (token, value, rank, top, top_ids) in enumerate(
            zip(tokens.tolist(), chosen[:, 0].tolist(), ranks.tolist(), values.tolist(), indices.tolist(), strict=True),
            start + 1,
        ):
            self._scored[place] = ScoredToken(token, value, rank, tuple(zip(top_ids, top, strict=True)))

    def scored(self) -> tuple[ScoredToken, ...]:
        """The tokens from the second on, once all of the prompt is computed."""
        return tuple(self._scored[place] for place in range(1, len(self._prompt)))


def scorer_of(request: GenerationRequest, number: int) -> PromptLogprobs | None:
    """Scores the prompt for a request's row, where it is the first under its mix and has not told the scores yet."""
    params = request.params
    has_told = bool(request.resume) and bool(request.resume[number].token_ids)
    if params.prompt_logprobs is None or number % params.n or has_told:
        return None
    return PromptLogprobs(request.prompt_token_ids, params.prompt_logprobs)
