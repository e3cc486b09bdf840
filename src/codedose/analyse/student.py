"""The power of Student's t: the normal distribution integrated over what the estimated standard deviation may be.

Of scipy only its special functions, with what its distributions t and chi compute from them: importing `scipy.stats`
takes longer than planning a large study, which asks for nothing else of it.
"""

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import special

Floats = NDArray[np.float64]
CLOSE = 1e-13  # of what is looked for


@cache
def noncentrality(df: int, power: float, confidence: float) -> float:
    """How many standard errors a difference must be for a two-sided t test to find it with chance `power`."""
    edge = beyond((1 - confidence) / 2, df)
    spread, chance = spreads(df)

    def found(distance: float) -> float:
        outside = special.ndtr(distance - edge * spread) + special.ndtr(-distance - edge * spread)
        return float(chance @ outside)

    far = edge + 1
    while found(far) < power:
        far *= 1.3
    return crossed(lambda distance: found(distance) - power, 0, far)


def beyond(tail: float, df: float) -> float:
    """What Student's t exceeds with the chance `tail`."""
    return -float(special.stdtrit(df, tail))


def spreads(df: int) -> tuple[Floats, Floats]:
    """Estimated over true standard deviation with `df` degrees of freedom: values, and the chance of each.

    The noncentral t is integrated over these, since scipy's own is nan in its far tails.
    """
    low, high = (math.sqrt(2 * part(df / 2, 1e-15)) for part in (special.gammaincinv, special.gammainccinv))
    values, step = np.linspace(low, high, 4001, retstep=True)
    simpson = np.full(4001, 2.0)
    simpson[1::2], simpson[[0, -1]] = 4, 1
    density = np.exp((1 - df / 2) * math.log(2) - special.gammaln(df / 2) + (df - 1) * np.log(values) - values**2 / 2)
    return values / math.sqrt(df), simpson * step / 3 * density


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
