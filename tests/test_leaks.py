"""Planted items are found, word for word and lightly edited; siblings of items and ordinary text are not."""

import gzip
import json
import random
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codedose import tables
from codedose.errors import DataError, StudyError
from codedose.pool.known import make, prints
from codedose.pool.leaks import find
from codedose.tasks import TASKS, task_named
from codedose.tasks.official import Unfit, item_of, read_entries
from codedose.tasks.task import LEVELS
from codedose.tasks.twins import generated

SHARED = Path(__file__).parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(not SHARED.exists(), reason="shared/data is not here: no official items, no real text")

NUMERALS = "zero one two three four five six seven eight nine ten eleven twelve".split()
FILLERS = "the a very of and really quickly green then old there just now also".split()


@cache
def twins(seed_name: str, count: int) -> pl.DataFrame:
    """About `count` generated items of every task and level."""
    found = []
    for task in TASKS:
        for level in LEVELS:
            left = count
            while left:
                try:
                    found.append(generated(task, seed_name=seed_name, level=level, count=left))
                    break
                except StudyError:
                    left //= 2
    return pl.concat(found).unique("item_id", maintain_order=True)


@cache
def official(per_task: int) -> pl.DataFrame:
    items = make.official_items(SHARED / "benchmarks").sort("item_id")
    return items.group_by("task", maintain_order=True).head(per_task)


@cache
def alpaca() -> list[tuple[str, str]]:
    return [(row["instruction"] + "\n" + row["input"], row["output"]) for row in lines("alpaca_5000")]


def lines(name: str) -> Iterator[dict[str, object]]:
    with gzip.open(SHARED / "ift" / f"{name}.jsonl.gz", "rt") as file:
        yield from map(json.loads, file)


def examples(texts: dict[str, list[str]]) -> pl.DataFrame:
    """A frame of conversations, each a list of messages."""
    messages = [[{"role": "user", "content": text} for text in turns] for turns in texts.values()]
    return pl.DataFrame(
        {"example_id": list(texts), "messages": messages},
        schema={"example_id": pl.String, "messages": tables.MESSAGES},
    )


def planted(items: pl.DataFrame, chance: random.Random, write: object) -> pl.DataFrame:
    """Each item inside a real conversation: as the request, at its end, or in the middle of the reply."""
    texts = {}
    for number, (name, question) in enumerate(items.select("item_id", "question").iter_rows()):
        text = write(question, chance) if callable(write) else question
        (request, reply), (_, more) = chance.choice(alpaca()), chance.choice(alpaca())
        texts[name] = [[text, reply], [f"{request}\n\n{text}", reply], [request, f"{reply} {text} {more}"]][number % 3]
    return examples(texts)


def lightly_edited(question: str, chance: random.Random) -> str:
    """One word in twenty inserted or removed; case, punctuation, spacing and numerals changed."""
    line = question.split()
    for _ in range(len(line) // 20):
        if chance.random() < 0.5:
            line.insert(chance.randrange(len(line) + 1), chance.choice(FILLERS))
        else:
            line.pop(chance.randrange(len(line)))
    return "".join(rewritten(word, chance) + chance.choice(["  ", "\n", *[" "] * 8]) for word in line)


def rewritten(word: str, chance: random.Random) -> str:
    if chance.random() < 0.15:
        word = chance.choice([word.upper(), word.lower()])
    if word.isdecimal() and chance.random() < 0.5:
        value = int(word)
        word = f"{value:,}" if value > 999 else chance.choice([f"{value}.00", *NUMERALS[value : value + 1]])
    if chance.random() < 0.15:
        return re.sub(r"[^\w]+$", "", word)
    return word + chance.choice(["", "", "", ",", "!", " -", "..."]) if chance.random() < 0.1 else word


def found_by_task(leaks: pl.DataFrame, items: pl.DataFrame) -> dict[str, float]:
    """The share of each task's planted items that were found in the example that bears their name."""
    hits = leaks.filter(pl.col("example_id") == pl.col("item_id")).select("item_id", found=pl.lit(1.0))
    shares = items.join(hits, on="item_id", how="left").group_by("task").agg(pl.col("found").fill_null(0.0).mean())
    return dict(shares.iter_rows())


def as_messages(items: pl.DataFrame) -> pl.DataFrame:
    return examples({row["item_id"]: [row["question"], "I see."] for row in items.iter_rows(named=True)})


# ---- without data


def test_every_generated_item_is_found_word_for_word():
    items = twins("study", 12)
    leaks = find([as_messages(items)], items, known=True)
    assert set(found_by_task(leaks, items).values()) == {1.0}
    assert set(leaks["origin"]) == {"generated"}


def test_siblings_of_generated_items_are_no_leaks():
    items = twins("study", 40)
    others = twins("another", 100).join(items, on="item_id", how="anti")
    assert find([as_messages(others)], items, known=True)["example_id"].n_unique() <= 0.002 * len(others)


def test_siblings_are_told_apart_even_from_a_handful_of_items():
    items = twins("handful", 2)
    others = twins("another", 100).join(items, on="item_id", how="anti")
    assert find([as_messages(others)], items, known=False)["example_id"].n_unique() <= 0.002 * len(others)


@settings(max_examples=20)
@given(st.randoms(use_true_random=False), st.integers(1, 40))
def test_neither_the_order_of_examples_nor_their_batches_change_anything(chance, size):
    items = twins("study", 3)
    frame = as_messages(pl.concat([items.head(60), twins("another", 2).tail(40)]).unique("item_id").sort("item_id"))
    moved = frame.sample(fraction=1, shuffle=True, seed=chance.randrange(1000))
    parts = [moved[start : start + size] for start in range(0, len(moved), size)]
    again = items.sample(fraction=1, shuffle=True, seed=chance.randrange(1000))
    assert find(parts, again, known=False).equals(find([frame], items, known=False))


def question(text: str, task: str = "gsm8k") -> pl.DataFrame:
    known = generated(task_named(task), seed_name="x", level=1, count=1)
    return known.with_columns(item_id=pl.lit("own-1"), question=pl.lit(text))


@pytest.mark.parametrize(
    ("text", "message", "is_found"),
    [
        ("How many legs do seven spiders have?", "Tell me: how many legs do 7 spiders have? Thanks", True),
        ("How many legs do seven spiders have?", "Tell me: how many legs do 8 spiders have? Thanks", False),
        ("Why me?", "why me", True),
        ("Why me?", "why me of all people", False),
        ("???", "???", False),
        ("one two three four five six seven eight nine ten", "1 2 3 4 5 6 7 8 9 10", True),
        ("one two three four five six seven eight nine ten", "1 2 3 4 5 6 7 8 9 11", False),
    ],
)
def test_short_items_match_whole(text, message, is_found):
    leaks = find([examples({"a": ["Hello.", message]})], question(text), known=False)
    assert leaks.rows() == ([("a", "gsm8k", "own-1", "generated", "whole", 1.0)] if is_found else [])


def test_half_of_a_long_item_is_found_and_less_is_not():
    line = [f"w{n}" for n in range(107)]
    item = question(" ".join(line))
    for share, expected in ((60, ["13-gram"]), (50, [])):
        leaks = find([examples({"a": [" ".join(["so", *line[:share], "and", "on"])]})], item, known=False)
        assert leaks["match"].to_list() == expected
        assert all(abs(coverage - (share - 7) / 100) < 1e-9 for coverage in leaks["coverage"])


def test_text_spread_over_messages_is_no_item():
    line = question("a b c d e f g h i j k l m n o p q r v w x y z")["question"][0].split()
    spread = examples({"a": [" ".join(line[start : start + 6]) for start in range(0, len(line), 6)]})
    assert find([spread], question(" ".join(line)), known=False).is_empty()


def test_nothing_in_gives_nothing_out():
    assert find([], None, known=True).is_empty()
    assert find([examples({"a": ["", "..."], "b": []})], None, known=False).is_empty()


@settings(max_examples=15)
@given(st.lists(st.text(max_size=60), max_size=5))
def test_any_text_can_be_searched(texts):
    assert find([examples({"a": texts})], twins("study", 2), known=True).is_empty()


def test_a_message_that_repeats_a_template_takes_no_longer():
    hostile = "leaves the coin as it is " * 200_000
    assert find([examples({"a": [hostile]})], twins("study", 40), known=True).is_empty()


def test_the_shipped_prints_name_their_version(tmp_path):
    known, template = prints.load()
    assert len(known) > 9000
    with np.load(prints.FILE, allow_pickle=False) as file:
        arrays = dict(file)
    np.savez(tmp_path / "old.npz", **(arrays | {"versions": arrays["versions"] + 1}))
    with pytest.raises(DataError, match="version"):
        prints.load(tmp_path / "old.npz")
    (tmp_path / "bad.npz").write_bytes(b"PK nonsense")
    with pytest.raises(DataError, match=r"bad\.npz"):
        prints.load(tmp_path / "bad.npz")
    assert (np.diff(template.astype(np.int64)) > 0).all()


def test_prints_survive_their_file(tmp_path):
    made = prints.prints_of(twins("study", 3))
    prints.save(made, np.array([3, 5], np.uint32), tmp_path / "some.npz")
    read, template = prints.load(tmp_path / "some.npz")
    assert (read.tasks, read.item_ids) == (made.tasks, made.item_ids)
    assert np.array_equal(read.grams, made.grams)
    assert np.array_equal(read.offsets, made.offsets)
    assert np.array_equal(read.edges, made.edges & np.uint64(0xFFFFFFFF))
    assert template.tolist() == [3, 5]


# ---- with real text and official items


@pytest.mark.long
@needs_data
def test_the_shipped_prints_are_made_from_the_official_items(tmp_path):
    make.make(SHARED / "benchmarks", tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == prints.FILE.read_bytes()


@pytest.mark.long
@needs_data
def test_official_items_planted_in_real_text_are_found():
    items, chance = official(400), random.Random(11)
    assert set(found_by_task(find([planted(items, chance, None)], None, known=True), items).values()) == {1.0}
    shares = found_by_task(find([planted(items, chance, lightly_edited)], None, known=True), items)
    assert min(shares.values()) >= 0.95, shares


@pytest.mark.long
@needs_data
def test_generated_items_planted_in_real_text_are_found():
    items, chance = twins("study", 100), random.Random(12)
    assert set(found_by_task(find([planted(items, chance, None)], items, known=True), items).values()) == {1.0}
    shares = found_by_task(find([planted(items, chance, lightly_edited)], items, known=True), items)
    assert min(shares.values()) >= 0.95, shares


@pytest.mark.long
@needs_data
def test_items_of_other_splits_are_no_leaks():
    known = set(make.official_items(SHARED / "benchmarks")["item_id"])
    texts = {}
    for name in ("gsm8k", "babi_deductive", "babi_inductive", "clutrr"):
        path = SHARED / "benchmarks" / f"{make.FILES.get(name, name)}.jsonl.gz"
        for entry in [entry for entry in read_entries(path) if entry.split != "test"][:2000]:
            try:
                item = item_of(task_named(name), entry)
            except Unfit:
                continue
            if item["item_id"] not in known:
                texts[str(item["item_id"])] = [entry.question]
    assert find([examples(texts)], None, known=True)["example_id"].n_unique() <= 0.001 * len(texts)


def trees(message: dict, before: list[str]) -> Iterator[list[str]]:
    """Every conversation of a tree of messages, from its root to each leaf."""
    path = [*before, message["text"]]
    if not message.get("replies"):
        yield path
    for reply in message.get("replies", []):
        yield from trees(reply, path)


@needs_data
@pytest.mark.parametrize("name", ["oasst_en_100_tree", "alpaca_5000", "lima"])
def test_ordinary_training_text_is_not_flagged(name):
    if name == "oasst_en_100_tree":
        turns = [path for row in lines(name) for path in trees(row["prompt"], [])]
    else:
        turns = [
            [text for pair in row.get("history") or [] for text in pair]
            + [row["instruction"], row["input"], row["output"]]
            for row in lines(name)
        ]
    frame = examples({str(number): texts for number, texts in enumerate(turns)})
    assert find([frame], twins("study", 40), known=True)["example_id"].n_unique() <= 0.001 * len(frame)
