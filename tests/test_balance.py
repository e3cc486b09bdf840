"""Balance: what differs between arms, against closed forms."""

import statistics

import polars as pl
import pytest

from codedose import tables
from codedose.balance import balance, measured_dose
from codedose.errors import DataError

ARMS = {
    "General": ["one two", "one two three four", "one"],
    "Code": ["one two three", "```\nx\n```", "one two three four five"],
}
LABELS = {"General": ["other", "other", "math"], "Code": ["coding", "coding", "math"]}
SHARES = {"```\nx\n```": 0.125}


def talk(reply: str) -> list[dict[str, str]]:
    return [
        *[{"role": "system", "content": "sys tem"}, {"role": "user", "content": "why"}],
        *[{"role": "assistant", "content": reply}, {"role": "user", "content": "so"}],
        {"role": "assistant", "content": "well then yes"},
    ]


DRAWS = tables.DRAWS.frame(
    [
        {"arm": arm, "draw": draw, "slot": n, "example_id": text, "label": label, "messages": talk(text)}
        for draw in (0, 1)
        for arm, texts in ARMS.items()
        for n, (text, label) in enumerate(zip(texts, LABELS[arm], strict=True))
    ]
)
LABELLED = tables.LABELLED.frame(
    [
        {"example_id": text, "label": "other", "by": "stated", "confidence": None, "code_share": SHARES.get(text, 0.0)}
        for texts in ARMS.values()
        for text in texts
    ]
)


def quantity(frame: pl.DataFrame, arm: str, name: str) -> dict[str, float]:
    return frame.filter(pl.col("arm") == arm, pl.col("quantity") == name, pl.col("draw") == 1).row(0, named=True)


def test_quantities_follow_from_the_conversations():
    frame = balance(DRAWS, LABELLED, baseline="General")
    assert quantity(frame, "General", "examples")["mean"] == 3
    assert quantity(frame, "General", "turns")["mean"] == 2
    assert quantity(frame, "General", "loss_words")["mean"] == pytest.approx(3 + 7 / 3)
    assert quantity(frame, "General", "reply_words")["mean"] == pytest.approx((3 + 7 / 3) / 2)
    assert quantity(frame, "General", "words")["mean"] == pytest.approx(2 + 2 + 3 + 7 / 3)
    around = len("sys tem" + "why" + "so" + "well then yes")
    assert quantity(frame, "General", "chars")["mean"] == pytest.approx(around + (7 + 18 + 3) / 3)
    assert quantity(frame, "Code", "code_share")["mean"] == pytest.approx(0.125 / 3)
    assert quantity(frame, "Code", "share_coding")["mean"] == pytest.approx(2 / 3)
    assert quantity(frame, "Code", "share_math")["mean"] == pytest.approx(1 / 3)


def test_smd_is_the_textbook_one():
    general, code = [5, 7, 4], [6, 6, 8]
    spread = ((statistics.variance(general) + statistics.variance(code)) / 2) ** 0.5
    found = quantity(balance(DRAWS, LABELLED, baseline="General"), "Code", "loss_words")
    assert found["sd"] == pytest.approx(statistics.stdev(code))
    assert found["smd"] == pytest.approx((statistics.mean(code) - statistics.mean(general)) / spread)


def test_smd_of_an_arm_against_itself_is_zero_and_without_spread_null():
    frame = balance(DRAWS, LABELLED, baseline="General")
    assert quantity(frame, "General", "loss_words")["smd"] == 0
    assert quantity(frame, "Code", "turns")["smd"] is None
    assert quantity(frame, "Code", "examples")["smd"] is None


def test_one_example_has_no_spread():
    frame = balance(DRAWS.filter(pl.col("slot") == 0), LABELLED, baseline="General")
    assert frame["sd"].null_count() == frame["smd"].null_count() == frame.height


def test_each_draw_is_compared_with_its_own_baseline():
    """Draw 1's baseline is worn down to one row: draw 0 still has its differences."""
    cut = DRAWS.filter((pl.col("draw") == 0) | (pl.col("arm") == "Code") | (pl.col("slot") == 0))
    frame = balance(cut, LABELLED, baseline="General").filter(pl.col("quantity") == "loss_words", arm="Code")
    assert frame.sort("draw")["smd"].is_null().to_list() == [False, True]


def test_measured_dose_is_the_share_of_characters():
    dose = measured_dose(DRAWS, LABELLED)
    around = 3 * len("sys tem" + "why" + "so" + "well then yes")
    chars = around + sum(map(len, ARMS["Code"]))
    code = 0.125 * (around / 3 + len("```\nx\n```"))
    assert dose.rows() == [
        *[("Code", 0, pytest.approx(code / chars)), ("Code", 1, pytest.approx(code / chars))],
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
