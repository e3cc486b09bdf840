"""Curves over shares: what was planted comes back, a best share inside is visible, and draws are what is counted."""

import time

import numpy as np
import polars as pl
import pytest
from scipy import stats

from codedose.analyse.curve import LINE, QUADRATIC, SPLINE, cube_of, curves, error_left_out, fitted
from codedose.tables import CURVES

FOUR, SIX = (0.0, 0.25, 0.5, 1.0), (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


def grid(values, shares, *, rows=1):
    """arm_points of `values` (draws, shares), in percentage points, for the overall view and that many tasks."""
    values = np.asarray(values, float)
    placed = [
        ("lenient", view, of, None, None, f"arm {share}", share, draw, points)
        for view, of in [("overall", "all"), *(("task", f"task {number}") for number in range(rows - 1))]
        for draw, per_share in enumerate(values)
        for share, points in zip(shares, per_share, strict=True)
    ]
    names = ["reading", "view", "of", "family", "backbone", "arm", "share", "draw", "points"]
    schema = dict.fromkeys(names, pl.String) | {"share": pl.Float64, "draw": pl.Int64, "points": pl.Float64}
    return pl.DataFrame(placed, schema=schema, orient="row")


def planted(curve, shares, draws=3, noise=0.0, seed=0):
    shift = noise * np.random.default_rng(seed).normal(size=(draws, len(shares)))
    return np.tile(curve(np.asarray(shares)), (draws, 1)) + shift


def hill(share):
    return 30 + 40 * share - 60 * share**2  # highest at a third


def test_a_planted_quadratic_comes_back_with_its_best_share_inside():
    found = curves(grid(planted(hill, FOUR, draws=10, noise=0.3), FOUR), 0.95)
    assert found.columns == list(CURVES.columns)
    assert found["share"].to_list() == [step / 20 for step in range(21)]
    assert found["estimate"].to_numpy() * 100 == pytest.approx(hill(found["share"].to_numpy()), abs=0.5)
    assert found["share"][found["estimate"].arg_max()] in (0.3, 0.35)
    assert found["method"].str.starts_with(QUADRATIC).all()


def test_without_noise_a_quadratic_is_exact_and_has_no_limits():
    found = curves(grid(planted(hill, FOUR), FOUR), 0.95)
    assert found["estimate"].to_numpy() * 100 == pytest.approx(hill(found["share"].to_numpy()), abs=1e-9)
    assert found["error"].to_numpy() == pytest.approx(0, abs=1e-9)
    assert found["low"].null_count() == 21
    assert "no variance" in found["method"][0]


def test_what_a_quadratic_cannot_follow_is_followed_by_a_spline():
    def late(share):  # flat, then a fall
        return 50 - 40 * np.maximum(share - 0.6, 0)

    found = curves(grid(planted(late, SIX, draws=5, noise=0.2), SIX), 0.95)
    assert found["method"].str.starts_with(SPLINE).all()
    assert found["estimate"].to_numpy() * 100 == pytest.approx(late(found["share"].to_numpy()), abs=2.5)


def test_limits_are_those_of_student_over_the_curves_of_draws():
    values = planted(hill, FOUR, draws=4, noise=1.0)
    found = curves(grid(values, FOUR), 0.9)
    each = np.stack([np.polyval(np.polyfit(FOUR, row, 2), found["share"]) for row in values])
    wanted = stats.t.interval(0.9, 3, each.mean(0), each.std(0, ddof=1) / 2)
    assert found["method"][0].startswith(QUADRATIC)
    assert found["low"].to_numpy() * 100 == pytest.approx(wanted[0], abs=1e-9)
    assert found["high"].to_numpy() * 100 == pytest.approx(wanted[1], abs=1e-9)


def test_what_all_shares_of_a_draw_have_in_common_changes_no_choice():
    values = planted(lambda share: 40 + np.sin(6 * share), SIX, draws=4, noise=1.0)
    moved = values + np.array([0, 5, -3, 8])[:, None]
    chosen = [fitted(cube_of(grid(some, SIX)), np.array(SIX)).chosen.tolist() for some in (values, moved)]
    assert chosen[0] == chosen[1]


def test_the_error_is_that_of_inner_shares_left_out():
    values = planted(lambda share: 30 + 20 * share**3, FOUR)
    missed = []
    for place in (1, 2):
        rest = np.delete(np.arange(4), place)
        curve = np.polyfit(np.array(FOUR)[rest], values[0][rest], 2)
        missed.append(np.polyval(curve, FOUR[place]) - values[0][place])
    cube = cube_of(grid(values, FOUR))
    assert error_left_out(cube, QUADRATIC)[0] == pytest.approx(np.sqrt(np.mean(np.square(missed))), abs=1e-9)


@pytest.mark.parametrize("waves", [0.0, 1.5], ids=["as fitted", "with waves"])
def test_the_error_is_not_smaller_than_what_untrained_shares_are_missed_by(waves):
    """Over curves planted at random; where they are quadratic, the limits cover as they say, too."""
    rng, found, said, covered = np.random.default_rng(0), [], [], []
    untrained = [step / 20 for step in range(1, 20) if step not in (5, 10)]
    for _ in range(100):
        slope, top, sizes = rng.normal(), rng.uniform(), rng.normal(size=3) * waves

        def truth(share, slope=slope, top=top, sizes=sizes):
            bent = np.cos(np.pi * np.multiply.outer(share, np.arange(1, 4))) @ sizes
            return 40 + 10 * slope * share - 20 * (share - top) ** 2 + bent

        values = planted(truth, FOUR) + rng.normal(0, 1.5, (3, 4))
        rows = curves(grid(values, FOUR), 0.95).filter(pl.col("share").is_in(untrained))
        low, middle, high = (rows[name].to_numpy() * 100 for name in ("low", "estimate", "high"))
        wanted = truth(rows["share"].to_numpy())
        found.append(np.mean((middle - wanted) ** 2))
        said.append(rows["error"][0] ** 2)
        covered.append(np.mean((low <= wanted) & (wanted <= high)))
    assert 1 < np.sqrt(np.mean(said) / np.mean(found)) < 2.5
    if not waves:
        assert np.mean(covered) == pytest.approx(0.95, abs=0.03)


def test_fewer_shares_give_less_and_say_so():
    three = curves(grid(planted(hill, FOUR[:3], noise=1), FOUR[:3]), 0.95)
    assert three["error"].null_count() == 21
    assert three["method"][0].startswith(QUADRATIC)
    two = curves(grid(planted(hill, (0.0, 1.0), noise=1), (0.0, 1.0)), 0.95)
    assert two["method"][0].startswith(LINE)
    assert two["estimate"][10] == pytest.approx((two["estimate"][0] + two["estimate"][20]) / 2)
    assert curves(grid(planted(hill, (0.5,)), (0.5,)), 0.95).is_empty()
    assert curves(grid(planted(hill, FOUR), FOUR).clear(), 0.95).columns == list(CURVES.columns)


def test_with_one_draw_there_are_no_limits_and_with_two_they_are_indicative():
    one = curves(grid(planted(hill, FOUR, draws=1), FOUR), 0.95)
    assert (one["low"].null_count(), one["high"].null_count()) == (21, 21)
    assert "one draw" in one["method"][0]
    two = curves(grid(planted(hill, FOUR, draws=2, noise=1), FOUR), 0.95)
    assert two["low"].null_count() == 0
    assert "indicative: two draws" in two["method"][0]


def test_beyond_the_trained_shares_no_error_is_claimed_and_accuracies_stay_accuracies():
    shares = (0.1, 0.2, 0.3, 0.4)
    found = curves(grid(planted(lambda share: 90 * share**2, shares, noise=0.1), shares), 0.95)
    known = found.filter(pl.col("error").is_not_null())["share"].to_list()
    assert known == [0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4]
    assert found["estimate"].is_between(0, 1).all()
    assert found["low"].is_between(0, 1).all()


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_rows_changes_nothing(seed):
    points = grid(planted(hill, SIX, noise=2), SIX, rows=3)
    shuffled = points.sample(fraction=1, shuffle=True, seed=seed)
    assert curves(points, 0.95).equals(curves(shuffled, 0.95))


def test_arms_without_a_share_have_no_part_and_arms_of_one_share_are_averaged():
    points = grid(planted(hill, FOUR, noise=1), FOUR)
    control = points.filter(pl.col("share") == 0).with_columns(share=pl.lit(None, pl.Float64), arm=pl.lit("Control"))
    assert curves(pl.concat([points, control]), 0.95).equals(curves(points, 0.95))
    twin = points.filter(pl.col("share") == 1).with_columns(pl.col("points") + 2, arm=pl.lit("Twin"))
    raised = points.with_columns(points=pl.col("points") + (pl.col("share") == 1).cast(pl.Float64))
    assert curves(pl.concat([points, twin]), 0.95).equals(curves(raised, 0.95))


def test_a_whole_study_takes_well_under_a_second():
    rng = np.random.default_rng(0)
    one = grid(planted(hill, SIX, draws=10, noise=1), SIX, rows=16)
    groups = [None, *(f"backbone {number}" for number in range(6))]
    whole = pl.concat(
        [
            one.with_columns(
                reading=pl.lit(reading),
                backbone=pl.lit(group, pl.String),
                points=pl.col("points") + pl.Series(rng.normal(size=one.height)),
            )
            for reading in ("strict", "lenient", "forced")
            for group in groups
        ]
    )
    curves(one, 0.95)
    began = time.perf_counter()
    assert curves(whole, 0.95).height == 16 * 3 * 7 * 21
    assert time.perf_counter() - began < 0.5
