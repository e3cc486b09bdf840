"""Benchmark items -> fingerprints: hashes of their word n-grams, from which no text can be read.

The official items of the built-in tasks are shipped as such prints (known.npz, made by make.py); the
items of a study become prints when training text is searched for them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from codedose import words as cutting
from codedose.errors import DataError
from codedose.words import Hashes, Places, Words, rolled, words

VERSION = 1  # of the file and what stands in it; the version of the words' hashes goes with it
FILE = Path(__file__).parent / "known.npz"

GRAM = 8  # words; an item of fewer has one hash, of all its words
EDGES = 2 * GRAM  # hashes of an item's beginning and end with a word left out
EDGED = 13  # words; shorter items have no edges, since they must match whole


@dataclass(frozen=True)
class Prints:
    """Fingerprints of n items.

    `lengths` counts their words. Item i's 8-grams, in order, are grams[offsets[i]:offsets[i + 1]].
    edges[i] (n, 16) holds the lower halves of the hashes of its first eight words when word 1, 2, ... 8 is
    left out, then of its last eight when the last, the one before, ... is left out; 0 where it has none.
    """

    tasks: tuple[str, ...]
    item_ids: tuple[str, ...]
    origins: tuple[str, ...]
    lengths: Places
    grams: Hashes
    offsets: Places
    edges: Hashes

    def __len__(self) -> int:
        return len(self.tasks)


def prints_of(items: pl.DataFrame) -> Prints:
    """The prints of tables.ITEMS, each item_id once. Items without any word have no grams."""
    items = items.unique("item_id", keep="first").sort("item_id")
    cut = words(items["question"].to_list())
    grams = grams_of(cut)
    return Prints(
        tuple(items["task"]),
        tuple(items["item_id"]),
        tuple(items["origin"]),
        np.diff(cut.offsets),
        grams.hashes,
        grams.offsets,
        edges_of(cut),
    )


def grams_of(cut: Words) -> Words:
    return cutting.shingles(cut, GRAM)


def edges_of(cut: Words) -> Hashes:
    """The hashes (n, 16) of the first and last eight words that are left when one of nine goes."""
    found = np.zeros((len(cut), EDGES), np.uint64)
    lengths = np.diff(cut.offsets)
    long = np.flatnonzero(lengths >= EDGED)
    if not len(long):
        return found
    kept = np.array([[place for place in range(GRAM + 1) if place != gone] for gone in range(GRAM)])
    heads = cut.offsets[long][:, None, None] + kept
    tails = cut.offsets[long + 1][:, None, None] - 1 - kept[:, ::-1]
    for first, places in ((0, heads), (GRAM, tails)):
        own = cut.hashes[places].reshape(-1)
        found[long, first : first + GRAM] = rolled(own, GRAM)[::GRAM].reshape(len(long), GRAM)
    return found


def joined(some: Prints, others: Prints) -> Prints:
    """Both, each item once: of one that is in both, the first's print."""
    known = set(some.item_ids)
    new = [row for row, item_id in enumerate(others.item_ids) if item_id not in known]
    lengths = np.diff(others.offsets)
    rest = np.repeat(np.isin(np.arange(len(others)), new), lengths)
    return Prints(
        some.tasks + tuple(others.tasks[row] for row in new),
        some.item_ids + tuple(others.item_ids[row] for row in new),
        some.origins + tuple(others.origins[row] for row in new),
        np.concatenate([some.lengths, others.lengths[new]]),
        np.concatenate([some.grams, others.grams[rest]]),
        np.concatenate([some.offsets, some.offsets[-1] + lengths[new].cumsum()]).astype(np.int64),
        np.concatenate([some.edges, others.edges[new]]),
    )


def shared(prints: Prints, keys: Hashes, owners: Places) -> NDArray[np.bool_]:
    """Which of the n-grams `keys`, each of the item `owners`, stand in several items of their task."""
    names = sorted(set(prints.tasks))
    task = np.array([names.index(name) for name in prints.tasks], np.uint64)[owners]
    mixed = keys + task * np.uint64(0x9E3779B97F4A7C15)
    order = np.lexsort((owners, mixed))
    mixed, owner = mixed[order], owners[order]
    group = np.concatenate([[0], (mixed[1:] != mixed[:-1]).cumsum()]) if len(order) else order
    first = np.searchsorted(group, group)
    last = np.searchsorted(group, group, side="right") - 1
    answer = np.empty(len(order), bool)
    answer[order] = owner[first] != owner[last]
    return answer


# ---- the file


def save(prints: Prints, template: NDArray[np.uint32], path: Path) -> None:
    """Write official items' prints and the sorted upper halves of 8-grams that are template; same input, same bytes."""
    names = tuple(sorted(set(prints.tasks)))
    ends = [bytes.fromhex(item_id.rpartition("-")[2]) for item_id in prints.item_ids]
    edged = np.flatnonzero(prints.edges.any(axis=1))
    arrays: dict[str, NDArray[Any]] = {
        "versions": np.array([VERSION, cutting.VERSION], np.int64),
        "names": np.frombuffer("\n".join(names).encode(), np.uint8),
        "tasks": np.array([names.index(task) for task in prints.tasks], np.uint8),
        "item_ids": np.frombuffer(b"".join(ends), np.uint8).reshape(len(ends), -1),
        "lengths": prints.lengths.astype(np.uint16),
        "grams": prints.grams,
        "edged": edged.astype(np.uint16),
        "edges": prints.edges[edged].astype(np.uint32),  # the lower half is enough beside what else must match
        "template": template,
    }
    np.savez(path, allow_pickle=False, **arrays)


def load(path: Path = FILE) -> tuple[Prints, NDArray[np.uint32]]:
    """The shipped prints and template. Raises DataError when the file is missing or of another version."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        versions = arrays["versions"].tolist()
    except (OSError, ValueError, KeyError) as problem:
        raise DataError(f"{path}: cannot be read as fingerprints ({problem}); install codedose again") from problem
    if versions != [VERSION, cutting.VERSION]:
        raise DataError(
            f"{path}: holds fingerprints of version {versions}; this codedose reads {VERSION}; make it anew"
        )
    names = arrays["names"].tobytes().decode().split("\n")
    tasks = tuple(names[number] for number in arrays["tasks"])
    item_ids = [f"{task}-{end.tobytes().hex()}" for task, end in zip(tasks, arrays["item_ids"], strict=True)]
    lengths = arrays["lengths"].astype(np.int64)
    edges = np.zeros((len(tasks), EDGES), np.uint64)
    edges[arrays["edged"]] = arrays["edges"]
    offsets = np.concatenate([[0], counts_of(lengths).cumsum()]).astype(np.int64)
    found = Prints(tasks, tuple(item_ids), ("official",) * len(tasks), lengths, arrays["grams"], offsets, edges)
    return found, arrays["template"]


def counts_of(lengths: Places) -> Places:
    """How many grams items of these lengths have."""
    return np.maximum(lengths - GRAM + 1, (lengths > 0).astype(np.int64))
