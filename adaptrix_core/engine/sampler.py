"""Logits -> the next token of each row.

Greedy rows are settled together; the others one by one, in the order: bias, penalties, grammar, temperature, min-p,
top-k, top-p. Sampling is by the Gumbel-max trick (Gumbel 1954), so that the noise is a function of seed and position
alone and does not depend on which rows share the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from adaptrix_core.engine.row import Row


@dataclass(frozen=True)
class Sampled:
    """The next token of a row, with log-probabilities from the untouched logits where asked for."""

    token_id: int
    logprob: float | None = None
    top_logprobs: tuple[tuple[int, float], ...] = ()


def sample(logits: Tensor, rows: Sequence[Row]) -> list[Sampled]:
    """Choose a token for every row; logits ``(rows, vocab)`` in any precision."""
    logits = logits.float()
    greedy = logits.argmax(-1).tolist()
    chosen = [
        token if _is_plain(row) else _sample_row(logits[i], row)
        for i, (row, token) in enumerate(zip(rows, greedy, strict=True))
    ]
    return [_with_logprobs(logits[i], token, row) for i, (row, token) in enumerate(zip(rows, chosen, strict=True))]


def _is_plain(row: Row) -> bool:
    p = row.request.params
    penalised = p.presence_penalty or p.frequency_penalty or p.repetition_penalty != 1.0
    return p.is_greedy and not p.logit_bias and not penalised and row.constraint is None


def _sample_row(logits: Tensor, row: Row) -> int:
    params = row.request.params
    logits = logits.clone()
    for token, bias in (params.logit_bias or {}).items():
        logits[token] += bias
    _penalise(logits, row)
    if row.constraint is not None:
        row.constraint.mask(logits)
    if params.is_greedy:
        return int(logits.argmax())
    # Relative to the largest, so that a tiny temperature overflows to -inf for all others and never to NaN.
    logits = (logits - logits.max()) / params.temperature
    _truncate(logits, params.min_p, params.top_k, params.top_p)
    noise = row.noise(logits.numel()).to(logits.device)
    gumbel = -torch.log(-torch.log(noise.clamp_min(torch.finfo(noise.dtype).tiny)))
    return int((logits + gumbel).argmax())


def _penalise(logits: Tensor, row: Row) -> None:
    """Presence and frequency count output tokens; repetition (arXiv:1909.05858, section 4.1) the prompt too."""
    params = row.request.params
    if params.repetition_penalty != 1.0:
        seen = torch.tensor(sorted(set(row.tokens)), device=logits.device)
        values = logits[seen]
        logits[seen] = torch.where(values > 0, values / params.repetition_penalty, values * params.repetition_penalty)
    if row.output_counts and (params.presence_penalty or params.frequency_penalty):
        tokens = torch.tensor(list(row.output_counts), device=logits.device)
        counts = torch.tensor(list(row.output_counts.values()), dtype=logits.dtype, device=logits.device)
        logits[tokens] -= params.presence_penalty + params.frequency_penalty * counts


def _truncate(logits: Tensor, min_p: float, top_k: int, top_p: float) -> None:
    """Set what min-p, top-k and top-p (nucleus, arXiv:1904.09751) drop to -inf, in place."""
    if min_p > 0.0:
        probabilities = logits.softmax(-1)
        logits[probabilities < min_p * probabilities.max()] = float("-inf")
    if 0 < top_k < logits.numel():
        threshold = logits.topk(top_k).values[-1]
        logits[logits < threshold] = float("-inf")
    if top_p < 1.0:
        ordered, order = logits.softmax(-1).sort(descending=True)
        beyond = ordered.cumsum(-1) - ordered >= top_p
        logits[order[beyond]] = float("-inf")


def _with_logprobs(logits: Tensor, token: int, row: Row) -> Sampled:
    count = row.request.params.logprobs
    if count is None:
        return Sampled(token)
    logprobs = logits.log_softmax(-1)
    values, indices = logprobs.topk(count)
    top = tuple(zip(indices.tolist(), values.tolist(), strict=True))
    return Sampled(token, float(logprobs[token]), top)
