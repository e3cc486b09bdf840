"""Conversations -> those that nearly repeat another one: MinHash finds candidates, exact Jaccard decides.

A conversation is the set of its word 5-grams (the whole text where it has fewer than five words).
Signatures are made batch by batch; the texts of candidates are fetched again to be compared.
MinHash: Broder 1997, as R-MinHash of the package rensa, algorithm version 2.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from codedose.errors import MachineError
from codedose.words import Hashes, blocks, rolled, shingles, words

WINDOW = 5  # words
PERMUTATIONS = 128
SEED = 20405  # of the permutations
ALGORITHM = 2  # rensa's own number for what R-MinHash computes
CHANCE = 0.99  # that a pair at the threshold becomes a candidate, at least
SLACK = 4  # standard errors below the threshold at which a signature still counts as similar
CROWD = 32  # rows alike in a band; among more, only neighbours and the first are paired
FETCHED = 4096  # texts at a time

Signatures = NDArray[np.uint32]
Pairs = NDArray[np.int64]
NOTHING = np.uint32(0xFFFFFFFF)  # what the signature of a text without words is full of


def signatures(texts: Sequence[str]) -> Signatures:
    """One row of 128 numbers for each text. Raises MachineError for a rensa that computes something else."""
    from rensa import RMinHash

    if RMinHash.ALGORITHM_VERSION != ALGORITHM:
        raise MachineError(
            f"the installed rensa computes MinHash version {RMinHash.ALGORITHM_VERSION}, not {ALGORITHM}; "
            "install rensa 0.5"
        )
    return np.concatenate([np.empty((0, PERMUTATIONS), np.uint32), *map(signed, blocks(texts))])


def signed(texts: Sequence[str]) -> Signatures:
    """The signatures of a block of texts: few at a time, so that their tables stay in the processor's cache."""
    from rensa import RMinHash

    grams = shingles(words(texts), WINDOW)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(
        grams.hashes, grams.offsets.astype(np.uint64), num_perm=PERMUTATIONS, seed=SEED
    )
    return np.array(matrix.to_rows(), np.uint32)


def rows_of_a_band(threshold: float) -> int:
    """The longest bands that make a pair at the threshold a candidate with a chance of CHANCE; 0.8 gives 6 (99.8 %)."""
    fits = [r for r in range(1, PERMUTATIONS + 1) if 1 - (1 - threshold**r) ** (PERMUTATIONS // r) >= CHANCE]
    return max(fits, default=1)


def candidates(signed: Signatures, threshold: float) -> Pairs:
    """Pairs of rows (k, 2), the smaller first, that are likely to be similar.

    Rows that agree in a band and, by their signatures, are not far below the threshold. Among more
    than CROWD that agree in a band, each is paired with the first and with its neighbour only, so that
    the number of pairs stays in proportion to the rows; `repeats` makes up for it.
    """
    rows = np.flatnonzero((signed != NOTHING).any(axis=1))
    width = rows_of_a_band(threshold)
    least = threshold - SLACK * (threshold * (1 - threshold) / PERMUTATIONS) ** 0.5
    found = [np.empty(0, np.int64)]
    for start in range(0, PERMUTATIONS - width + 1, width):
        band = np.ascontiguousarray(signed[rows, start : start + width])
        for left, right in alike(rows, band):
            close = (signed[left] == signed[right]).mean(axis=1) >= least
            found.append(np.minimum(left, right)[close] * len(signed) + np.maximum(left, right)[close])
    return np.stack(np.divmod(np.unique(np.concatenate(found)), max(len(signed), 1)), axis=1)


def alike(rows: Pairs, band: Signatures) -> Iterator[tuple[Pairs, Pairs]]:
    """Pairs of rows whose band is the same, as two columns."""
    width = band.shape[1]
    keys = rolled(band.astype(np.uint64).ravel(), width)[::width]
    order = np.argsort(keys, kind="stable")
    changes = keys[order[1:]] != keys[order[:-1]]
    group = np.concatenate([[0], changes.cumsum()])
    sizes = np.bincount(group)[group]
    first = np.searchsorted(group, group)
    line = rows[order]
    places = np.arange(len(line))
    for apart in range(1, min(CROWD, int(sizes.max(initial=1)))):
        near = places[apart:][(group[apart:] == group[:-apart]) & ((apart == 1) | (sizes[apart:] <= CROWD))]
        yield line[near - apart], line[near]
    crowded = places[(sizes > CROWD) & (places > first)]
    yield line[first[crowded]], line[crowded]


def repeats(
    pairs: Pairs, texts_of: Callable[[Sequence[int]], list[str]], order: Sequence[int], threshold: float
) -> dict[int, int]:
    """Which rows leave, each with the kept row that it repeats: exact Jaccard similarity >= threshold.

    Rows are looked at in the `order` of preference; one leaves only for one that stays. It is compared
    with its candidates, with the most preferred candidate of each of them, and with those for which
    they left, so that a crowd that shares one candidate finds its way to the same row.
    """
    sets = sets_of(sorted({int(row) for row in pairs.ravel()}), texts_of)
    place = {row: number for number, row in enumerate(order) if row in sets}
    partners: dict[int, list[int]] = {row: [] for row in sets}
    for left, right in pairs.tolist():
        partners[left].append(right)
        partners[right].append(left)
    best = {row: min([row, *partners[row]], key=place.__getitem__) for row in sets}
    left_for: dict[int, int] = {}
    for row in sorted(sets, key=place.__getitem__):
        asked = {*partners[row], *(best[partner] for partner in partners[row])}
        staying = {left_for.get(other, other) for other in asked if place[other] < place[row]}
        for other in sorted(staying, key=place.__getitem__):
            if jaccard(sets[row], sets[other], least=threshold) >= threshold:
                left_for[row] = other
                break
    return left_for


def sets_of(rows: Sequence[int], texts_of: Callable[[Sequence[int]], list[str]]) -> dict[int, Hashes]:
    """The distinct 5-grams of each row's text, sorted."""
    sets: dict[int, Hashes] = {}
    for start in range(0, len(rows), FETCHED):
        some = rows[start : start + FETCHED]
        grams = shingles(words(texts_of(some)), WINDOW)
        sets |= {row: distinct(grams.of(number)) for number, row in enumerate(some)}
    return sets


def distinct(hashes: Hashes) -> Hashes:
    line = np.sort(hashes)
    return line[np.concatenate([[True], line[1:] != line[:-1]])] if len(line) else line


def jaccard(some: Hashes, others: Hashes, *, least: float = 0.0) -> float:
    """Size of the intersection by that of the union of two sorted sets; 0 where it cannot reach `least`."""
    small, large = sorted((len(some), len(others)))
    if not small or small < least * large:
        return 0.0
    line = np.sort(np.concatenate([some, others]), kind="stable")
    shared = int((line[1:] == line[:-1]).sum())
    return shared / (small + large - shared)


def rate(texts: Sequence[str], threshold: float) -> float:
    """The share of texts that have another one among them at Jaccard similarity >= threshold; 0 for no texts."""
    pairs = candidates(signatures(texts), threshold)
    sets = sets_of(np.unique(pairs).tolist(), lambda rows: [texts[row] for row in rows])
    return len(near_one(pairs.tolist(), sets, threshold)) / max(len(texts), 1)


def near_one(pairs: Iterable[Sequence[int]], sets: dict[int, Hashes], threshold: float) -> set[int]:
    """The rows of the pairs that are similar enough."""
    found: set[int] = set()
    for left, right in pairs:
        if not {left, right} <= found and jaccard(sets[left], sets[right], least=threshold) >= threshold:
            found |= {left, right}
    return found
