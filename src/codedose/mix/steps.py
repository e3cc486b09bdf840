"""Examples -> optimiser steps of equal tokens.

Every example has a home step that follows from its place in its line, the same in every arm; then
the steps exchange as few examples as bring their totals together. Two arms thus train on what they
share in mostly the same steps.
"""

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from codedose.errors import DataError

Places = np.ndarray[tuple[int, ...], np.dtype[np.int64]]
Sizes = np.ndarray[tuple[int, ...], np.dtype[np.int64]]

TOLERANCE = 0.005
AIM = 0.8 * TOLERANCE  # leaves room for what an arm's total is off its budget
ATTEMPTS = 5_000  # examples dealt again from other places before steps are called too small
COMBINATIONS = 40_000  # exchanges looked at together: enough to find one that fits to the token


def homes(entries: int, steps: int, *names: str | int) -> Places:
    """The home step of the entries of one line, in order: one for each step, by hash, then one for each again."""
    rounds = []
    for turn in range(-(-entries // steps)):
        prefix = "/".join(map(str, ("mix", *names, turn)))
        rounds += sorted(range(steps), key=lambda step: hashlib.sha256(f"{prefix}/{step}".encode()).digest())
    return np.array(rounds[:entries], np.int64)


def deal(sizes: Sequence[int], home: Places, steps: int, twins: Sequence[int], *, arm: str) -> Places:
    """The step of each example, whose totals differ by at most 0.5 % from the even one.

    Starts from their homes and, if no exchange of two examples leads on from there, from other places.
    `twins` names copies of one example, which stay in steps of their own where there are enough.
    Raises DataError with the best deviation reached and the mend.
    """
    lengths = np.array(sizes, np.int64)
    even = float(lengths.sum()) / steps
    largest = int(lengths.max())
    if largest > even * (1 + TOLERANCE):
        reached, why = [largest / even - 1], f"one example alone has {largest:,}"
    else:
        reached, why = [], f"they hold {len(sizes) / steps:.1f} examples on average"
        for start in starts(lengths, home, steps):
            found = settle(lengths, start, steps, np.array(twins, np.int64))
            reached.append(float(np.abs(np.bincount(found, lengths, minlength=steps) - even).max() / even))
            if reached[-1] <= TOLERANCE:
                return found
    raise DataError(
        f"arm {arm!r}: steps of {even:,.0f} tokens are equal only within {min(reached):.1%}, not 0.5 % ({why}); "
        "raise tune.step_size"
    )


def starts(sizes: Sizes, home: Places, steps: int) -> Iterator[Places]:
    """Where to begin, the best first: home, the longest first, and for few examples any number of other homes."""
    yield home
    yield longest_first(sizes, steps)
    for attempt in range(min(ATTEMPTS // len(sizes), 100)):
        yield homes(len(sizes), steps, "attempt", attempt)


def longest_first(sizes: Sizes, steps: int) -> Places:
    """Each example, the longest first, to the step that has least."""
    found = np.zeros(len(sizes), np.int64)
    totals = np.zeros(steps, np.int64)
    for entry in np.argsort(-sizes, kind="stable"):
        found[entry] = totals.argmin()
        totals[found[entry]] += sizes[entry]
    return found


def settle(sizes: Sizes, start: Places, steps: int, twins: Places) -> Places:
    """The steps after exchanges of one example for another, or for none, while some step is too far off.

    Each exchange is the one that lowers the sum of squared deviations most, so there is an end.
    """
    found = start.copy()
    off = np.bincount(found, sizes, minlength=steps) - sizes.sum() / steps
    limit = AIM * sizes.sum() / steps
    members = [np.flatnonzero(found == step) for step in range(steps)]
    apart = len(np.unique(twins)) < len(twins) and bool(
        np.bincount(np.unique(twins, return_inverse=True)[1]).max() <= steps
    )
    while True:
        worst = np.argsort(-np.abs(off), kind="stable")
        for step in worst[np.abs(off[worst]) > limit].tolist():
            chosen = best_exchange(sizes, members, off, step, twins if apart else None)
            if chosen is not None:
                break
        else:
            return found
        given, got, partner = chosen
        for entry, source, goal in ((given, step, partner), (got, partner, step)):
            if entry is not None:
                members[source] = members[source][members[source] != entry]
                members[goal] = np.append(members[goal], entry)
                found[entry] = goal
                off[source] -= sizes[entry]
                off[goal] += sizes[entry]


def best_exchange(
    sizes: Sizes,
    members: Sequence[Places],
    off: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    step: int,
    twins: Places | None,
) -> tuple[int | None, int | None, int] | None:
    """What `step` gives (or nothing), gets (or nothing), and from which other step; nothing when no exchange helps."""
    own = np.append(members[step], -1)
    by_opposition = [int(other) for other in np.argsort(off if off[step] > 0 else -off, kind="stable") if other != step]
    among = max(COMBINATIONS // (len(own) * max(len(sizes) // len(members), 1)), 1)
    for start in range(0, len(by_opposition), among):
        partners = by_opposition[start : start + among]
        theirs = np.concatenate([np.append(members[partner], -1) for partner in partners])
        whose = np.repeat(partners, [len(members[partner]) + 1 for partner in partners])
        moved = np.append(sizes, 0)[own][:, None] - np.append(sizes, 0)[theirs][None, :]
        change = moved * (moved - (off[step] - off[whose])[None, :])
        if twins is not None:
            change[would_meet(own, theirs, whose, members, step, twins)] = np.inf
        row, column = divmod(int(change.argmin()), len(theirs))
        if change[row, column] < -1e-6:
            given, got = int(own[row]), int(theirs[column])
            return (None if given < 0 else given), (None if got < 0 else got), int(whose[column])
    return None


def would_meet(
    own: Places, theirs: Places, whose: Places, members: Sequence[Places], step: int, twins: Places
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Which exchanges would bring two copies of one example into one step."""
    names = np.append(twins, -1)
    here = np.isin(names[theirs], twins[members[step]]) & (theirs >= 0)
    there = {int(partner): np.isin(names[own], twins[members[partner]]) & (own >= 0) for partner in np.unique(whose)}
    return here[None, :] | np.stack([there[int(partner)] for partner in whose], axis=1)
