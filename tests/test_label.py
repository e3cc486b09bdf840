"""Labels: the source's word, or what stands in the text; code characters counted to the letter."""

import time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codedose import tables
from codedose.errors import DataError
from codedose.label import code_characters, label
from codedose.pool import clean
from codedose.pool.read import measured
from codedose.study import Source


def examples_of(*texts: str, stated: str | None = None) -> pl.DataFrame:
    about = {"conversation_id": "c", "source": "s", "licence": "l", "position": 0, "lang": None, "stated_label": stated}
    talks = ([{"role": "user", "content": "well?"}, {"role": "assistant", "content": text}] for text in texts)
    return tables.EXAMPLES.frame([about | measured(talk) for talk in talks])


def rules_say(text: str) -> str:
    return label(examples_of(text), by="rules")["label"].item()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("no code", 0),
        ("```python\nx = 1\n```\n", 6),
        ("see\n\n  ```\nab\ncd\n  ```\nend", 6),
        ("```\nunclosed", 8),
        ("~~~sh\nls\n~~~\n", 3),
        ("````md\n```\nx\n```\n````\n", 0),
        ("````\n```\nx\n```\n````\n", 10),
        ("```python\nx\n```\n```output\n12345\n```\n", 2),
        ("```one``` two", 0),
        ("Use ```ls``` here\n", 0),
        ("> ```\n> a\n> ```\n", 4),
        ("```\na\u2028b\n```", 4),
        ("```js title=x\na\n``` not a close\n```\n", 18),
    ],
)
def test_code_characters(text, count):
    assert code_characters(text) == count


@given(st.text(alphabet="`~ab \n>", max_size=80))
def test_code_characters_are_some_of_the_characters(text):
    assert 0 <= code_characters(text) <= len(text)


def test_code_share_is_of_the_whole_conversation():
    frame = label(examples_of("```\n1234\n```"), by="rules")
    assert frame["code_share"].item() == pytest.approx(5 / (len("well?") + len("```\n1234\n```")))


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
    with pytest.raises(DataError, match=r"2 of 3 examples have no label of their own \(from s\); label by rules"):
        label(frame, by="stated")


def test_rules_agree_with_the_starter_pools_true_labels():
    """Measured 2026-11: 243 of 244 coding, 47 of 54 math, 230 of 230 other."""
    pool, _ = clean.pool([Source(path="builtin:starter", licence="Apache-2.0")], longest=20_000)
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
