"""The power of Student's t: the normal distribution integrated over what the estimated standard deviation may be."""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

Floats = NDArray[np.float64]


@cache
def noncentrality(df: int, power: float, confidence: float) -> float:
    """How many standard errors a difference must be for a two-sided t test to find it with chance `power`."""
    edge = float(stats.t.isf((1 - confidence) / 2, df))
    spread, chance = spreads(df)

    def found(distance: float) -> float:
        beyond = special.ndtr(distance - edge * spread) + special.ndtr(-distance - edge * spread)
        return float(chance @ beyond)

    far = edge + 1
    while found(far) < power:
        far *= 1.3
    return float(optimize.brentq(lambda distance: found(distance) - power, 0, far))


def spreads(df: int) -> tuple[Floats, Floats]:
    """Estimated over true standard deviation with `df` degrees of freedom: values, and the chance of each.

    The noncentral t is integrated over these, since scipy's own is nan in its far tails.
    """
    values, step = np.linspace(stats.chi.ppf(1e-15, df), stats.chi.isf(1e-15, df), 4001, retstep=True)
    simpson = np.full(4001, 2.0)
    simpson[1::2], simpson[[0, -1]] = 4, 1
    return values / math.sqrt(df), simpson * step / 3 * stats.chi.pdf(values, df)
