"""Studies with the truth known flow in; what the analysis says of them is compared with it."""

import time
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as published_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from codedose.analyse.adjust import benjamini_hochberg, holm
from codedose.analyse.agreement import kendall_w, word
from codedose.analyse.best import maybe_best
from codedose.analyse.cells import accuracies, bootstrap, wilson
from codedose.analyse.contrasts import trend
from codedose.analyse.effects import effects
from codedose.analyse.items import mcnemar
from codedose.errors import DataError
from codedose.tables import BOOTSTRAP, DIFFERENCE, NOISE, RELATIVE, SCORES, UNTUNED

SHARES = {"General": 0.0, "Half": 0.5, "Code": 1.0}
DOMAINS = {"letters": "symbolic", "rules": "logical", "sums": "arithmetic"}
STUDY = {
    "primary": ("Code", "General"),
    "reading": "strict",
    "confidence": 0.95,
    "margin": 1.0,
    "consistency": (0.8, 0.2),
}


def plant(
    *,
    readings=("strict",),
    backbones=("a1", "b1"),
    shares=SHARES,
    domains=DOMAINS,
    effect=0.0,
    draws=3,
    seeds=1,
    items=40,
    cluster=1,
    draw_sd=0.02,
    run_sd=0.02,
    untuned=True,
    seed=0,
):
    """Scores of a study whose accuracy rises by `effect` (one number, or one a reading) from 0 to 100 % code.

    Draw effects are shared by backbones, as real draws are. Replies of one cluster share their luck.
    """
    rng = np.random.default_rng(seed)
    sizes = [len(readings), len(backbones), len(shares) + 1, draws, seeds, len(domains), items]
    rise = np.broadcast_to(effect, len(readings))[:, None] * np.array([0, *shares.values()])
    chance = rng.uniform(0.3, 0.6, (len(domains), items)) + rise[:, None, :, None, None, None, None]
    chance = chance + draw_sd * rng.normal(size=(sizes[0], 1, *sizes[2:4], 1, 1, 1))
    chance = chance + run_sd * rng.normal(size=(*sizes[:5], 1, 1))
    luck = np.repeat(rng.random((*sizes[:6], -(-items // cluster))), cluster, axis=-1)[..., :items]
    right = luck < chance
    place = [axis.ravel() for axis in np.indices(right.shape)]
    keep = (place[2] > 0) | (untuned & (place[3] == 0) & (place[4] == 0))
    reading, backbone, arm, draw, run, task, item = (axis[keep] for axis in place)
    tasks, bare = np.array(list(domains)), arm == 0
    frame = pl.DataFrame(
        {
            "cell": np.char.add(np.array(backbones)[backbone], np.char.mod("-%d", arm * 10000 + draw * 100 + run)),
            "backbone": np.array(backbones)[backbone],
            "family": np.array([name[0] for name in backbones])[backbone],
            "arm": np.array([UNTUNED, *shares])[arm],
            "share": np.array([np.nan, *shares.values()])[arm],
            "draw": draw,
            "seed": run,
            "task": tasks[task],
            "domain": np.array(list(domains.values()))[task],
            "item_id": np.char.add(tasks[task], np.char.mod("-%d", item)),
            "cluster": np.char.add(tasks[task], np.char.mod("-%d", item // cluster * cluster)),
            "reading": np.array(readings)[reading],
            "outcome": np.where(right.ravel()[keep], "right", "wrong"),
        }
    )
    nothing = pl.lit(None, pl.Int64)
    return frame.with_columns(
        pl.col("share").fill_nan(None),
        pl.when(pl.Series(bare)).then(nothing).otherwise("draw").alias("draw"),
        pl.when(pl.Series(bare)).then(nothing).otherwise("seed").alias("seed"),
        scale=pl.lit(1.0),
        measured_dose=pl.lit(None, pl.Float64),
        origin=pl.lit("generated"),
        level=pl.lit(1, pl.Int64),
        sample=pl.lit(0, pl.Int64),
        in_code=pl.lit(False),
    ).select(list(SCORES.columns))


def one(frame, **wanted):
    """The one row with these values; None is null. Of effects, what stands beside a difference is asked for by kind."""
    if "kind" in frame.columns and "kind" not in wanted:
        frame = frame.filter(~pl.col("kind").is_in([BOOTSTRAP, NOISE, RELATIVE]))
    for name, value in wanted.items():
        frame = frame.filter(pl.col(name).is_null() if value is None else pl.col(name) == value)
    assert frame.height == 1, frame
    return frame.row(0, named=True)


def overall(frame, contrast="Code - General", reading="strict"):
    return one(frame, view="overall", family=None, backbone=None, contrast=contrast, reading=reading)


def points(scores, arm, reading="strict"):
    """Percentage points of `arm`: one number a draw, by the long way round."""
    rows = scores.filter((pl.col("arm") == arm) & (pl.col("reading") == reading))
    rows = rows.with_columns(right=(pl.col("outcome") == "right") * 100.0)
    for keys in (["draw", "seed", "backbone", "task"], ["draw", "seed", "backbone"], ["draw", "backbone"], ["draw"]):
        rows = rows.group_by(keys).agg(pl.col("right").mean())
    return rows.sort("draw")["right"].to_numpy()


class TestClosedForms:
    def test_wilson(self):
        right, n = np.array([0, 1, 7, 50, 200]), np.array([10, 10, 9, 120, 200])
        right = np.minimum(right, n)
        low, high = wilson(right, n, 0.9)
        wanted = proportion_confint(right, n, alpha=0.1, method="wilson")
        np.testing.assert_allclose([low, high], wanted, atol=1e-9)

    def test_mcnemar(self):
        gained, lost = np.array([0, 3, 10, 1, 40]), np.array([0, 3, 2, 9, 20])
        wanted = [
            published_mcnemar([[5, g], [ls, 5]], exact=True).pvalue if g + ls else 1.0
            for g, ls in zip(gained, lost, strict=True)
        ]
        np.testing.assert_allclose(mcnemar(gained, lost), wanted, atol=1e-9)

    @pytest.mark.parametrize(("ours", "theirs"), [(holm, "holm"), (benjamini_hochberg, "fdr_bh")])
    def test_several_tests_with_undefined_ones_left_out(self, ours, theirs):
        p = np.array([0.04, 0.001, np.nan, 0.03, 0.5, 0.03, np.nan, 0.9])
        known = np.isfinite(p)
        np.testing.assert_allclose(ours(p)[known], multipletests(p[known], method=theirs)[1], atol=1e-9)
        assert np.isnan(ours(p)[~known]).all()

    def test_contrast_is_the_t_test_over_draw_means(self):
        scores = plant(draws=5, seeds=2, effect=0.1)
        gaps = points(scores, "Code") - points(scores, "General")
        row, wanted = overall(effects(scores, **STUDY)), stats.ttest_1samp(gaps, 0)
        interval = wanted.confidence_interval(0.95)
        found = [row["estimate"], row["low"], row["high"], row["p"]]
        np.testing.assert_allclose(found, [gaps.mean(), *interval, wanted.pvalue], atol=1e-9)
        assert (row["n_items"], row["n_draws"], row["n_runs"]) == (120, 5, 2 * 5 * 2 * 2)

    def test_against_untuned_is_the_t_test_against_a_fixed_number(self):
        scores = plant(draws=4)
        bare = 100 * (scores.filter(pl.col("arm") == UNTUNED)["outcome"] == "right").mean()
        wanted = stats.ttest_1samp(points(scores, "Half"), bare).pvalue
        assert overall(effects(scores, **STUDY), "Half - untuned")["p"] == pytest.approx(wanted, abs=1e-9)

    @pytest.mark.parametrize(("name", "degree"), [("linear trend", 1), ("quadratic trend", 2)])
    def test_trend_is_the_t_test_of_the_fitted_coefficients(self, name, degree):
        scores = plant(draws=4, effect=0.2, shares={"Quarter": 0.25, **SHARES})
        arms = {"Quarter": 0.25, **SHARES}
        table = np.array([points(scores, arm) for arm in arms])
        slopes = [np.polyfit(list(arms.values()), column, degree)[0] for column in table.T]
        row, wanted = overall(effects(scores, **STUDY), name), stats.ttest_1samp(slopes, 0)
        np.testing.assert_allclose([row["estimate"], row["p"]], [np.mean(slopes), wanted.pvalue], atol=1e-9)

    def test_cell_interval_over_draws(self):
        scores = plant(draws=4)
        means = points(scores, "Half") / 100
        row = one(
            accuracies(scores, confidence=0.9), view="overall", backbone=None, arm="Half", draw=None, reading="strict"
        )
        wanted = stats.t.interval(0.9, 3, means.mean(), stats.sem(means))
        np.testing.assert_allclose([row["low"], row["high"]], wanted, atol=1e-9)

    def test_concordance_follows_from_friedmans_statistic_ties_included(self):
        table = np.array([[3.0, 1, 2, 2], [4, 1, 2, 3], [1, 1, 1, 9]])
        chi2 = stats.friedmanchisquare(*table.T).statistic
        assert kendall_w(table[None])[0] == pytest.approx(chi2 / (3 * 3), abs=1e-9)
        assert kendall_w(np.array([[[1.0, 2, 3], [0, 5, 7]]]))[0] == 1
        assert np.isnan(kendall_w(np.ones((1, 3, 4)))[0])


class TestPublishedTraps:
    def test_bootstrap_interval_has_the_textbook_width(self):
        right = np.random.default_rng(1).integers(0, 2, (1, 800)).astype(float)
        low, high = bootstrap(right, np.ones((1, 800)), np.random.default_rng(2), 0.95)
        assert high[0] - low[0] == pytest.approx(2 * 1.96 * right.std() / 800**0.5, rel=0.08)

    def test_the_generator_decides(self):
        right, n = np.random.default_rng(1).random((1, 50)), np.ones((1, 50))
        draws = [bootstrap(right, n, np.random.default_rng(seed), 0.95) for seed in (1, 1, 2)]
        assert draws[0] == draws[1] != draws[2]

    def test_another_task_leaves_the_intervals_of_the_others_alone(self):
        scores = plant(cluster=4)
        fewer = accuracies(scores.filter(pl.col("task") != "letters"), confidence=0.95)
        every = accuracies(scores, confidence=0.95)
        tasks = (pl.col("view") == "task") & (pl.col("of") != "letters")
        assert_frame_equal(every.filter(tasks), fewer.filter(tasks))

    def test_nothing_undefined_is_zero(self):
        scores = plant(draws=3).with_columns(outcome=pl.lit("no_answer"))
        found, cells = effects(scores, **STUDY), accuracies(scores, confidence=0.95)
        row = overall(found)
        assert (row["estimate"], row["low"], row["p"], row["p_adjusted"]) == (0, None, None, None)
        assert "undefined: all draws gave the same value" in row["note"]
        assert overall(found, "Kendall's W")["estimate"] is None
        assert not found["estimate"].is_nan().any()
        assert set(cells["accuracy"]) == {0.0} == set(cells["answered"])
        runs = cells.filter(pl.col("draw").is_not_null())
        assert (runs["high"] > 0).all()

    def test_all_clusters_alike_do_not_shrink_the_interval_to_a_point(self):
        cells = accuracies(plant(cluster=4).with_columns(outcome=pl.lit("right")), confidence=0.95)
        runs = cells.filter(pl.col("draw").is_not_null() & (pl.col("view") == "task"))
        np.testing.assert_allclose(runs["low"], wilson(np.array([10]), np.array([10]), 0.95)[0][0])

    def test_clustered_items_count_as_their_clusters(self):
        widths = {}
        for cluster in (1, 8):
            cells = accuracies(plant(cluster=cluster, items=160, draws=2), confidence=0.95)
            runs = cells.filter((pl.col("view") == "task") & pl.col("draw").is_not_null())
            widths[cluster] = (runs["high"] - runs["low"]).mean()
        assert 2 < widths[8] / widths[1] < 3.2  # 8 ** 0.5 = 2.83 for clusters that share all their luck

    def test_samples_of_one_item_are_a_cluster(self):
        scores = plant(draws=2)
        twice = pl.concat([scores, scores.with_columns(sample=pl.lit(1, pl.Int64))])
        row = one(accuracies(twice, confidence=0.95), view="task", of="sums", backbone="a1", arm="Code", draw=0, seed=0)
        assert row["method"] == "bootstrap over item clusters"
        assert row["n_items"] == 40


class TestCells:
    def test_missing_answers_stay_in_the_denominator(self):
        scores = plant(draws=2, items=4)
        outcome = {0: "right", 1: "wrong", 2: "no_answer", 3: "truncated"}
        number = pl.col("item_id").str.extract(r"(\d+)$").cast(pl.Int64)
        cells = accuracies(scores.with_columns(outcome=number.replace_strict(outcome)), confidence=0.95)
        for row in cells.to_dicts():
            assert (row["accuracy"], row["answered"], row["truncated"]) == (0.25, 0.5, 0.25)

    def test_every_task_weighs_the_same(self):
        scores = plant(draws=2).filter((pl.col("task") != "sums") | pl.col("item_id").str.ends_with("1"))
        cells = accuracies(scores, confidence=0.95).filter(pl.col("backbone").is_null() & (pl.col("arm") == "Code"))
        tasks = cells.filter(pl.col("view") == "task")["accuracy"]
        assert one(cells, view="overall")["accuracy"] == pytest.approx(tasks.mean(), abs=1e-12)

    def test_untuned_backbones_have_item_intervals_and_no_draw(self):
        rows = accuracies(plant(), confidence=0.95).filter(pl.col("arm") == UNTUNED)
        assert set(rows["n_draws"]) == {0}
        assert rows.filter(pl.col("view") == "overall")["backbone"].to_list() == [None, "a1", "b1"]
        assert rows["low"].null_count() == 0
        assert ((rows["low"] < rows["accuracy"]) & (rows["accuracy"] < rows["high"])).all()

    def test_one_draw_gives_no_interval_over_draws_and_says_so(self):
        cells = accuracies(plant(draws=1, untuned=False), confidence=0.95)
        pooled = cells.filter(pl.col("draw").is_null())
        assert pooled["low"].null_count() == pooled.height
        assert set(pooled["method"]) == {"no interval: one draw"}


class TestRowOrder:
    @pytest.mark.parametrize("draws", [1, 3])
    def test_changes_nothing(self, draws):
        scores = plant(draws=draws, readings=("strict", "lenient"), cluster=2, seeds=2)
        other = scores.sample(fraction=1, shuffle=True, seed=3)
        assert_frame_equal(effects(scores, **STUDY), effects(other, **STUDY), check_exact=True)
        assert_frame_equal(accuracies(scores, confidence=0.9), accuracies(other, confidence=0.9), check_exact=True)


class TestPlanted:
    def test_effect_is_found_and_named_primary(self):
        row = overall(effects(plant(effect=0.2, draws=5, items=100), **STUDY))
        assert row["low"] > 0
        assert row["p_adjusted"] == row["p"] < 0.01
        assert row["note"].startswith("primary; not adjusted; ")

    def test_only_one_row_is_primary(self):
        found = effects(plant(readings=("strict", "lenient")), **STUDY)
        assert found["note"].str.starts_with("primary; ").sum() == 1

    @pytest.mark.parametrize("effect", [0.0, pytest.param(0.08, marks=pytest.mark.long)])
    def test_coverage_and_false_positives_over_200_studies(self, effect):
        """Two hundred studies at once, each under a reading of its own: their analyses do not touch."""
        names = [f"study {number}" for number in range(200)]
        shares, domains = {"General": 0.0, "Code": 1.0}, {"letters": "symbolic", "sums": "arithmetic"}
        scores = plant(
            readings=names, shares=shares, domains=domains, effect=effect, draws=4, items=30, cluster=3, untuned=False
        )
        found = effects(scores, **{**STUDY, "reading": names[0]})
        rows = found.filter(
            (pl.col("view") == "overall") & pl.col("family").is_null() & (pl.col("contrast") == "Code - General"),
            pl.col("kind") == DIFFERENCE,
        )
        covered = ((rows["low"] < 100 * effect) & (100 * effect < rows["high"])).mean()
        assert rows.height == 200
        assert 0.90 <= covered <= 0.99
        if effect == 0:
            assert (rows["p"] < 0.05).mean() <= 0.10
            domains = found.filter((pl.col("view") == "domain") & pl.col("family").is_null() & (pl.col("p") >= 0))
            any_domain = domains.filter(pl.col("contrast") == "Code - General").group_by("reading")
            assert any_domain.agg(found=(pl.col("p_adjusted") < 0.05).any())["found"].mean() <= 0.10

    def test_confidence_set_holds_the_true_best(self):
        rng = np.random.default_rng(4)
        truth = np.array([0, 0.5, 1.0, 1.0])
        cube = truth + 2 * rng.normal(size=(2000, 3, 1)) + rng.normal(size=(2000, 3, 4))
        _, kept = maybe_best(cube, 0.95)
        assert np.mean([row[2] for row in kept]) >= 0.94
        assert np.mean([row[2] and row[3] for row in kept]) >= 0.90
        assert np.mean([row[0] for row in kept]) < 0.95

    def test_confidence_set_holds_the_ends_where_draws_move_shares_apart(self):
        """A draw whose code is good lifts each share by as much code as it has: differences vary unequally."""
        rng = np.random.default_rng(5)
        cube = 4 * rng.normal(size=(3000, 5, 1)) * np.linspace(0, 1, 4) + rng.normal(size=(3000, 5, 4))
        held = np.mean(maybe_best(cube, 0.95)[1], axis=0)
        assert (held >= 0.94).all()

    def test_confidence_set_is_made_of_paired_t_tests(self):
        cube = np.arange(3) + np.random.default_rng(6).normal(size=(40, 5, 3))
        for draws, kept in zip(cube, maybe_best(cube, 0.9)[1], strict=True):
            p = [[stats.ttest_rel(*draws[:, [j, i]].T, alternative="greater").pvalue for j in range(3) if j != i]
                 for i in range(3)]  # fmt: skip
            assert list(kept) == [min(each) >= 0.05 for each in p]

    def test_a_pair_whose_draws_differ_alike_shows_nothing(self):
        cube = np.array([[[0.0, 5, 1], [1, 6, 4], [2, 7, 2]]])
        assert maybe_best(cube, 0.95)[1][0].all()

    def test_best_share_is_found_between_the_ends(self):
        scores = plant(effect=0.4, draws=4, items=100, shares={"General": 0.0, "Half": 0.5, "Code": 1.0})
        bent = scores.with_columns(share=pl.col("share").replace({0.5: 1.0, 1.0: 0.5}))
        row = overall(effects(bent, **STUDY), "best share")
        assert row["estimate"] == 50
        assert row["note"] == "secondary; 95 % confidence set: 50 %"


class TestLimits:
    def test_one_draw_compares_checkpoints_and_claims_no_more(self):
        found = effects(plant(draws=1, effect=0.4, items=80), **STUDY)
        row = overall(found)
        assert (row["low"], row["high"], row["method"]) == (None, None, "sign-flip permutation over items")
        assert row["p"] < 0.01
        assert "one draw: no claim about the data; these checkpoints differ" in row["note"]
        assert overall(found, "linear trend")["p"] is None
        task = one(found, view="task", of="sums", backbone="a1", contrast="Code - General")
        assert task["method"] == "exact McNemar over items"

    def test_one_draw_mcnemar_counts_the_pairs(self):
        scores = plant(draws=1, effect=0.3)
        rows = scores.filter((pl.col("task") == "sums") & (pl.col("backbone") == "b1"))
        right = [rows.filter(pl.col("arm") == arm).sort("item_id")["outcome"] == "right" for arm in ("Code", "General")]
        gained, lost = int((right[0] & ~right[1]).sum()), int((~right[0] & right[1]).sum())
        row = one(effects(scores, **STUDY), view="task", of="sums", backbone="b1", contrast="Code - General")
        assert row["p"] == pytest.approx(published_mcnemar([[0, gained], [lost, 0]], exact=True).pvalue, abs=1e-9)

    def test_sign_flips_find_nothing_when_nothing_is_planted(self):
        names = [f"study {number}" for number in range(150)]
        scores = plant(readings=names, draws=1, items=20, draw_sd=0, run_sd=0, untuned=False, cluster=2)
        found = effects(scores, **{**STUDY, "reading": names[0]})
        rows = found.filter((pl.col("contrast") == "Code - General") & pl.col("family").is_null())
        assert (rows.filter(pl.col("view") == "overall")["p"] < 0.05).mean() <= 0.10

    def test_two_draws_are_indicative(self):
        row = overall(effects(plant(draws=2), **STUDY))
        assert "indicative: two draws" in row["note"]
        assert row["low"] < row["estimate"] < row["high"]
        assert "equivalence not judged: it needs three draws" in row["note"]

    def test_too_few_shares_leave_a_trend_null_with_its_reason(self):
        found = effects(plant(shares={"General": 0.0, "Code": 1.0}), **STUDY)
        row = overall(found, "quadratic trend")
        assert (row["estimate"], row["p"]) == (None, None)
        assert "undefined: 3 different shares are needed" in row["note"]
        assert trend(np.array([0.0, 1.0]), 1) == (pytest.approx([-1, 1]), None)

    def test_a_gain_in_one_reading_only_is_unmasked(self):
        scores = plant(readings=("lenient", "strict"), effect=(0.0, 0.3), draws=5, items=100)
        found = effects(scores, **STUDY)
        assert "changes under lenient" in overall(found)["note"]
        assert "changes under strict" in overall(found, reading="lenient")["note"]

    def test_a_gain_in_every_reading_survives(self):
        found = effects(plant(readings=("lenient", "strict"), effect=0.3, draws=5, items=100), **STUDY)
        assert "survives the other readings" in overall(found)["note"]

    @pytest.mark.parametrize(
        ("effect", "margin", "wanted"),
        [
            (0.0, 20.0, "equivalent within the margin of 20 points"),
            (0.1, 20.0, "different, and smaller than the margin of 20 points"),
            (0.1, 1.0, "not shown to be within the margin of 1 point"),
            (0.1, None, "equivalence not judged: no margin is given"),
        ],
    )
    def test_equivalence_is_two_one_sided_tests(self, effect, margin, wanted):
        scores = plant(effect=effect, draws=8, items=200, run_sd=0.005, draw_sd=0.005, seed=1)
        assert wanted in overall(effects(scores, **{**STUDY, "margin": margin}))["note"]

    def test_without_a_study_nothing_is_primary(self):
        nothing = {"primary": None, "reading": None, "margin": None, "consistency": None}
        found = effects(plant(), confidence=0.95, **nothing)
        row = overall(found)
        assert "no primary contrast is named: the baseline is the arm with the lowest share" in row["note"]
        assert found["note"].str.starts_with("secondary").all()

    def test_the_notes_say_how_p_was_adjusted(self):
        found = effects(plant(), **STUDY)
        pooled = {"family": None, "backbone": None, "contrast": "Code - General"}
        assert "; Holm over 3 tests" in one(found, view="domain", of="logical", **pooled)["note"]
        assert "; Benjamini-Hochberg over 6 tests" in one(found, view="task", of="rules", **pooled)["note"]

    def test_domains_of_ones_own_are_adjusted_with_the_others(self):
        """Holm over the domains that are there, five of them; each has a view of its own."""
        domains = {**DOMAINS, "units": "measurement", "maps": "geography"}
        found = effects(plant(domains=domains, effect=0.1, seed=4), **STUDY)
        rows = found.filter(
            (pl.col("view") == "domain")
            & pl.all_horizontal(pl.col("backbone", "family").is_null())
            & (pl.col("contrast") == "Code - General")
            & (pl.col("kind") == DIFFERENCE)
        )
        assert set(rows["of"]) == set(domains.values())
        published = multipletests(rows["p"].to_numpy(), method="holm")[1]
        assert rows["p_adjusted"].to_numpy() == pytest.approx(published)


class TestAgreement:
    def test_backbones_that_agree_and_one_that_does_not(self):
        names = ("a1", "a2", "b1", "c1", "c2")
        scores = plant(backbones=names, effect=0.3, draws=4, items=60, untuned=False)
        other = (pl.col("backbone") == "b1") & (pl.col("arm") != "Half")
        swapped = scores.with_columns(
            arm=pl.when(other).then(pl.col("arm").replace({"Code": "General", "General": "Code"})).otherwise("arm"),
            share=pl.when(other).then(1 - pl.col("share")).otherwise("share"),
        )
        row = overall(effects(swapped, **STUDY), "consistency")
        assert row["estimate"] == 80
        assert "4 of 5 backbones have the pooled sign of Code - General: consistent" in row["note"]
        assert overall(effects(scores, **STUDY), "Kendall's W")["p"] < 0.05

    def test_words_by_the_thresholds_of_the_study(self):
        said = [word(share, True, (0.8, 0.2)) for share in (1.0, 0.8, 0.5, 0.2)]
        assert said == ["consistent", "consistent", "mixed", "opposite"]
        assert word(1.0, False, (0.8, 0.2)) == "undecided"

    def test_needs_two_backbones(self):
        found = effects(plant(backbones=("a1",)), **STUDY)
        assert not set(found["contrast"]) & {"consistency", "Kendall's W"}


class TestGrid:
    def test_a_missing_cell_is_named(self):
        gone = (pl.col("backbone") == "b1") & (pl.col("arm") == "Half") & (pl.col("draw") == 1)
        with pytest.raises(DataError, match=r"1 cell\(s\) missing or not whole: b1, Half, draw 1, seed 0$"):
            effects(plant().filter(~gone.fill_null(False)), **STUDY)

    def test_a_cell_that_lacks_items_is_named(self):
        scores = plant(items=10)
        gone = (pl.col("backbone") == "a1") & (pl.col("arm") == "Code") & (pl.col("draw") == 0)
        scores = scores.filter(~(gone & (pl.col("item_id") == "sums-3")).fill_null(False))
        with pytest.raises(DataError, match=r"a1, Code, draw 0, seed 0 \(has 29 of 30 verdicts\)"):
            accuracies(scores, confidence=0.95)

    def test_a_part_is_analysed_when_asked_and_every_note_says_so(self):
        scores = plant(draws=4)
        part = scores.filter(~((pl.col("draw") == 2) & (pl.col("arm") == "Code")).fill_null(False))
        found = effects(part, **STUDY, partial=True)
        assert found["note"].str.ends_with("partial study, analysed: draw 0, 1, 3 of 0, 1, 2, 3").all()
        whole = effects(scores.filter((pl.col("draw") != 2).fill_null(True)), **STUDY)
        assert_frame_equal(found.drop("note"), whole.drop("note"))

    def test_nothing_is_left_when_no_draw_is_whole(self):
        gone = (pl.col("arm") == "Code") & (pl.col("backbone") == "a1")
        gone |= (pl.col("arm") == "Half") & (pl.col("backbone") == "b1")
        with pytest.raises(DataError, match="no draw is whole"):
            effects(plant().filter(~gone), **STUDY, partial=True)

    def test_a_backbone_without_a_whole_draw_does_not_stop_the_others(self):
        scores = plant(draws=3)
        gone = (pl.col("arm") == "Code") & (pl.col("backbone") == "a1")
        found = effects(scores.filter(~gone), **STUDY, partial=True)
        note = "partial study, analysed: draw 0, 1, 2 of 0, 1, 2, without a1, of which no draw is whole"
        assert found["note"].str.ends_with(note).all()
        alone = effects(scores.filter(pl.col("backbone") != "a1"), **STUDY)
        assert_frame_equal(found.drop("note"), alone.drop("note"))

    def test_the_untuned_backbone_needs_no_draw_but_all_backbones_must_have_one(self):
        scores = plant()
        effects(scores.filter(pl.col("arm") != UNTUNED), **STUDY)
        with pytest.raises(DataError, match="b1, untuned"):
            effects(scores.filter((pl.col("arm") != UNTUNED) | (pl.col("backbone") == "a1")), **STUDY)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda scores: pl.concat([scores, scores.head(1)]), "more than once"),
            (lambda scores: scores.with_columns(draw=pl.lit(0, pl.Int64)), "must be empty for the arm 'untuned'"),
            (lambda scores: scores.with_columns(share=pl.col("draw").cast(pl.Float64)), "more than one share"),
            (lambda scores: scores.with_columns(arm=pl.col("arm").replace("Code", "Coda")), "hold no arm 'Code'"),
            (lambda scores: scores.drop("task"), "lacks the column"),
        ],
    )
    def test_contradictions_are_refused(self, change, message):
        with pytest.raises(DataError, match=message):
            effects(change(plant()), **STUDY)

    def test_untuned_backbones_alone_have_accuracies_and_no_effects(self):
        scores = plant().filter(pl.col("arm") == UNTUNED)
        assert accuracies(scores, confidence=0.95).height == 3 * 7
        assert effects(scores, **{**STUDY, "primary": None, "reading": None}).is_empty()


def test_sixty_thousand_rows_in_a_few_seconds():
    scores = plant(readings=("strict", "lenient", "forced"), backbones=("a1", "a2", "b1", "b2"), draws=4, items=128)
    assert 59_000 < scores.height < 62_000
    times = [time.perf_counter()]
    effects(scores, **STUDY)
    times.append(time.perf_counter())
    accuracies(scores, confidence=0.95)
    times.append(time.perf_counter())
    assert all(after - before < 5 for before, after in pairwise(times))
