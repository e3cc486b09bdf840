"""The front of a line whose tokens meet a target: a prefix, and a few exchanges at its end."""

from collections.abc import Iterable
from itertools import islice

import numpy as np

WINDOW = 64  # further examples of the line among which the last ones are chosen
LAST = 32  # examples at the end of the prefix of which one may be left out
FINE = 2000  # parts of the target: an error of one part is as good as none


def fit(line: Iterable[tuple[int, int]], target: int) -> tuple[list[int], int]:
    """Rows from the front of `line`, (row, size) each, and their total size: near `target`.

    The longest prefix within the target, changed at its end by as little as brings the total within a
    two-thousandth of the target (one more example; one for another; two more; two for one), or else as near
    as any of these. So two arms with near targets hold nearly the same front. Takes no more of the line
    than the prefix and a window after it; a line that is too short gives all it has.
    """
    taken: list[tuple[int, int]] = []
    total = 0
    ahead = iter(line)
    spare: list[tuple[int, int]] = []
    for row, size in ahead:
        if total + size > target:
            spare = [(row, size), *islice(ahead, WINDOW - 1)]
            break
        taken.append((row, size))
        total += size
    out, into = exchange([size for _, size in taken[-LAST:]], [size for _, size in spare], target - total, target)
    first = max(len(taken) - LAST, 0)
    kept = [entry for place, entry in enumerate(taken) if place != first + out] if out is not None else taken
    chosen = kept + [spare[place] for place in into]
    return [row for row, _ in chosen], sum(size for _, size in chosen)


def exchange(last: list[int], spare: list[int], gap: int, target: int) -> tuple[int | None, tuple[int, ...]]:
    """Which of `last` to leave out and which of `spare` to take in, so that the total grows by about `gap`."""
    drops: list[tuple[int | None, int]] = [(None, 0)]
    swaps: list[tuple[int | None, int]] = [(place, last[place]) for place in reversed(range(len(last)))]
    singles: list[tuple[tuple[int, ...], int]] = [((place,), size) for place, size in enumerate(spare)]
    pairs = [((i, j), spare[i] + spare[j]) for j in range(len(spare)) for i in range(j)]
    best: tuple[int, int | None, tuple[int, ...]] = (abs(gap), None, ())
    for out, into in ((drops, singles), (swaps, singles), (drops, pairs), (swaps, pairs)):
        if best[0] * FINE <= target:
            break
        if not out or not into:
            continue
        left = np.abs(
            gap + np.array([size for _, size in out])[:, None] - np.array([size for _, size in into])[None, :]
        )
        row, column = divmod(int(left.argmin()), len(into))
        if left[row, column] < best[0]:
            best = (int(left[row, column]), out[row][0], into[column][0])
    return best[1], best[2]
