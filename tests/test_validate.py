"""A few of the simulated studies that `make validate` has by the thousand; and that it would notice what is wrong."""

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import polars as pl
import pytest
from scipy import stats

spec = spec_from_file_location("validate", Path(__file__).parents[1] / "benchmarks" / "validate.py")
validate = module_from_spec(spec)
sys.modules["validate"] = validate  # its dataclasses look themselves up there
spec.loader.exec_module(validate)
NOTHING, MIXED = validate.SETTINGS[:2]
STUDIES = 60


def figures(rows):
    return {(each["figure"], each["of"]): each for each in validate.counted(rows)}


@pytest.fixture(scope="module")
def nothing():
    return validate.analysed(NOTHING, 3, list(range(STUDIES)))


def as_often(share, wanted, n):
    """Whether `share` of `n` is what a true share of `wanted` brings, 999 times in 1,000."""
    return stats.binomtest(round(share * n), n, wanted).pvalue > 0.001


def test_primary_interval_covers_and_its_test_keeps_its_error(nothing):
    found = figures(nothing)
    assert as_often(found["coverage", "primary interval"]["share"], 0.95, STUDIES)
    assert as_often(found["false positives", "primary test"]["share"], 0.05, STUDIES)


def test_adjusted_tests_find_nothing_where_nothing_is(nothing):
    found = [each for (figure, _), each in figures(nothing).items() if figure == "any false"]
    assert len(found) == 26
    for each in found:
        assert stats.binomtest(round(each["share"] * STUDIES), STUDIES, 0.05, "greater").pvalue > 0.0001, each


def test_confidence_set_holds_every_best_share_where_all_are(nothing):
    found = [each for (figure, _), each in figures(nothing).items() if figure == "best held"]
    assert [each["n"] for each in found] == [3 * STUDIES, 9 * STUDIES, 18 * STUDIES, 6 * STUDIES]
    for each in found:
        assert each["share"] >= 0.9


def test_what_is_planted_has_its_truth_and_what_is_not_has_none():
    rows = validate.analysed(MIXED, 3, [0, 1]).filter(pl.col("kind") == "difference", pl.col("family").is_null())
    told = rows.filter(pl.col("view") == "task", pl.col("contrast") == "Code - General")
    truths = dict(told.group_by("of").agg(pl.col("truth").mean()).iter_rows())
    assert {task for task, truth in truths.items() if abs(truth) < 1e-6} == {"a1", "b1", "c1"}
    assert truths["a2"] > 5
    assert truths["c2"] < -2
    overall = rows.filter(pl.col("view") == "overall", pl.col("contrast") == "Code - General")["truth"]
    assert overall.mean() == pytest.approx(sum(truths.values()) / 6, abs=1e-9)


def test_an_interval_that_is_too_narrow_and_a_test_that_always_finds_are_noticed(nothing):
    middle = pl.col("estimate")
    narrow = nothing.with_columns(
        low=middle - (middle - pl.col("low")) / 3, high=middle + (pl.col("high") - middle) / 3
    )
    assert validate.missed(figures(narrow)["coverage", "primary interval"])
    sure = nothing.with_columns(p_adjusted=pl.lit(0.01))
    assert validate.missed(figures(sure)["any false", "domain: linear trend, pooled"])
    stubborn = nothing.with_columns(note=pl.lit("95 % confidence set: 50 %"))
    assert validate.missed(figures(stubborn)["best held", "overall, pooled"])


def test_a_figure_that_is_not_there_is_missed_and_not_0(nothing):
    silent = nothing.with_columns(low=pl.lit(None, pl.Float64))
    assert validate.missed(figures(silent)["coverage", "primary interval"])


def test_studies_next_to_each_other_are_other_studies(nothing):
    main = nothing.filter(pl.col("view") == "task", pl.col("contrast") == "linear trend", pl.col("family").is_null())
    first = main.group_by("reading").agg(pl.col("estimate").sort().first())
    assert first["estimate"].n_unique() > 0.8 * STUDIES
