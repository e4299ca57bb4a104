"""Logistic regression, and how well a score tells ends from the rest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def logistic(x: Floats, y: Floats, *, ridge: float, counts: Floats | None = None) -> Floats:
    """Bias and weights, with a ridge on all but the bias; both classes weigh the same.

    Each row counts as `counts` says. By Böhning's bound, for which one matrix is taken apart once: with a
    thousand weights a step of Newton's takes a second.
    """
    counts = np.ones(len(y)) if counts is None else counts / counts.mean()
    share = float(np.average(y, weights=counts))
    weight = counts * np.where(y == 1, 0.5 / share, 0.5 / (1 - share))
    x = np.concatenate((np.ones((len(x), 1)), x), axis=1)
    penalty = np.full(x.shape[1], ridge)
    penalty[0] = 1e-6
    inverse = np.linalg.inv((x * (weight / 4)[:, None]).T @ x + np.diag(penalty))
    beta = np.zeros(x.shape[1])
    for _ in range(2000):
        step = inverse @ (x.T @ (weight * (y - sigmoid(x @ beta))) - penalty * beta)
        beta += step
        if float(np.abs(step).max()) < 1e-5:
            break
    return beta


def head(x: Floats, y: Floats, *, ridge: float, counts: Floats | None = None) -> Floats:
    """Bias and weights as `logistic` fits them to columns of one spread, for the columns as they are."""
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-6
    beta = logistic((x - mean) / spread, y, ridge=ridge, counts=counts)
    return np.concatenate(([beta[0] - float(mean / spread @ beta[1:])], beta[1:] / spread))


def sigmoid(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -30, 30))), np.float64)


def probability(x: Floats, beta: Floats) -> Floats:
    return sigmoid(x @ beta[1:] + beta[0])


def auc(scores: Floats, ends: Bools) -> float:
    """The probability that an end scores higher than another cut; ties count half."""
    end, other = scores[ends][:, None], scores[~ends][None, :]
    return float(np.mean((end > other) + 0.5 * (end == other)))


def found_at(false_alarms: float, scores: Floats, ends: Bools) -> float:
    """The share of the ends above the score that so many of the others reach."""
    return float(np.mean(scores[ends] > np.quantile(scores[~ends], 1 - false_alarms)))
