"""Fits the weights of the router's signals on labelled prompts; a signal that adds nothing gets 0.

A logistic regression with weights that are not negative, from the signals' log-odds to whether the adapter is the right
one. Signals are taken in one after the other, the best first, and only as long as they lower the cross-validated loss
beyond chance: with a hundred prompts, a regression alone finds some use for any noise. Reads
calibration prompts only. The command is ``python -m benchmarks.routing weights``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adaptrix_core.errors import ConfigError
from adaptrix_core.routing.prompts import Labelled
from adaptrix_core.routing.vote import SignalVote

FOLDS = 5
"""Parts of the prompts, each of which is judged by weights that were fitted on the others."""
PENALTY = 0.001
"""Weight of the squared weights beside the mean loss of a decision, so that separable prompts do not make them grow."""
CERTAIN = 2.0
"""Standard errors by which a further signal has to lower the loss."""

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class FittedWeights:
    """Weights by signal, and what the choice was made by."""

    weights: Mapping[str, float]
    """They add up to 1; 0 for a signal that adds nothing."""
    losses: Mapping[str, float]
    """Cross-validated loss (nats a decision), by the signals taken in, joined by ``+``, in the order of taking."""


@dataclass(frozen=True)
class _Decisions:
    """One row for each pair of a prompt and an adapter."""

    odds: Mapping[str, Numbers]
    right: Numbers
    """1 where the adapter should answer the prompt, else 0."""
    fold: NDArray[np.int64]
    counts: Numbers
    """Weight of each row, 1 in all: right and wrong ones count alike in total."""
    num_prompts: int

    def columns(self, signals: Sequence[str]) -> Numbers:
        return np.stack([self.odds[name] for name in signals], axis=1)


def fit_weights(
    prompts: Sequence[Labelled], votes: Sequence[Sequence[SignalVote]], names: Sequence[str]
) -> FittedWeights:
    """Weights of the signals in ``votes``, of which there is one tuple for each prompt; names: the adapters.

    Raises ConfigError without a prompt for any of the adapters, or without one for the base model.
    """
    decisions = _decisions(prompts, votes, names)
    signals = list(decisions.odds)
    taken: list[str] = []
    losses: dict[str, float] = {}
    best: Numbers | None = None
    while left := [name for name in signals if name not in taken]:
        tried = {name: _held_out_losses(decisions, [*taken, name]) for name in left}
        name = min(tried, key=lambda one: float(tried[one].mean()))
        if best is not None:
            saved = best - tried[name]
            error = float(saved.std(ddof=1)) / len(saved) ** 0.5
            if float(saved.mean()) <= CERTAIN * error:
                break
        taken.append(name)
        best = tried[name]
        losses["+".join(taken)] = float(best.mean())
    found, _ = _fit(decisions.columns(taken), decisions.right, decisions.counts)
    total = float(found.sum())
    if total == 0:
        raise ConfigError(["no signal tells the calibration prompts for one adapter from the others"])
    fitted = dict.fromkeys(signals, 0.0) | {name: float(w) / total for name, w in zip(taken, found, strict=True)}
    return FittedWeights(fitted, losses)


def _decisions(prompts: Sequence[Labelled], votes: Sequence[Sequence[SignalVote]], names: Sequence[str]) -> _Decisions:
    right = np.array([[float(prompt.adapter == name) for name in names] for prompt in prompts])
    if not right.any() or all(prompt.adapter in names for prompt in prompts):
        raise ConfigError([f"fitting weights needs prompts for some of {sorted(names)}, and some for the base model"])
    odds = {
        vote.signal: np.array([[said[place].log_odds.get(name, 0.0) for name in names] for said in votes]).ravel()
        for place, vote in enumerate(votes[0])
    }
    # By the prompt, so that no prompt is on both sides; every part gets a share of each kind.
    order = np.argsort([str(prompt.adapter) for prompt in prompts], kind="stable")
    folds = np.empty(len(prompts), np.int64)
    folds[order] = np.arange(len(prompts)) % FOLDS
    flat = right.ravel()
    counts = np.where(flat == 1, 0.5 / flat.sum(), 0.5 / (1 - flat).sum())
    return _Decisions(odds, flat, np.repeat(folds, len(names)), counts, len(prompts))


def _held_out_losses(decisions: _Decisions, signals: Sequence[str]) -> Numbers:
    """By prompt, the loss of its decisions under weights fitted on the other parts; the mean is that of a decision."""
    rows = decisions.columns(signals)
    losses = np.empty(len(rows))
    for fold in range(FOLDS):
        held = decisions.fold == fold
        weights, intercept = _fit(rows[~held], decisions.right[~held], decisions.counts[~held])
        losses[held] = _losses(rows[held] @ weights + intercept, decisions.right[held])
    weighed = (losses * decisions.counts).reshape(decisions.num_prompts, -1)
    return np.asarray(weighed.sum(axis=1) * decisions.num_prompts, np.float64)


def _losses(margins: Numbers, right: Numbers) -> Numbers:
    return np.logaddexp(0.0, np.where(right == 1, -margins, margins))


def _fit(rows: Numbers, right: Numbers, counts: Numbers) -> tuple[Numbers, float]:
    """(weights, none negative; intercept) of the penalised logistic regression."""
    from scipy.optimize import minimize

    signs = np.where(right == 1, 1.0, -1.0)
    shares = counts / counts.sum()

    def loss(parameters: Numbers) -> tuple[float, Numbers]:
        weights, intercept = parameters[:-1], parameters[-1]
        margins = (rows @ weights + intercept) * signs
        pull = -signs * shares / (1 + np.exp(np.clip(margins, -60, 60)))
        value = float((shares * np.logaddexp(0.0, -margins)).sum() + PENALTY * weights @ weights)
        return value, np.append(rows.T @ pull + 2 * PENALTY * weights, pull.sum())

    bounds = [(0.0, None)] * rows.shape[1] + [(None, None)]
    start = np.append(np.full(rows.shape[1], 1.0 / rows.shape[1]), 0.0)
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B").x
    return found[:-1], float(found[-1])
