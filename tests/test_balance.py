"""Balance: what differs between arms, against closed forms."""

import statistics

import polars as pl
import pytest

from codedose import tables
from codedose.balance import balance, is_large, measured_dose
from codedose.balance.topics import LEXICON, NONE, topics
from codedose.errors import DataError
from codedose.mix.strata import features

ARMS = {
    "General": ["one two", "one two three four", "one"],
    "Code": ["one two three", "```\nx\n```", "one two three four five"],
}
LABELS = {"General": ["other", "other", "math"], "Code": ["coding", "coding", "math"]}
CODE = len("x\n")


def talk(reply: str) -> list[dict[str, str]]:
    return [
        *[{"role": "system", "content": "sys tem"}, {"role": "user", "content": "why"}],
        *[{"role": "assistant", "content": reply}, {"role": "user", "content": "so"}],
        {"role": "assistant", "content": "well then yes"},
    ]


DRAWS = tables.DRAWS.frame(
    [
        {
            **{"arm": arm, "draw": draw, "slot": n, "step": None, "example_id": text, "copy": 0, "label": label},
            **{"messages": talk(text), "tokens": len(text), "loss_tokens": None},
        }
        for draw in (0, 1)
        for arm, texts in ARMS.items()
        for n, (text, label) in enumerate(zip(texts, LABELS[arm], strict=True))
    ]
)
LABELLED = tables.LABELLED.frame(
    [
        {"example_id": text, "label": "other", "by": "stated", "confidence": None, "code_share": 0.0}
        for texts in ARMS.values()
        for text in texts
    ]
)


def quantity(frame: pl.DataFrame, arm: str, name: str) -> dict[str, float]:
    return frame.filter(pl.col("arm") == arm, pl.col("quantity") == name, pl.col("draw") == 1).row(0, named=True)


def test_quantities_follow_from_the_conversations():
    frame = balance(DRAWS, LABELLED, baseline="General")
    assert quantity(frame, "General", "examples")["mean"] == 3
    assert quantity(frame, "General", "conversations")["mean"] == 3
    assert quantity(frame, "General", "turns")["mean"] == 2
    assert quantity(frame, "General", "reply_length")["mean"] == pytest.approx(3 + 7 / 3)
    assert quantity(frame, "General", "reply_mean")["mean"] == pytest.approx((3 + 7 / 3) / 2)
    around = len("sys tem" + "why" + "so" + "well then yes")
    assert quantity(frame, "General", "chars")["mean"] == pytest.approx(around + (7 + 18 + 3) / 3)
    assert quantity(frame, "General", "tokens")["mean"] == pytest.approx((7 + 18 + 3) / 3)
    assert quantity(frame, "Code", "code_share")["mean"] == pytest.approx(CODE / (around + 9) / 3)
    assert quantity(frame, "Code", "share_coding")["mean"] == pytest.approx(2 / 3)
    assert quantity(frame, "Code", "share_math")["mean"] == pytest.approx(1 / 3)
    assert "loss_tokens" not in frame["quantity"]  # they were not counted
    assert not {"share", "leaks", "changed", "label_error", "lang_rest"} & set(frame["quantity"])


def test_what_else_is_known_is_told():
    examples = DRAWS.unique("example_id").with_columns(
        lang=pl.when(pl.col("example_id") == "one").then(None).otherwise(pl.lit("en"))
    )
    changed = DRAWS.with_columns(
        pl.when(pl.col("arm") == "Code")
        .then(pl.lit(talk("gone"), dtype=tables.MESSAGES))
        .otherwise("messages")
        .alias("messages")
    )
    leaks = tables.LEAKS.frame(
        [
            {"example_id": "one", "task": task, "item_id": "1", "origin": "official", "match": "whole", "coverage": 1.0}
            for task in ("gsm8k", "svamp")
        ]
    )
    frame = balance(
        *(changed, LABELLED.with_columns(confidence=pl.lit(0.9))),
        baseline="General",
        examples=examples,
        leaks=leaks,
        shares={"Code": 1.0, "General": 0.0},
    )
    assert quantity(frame, "General", "leaks")["mean"] == pytest.approx(1 / 3)
    assert quantity(frame, "General", "lang_en")["mean"] == pytest.approx(2 / 3)
    assert quantity(frame, "General", "lang_rest")["mean"] == pytest.approx(1 / 3)
    assert quantity(frame, "General", "changed")["mean"] == 0
    assert quantity(frame, "Code", "changed")["mean"] == 1
    assert quantity(frame, "Code", "share")["mean"] == 1
    assert quantity(frame, "Code", "dose")["mean"] == 0
    assert quantity(frame, "Code", "label_error")["mean"] == pytest.approx(0.1)
    audited = balance(DRAWS, LABELLED, baseline="General", label_error={"other": 0.2})
    assert quantity(audited, "General", "label_error")["mean"] == pytest.approx(0.2)


def test_arms_say_how_much_they_share_with_the_baseline():
    half = DRAWS.filter(pl.col("arm") == "General").with_columns(
        arm=pl.lit("Half"),
        example_id=pl.when(pl.col("slot") == 0).then(pl.lit("one two three")).otherwise("example_id"),
        slot=pl.when(pl.col("slot") == 0).then(pl.col("slot")).otherwise(3 - pl.col("slot")),
    )
    frame = balance(pl.concat([DRAWS, half]), LABELLED, baseline="General")
    assert quantity(frame, "Half", "kept")["mean"] == pytest.approx(2 / 3)
    assert quantity(frame, "Half", "in_place")["mean"] == 0
    assert quantity(frame, "General", "in_place")["mean"] == 1
    assert quantity(frame, "Code", "kept")["mean"] == 0


def test_near_duplicates_are_counted_within_an_arm():
    long = " ".join(f"word{n}" for n in range(60))
    texts = {"Code": [long, long + " more", "quite another text of its own"], "General": [long, "a b", "c d"]}
    rows = [
        {**DRAWS.row(0, named=True), "arm": arm, "slot": n, "example_id": text, "messages": talk(text)}
        for arm, told in texts.items()
        for n, text in enumerate(told)
    ]
    labels = [
        {"example_id": text, "label": "other", "by": "stated", "confidence": None, "code_share": 0.0}
        for text in sorted({text for told in texts.values() for text in told})
    ]
    frame = balance(tables.DRAWS.frame(rows), tables.LABELLED.frame(labels), baseline="General")
    near = frame.filter(quantity="near_duplicates").sort("arm")["mean"].to_list()
    assert near == [pytest.approx(2 / 3), 0]


def test_a_topic_is_the_one_most_of_whose_words_are_there():
    asked = ["A recipe for dinner, please", "Fix the PYTHON function", "hello", "a recipe in python, cook the code", ""]
    assert topics(pl.Series(asked)).to_list() == ["food", "computing", NONE, "computing", NONE]
    assert all(word.isalpha() and word.islower() for words in LEXICON.values() for word in words.split())


def test_only_what_was_not_meant_to_differ_is_marked():
    assert is_large("turns", -0.11)
    assert not is_large("turns", 0.1)
    assert not is_large("turns", None)
    assert not is_large("share_coding", 5.0)


def test_what_is_measured_is_what_is_matched():
    frame = balance(DRAWS, LABELLED, baseline="General")
    for name, value in features().items():
        matched = DRAWS.filter(arm="Code", draw=1).select(value.mean()).item()
        assert quantity(frame, "Code", name)["mean"] == pytest.approx(matched)


def test_smd_is_the_textbook_one():
    general, code = [5, 7, 4], [6, 10, 8]  # three signs are three of each side of x
    spread = ((statistics.variance(general) + statistics.variance(code)) / 2) ** 0.5
    found = quantity(balance(DRAWS, LABELLED, baseline="General"), "Code", "reply_length")
    assert found["sd"] == pytest.approx(statistics.stdev(code))
    assert found["smd"] == pytest.approx((statistics.mean(code) - statistics.mean(general)) / spread)


def test_smd_of_an_arm_against_itself_is_zero_and_without_spread_null():
    frame = balance(DRAWS, LABELLED, baseline="General")
    assert quantity(frame, "General", "reply_length")["smd"] == 0
    assert quantity(frame, "Code", "turns")["smd"] is None
    assert quantity(frame, "Code", "examples")["smd"] is None


def test_one_example_has_no_spread():
    frame = balance(DRAWS.filter(pl.col("slot") == 0), LABELLED, baseline="General")
    assert frame["sd"].null_count() == frame["smd"].null_count() == frame.height


def test_each_draw_is_compared_with_its_own_baseline():
    """Draw 1's baseline is worn down to one row: draw 0 still has its differences."""
    cut = DRAWS.filter((pl.col("draw") == 0) | (pl.col("arm") == "Code") | (pl.col("slot") == 0))
    frame = balance(cut, LABELLED, baseline="General").filter(pl.col("quantity") == "reply_length", arm="Code")
    assert frame.sort("draw")["smd"].is_null().to_list() == [False, True]


def test_measured_dose_is_the_share_of_characters():
    dose = measured_dose(DRAWS)
    around = 3 * len("sys tem" + "why" + "so" + "well then yes")
    chars = around + sum(map(len, ARMS["Code"]))
    assert dose.rows() == [
        *[("Code", 0, pytest.approx(CODE / chars)), ("Code", 1, pytest.approx(CODE / chars))],
        *[("General", 0, 0.0), ("General", 1, 0.0)],
    ]


def test_order_of_rows_changes_nothing():
    shuffled = DRAWS.sample(fraction=1, shuffle=True, seed=5)
    wanted = balance(DRAWS, LABELLED, baseline="General")
    found = balance(shuffled, LABELLED.reverse(), baseline="General")
    assert found.drop("mean", "sd", "smd").equals(wanted.drop("mean", "sd", "smd"))
    assert found["mean"].to_list() == pytest.approx(wanted["mean"].to_list())


def test_a_wrong_baseline_and_unlabelled_examples_are_named():
    with pytest.raises(DataError, match="'Nobody' is not in every draw; the arms are Code, General"):
        balance(DRAWS, LABELLED, baseline="Nobody")
    with pytest.raises(DataError, match="6 drawn examples are not in the label table"):
        balance(DRAWS, LABELLED.head(3), baseline="General")
