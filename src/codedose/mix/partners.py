"""Other examples in the place of coding ones: each as near in reply length and turns as is still to be had."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from math import inf, log

from codedose.errors import DataError

Profile = tuple[int, int]  # reply length, turns


def partners(rows: Sequence[int], candidates: Sequence[int], profiles: Mapping[int, Profile], *, arm: str) -> list[int]:
    """For each row a candidate of its own, nearest in log reply length plus log turns.

    Greedy, the longest replies first: those have the fewest that are alike. Ties go to the candidate that
    stands first. Raises DataError when there are too few candidates.
    """
    if len(rows) > len(candidates):
        raise DataError(
            f"arm {arm!r}: {len(rows):,} coding examples are to be replaced, but only {len(candidates):,} other "
            f"examples are unused: {len(rows) - len(candidates):,} too few; add other examples, or lower the budget"
        )
    shelves: dict[int, list[tuple[float, int, int]]] = {}
    for place, row in enumerate(candidates):
        length, turns = profiles[row]
        shelves.setdefault(turns, []).append((log(length + 1), place, row))
    for shelf in shelves.values():
        shelf.sort()
    chosen: dict[int, int] = {}
    for row in sorted(rows, key=lambda row: (-profiles[row][0], row)):
        chosen[row] = nearest(profiles[row], shelves)
    return [chosen[row] for row in rows]


def nearest(profile: Profile, shelves: dict[int, list[tuple[float, int, int]]]) -> int:
    """Take the nearest candidate off its shelf (candidates of equal turns, by log length)."""
    length, turns = log(profile[0] + 1), log(profile[1] + 1)
    best = (inf, 0, 0)  # distance, turns, place on the shelf
    for found in sorted(shelves, key=lambda found: (abs(log(found + 1) - turns), found)):
        apart = abs(log(found + 1) - turns)
        if apart >= best[0]:
            break
        shelf = shelves[found]
        place = bisect_left(shelf, (length, -1, -1))
        for near in (place - 1, place):
            if 0 <= near < len(shelf):
                distance = apart + abs(shelf[near][0] - length)
                if distance < best[0]:
                    best = (distance, found, near)
    row = shelves[best[1]].pop(best[2])[2]
    if not shelves[best[1]]:
        del shelves[best[1]]
    return row
