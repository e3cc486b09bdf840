"""The built-in pool keeps its promises: size, variety, length, no templates, and code that runs as stated."""

import ast
import itertools
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pytest
from conftest import SMALL

from codedose import tables
from codedose.pool import starter
from codedose.pool.build import build
from codedose.study import Cleaning, Source

ROWS = [json.loads(line) for file in starter.files() for line in file.read_text(encoding="utf-8").splitlines()]
BLOCK = re.compile(r"^```(\S*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PROSE = frozenset({"output", "text", "regex"})


def replies(row: dict) -> list[str]:
    return [message["content"] for message in row["messages"] if message["role"] == "assistant"]


def of_class(label: str) -> list[dict]:
    return [row for row in ROWS if row["label"] == label]


def test_enough_conversations_of_each_class():
    assert len(ROWS) >= 480
    assert len(of_class("coding")) >= 220
    assert len(of_class("math")) >= 40
    assert len(of_class("other")) >= 200


def test_ids_are_unique_and_labels_follow_the_files():
    assert len({row["id"] for row in ROWS}) == len(ROWS)
    assert all(row["id"].split("-")[1] == row["label"] for row in ROWS)


@pytest.mark.parametrize("label", ["coding", "math", "other"])
def test_a_tenth_has_two_or_more_turns(label):
    rows = of_class(label)
    assert sum(len(replies(row)) >= 2 for row in rows) >= len(rows) / 10


def test_ten_programming_languages_or_more():
    languages = Counter(row["language"] for row in of_class("coding"))
    assert sum(count >= 2 for count in languages.values()) >= 10


def test_replies_have_20_to_250_words():
    outside = [
        (row["id"], len(text.split())) for row in ROWS for text in replies(row) if not 20 <= len(text.split()) <= 250
    ]
    assert outside == []


def test_lengths_of_the_classes_overlap():
    """Of each pair of classes, the middle halves of their reply lengths share most of their range.

    Stated as: the intersection of the two interquartile ranges is at least half of the narrower one.
    """
    quartiles = {
        label: np.quantile([len(text.split()) for row in of_class(label) for text in replies(row)], [0.25, 0.75])
        for label in ("coding", "math", "other")
    }
    for one, two in itertools.combinations(quartiles.values(), 2):
        shared = min(one[1], two[1]) - max(one[0], two[0])
        assert shared >= 0.5 * min(one[1] - one[0], two[1] - two[0])


def test_short_replies_are_plentiful():
    for label in ("coding", "math", "other"):
        lengths = [len(text.split()) for row in of_class(label) for text in replies(row)]
        assert np.mean(np.array(lengths) <= 60) >= 0.3


def five_grams(row: dict) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", " ".join(message["content"] for message in row["messages"]).lower())
    return {tuple(words[n : n + 5]) for n in range(len(words) - 4)}


def test_no_two_share_more_than_half_of_their_five_grams():
    """Of the shorter one's 5-grams, which is stricter than Jaccard."""
    grams = [five_grams(row) for row in ROWS]
    holders: dict[tuple[str, ...], list[int]] = {}
    for number, own in enumerate(grams):
        for gram in own:
            holders.setdefault(gram, []).append(number)
    shared = Counter(pair for numbers in holders.values() for pair in itertools.combinations(numbers, 2))
    near = [(ROWS[a]["id"], ROWS[b]["id"]) for (a, b), n in shared.items() if n > min(len(grams[a]), len(grams[b])) / 2]
    assert near == []


def test_no_opening_is_a_template():
    """No three replies begin with the same five words."""
    openings = Counter(tuple(text.split()[:5]) for row in ROWS for text in replies(row)[:1])
    assert {opening: n for opening, n in openings.items() if n >= 3 and "```" not in opening[0]} == {}


def test_every_code_block_is_closed_and_tagged():
    for row in ROWS:
        for message in row["messages"]:
            fences = [line for line in message["content"].split("\n") if line.startswith("```")]
            assert len(fences) == 2 * len(BLOCK.findall(message["content"])), row["id"]
            assert "```" not in fences[::2], row["id"]


def test_only_coding_holds_code():
    assert [row["id"] for row in ROWS if row["label"] != "coding" and "```" in json.dumps(row)] == []


def python_blocks() -> Iterator[tuple[str, str]]:
    """(id, code) of every Python block, the user's too."""
    for row in ROWS:
        for message in row["messages"]:
            yield from ((row["id"], code) for tag, code in BLOCK.findall(message["content"]) if tag == "python")


def test_every_python_block_parses():
    broken = []
    for name, code in python_blocks():
        try:
            ast.parse(code)
        except SyntaxError as problem:
            broken.append((name, str(problem)))
    assert broken == []


ARROW = re.compile(r"# -> (.*)$", re.MULTILINE)


def stated_outputs() -> Iterator[tuple[str, str, str]]:
    """(id, code, output) of every Python block that states its output, by `# ->` or by an output block after it."""
    for row in ROWS:
        for text in replies(row):
            blocks = [*BLOCK.findall(text), ("", "")]
            for (tag, code), (next_tag, output) in itertools.pairwise(blocks):
                if tag != "python":
                    continue
                if ARROW.search(code):
                    yield row["id"], code, "\n".join(ARROW.findall(code)) + "\n"
                elif next_tag == "output":
                    yield row["id"], code, output


# One process for all: each block in a namespace of its own, its output caught.
DRIVER = """
import contextlib, io, json, sys, traceback
found = []
for code in json.load(sys.stdin):
    caught = io.StringIO()
    with contextlib.redirect_stdout(caught):
        try:
            exec(compile(code, "block", "exec"), {"__name__": "__main__"})
        except BaseException:
            caught.write(traceback.format_exc())
    found.append(caught.getvalue())
json.dump(found, sys.stdout)
"""


def test_stated_outputs_are_what_the_code_prints(tmp_path):
    names, codes, outputs = zip(*stated_outputs(), strict=True)
    assert len(codes) >= 35
    done = subprocess.run(
        [sys.executable, "-I", "-c", DRIVER],
        input=json.dumps(codes),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        cwd=tmp_path,
        check=True,
    )
    wrong = [row for row in zip(names, json.loads(done.stdout), outputs, strict=True) if row[1] != row[2]]
    assert wrong == []


def test_the_whole_pool_passes_its_own_cleaning(tmp_path):
    rules = Cleaning.model_validate_json(json.dumps(SMALL["pool"]["clean"]))
    build([Source(path=starter.NAME, revision=None, licence="Apache-2.0")], rules, out=tmp_path / "pool")
    examples, drops, repairs = (
        tables.read(tmp_path / "pool" / f"{table.name}.parquet", table)
        for table in (tables.EXAMPLES, tables.DROPS, tables.REPAIRS)
    )
    assert (examples.height, drops.height) == (len(ROWS), 0)
    assert repairs.rows() == []
    assert Counter(examples["stated_label"]) == Counter(row["label"] for row in ROWS)
