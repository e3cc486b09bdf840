"""Benchmark items -> a reference in which the 8-grams of training text are looked up."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from codedose import tables
from codedose.pool.known.prints import GRAM, Prints, joined, load, prints_of, shared
from codedose.words import Hashes, Places

LONG = 13  # words, as GPT-3 (Brown et al. 2020, appendix C); shorter items must match whole
BITS = 22  # of the tables that most 8-grams are turned away by

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Reference:
    """The items' prints, made ready to be looked up.

    keys are their distinct 8-grams, sorted; key k stands in the items owner[p] at the places place[p],
    for p from begin[k] to begin[k + 1]. own says, for each of prints.grams, whether it is no template;
    own_long the same for the 13-gram that starts there (False where none does).
    """

    prints: Prints
    keys: Hashes
    doors: tuple[Flags, Flags]
    begin: Places
    owner: Places
    place: Places
    own: Flags
    own_long: Flags


def refer(items: pl.DataFrame | None, *, known: bool) -> Reference:
    """The items to look for. The shipped template is heeded whether or not the known items are looked for."""
    official, template = load()
    prints = prints_of(items if items is not None else tables.ITEMS.frame([]))
    if known:
        prints = joined(prints, official)
    owners = np.repeat(np.arange(len(prints)), np.diff(prints.offsets))
    common = shared(prints, prints.grams, owners)
    common |= among((prints.grams >> np.uint64(32)).astype(np.uint32), template)
    order = np.argsort(prints.grams, kind="stable")
    line = prints.grams[order]
    first = np.flatnonzero(np.concatenate([[True], line[1:] != line[:-1]])[: len(line)])
    return Reference(
        prints=prints,
        keys=line[first],
        doors=(door(line, 0), door(line, BITS)),
        begin=np.append(first, len(line)),
        owner=owners[order],
        place=order - prints.offsets[owners[order]],
        own=~common,
        own_long=long_ones(prints, owners),
    )


def long_ones(prints: Prints, owners: Places) -> Flags:
    """Where a 13-gram starts that stands in one item of its task only; made of the 8-grams at its ends."""
    reach = LONG - GRAM
    starts = np.flatnonzero(owners[: max(len(owners) - reach, 0)] == owners[reach:])
    both = prints.grams[starts] * np.uint64(0x9E3779B97F4A7C15) + prints.grams[starts + reach]
    answer = np.zeros(len(owners), bool)
    answer[starts] = ~shared(prints, both, owners[starts])
    return answer


def among(values: NDArray[np.generic], line: NDArray[np.generic]) -> Flags:
    """Which of the values stand in the sorted line."""
    if not len(line):
        return np.zeros(len(values), bool)
    rank = np.minimum(np.searchsorted(line, values), len(line) - 1)
    return np.asarray(line[rank] == values)


def door(keys: Hashes, skip: int) -> Flags:
    """A table that is true at BITS bits of each key, after the `skip` highest ones."""
    answer = np.zeros(1 << BITS, bool)
    answer[knock(keys, skip)] = True
    return answer


def knock(keys: Hashes, skip: int) -> Hashes:
    return keys << np.uint64(skip) >> np.uint64(64 - BITS)
