"""Draws: exact counts, nobody twice, arms that differ in as few examples as their shares allow."""

from collections import Counter

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codedose import mix, tables
from codedose.errors import DataError

SIZES = {"coding": 60, "math": 20, "other": 70}


def a_pool(sizes: dict[str, int] = SIZES) -> pl.DataFrame:
    rows = [(f"{label}-{n}", label) for label, size in sizes.items() for n in range(size)]
    frame = pl.DataFrame(rows, schema={"example_id": pl.String, "label": pl.String}, orient="row")
    text = pl.struct(role=pl.lit("user"), content=pl.col("example_id"))
    return frame.with_columns(pl.concat_list(text).alias("messages"))


POOL = a_pool()
budgets = st.integers(1, 60)
unit = st.floats(0, 1)


@given(budgets, st.integers(0, 60), unit)
def test_composition_is_exact(budget, math, share):
    if math > budget:
        with pytest.raises(DataError, match="do not fit"):
            mix.composition(budget=budget, math=math, share=share)
        return
    counts = mix.composition(budget=budget, math=math, share=share)
    assert sum(counts.values()) == budget
    assert counts["math"] == math
    assert abs(counts["coding"] - share * (budget - math)) < 1


@given(st.integers(0, 10_000), st.lists(st.integers(0, 1000), min_size=1, max_size=6).filter(any))
def test_apportioned_counts_sum_up_whatever_the_order(total, weights):
    shares = {f"label{n}": weight / sum(weights) for n, weight in enumerate(weights)}
    counts = mix.apportion(total, shares)
    assert sum(counts.values()) == total
    assert all(abs(counts[label] - total * share) < 1 for label, share in shares.items())
    assert counts == mix.apportion(total, dict(reversed(shares.items())))


@given(
    st.dictionaries(st.sampled_from(["A", "B", "C", "D"]), unit, min_size=1),
    budgets,
    st.integers(0, 20),
    st.integers(0, 5),
)
@settings(deadline=None, max_examples=60)
def test_arms_are_exact_nested_and_slot_paired(arms, budget, math, draw):
    math = min(math, budget)
    drawn = mix.draw(POOL, arms=arms, budget=budget, math=math, draw=draw)
    sets = {}
    for name, share in arms.items():
        arm = drawn.filter(pl.col("arm") == name)
        assert arm["slot"].to_list() == list(range(budget))
        assert arm["example_id"].is_unique().all()
        wanted = mix.composition(budget=budget, math=math, share=share)
        assert Counter(arm["label"]) == Counter({label: count for label, count in wanted.items() if count})
        sets[name] = arm
    for one in sets.values():
        for two in sets.values():
            gap = abs((one["label"] == "coding").sum() - (two["label"] == "coding").sum())
            assert len(set(one["example_id"]) ^ set(two["example_id"])) == 2 * gap
            changed = one["example_id"] != two["example_id"]
            assert changed.sum() == gap
            assert set(one.filter(changed)["label"]) | set(two.filter(changed)["label"]) <= {"coding", "other"}


def test_input_order_and_other_arms_change_nothing():
    wanted = mix.draw(POOL, arms={"Half": 0.5}, budget=40, math=6, draw=1)
    shuffled = POOL.sample(fraction=1, shuffle=True, seed=3)
    more = mix.draw(shuffled, arms={"Code": 1, "Half": 0.5, "General": 0}, budget=40, math=6, draw=1)
    assert more.filter(pl.col("arm") == "Half").equals(wanted)


def test_draws_differ_as_independent_choices_do():
    """Two draws of 25 from 60 share 25 x 25 / 60 = 10.4 on average."""
    codes = []
    for draw in range(30):
        drawn = mix.draw(POOL, arms={"Half": 0.5}, budget=50, math=0, draw=draw)
        codes.append(set(drawn.filter(pl.col("label") == "coding")["example_id"]))
    shared = [len(one & two) for n, one in enumerate(codes) for two in codes[:n]]
    assert sum(shared) / len(shared) == pytest.approx(10.4, abs=0.4)


def test_no_label_gathers_in_a_part_of_the_slots():
    """Over many draws each label's mean slot is the middle, and no slot always has the same label."""
    drawn = pl.concat(
        mix.draw(POOL, arms={"Quarter": 0.25, "Half": 0.5}, budget=40, math=8, draw=draw) for draw in range(60)
    )
    middle = drawn.group_by("arm", "label").agg(pl.col("slot").mean())
    assert (middle["slot"] - 19.5).abs().max() < 1.5
    assert drawn.group_by("arm", "slot").agg(pl.col("label").n_unique())["label"].min() == 3


def test_a_small_pool_is_an_error_that_says_by_how_much():
    with pytest.raises(DataError) as problem:
        mix.draw(POOL, arms={"General": 0, "Code": 1}, budget=100, math=25, draw=0)
    for words in (
        "arm 'Code' wants 75 coding, the pool has 60: 15 too few",
        "arm 'General' wants 75 other, the pool has 70: 5 too few",
        "arm 'General' wants 25 math, the pool has 20: 5 too few",
    ):
        assert words in str(problem.value)
    with pytest.raises(DataError, match="the pool has 0: 5 too few"):
        mix.draw(a_pool({"other": 5}), arms={"Code": 1}, budget=5, math=0, draw=0)
    with pytest.raises(DataError, match="more than once"):
        mix.draw(pl.concat([POOL, POOL]), arms={"Code": 1}, budget=5, math=0, draw=0)


def test_messages_travel_with_their_example():
    drawn = tables.check(mix.draw(POOL, arms={"Half": 0.5}, budget=20, math=2, draw=0), tables.DRAWS)
    assert [messages[0]["content"] for messages in drawn["messages"]] == drawn["example_id"].to_list()


def test_a_draw_is_the_same_on_every_machine():
    """Golden: changing it retrains every study, so it needs a new version of the mix step."""
    drawn = mix.draw(POOL, arms={"Half": 0.5}, budget=6, math=2, draw=0)
    assert drawn["example_id"].to_list() == ["coding-40", "other-55", "other-18", "coding-28", "math-3", "math-6"]
