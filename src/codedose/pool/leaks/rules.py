"""An item aligned with a message -> whether the message contains it."""

from dataclasses import dataclass
from math import ceil

import numpy as np

from codedose.pool.known.prints import GRAM, Prints
from codedose.pool.leaks.reference import LONG, Reference
from codedose.words import Hashes, Places, rolled

HALF = 0.5  # of an item's own 8-grams
QUARTER = 0.25  # of its 8-grams, beside a matching 13-gram
OWN = 0.25  # share of an item's 8-grams that must be its own for some of them to say something
LENGTHY = 60  # words, from which a match of half an item is no accident even when parts are template
NATURAL = 0.9  # share of its own 8-grams from which an item is no product of a template
EDITS = 20  # one word in so many may be inserted or removed
LOW = np.uint64(0xFFFFFFFF)  # the part of a hash that is kept of an item's edges


@dataclass(frozen=True)
class Match:
    """Where an item's 8-grams were found in one message: `places` in the item, sorted, and `at` in the message.

    `known` holds, sorted, every place of the message where an 8-gram of any item starts.
    """

    item: int
    places: Places
    at: Places
    message: Hashes
    known: Places


def judge(reference: Reference, match: Match) -> tuple[str, float] | None:
    """How the message contains the item, and the share of the item's own 8-grams that it holds; None if it does not."""
    prints, item = reference.prints, match.item
    length, first, last = int(prints.lengths[item]), prints.offsets[item], prints.offsets[item + 1]
    found, own = len(match.places), reference.own[first:last]
    if length < LONG:
        whole = found == last - first and match.at[-1] - match.at[0] == found - 1
        return ("whole", 1.0) if whole else None
    everything = found / len(own)
    coverage = float(own[match.places].sum() / own.sum()) if own.any() else everything
    official = prints.origins[item] == "official"
    natural = own.mean() >= NATURAL or (own.mean() >= HALF and length >= LENGTHY)
    own_long = has_own_long(reference, match)
    if (
        (natural and min(coverage, everything) >= HALF and (official or length >= EDITS))
        or (natural and official and own_long and everything >= QUARTER)
        or is_lightly_edited(prints, match, doubt=coverage >= QUARTER or own.mean() < OWN)
    ):
        return "13-gram" if own_long else "coverage" if own.mean() >= OWN else "whole", coverage
    return None


def one_way_through(places: Places, at: Places) -> tuple[Places, Places]:
    """For each place of the item one in the message, that which shifts least against the place before."""
    shifts = at - places
    usual = int(np.bincount(shifts - shifts.min()).argmax() + shifts.min())
    kept: list[int] = []
    starts = np.flatnonzero(np.diff(places, prepend=-1)).tolist()
    for start, stop in zip(starts, [*starts[1:], len(places)], strict=True):
        best = start + int(np.abs(shifts[start:stop] - usual).argmin())
        usual = int(shifts[best])
        kept.append(best)
    return places[kept], at[kept]


def has_own_long(reference: Reference, match: Match) -> bool:
    """Whether a 13-gram that only this item has stands in the message: six 8-grams in a row."""
    span, places, at = LONG - GRAM, match.places, match.at
    if len(places) <= span:
        return False
    runs = (places[span:] - places[:-span] == span) & (at[span:] - at[:-span] == span)
    return bool((runs & reference.own_long[reference.prints.offsets[match.item] + places[:-span]]).any())


@dataclass(frozen=True)
class Edits:
    """How many words inserted or removed explain a difference. `sure`: no other explanation is known."""

    words: float
    sure: bool = True

    def __add__(self, other: "Edits") -> "Edits":
        return Edits(self.words + other.words, self.sure and other.sure)


SAME = Edits(0)
OTHER = Edits(float("inf"))  # words were put in the place of others: another item


def is_lightly_edited(prints: Prints, match: Match, *, doubt: bool) -> bool:
    """Whether the message holds the item but for words inserted or removed: one in EDITS, rounded up when sure.

    `doubt`: whether edits that are not sure count.
    """
    edits = edits_inside(match) + edits_of_head(prints, match) + edits_of_tail(prints, match)
    length = int(prints.lengths[match.item])
    return edits.words <= (ceil(length / EDITS) if edits.sure else length // EDITS if doubt else 0)


def edits_inside(match: Match) -> Edits:
    """The edits that explain the gaps between the 8-grams found.

    One inserted or removed word leaves a gap of at most eight 8-grams and shifts what follows by one. A
    gap without a shift is a word put in the place of another, as in a sibling of the item, or two edits. It
    counts as edits where the message holds nothing there that any item holds.
    """
    edits = SAME
    gaps = np.diff(match.places) - 1
    shifts = np.abs(np.diff(match.at - match.places))
    for where in np.flatnonzero((gaps > 0) | (shifts > 0)).tolist():
        gap, shift = int(gaps[where]), int(shifts[where])
        words = shift if gap <= GRAM * shift else shift + 2
        if words == 1:
            edits += Edits(1)
        elif gap <= GRAM * words and is_new(match, int(match.at[where]) + 1, int(match.at[where + 1])):
            edits += Edits(words, sure=False)
        else:
            return OTHER
    return edits


def edits_of_head(prints: Prints, match: Match) -> Edits:
    """The edits that explain why the item's words before the first 8-gram found are not there."""
    missing, start, message = int(match.places[0]), int(match.at[0]), match.message
    if missing == 0:
        return SAME
    removed = message[max(start - missing + 1, 0) :][:GRAM]
    inserted = np.concatenate([message[max(start - 1 - missing, 0) : max(start - 1, 0)], message[start:]])[:GRAM]
    if (
        (missing == 1 and start == 0)
        or (1 < missing <= GRAM and is_hash(removed, prints.edges[match.item][missing - 1]))
        or (missing < GRAM and is_hash(inserted, prints.grams[prints.offsets[match.item]]))
    ):
        return Edits(1)
    return doubtful(missing, is_new(match, max(start - min(missing + 1, GRAM), 0), start))


def edits_of_tail(prints: Prints, match: Match) -> Edits:
    """The edits that explain why the item's words after the last 8-gram found are not there."""
    last = int(prints.offsets[match.item + 1]) - 1
    missing = last - int(prints.offsets[match.item]) - int(match.places[-1])
    after, message = int(match.at[-1]) + 1, match.message
    stop = after - 1 + GRAM
    if missing == 0:
        return SAME
    removed = message[: stop + missing - 1][-GRAM:]
    inserted = np.concatenate([message[:stop], message[stop + 1 :][:missing]])[-GRAM:]
    if (
        (missing == 1 and stop == len(message))
        or (1 < missing <= GRAM and is_hash(removed, prints.edges[match.item][GRAM + missing - 1]))
        or (missing < GRAM and is_hash(inserted, prints.grams[last]))
    ):
        return Edits(1)
    return doubtful(missing, is_new(match, after, after + min(missing + 1, GRAM)))


def doubtful(missing: int, new: bool) -> Edits:
    """The end word removed, or two edits near the end: if they are not other words, those of a sibling."""
    return Edits(1 if missing == 1 else 2, sure=False) if new and missing <= 2 * GRAM else OTHER


def is_new(match: Match, start: int, stop: int) -> bool:
    """Whether no item's 8-gram starts at the message's words from `start` to before `stop`."""
    return bool(np.searchsorted(match.known, start) == np.searchsorted(match.known, stop))


def is_hash(run: Hashes, wanted: np.uint64) -> bool:
    return len(run) == GRAM and bool(rolled(run, GRAM)[0] & LOW == wanted & LOW)
