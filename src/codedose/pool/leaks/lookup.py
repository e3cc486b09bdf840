"""Messages -> the items that may stand in them, aligned, and what the rules say of each."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from codedose.pool.known.prints import GRAM
from codedose.pool.leaks.reference import BITS, Reference, among, knock
from codedose.pool.leaks.rules import EDITS, QUARTER, Match, judge, one_way_through
from codedose.words import Places, Words, ngrams

TINY = 4  # words; an item of fewer matches only a message that is nothing else
ROWS = 4_000_000  # matches of 8-grams looked at together
OFTEN = 1024  # places of one 8-gram in one message that are looked at


@dataclass(frozen=True)
class Hits:
    """8-grams of the reference found in messages: in which message, at which of its words, and which key."""

    text: Places
    at: Places
    key: Places


def search(cut: Words, reference: Reference) -> Iterator[tuple[int, int, str, float]]:
    """(message, item, match, coverage) for every item that a message contains."""
    yield from short(cut, reference)
    hits = looked_up(ngrams(cut, GRAM), reference)
    for part in parts(hits, reference):
        for text, item, places, at in aligned(part, reference):
            known = part.at[np.searchsorted(part.text, text) : np.searchsorted(part.text, text, side="right")]
            match = Match(item, *one_way_through(places, at), cut.of(text), known)
            verdict = judge(reference, match)
            if verdict:
                yield text, item, *verdict


def short(cut: Words, reference: Reference) -> Iterator[tuple[int, int, str, float]]:
    """Items of fewer than eight words, by the one hash that they have."""
    prints = reference.prints
    for length in sorted(set(prints.lengths[(prints.lengths > 0) & (prints.lengths < GRAM)].tolist())):
        hits = looked_up(ngrams(cut, length), reference)
        for text, key in sorted(set(zip(hits.text.tolist(), hits.key.tolist(), strict=True))):
            for item in reference.owner[reference.begin[key] : reference.begin[key + 1]].tolist():
                alone = cut.offsets[text + 1] - cut.offsets[text] == length
                if prints.lengths[item] == length and (length >= TINY or alone):
                    yield text, item, "whole", 1.0


def looked_up(grams: Words, reference: Reference) -> Hits:
    """The n-grams of messages that the reference holds."""
    here = np.flatnonzero(reference.doors[0][knock(grams.hashes, 0)])
    here = here[reference.doors[1][knock(grams.hashes[here], BITS)]]
    here = here[among(grams.hashes[here], reference.keys)]
    text = np.searchsorted(grams.offsets, here, side="right") - 1
    key = np.searchsorted(reference.keys, grams.hashes[here])
    return few(Hits(text, here - grams.offsets[text], key))


def few(hits: Hits) -> Hits:
    """At most OFTEN places of a key in a message, so that a text that repeats itself costs no more than others."""
    order = np.lexsort((hits.at, hits.key, hits.text))
    group = np.stack([hits.text[order], hits.key[order]])
    new = np.concatenate([[True], (group[:, 1:] != group[:, :-1]).any(axis=0)])[: len(order)]
    start = np.flatnonzero(new)
    rank = np.arange(len(order)) - start[np.cumsum(new) - 1]
    kept = np.sort(order[rank < OFTEN])
    return Hits(hits.text[kept], hits.at[kept], hits.key[kept])


def parts(hits: Hits, reference: Reference) -> Iterator[Hits]:
    """The hits of some messages at a time, so that they and the items that they point to fit into memory."""
    load_of = np.cumsum(reference.begin[hits.key + 1] - reference.begin[hits.key])
    start = 0
    while start < len(hits.text):
        done = load_of[start - 1] if start else 0
        stop = max(int(np.searchsorted(load_of, done + ROWS)), start + 1)
        stop = int(np.searchsorted(hits.text, hits.text[min(stop, len(hits.text)) - 1], side="right"))
        yield Hits(hits.text[start:stop], hits.at[start:stop], hits.key[start:stop])
        start = stop


def aligned(hits: Hits, reference: Reference) -> Iterator[tuple[int, int, Places, Places]]:
    """(message, item, places in the item, places in the message) where they share a quarter of the item's
    8-grams about where the most of them stand in line."""
    count = reference.begin[hits.key + 1] - reference.begin[hits.key]
    row = np.repeat(np.arange(len(count)), count)
    post = np.arange(len(row)) + np.repeat(reference.begin[hits.key] - (np.cumsum(count) - count), count)
    item, place = reference.owner[post], reference.place[post]
    text, at = hits.text[row], hits.at[row]
    long = reference.prints.lengths[item] >= GRAM
    text, item, place, at = text[long], item[long], place[long], at[long]
    text, item, place, at = enough(text, item, place, at, reference)
    if not len(text):
        return
    text, item, place, at = in_line(text, item, place, at, reference)
    text, item, place, at = enough(text, item, place, at, reference)
    pair = text * len(reference.prints) + item
    order = np.lexsort((at, place, pair))
    borders = np.flatnonzero(np.diff(pair[order])) + 1
    for some in np.split(order, borders):
        if len(some):
            yield int(text[some[0]]), int(item[some[0]]), place[some], at[some]


def enough(
    text: Places, item: Places, place: Places, at: Places, reference: Reference
) -> tuple[Places, Places, Places, Places]:
    """The matches of those pairs of message and item that share a quarter of the item's 8-grams."""
    pair = text * len(reference.prints) + item
    order = np.lexsort((place, pair))
    fresh = np.ones(len(order), bool)
    fresh[1:] = (pair[order][1:] != pair[order][:-1]) | (place[order][1:] != place[order][:-1])
    names, groups = np.unique(pair, return_inverse=True)
    shared_count = np.bincount(groups[order[fresh]], minlength=len(names))
    needed = QUARTER * np.diff(reference.prints.offsets)[names % max(len(reference.prints), 1)]
    kept = (shared_count >= needed)[groups]
    return text[kept], item[kept], place[kept], at[kept]


def in_line(
    text: Places, item: Places, place: Places, at: Places, reference: Reference
) -> tuple[Places, Places, Places, Places]:
    """The matches near the distance between message and item at which most of a pair's matches stand."""
    pair = text * len(reference.prints) + item
    distance = at - place
    order = np.lexsort((distance, pair))
    sorted_pair, sorted_distance = pair[order], distance[order]
    new = np.ones(len(order), bool)
    new[1:] = (sorted_pair[1:] != sorted_pair[:-1]) | (sorted_distance[1:] != sorted_distance[:-1])
    start = np.flatnonzero(new)
    size = np.diff(np.append(start, len(order)))
    best = np.lexsort((-sorted_distance[start], size, sorted_pair[start]))  # the last of each pair is the mode
    mode_pair = sorted_pair[start][best]
    last = np.append(mode_pair[1:] != mode_pair[:-1], True)
    mode = sorted_distance[start][best][last]
    near = np.abs(distance - mode[np.searchsorted(mode_pair[last], pair)]) <= reach(reference.prints.lengths[item])
    return text[near], item[near], place[near], at[near]


def reach(lengths: Places) -> Places:
    """By how many words the edits of an item may shift its parts."""
    return np.maximum(2, -(-lengths // EDITS) * 2)
