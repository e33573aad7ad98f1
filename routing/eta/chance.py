"""Lognormal durations: samples that lie evenly, and what is left of one that has lasted for a while already."""

from __future__ import annotations

import math
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

SAMPLES = 256

_TAIL = np.array([1e-9, 1e-7, 1e-6, 1e-5, 1e-4])
_GRID = np.concatenate([_TAIL, np.linspace(0.001, 0.999, 999), 1 - _TAIL[::-1]])
_QUANTILE = np.array([NormalDist().inv_cdf(float(share)) for share in _GRID])


@lru_cache(maxsize=4)
def shares(columns: int) -> NDArray[np.float64]:
    """(SAMPLES, columns) shares between 0 and 1: each column has each of `SAMPLES` even steps once, in an order of its own.

    The same every time, so that expectations move only when something has happened. (Latin hypercube: M. D. McKay, R. J.
    Beckman, W. J. Conover, "A Comparison of Three Methods for Selecting Values of Input Variables", Technometrics 1979.)
    """
    rng = np.random.default_rng(1)
    orders = np.column_stack([rng.permutation(SAMPLES) for _ in range(columns)])
    return (orders + 0.5) / SAMPLES


def normal(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Quantiles of the standard normal distribution."""
    found: NDArray[np.float64] = np.interp(share, _GRID, _QUANTILE)
    return found


@lru_cache(maxsize=4)
def normals(columns: int) -> NDArray[np.float64]:
    """The same as quantiles of the standard normal distribution, column by column."""
    return np.ascontiguousarray(normal(shares(columns)).T)


def lasting(column: int, columns: int, median: float, sigma: float, elapsed: float = 0.0) -> NDArray[np.float64]:
    """(SAMPLES,) whole durations (s) of what has lasted for `elapsed` seconds and is not over; by a column of `shares`."""
    if median <= 0:
        return np.full(SAMPLES, max(0.0, elapsed))
    if elapsed <= 0:
        return np.asarray(median * np.exp(sigma * normals(columns)[column]))
    begun = NormalDist().cdf((math.log(elapsed) - math.log(median)) / max(sigma, 1e-6))
    left = normal(begun + (1 - begun) * shares(columns)[:, column])
    return np.maximum(median * np.exp(sigma * left), elapsed)


def quantile(values: NDArray[np.float64], share: float) -> float:
    """The sample that so many of all do not exceed; numpy's own interpolates, and takes fifty times as long."""
    return float(np.sort(values)[min(SAMPLES - 1, int(share * SAMPLES))])
