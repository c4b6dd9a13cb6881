"""Logits -> the next token of each row.

All rows together, in the order: bias, penalties, grammar, masks, temperature, min-p, top-k, top-p. A token is drawn by
inverting the cumulative distribution at one uniform number per row, which is a function of seed and position alone and
does not depend on which rows share the batch. A row for which no token can be chosen fails alone (`Unsampled`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from adaptrix_core.confidence.evidence import Spread, TokenAttention
from adaptrix_core.engine.request import SamplingParams
from adaptrix_core.engine.rows.row import Row
from adaptrix_core.errors import AdapterRejected, AdaptrixError

_CANDIDATES = 1024
"""Likeliest tokens that top-k and top-p are applied to first; if they are too few, the vocabulary is sorted."""
_BLOCK = 256
"""Tokens in a block: a draw first finds its block, by their sums, then the token in it."""


_SMALLEST = float(torch.finfo(torch.float32).tiny)
"""Lowest temperature; lower ones are raised to it. As a float32 they would be 0 or lose digits, and 0 / 0 is no
probability. At either one the likeliest token has all of it."""
NOT_FINITE = "output_not_finite"


@dataclass(frozen=True)
class Unsampled:
    """Why a row has no next token. The other rows of the step are not concerned."""

    error: AdaptrixError


@dataclass(frozen=True)
class Sampled:
    """The next token of a row, with log-probabilities and spread from the untouched logits, and attention, where asked
    for."""

    token_id: int
    logprob: float | None = None
    top_logprobs: tuple[tuple[int, float], ...] = ()
    spread: Spread | None = None
    attention: TokenAttention | None = None


def sample(logits: Tensor, rows: Sequence[Row]) -> list[Sampled | Unsampled]:
    """Choose a token for every row; logits ``(rows, vocab)`` in any precision, which may be overwritten.

    The fault of a single row becomes its `Unsampled`, never an exception.
    """
    logits = logits.float()
    others = [i for i, row in enumerate(rows) if not _is_plain(row)]
    chosen: list[int | Unsampled] = _likeliest(logits) if len(others) < len(rows) else [0] * len(rows)
    if others:
        untouched = len(others) < len(rows) or any(row.request.params.tells_probabilities for row in rows)
        adjusted = _choose(logits[others] if untouched else logits, [rows[i] for i in others])
        for i, token in zip(others, adjusted, strict=True):
            chosen[i] = token
    return [_told(logits, i, row, token) for i, (row, token) in enumerate(zip(rows, chosen, strict=True))]


def _told(logits: Tensor, index: int, row: Row, token: int | Unsampled) -> Sampled | Unsampled:
    """The token of the row at ``index`` of ``logits``, with the numbers that the row asks for."""
    if isinstance(token, Unsampled):
        return token
    params = row.request.params
    return _with_probabilities(logits[index], token, params) if params.tells_probabilities else Sampled(token)


def _not_finite() -> Unsampled:
    message = "no token can be chosen: the model's output is not finite; its adapter is broken, or its weight too large"
    return Unsampled(AdapterRejected(message, code=NOT_FINITE))


def as_row_error(error: BaseException) -> AdaptrixError:
    """An error raised for one row, as one of the project's errors."""
    return error if isinstance(error, AdaptrixError) else AdaptrixError(f"{type(error).__name__}: {error}")


def _likeliest(logits: Tensor) -> list[int | Unsampled]:
    """The token of each row's largest logit, on a CPU the first of equals: NumPy takes a tenth of torch's time there.

    Both treat NaN as the largest, so a finite largest logit proves that the row has no NaN.
    """
    if logits.device.type == "cpu":
        values = logits.numpy()
        tokens = values.argmax(-1)
        is_finite = np.isfinite(values[np.arange(len(tokens)), tokens])
    else:
        tokens = logits.argmax(-1)
        is_finite = logits.gather(-1, tokens[:, None])[:, 0].isfinite()
    if is_finite.all():
        chosen: list[int | Unsampled] = tokens.tolist()
        return chosen
    return [token if good else _not_finite() for token, good in zip(tokens.tolist(), is_finite.tolist(), strict=True)]


def _is_plain(row: Row) -> bool:
    p = row.request.params
    penalised = p.presence_penalty or p.frequency_penalty or p.repetition_penalty != 1.0
    return p.is_greedy and not p.logit_bias and not penalised and row.constraint is None and not _is_masked(row)


def _is_masked(row: Row) -> bool:
    return row.mask is not None and row.mask.is_active(row.num_output)


def _choose(logits: Tensor, rows: Sequence[Row]) -> list[int | Unsampled]:
    """Tokens of rows that are not plain; ``logits`` is overwritten."""
    failures = _adjust_all(logits, rows)
    params = [row.request.params for row in rows]
    greedy = [i for i, p in enumerate(params) if p.is_greedy]
    likeliest = logits[greedy].argmax(-1)
    # Relative to the largest, so that a tiny temperature overflows to -inf for all others and never to NaN.
    temperatures = _column([1.0 if p.is_greedy else max(p.temperature, _SMALLEST) for p in params], logits)
    probabilities = logits.sub_(logits.amax(-1, keepdim=True)).div_(temperatures).softmax(-1)
    _truncate(probabilities, params)
    tokens = _draw(probabilities, [row.uniform() for row in rows])
    tokens[greedy] = likeliest
    return [failures.get(i, token) for i, token in enumerate(tokens.tolist())]


def _adjust_all(logits: Tensor, rows: Sequence[Row]) -> dict[int, Unsampled]:
    """Apply bias, penalties and grammars in place. Returns the rows that failed, by index; their logits become 0."""
    failures = {}
    for i, (values, row) in enumerate(zip(logits, rows, strict=True)):
        try:
            _adjust(values, row)
        except Exception as error:  # an error from one row's grammar or numbers ends that row alone
            failures[i] = Unsampled(as_row_error(error))
    largest = logits.amax(-1)
    for i in torch.nonzero(~largest.isfinite())[:, 0].tolist():
        failures.setdefault(i, _not_finite())
    if failures:
        logits[list(failures)] = 0.0
    return failures


def _adjust(logits: Tensor, row: Row) -> None:
    """Apply a row's bias, penalties and grammar to its logits ``(vocab,)`` in place."""
    for token, bias in (row.request.params.logit_bias or {}).items():
        logits[token] += bias
    _penalise(logits, row)
    if row.constraint is not None:
        row.constraint.mask(logits)
    if row.mask is not None and _is_masked(row):
        row.mask.apply(logits, row.output)


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


def _truncate(probabilities: Tensor, params: Sequence[SamplingParams]) -> None:
    """Set to 0 what min-p, then top-k, then top-p (nucleus, arXiv:1904.09751) drop, in place; never the likeliest."""
    if any(p.min_p > 0.0 for p in params):
        largest = probabilities.amax(-1, keepdim=True)
        least = _column([p.min_p for p in params], probabilities) * largest
        probabilities.masked_fill_((probabilities < least) & (probabilities < largest), 0.0)
    vocab = probabilities.shape[-1]
    cut = [i for i, p in enumerate(params) if 0 < p.top_k < vocab or p.top_p < 1.0]
    if cut:
        probabilities[cut] = _head(probabilities[cut], [params[i] for i in cut], min(vocab, _CANDIDATES))


def _head(probabilities: Tensor, params: Sequence[SamplingParams], count: int) -> Tensor:
    """The probabilities that top-k and top-p keep, others 0; sorts ``count`` tokens, all if these are too few."""
    vocab = probabilities.shape[-1]
    ordered, order = probabilities.topk(count)
    top_k = torch.tensor([p.top_k if 0 < p.top_k < vocab else vocab for p in params], device=probabilities.device)
    smallest = ordered.gather(-1, (top_k.clamp_max(count) - 1)[:, None])
    limited = torch.where((top_k < vocab)[:, None] & (probabilities < smallest), 0.0, probabilities)
    total = limited.sum(-1, keepdim=True)
    ordered = limited.gather(-1, order)
    before = ordered.cumsum(-1) - ordered
    top_p = _column([p.top_p for p in params], probabilities) * total
    if count < vocab and ((before[:, -1:] < top_p) & (ordered[:, -1:] > 0)).any():
        return _head(probabilities, params, vocab)
    kept = torch.where(before < top_p, ordered, 0.0)
    kept[:, 0] = ordered[:, 0]  # also where top_p, times the sum, is 0 in float32
    return torch.zeros_like(probabilities).scatter_(-1, order, kept)


def _draw(probabilities: Tensor, uniforms: Sequence[float]) -> Tensor:
    """The tokens at which the cumulative probabilities pass each row's uniform number, ``(rows,)``.

    Looks for the block of tokens first, so that nothing is accumulated over the whole vocabulary.
    """
    missing = -probabilities.shape[-1] % _BLOCK
    blocks = (F.pad(probabilities, (0, missing)) if missing else probabilities).unflatten(-1, (-1, _BLOCK))
    targets = torch.tensor(uniforms, dtype=torch.float64, device=probabilities.device)[:, None]
    sums = blocks.sum(-1, dtype=torch.float64)
    block, rest = _pass(sums, targets * sums.sum(-1, keepdim=True))
    within = blocks[torch.arange(len(block), device=block.device), block].double()
    return block * _BLOCK + _pass(within, rest)[0]


def _pass(weights: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """First index at which the cumulative weights ``(rows, n)`` pass each target ``(rows, 1)``, and what is left of it.

    Rounding can put a target beyond the sum; then it is the last index with a weight.
    """
    cumulative = weights.cumsum(-1)
    reachable = torch.minimum(targets, cumulative[:, -1:] * (1 - 1e-12))
    index = torch.searchsorted(cumulative, reachable, right=True)
    before = cumulative.gather(-1, index) - weights.gather(-1, index)
    return index[:, 0], reachable - before


def _column(values: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(values, dtype=like.dtype, device=like.device)[:, None]


def _with_probabilities(logits: Tensor, token: int, params: SamplingParams) -> Sampled:
    """A token with its log-probabilities and spread; logits ``(vocab,)``, untouched."""
    logprobs = logits.log_softmax(-1)
    spread = _spread(logprobs) if params.spread else None
    if params.logprobs is None:
        return Sampled(token, spread=spread)
    values, indices = logprobs.topk(min(params.logprobs, len(logprobs)))
    top = tuple(zip(indices.tolist(), values.tolist(), strict=True))
    return Sampled(token, float(logprobs[token]), top, spread)


def _spread(logprobs: Tensor) -> Spread:
    probabilities = logprobs.exp()
    first, *others = probabilities.topk(min(2, len(probabilities))).values.tolist()
    return Spread(float(torch.special.entr(probabilities).sum()), first - sum(others))
