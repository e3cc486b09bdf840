"""Training text -> the examples that contain a benchmark item, word for word or lightly edited.

Hashed word 8-grams of each message are looked up among those of the items (reference, lookup); the items
that share enough of them are aligned with the message, and the rules decide. What several items of a
task share is its template and is no evidence for one of them.
"""

from collections.abc import Iterable, Iterator

import polars as pl

from codedose import tables
from codedose.pool.leaks.lookup import search
from codedose.pool.leaks.reference import refer
from codedose.words import words

TEXT = 4_000_000  # characters searched at a time


def find(examples: Iterable[pl.DataFrame], items: pl.DataFrame | None, *, known: bool) -> pl.DataFrame:
    """Which examples contain which items (tables.LEAKS), sorted.

    `examples` are frames with example_id and messages; `items` (tables.ITEMS) are a study's own; with
    `known` all official items of the built-in tasks are looked for too. Messages are searched one by
    one. Of items under 13 words the whole must be there. Of others, all but one word in twenty inserted or
    removed; of those that share little with others of their task, half of the 8-grams in line are enough,
    and of official ones also a quarter with one of their 13-grams (the limits stand in rules.py). `match`
    says what was found: an own 13-gram, else own 8-grams (coverage), else, of items without them, the whole.
    """
    reference = refer(items, known=known)
    found: dict[tuple[str, int], tuple[str, float]] = {}
    for names, texts in messages(examples):
        for text, item, match, coverage in search(words(texts), reference):
            key = (names[text], item)
            found[key] = max(found.get(key, ("", 0.0)), (match, coverage), key=lambda one: (one[1], one[0]))
    prints = reference.prints
    rows = [
        {
            "example_id": name,
            "task": prints.tasks[item],
            "item_id": prints.item_ids[item],
            "origin": prints.origins[item],
            "match": match,
            "coverage": coverage,
        }
        for (name, item), (match, coverage) in found.items()
    ]
    return tables.LEAKS.frame(rows).sort("example_id", "task", "item_id")


def messages(examples: Iterable[pl.DataFrame]) -> Iterator[tuple[list[str], list[str]]]:
    """The messages' texts, about TEXT characters at a time, each with the example that it belongs to."""
    names: list[str] = []
    texts: list[str] = []
    size = 0
    for frame in examples:
        for name, turns in frame.select("example_id", "messages").iter_rows():
            for turn in turns:
                names.append(name)
                texts.append(turn["content"])
                size += len(turn["content"])
            if size > TEXT:
                yield names, texts
                names, texts, size = [], [], 0
    if texts:
        yield names, texts
