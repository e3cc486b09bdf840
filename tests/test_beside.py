"""What stands beside a difference: noise, bootstrap, relative gains, A/A controls, scale, measured dose, the model."""

import numpy as np
import polars as pl
import pytest
from scipy import optimize, stats
from test_analyse import DOMAINS, SHARES, STUDY, one, overall, plant
from test_audit import fill, written
from test_audit import pool as label_pool

from codedose.analyse.contrasts import CUBIC, arm_points
from codedose.analyse.controls import OUTSIDE, paired
from codedose.analyse.dose import CORRECTED, MEASURED, Labels
from codedose.analyse.effects import effects
from codedose.analyse.noise import DRAW_NOISE, ITEM_NOISE, RESAMPLES, covers, item_variance, resampled, weights_of_draws
from codedose.analyse.relative import fieller
from codedose.label.audit import audit
from codedose.label.hand import read_audit
from codedose.stages.telling import label_quality
from codedose.tables import BOOTSTRAP, CONTROL, MODEL, NEW_ITEMS, RELATIVE, THESE_ITEMS, UNTUNED

POOLED = {"family": None, "backbone": None}


def of_draws(scores, arm, **where):
    """Accuracy (points) of one arm in each draw, pooled and overall unless said otherwise."""
    wanted = {"view": "overall", "reading": "strict", **POOLED, "arm": arm, **where}
    rows = arm_points(scores)
    for name, value in wanted.items():
        rows = rows.filter(pl.col(name).is_null() if value is None else pl.col(name) == value)
    return rows.sort("draw")["points"].to_numpy()


def beside(found, kind, contrast="Code - General", **wanted):
    return one(found, kind=kind, contrast=contrast, **{"view": "overall", "reading": "strict", **POOLED, **wanted})


class TestNoise:
    def test_draw_noise_is_the_standard_error_over_draws(self):
        scores = plant(draws=5)
        apart = of_draws(scores, "Code") - of_draws(scores, "General")
        row = beside(effects(scores, **STUDY), "noise", method=DRAW_NOISE)
        assert row["estimate"] == pytest.approx(stats.sem(apart))
        assert (row["low"], row["high"], row["p"]) == (None, None, None)

    def test_item_noise_of_one_task_is_the_paired_standard_error(self):
        scores = plant(domains={"sums": "arithmetic"}, draws=1, backbones=("a1",))
        right = scores.sort("item_id").with_columns(right=pl.col("outcome") == "right")
        code, general = (right.filter(pl.col("arm") == arm)["right"].cast(pl.Float64) for arm in ("Code", "General"))
        row = beside(effects(scores, **STUDY), "noise", method=ITEM_NOISE)
        assert row["estimate"] == pytest.approx(100 * stats.sem((code - general).to_numpy()))

    def test_clusters_count_and_not_their_items(self):
        alone, twice = (plant(items=40, cluster=size, draws=3, draw_sd=0, run_sd=0, seed=4) for size in (1, 8))
        found = [beside(effects(scores, **STUDY), "noise", method=ITEM_NOISE)["estimate"] for scores in (alone, twice)]
        assert found[1] > 1.5 * found[0]

    def test_one_cluster_has_no_item_noise_and_one_draw_no_draw_noise(self):
        found = effects(plant(items=4, cluster=4, draws=1), **STUDY)
        for method, reason in ((ITEM_NOISE, "one cluster"), (DRAW_NOISE, "one draw")):
            row = beside(found, "noise", method=method)
            assert row["estimate"] is None
            assert reason in row["note"]


class TestBootstrap:
    def test_its_width_is_that_of_draws_and_items_together(self):
        scores = plant(draws=10, items=60, draw_sd=0.05, seed=2)
        found = effects(scores, **STUDY)
        row = beside(found, BOOTSTRAP)
        errors = [beside(found, "noise", method=method)["estimate"] for method in (ITEM_NOISE, DRAW_NOISE)]
        normal = 2 * 1.96 * np.hypot(errors[0], errors[1] * np.sqrt(0.9))  # resampled draws vary by (n - 1) / n
        assert row["high"] - row["low"] == pytest.approx(normal, rel=0.1)
        assert row["estimate"] == pytest.approx(overall(found)["estimate"])
        assert row["estimand"] == NEW_ITEMS
        assert overall(found)["estimand"] == THESE_ITEMS

    def test_more_resamples_do_not_make_it_narrower(self, monkeypatch):
        """A bootstrap standard error is not divided by the square root of the number of resamples."""
        scores, widths = plant(draws=6), []
        for resamples in (500, 8000):
            monkeypatch.setattr("codedose.analyse.noise.RESAMPLES", resamples)
            row = beside(effects(scores, **STUDY), BOOTSTRAP)
            widths.append(row["high"] - row["low"])
        assert widths[1] == pytest.approx(widths[0], rel=0.15)

    def test_resamples_take_each_draw_and_cluster_once_for_all(self):
        """A difference that is the same in every draw and cluster is the same in every resample, however large."""
        flat = resampled(np.full((1, 4, 10), 3.0 / 10), np.full(10, 0.1), weights_of_draws(4), "any")
        assert flat == pytest.approx(np.full((RESAMPLES, 1), 3.0))

    @pytest.mark.parametrize(("draws", "published"), [(2, 0.49), (5, 0.83)])
    def test_its_coverage_over_few_draws_is_as_poor_as_known(self, draws, published):
        assert covers(draws, 0.95) == pytest.approx(published, abs=0.03)

    def test_the_note_says_how_often_it_covers(self):
        assert "% instead of 95 % with 3 draws" in beside(effects(plant(), **STUDY), BOOTSTRAP)["note"]

    def test_variance_over_items_is_not_defined_for_one(self):
        assert np.isnan(item_variance(np.ones((1, 1)), np.ones(1))).all()


class TestRelative:
    def test_it_is_the_ratio_of_means(self):
        scores = plant(effect=0.2, draws=6)
        code, general = of_draws(scores, "Code"), of_draws(scores, "General")
        row = beside(effects(scores, **STUDY), RELATIVE)
        assert row["estimate"] == pytest.approx(100 * (code.mean() / general.mean() - 1))
        assert row["low"] < row["estimate"] < row["high"]

    def test_its_limits_are_the_ratios_that_a_t_test_does_not_refuse(self):
        """Fieller's limits solve t(x - ratio * y) = +-critical."""
        scores = plant(effect=0.2, draws=6)
        code, general = of_draws(scores, "Code"), of_draws(scores, "General")
        row = beside(effects(scores, **STUDY), RELATIVE)

        def p_less_alpha(ratio):
            return stats.ttest_1samp(code - ratio * general, 0).pvalue - 0.05

        middle = code.mean() / general.mean()
        limits = [optimize.brentq(p_less_alpha, middle, to) for to in (middle - 2, middle + 2)]
        assert [1 + row[side] / 100 for side in ("low", "high")] == pytest.approx(limits, rel=1e-6)

    def test_a_baseline_near_zero_has_none_and_says_why(self):
        scores = plant().with_columns(
            outcome=pl.when(pl.col("arm") == "General").then(pl.lit("wrong")).otherwise("outcome")
        )
        row = beside(effects(scores, **STUDY), RELATIVE)
        assert row["estimate"] is None
        assert "near zero" in row["note"]

    def test_limits_without_bounds_are_nan(self):
        low, high = fieller(*(np.array([v]) for v in (1.0, 0.1, 1.0, 1.0, 0.0)), np.array([3]), 0.95)
        assert np.isnan([low, high]).all()


class TestControls:
    def test_one_in_twenty_lies_outside(self):
        readings = [f"study {number}" for number in range(120)]
        scores = plant(readings=readings, draws=4, domains={"sums": "arithmetic"}, backbones=("a1",), untuned=False)
        found = effects(scores, **{**STUDY, "reading": readings[0]})
        counted = found.filter(pl.col("contrast") == OUTSIDE, pl.col("view") == "overall", pl.col("family").is_null())
        assert counted.height == len(readings)
        assert counted["estimate"].mean() == pytest.approx(5, abs=2)

    def test_pairs_and_what_they_are_measured_by(self):
        scores = plant(draws=3)
        row = beside(effects(scores, **STUDY), CONTROL, "Code, draw 1 - draw 2")
        code = of_draws(scores, "Code")
        others = np.sqrt(np.mean([of_draws(scores, arm).var(ddof=1) for arm in ("General", "Half")]))
        assert row["estimate"] == pytest.approx(code[1] - code[2])
        assert row["high"] == pytest.approx(stats.t.isf(0.025, 4) * others * np.sqrt(2))
        assert row["low"] == pytest.approx(-row["high"])
        assert (row["n_draws"], row["n_runs"]) == (2, 4)

    def test_a_draw_apart_from_its_arm_is_seen(self):
        scores = plant(draws=4, draw_sd=0.001, run_sd=0.001, items=200)
        moved = (pl.col("arm") == "Code") & (pl.col("draw") == 2)
        scores = scores.with_columns(outcome=pl.when(moved).then(pl.lit("right")).otherwise("outcome"))
        row = beside(effects(scores, **STUDY), CONTROL, "Code, draw 1 - draw 2")
        assert row["p"] < 0.001
        assert row["estimate"] < row["low"]

    def test_each_draw_meets_the_next(self):
        assert [paired(n) for n in (2, 3)] == [[(0, 1)], [(0, 1), (1, 2), (2, 0)]]

    @pytest.mark.parametrize("scores", [plant(draws=1), plant(shares={"Code": 1.0}, untuned=False)])
    def test_without_a_second_draw_or_arm_there_are_none(self, scores):
        primary = {"primary": None, "reading": None}
        assert not effects(scores, **{**STUDY, **primary}).filter(pl.col("kind") == CONTROL).height


class TestBackbones:
    BACKBONES = ("a1", "a7", "b1", "b7")

    def test_an_interaction_is_found_where_it_is_and_not_elsewhere(self):
        scores = plant(backbones=self.BACKBONES, draws=4, items=120, draw_sd=0.01, run_sd=0.01)
        hurt = (
            pl.col("backbone").is_in(["b1", "b7"])
            & (pl.col("arm") == "Code")
            & pl.col("item_id").str.contains("[1357]$")
        )
        apart = scores.with_columns(outcome=pl.when(hurt).then(pl.lit("wrong")).otherwise("outcome"))
        without, with_one = (overall(effects(each, **STUDY), "arm x backbone") for each in (scores, apart))
        assert with_one["p"] < 0.05 < without["p"]
        assert with_one["estimate"] > without["estimate"]

    def test_two_arms_swapped_everywhere_are_no_interaction(self):
        """The same difference in all backbones, however large, leaves nothing."""
        scores = plant(backbones=self.BACKBONES, effect=0.5, draws=3, items=400, draw_sd=0, run_sd=0)
        assert overall(effects(scores, **STUDY), "arm x backbone")["p"] > 0.05

    def test_the_slope_over_scale_is_least_squares_in_each_draw(self):
        scales = {"a1": 1.0, "a7": 7.0, "b1": 1.5, "b7": 13.0}
        scores = plant(backbones=tuple(scales), effect=0.1, draws=4)
        scores = scores.with_columns(scale=pl.col("backbone").replace_strict(scales, return_dtype=pl.Float64))
        gains = np.array(
            [
                of_draws(scores, "Code", family=b[0], backbone=b) - of_draws(scores, "General", family=b[0], backbone=b)
                for b in scales
            ]
        )
        slopes = np.polyfit(np.log10(list(scales.values())), gains, 1)[0]
        row = overall(effects(scores, **STUDY), "Code - General per tenfold scale")
        assert row["estimate"] == pytest.approx(slopes.mean())
        assert row["p"] == pytest.approx(stats.ttest_1samp(slopes, 0).pvalue)
        assert (row["kind"], row["n_runs"]) == ("agreement", 4 * 4 * 2)

    def test_one_scale_has_no_slope(self):
        row = overall(effects(plant(), **STUDY), "Code - General per tenfold scale")
        assert row["estimate"] is None
        assert "one scale" in row["note"]


class TestDose:
    def dosed(self, **how):
        """Measured doses that differ between draws and do not rise as the nominal shares do."""
        scores = plant(effect=0.2, draws=4, **how)
        dose = 0.1 + 0.6 * pl.col("share") ** 2 + 0.02 * pl.col("draw")
        return scores.with_columns(measured_dose=dose)

    def test_the_trend_over_measured_shares_is_least_squares_in_each_draw(self):
        scores = self.dosed()
        doses = [[0.1 + 0.6 * share**2 + 0.02 * draw for share in SHARES.values()] for draw in range(4)]
        points = np.array([of_draws(scores, arm) for arm in SHARES]).T
        slopes = [np.polyfit(x, y, 1)[0] for x, y in zip(doses, points, strict=True)]
        row = overall(effects(scores, **STUDY), MEASURED)
        assert row["estimate"] == pytest.approx(np.mean(slopes))
        assert row["p"] == pytest.approx(stats.ttest_1samp(slopes, 0).pvalue)

    def test_an_arm_without_a_measured_share_leaves_it_undefined(self):
        unknown = pl.when(pl.col("arm") != "Half").then("measured_dose")
        row = overall(effects(self.dosed().with_columns(measured_dose=unknown), **STUDY), MEASURED)
        assert row["estimate"] is None
        assert "no measured share" in row["note"]

    def test_wrong_labels_make_a_slope_look_smaller(self):
        """An arm of examples labelled coding holds PPV coding, the others 1 - NPV: shares differ by PPV + NPV - 1."""
        labels = Labels((0.9, 0.88, 0.92), (0.8, 0.78, 0.82), 0.95)
        found = effects(self.dosed(), **STUDY, labels=labels)
        row, plain = overall(found, CORRECTED), overall(found, "linear trend")
        assert row["estimate"] == pytest.approx(plain["estimate"] / 0.7)
        assert (row["high"] - row["low"]) > (plain["high"] - plain["low"]) / 0.7
        assert row["p"] == plain["p"]

    def test_exact_labels_change_nothing(self):
        found = effects(self.dosed(), **STUDY, labels=Labels((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), 0.95))
        row, plain = overall(found, CORRECTED), overall(found, "linear trend")
        assert [row[c] for c in ("estimate", "low", "high")] == pytest.approx(
            [plain[c] for c in ("estimate", "low", "high")]
        )

    def test_how_good_labels_are_comes_from_the_audit_of_the_pool(self, tmp_path):
        labels = label_pool({"coding": 40, "other": 60, "math": 5})
        path = written(tmp_path, labels, count=60)
        fill(path, ["coding" if number % 3 else "other" for number in range(60)])
        found, published = label_quality(labels, path), audit(labels, read_audit(path))
        assert found.ppv == (published.ppv.value, published.ppv.low, published.ppv.high)
        assert found.kept == published.ppv.value + published.npv.value - 1

    def test_labels_that_may_be_chance_correct_nothing(self):
        row = overall(effects(self.dosed(), **STUDY, labels=Labels((0.5, 0.2, 0.8), (0.6, 0.3, 0.9), 0.95)), CORRECTED)
        assert row["estimate"] is None
        assert "better than chance" in row["note"]

    def test_a_fourth_share_tests_the_fit(self):
        shares = {"General": 0.0, "Quarter": 0.25, "Half": 0.5, "Code": 1.0}
        scores = plant(shares=shares, draws=4)
        row = overall(effects(scores, **STUDY), CUBIC)
        points = np.array([of_draws(scores, arm) for arm in shares]).T
        cubic = [np.polyfit(list(shares.values()), y, 3)[0] for y in points]
        assert row["estimate"] == pytest.approx(np.mean(cubic))
        assert "4 different shares" in overall(effects(plant(), **STUDY), CUBIC)["note"]


class TestModel:
    def test_it_finds_what_was_planted_where_it_was(self):
        """Log odds of the accuracies at 0 and 100 % of code, large enough to know them."""
        scores = plant(effect=0.3, draws=4, items=150, draw_sd=0.005, run_sd=0.005, backbones=("a1",))
        flat = (pl.col("domain") == "arithmetic") & (pl.col("arm") != UNTUNED)
        calm = plant(effect=0.0, draws=4, items=150, draw_sd=0.005, run_sd=0.005, backbones=("a1",))
        scores = pl.concat([scores.filter(~flat), calm.filter(flat)])
        found = effects(scores, **STUDY, model=True).filter(pl.col("kind") == MODEL)
        rows = {row["contrast"]: row for row in found.to_dicts()}
        assert set(rows) == {"share", *(f"share x {domain}" for domain in DOMAINS.values())}
        assert rows["share"]["low"] > 0
        assert rows["share x arithmetic"]["high"] < 0
        assert sum(rows[name]["estimate"] for name in rows if " x " in name) == pytest.approx(0, abs=1e-9)
        odds = {}
        for domain in ("symbolic", "logical"):
            share = {arm: of_draws(scores, arm, view="domain", of=domain).mean() / 100 for arm in SHARES}
            logit = [np.log(p / (1 - p)) for p in share.values()]
            odds[domain] = np.polyfit(list(SHARES.values()), logit, 1)[0]
            fitted = rows["share"]["estimate"] + rows[f"share x {domain}"]["estimate"]
            assert fitted == pytest.approx(odds[domain], abs=0.25)

    def test_it_is_there_on_request_only(self):
        assert not effects(plant(), **STUDY).filter(pl.col("kind") == MODEL).height
