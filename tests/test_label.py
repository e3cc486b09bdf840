"""Labels: the source's word, or what stands in the text; code characters counted to the letter."""

import json
import time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codedose import tables
from codedose.code.lines import code_characters as loose_characters
from codedose.code.share import code_shares
from codedose.errors import DataError
from codedose.label import label
from codedose.pool import starter
from codedose.pool.read import measured


def examples_of(*texts: str, stated: str | None = None) -> pl.DataFrame:
    about = {"conversation_id": "c", "source": "s", "licence": "l", "position": 0, "lang": None, "stated_label": stated}
    talks = ([{"role": "user", "content": "well?"}, {"role": "assistant", "content": text}] for text in texts)
    return tables.EXAMPLES.frame([about | measured(talk) for talk in talks])


def starter_pool() -> pl.DataFrame:
    """The built-in pool as examples, each with its true label as the stated one."""
    rows = [json.loads(line) for file in starter.files() for line in file.read_text(encoding="utf-8").splitlines()]
    about = {"source": "s", "licence": "l", "position": 0, "lang": None}
    return tables.EXAMPLES.frame(
        [about | {"conversation_id": r["id"], "stated_label": r["label"]} | measured(r["messages"]) for r in rows]
    )


def rules_say(text: str) -> str:
    return label(examples_of(text), by="rules")["label"].item()


def test_code_share_is_of_the_whole_conversation():
    frame = label(examples_of("```\n1234\n```"), by="rules")
    assert frame["code_share"].item() == pytest.approx(5 / (len("well?") + len("```\n1234\n```")))


PASTED = """def read(path):
    # every line that is not empty
    rows = [line.strip() for line in open(path)]

    return [row for row in rows if row]
"""


def test_code_share_counts_pasted_code_without_fences():
    assert loose_characters([f"Why is this slow?\n\n{PASTED}\nThe file is large."]).item() == len(PASTED)
    frame = label(examples_of(f"You wrote\n{PASTED}"), by="rules")
    assert frame["code_share"].item() == pytest.approx(len(PASTED) / len(f"well?You wrote\n{PASTED}"))


@pytest.mark.parametrize(
    "text",
    [
        "First, think.\nSecond, write it down;\nthird, sleep (well).",
        "Dear Ana,\n\nthank you for your letter.\n\nBest,\nTom",
        "- one (1)\n- two (2)\n- three [see below]",
        "| a | b |\n|---|---|\n| 1 | (2) |",
        "x = (3 + 4)(5 - 1)\n= 7(4)\n= 28",
        "$$\\frac{a}{b} = {c}$$\n$$\\sum_{i=1}^{n} {x_i}$$",
        "CHAPTER ONE\nTHE STORM\n\nIt rained.",
        "",
        "{",
    ],
)
def test_prose_has_no_code_share(text):
    assert loose_characters([text]).item() == 0


TEXTS = st.lists(st.text(alphabet="ab;{}() =\n\0é字`~\t", max_size=60), max_size=6)


@given(TEXTS)
def test_characters_of_code_are_some_of_each_text_and_do_not_depend_on_its_neighbours(texts):
    together = loose_characters(texts).tolist()
    assert together == [loose_characters([text]).item() for text in texts]
    assert all(0 <= count <= len(text) for count, text in zip(together, texts, strict=True))


@given(TEXTS)
def test_code_share_is_a_share(texts):
    assert code_shares(examples_of(*texts)["messages"]).is_between(0, 1).all()


@pytest.mark.parametrize(
    "text",
    [
        "```\nanything\n```",
        "def area(r):\n    return 3 * r",
        "#include <stdio.h>",
        "SELECT name\nFROM people\nWHERE age > 3",
        "for (int i = 0; i < n; i++) {",
        "const total = 3;",
        "<!DOCTYPE html>",
        "Call `items.sort()` first.",
        "filterEven :: [Int] -> [Int]",
        "fun main() {",
    ],
)
def test_rules_find_code(text):
    assert rules_say(text) == "coding"


@pytest.mark.parametrize(
    "text",
    [
        "I read a class about imports: from Rome, if I remember, while eating.",
        "Return the book; let us say, for now, that it was lost (or not).",
        "The function of art is to wash dust off our souls.",
        "Select a topic from the list and print it in large letters.",
        "Let x be the number of guests. That would make a fine party for everyone here.",
        "For each guest:\n- a plate\n- a glass",
        "In 1914 the war began; by 1918 it was over.",
    ],
)
def test_rules_leave_prose_alone(text):
    assert rules_say(text) == "other"


@pytest.mark.parametrize(
    "text",
    [r"Then \frac{a}{b} follows.", "3x + 5 = 20, so x = 5.", "The probability of two sixes is 1/6 × 1/6 = 1/36."],
)
def test_rules_find_math(text):
    assert rules_say(text) == "math"


def test_stated_takes_the_sources_word():
    frame = label(examples_of("```\nx\n```", stated="other"), by="stated")
    assert frame.select("label", "by", "confidence").row(0) == ("other", "stated", None)


def test_stated_says_how_many_lack_a_label():
    frame = pl.concat([examples_of("a", "b"), examples_of("c", stated="math")])
    with pytest.raises(
        DataError, match=r"2 of 3 examples have no label of their own \(from s\); label by rules or by model"
    ):
        label(frame, by="stated")


def test_rules_agree_with_the_starter_pools_true_labels():
    """Measured 2026-11: 243 of 244 coding, 47 of 54 math, 230 of 230 other."""
    pool = starter_pool()
    true, found = label(pool, by="stated")["label"], label(pool, by="rules")["label"]
    for name, least in (("coding", 0.98), ("math", 0.8), ("other", 0.98)):
        assert (found.filter(true == name) == name).mean() >= least
    assert (found == true).mean() >= 0.97


@pytest.mark.parametrize(
    "piece", ["`", "```", "~~~ ", "> ", "`a ", "a.", "(", "a(", "x = ", "1 + ", "{ [", "\t", "<a ", "if "]
)
def test_hostile_lines_take_linear_time(piece):
    """Half a million characters on one line, with an end that keeps every pattern from matching."""
    text = piece * (500_000 // len(piece)) + "`\u00a0"
    start = time.process_time()
    label(examples_of(text), by="rules")
    assert time.process_time() - start < 2


def test_empty_table_stays_a_table():
    assert label(examples_of(), by="rules").schema == tables.LABELLED.schema
