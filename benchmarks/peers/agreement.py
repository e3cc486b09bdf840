"""What two sides say of the same conversations, against the truth: every pair of texts of Jaccard 0.8 and more.

Texts and the ids that leave flow in, sentences flow out. The truth is found exactly, with neither side's hashes.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, combinations
from math import ceil
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

THRESHOLD = 0.8
WORD = re.compile(r"\w+")
Grams = NDArray[np.uint64]


def kept_by_each(theirs: Path, ours: Path, note: str = "") -> list[str]:
    """How many conversations both keep, and for which reasons ours leaves out what FastChat keeps."""
    theirs_kept = {record["id"] for record in json.loads(theirs.read_text("utf-8"))}
    ours_kept = set(pl.read_parquet(ours / "examples.parquet", columns=["conversation_id"])["conversation_id"])
    only = theirs_kept - ours_kept
    drops = pl.read_parquet(ours / "drops.parquet").filter(pl.col("reference").is_in(list(only)))
    reasons = drops.group_by("reason").len().sort(pl.col("len"), "reason", descending=[True, False]).head(4)
    why = "; ".join(f"{count} {reason}" for reason, count in reasons.select("reason", "len").iter_rows())
    return [
        f"  {note}kept by both {len(theirs_kept & ours_kept):,}, only by codedose {len(ours_kept - theirs_kept):,}, "
        f"only by FastChat {len(only):,}{why and f' ({why})'}"
    ]


def near_agreement(texts: Path, theirs: Mapping[str, Sequence[Sequence[str]]], ours: Sequence[str]) -> list[str]:
    """How much of the truth each side finds, and how many that leave have no such partner."""
    said = dict(read_texts(texts))
    length = {name: len(text) for name, text in said.items()}
    grams = {name: five_grams(text) for name, text in said.items()}
    pairs = true_pairs(grams)
    leaving = {"codedose": set(ours)} | {
        f"datatrove, {words}": chosen(groups, length) for words, groups in theirs.items()
    }
    lines = [f"  {len(pairs):,} of all pairs have a Jaccard similarity of {THRESHOLD} or more (word 5-grams, exact)"]
    in_pairs = set(chain.from_iterable(pairs))
    for side, left in leaving.items():
        parted = sum(a in left or b in left for a, b in pairs)
        lines.append(
            f"  {side}: {len(left):,} leave; {share(parted, len(pairs))} of those pairs are parted; "
            f"{len(left - in_pairs):,} leave without any such partner"
        )
    for words, groups in theirs.items():
        left = leaving[f"datatrove, {words}"]
        common = len(left & leaving["codedose"])
        mates = mates_of(groups)
        alike = [max(jaccard(grams[name], grams[mate]) for mate in mates[name]) for name in left - leaving["codedose"]]
        lines.append(
            f"  datatrove, {words} and codedose: {common:,} leave in both, {len(leaving['codedose'] - left):,} only in "
            f"codedose, {len(alike):,} only in datatrove (nearest in their group: {spread(alike)})"
        )
    return lines


def share(part: int, of: int) -> str:
    return f"{part / of:.1%}" if of else "none"


def spread(alike: Sequence[float]) -> str:
    """How similar the pairs are that only one side calls duplicates."""
    counts = [sum(low <= value < high for value in alike) for low, high in ((0.8, 2), (0.7, 0.8), (0.0, 0.7))]
    return "{} at 0.8 and above, {} from 0.7, {} below".format(*counts)


def read_texts(folder: Path) -> Iterator[tuple[str, str]]:
    for shard in sorted(folder.iterdir()):
        for line in shard.read_text("utf-8").splitlines():
            row = json.loads(line)
            yield row["id"], row["text"]


def chosen(groups: Sequence[Sequence[str]], length: Mapping[str, int]) -> set[str]:
    """Who leaves of each group when, as in codedose, the longest stays: which one does is no disagreement."""
    first = {min(group, key=lambda name: (-length[name], name)) for group in groups}
    return set(chain.from_iterable(groups)) - first


def mates_of(groups: Sequence[Sequence[str]]) -> dict[str, list[str]]:
    return {name: [mate for mate in group if mate != name] for group in groups for name in group}


def five_grams(text: str) -> Grams:
    """The set of word 5-grams, as sorted 64-bit numbers; below five words the text is its only one."""
    words = np.array([hash(word) for word in WORD.findall(text.lower())], np.int64).view(np.uint64)
    long = min(5, len(words))
    total = np.zeros(len(words) - long + 1 if long else 0, np.uint64)
    for place in range(long):
        total = (total + words[place : len(total) + place]) * np.uint64(0x9E3779B97F4A7C15)
        total ^= total >> np.uint64(29)
    return np.unique(total)


def jaccard(a: Grams, b: Grams) -> float:
    both = len(np.intersect1d(a, b, assume_unique=True))
    return both / max(1, len(a) + len(b) - both)


def true_pairs(grams: Mapping[str, Grams]) -> list[tuple[str, str]]:
    """Every pair at the threshold: prefix filtering (Bayardo et al. 2007), then the sets themselves.

    Two sets of which the larger has n elements share at least 0.8 n; so in one order of all elements, rarest first,
    each has a shared one among its first n - 0.8 n + 1. An element of one set only can be left out of that order.
    """
    elements, counts = np.unique(np.concatenate(list(grams.values())), return_counts=True)
    holders: dict[int, list[str]] = defaultdict(list)
    for name, own in grams.items():
        often = counts[np.searchsorted(elements, own)]
        shared = own[often > 1]
        room = len(shared) - ceil(THRESHOLD * len(own) - 1e-9) + 1
        if len(own) and room > 0:
            rarest = np.lexsort((shared, often[often > 1]))[:room]
            for element in shared[rarest].tolist():
                holders[element].append(name)
    near = {pair for names in holders.values() for pair in combinations(names, 2)}
    return sorted(pair for pair in near if jaccard(grams[pair[0]], grams[pair[1]]) >= THRESHOLD)
