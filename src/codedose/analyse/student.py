"""The power of Student's t: the normal distribution integrated over what the estimated standard deviation may be.

Of whole degrees of freedom, and without scipy: importing its special functions was a sixth of `codedose plan` for a
study of 10,000 steps, which asks for nothing else of them. The tests hold all of it against scipy's distributions.
"""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
CLOSE = 1e-13  # of what is looked for
NODES = 128  # of the Gauss-Legendre rule: powers are exact to 1e-10
REACH = 8.5  # from a chi distribution's mode; farther out lies less than exp(-REACH**2 / 2), since it is log-concave


@cache
def noncentrality(df: int, power: float, confidence: float) -> float:
    """How many standard errors a difference must be for a two-sided t test to find it with chance `power`."""
    edge = beyond((1 - confidence) / 2, df)
    spread, chance = spreads(df)

    def found(distance: float) -> float:
        return float(chance @ (above(edge * spread - distance) + above(edge * spread + distance)))

    far = edge + 1
    while found(far) < power:
        far *= 1.3
    return crossed(lambda distance: found(distance) - power, 0, far)


def above(edges: Floats) -> Floats:
    """The chances with which a standard normal variable exceeds these."""
    return np.array([math.erfc(edge / math.sqrt(2)) / 2 for edge in edges])


@cache
def beyond(tail: float, df: int) -> float:
    """What Student's t exceeds with the chance `tail`, below a half: to 1e-12 of it, 1e-9 at a tail of 1e-6."""
    far = 1.0
    while within(far, df) < 1 - 2 * tail:
        far *= 2
    return crossed(lambda edge: within(edge, df) - (1 - 2 * tail), 0, far)


def within(edge: float, df: int) -> float:
    """The chance that Student's t lies within `edge` of 0 (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    angle, odd = math.atan2(edge, math.sqrt(df)), df % 2
    square, term, terms = math.cos(angle) ** 2, math.cos(angle) if odd else 1.0, 0.0
    for n in range(2 + odd, df + 1, 2):
        terms += term
        term *= square * (n - 1) / n
    terms *= math.sin(angle)
    return 2 / math.pi * (angle + terms) if odd else terms


def spreads(df: int) -> tuple[Floats, Floats]:
    """Estimated over true standard deviation with `df` degrees of freedom: values, and the weight of each.

    The noncentral t is integrated over these, since scipy's own is nan in its far tails.
    """
    mode = math.sqrt(df - 1)
    low, high = max(0.0, mode - REACH), mode + REACH
    places, weights = rule()
    values = low + (high - low) * (places + 1) / 2
    density = np.exp((1 - df / 2) * math.log(2) - math.lgamma(df / 2) + (df - 1) * np.log(values) - values**2 / 2)
    return values / math.sqrt(df), weights * (high - low) / 2 * density


@cache
def rule() -> tuple[Floats, Floats]:
    places, weights = np.polynomial.legendre.leggauss(NODES)
    return places, weights


def crossed(rising: Callable[[float], float], low: float, high: float) -> float:
    """Where a rising function is 0 between `low`, where it is below, and `high` (false position, Illinois rule)."""
    below, above = rising(low), rising(high)
    if below > 0 or above < 0:
        raise ValueError(f"it is {below:g} at {low:g} and {above:g} at {high:g}: not 0 between them")
    before = 0.0
    while high - low > CLOSE * high:
        middle = low + (high - low) * below / (below - above)
        value = rising(middle)
        if value == 0 or not low < middle < high:
            return middle
        again = value * before > 0  # twice on one side: the other end counts half
        if value < 0:
            low, below, above = middle, value, above / 2 if again else above
        else:
            high, below, above = middle, below / 2 if again else below, value
        before = value
    return high
