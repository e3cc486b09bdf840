"""Designs flow in; the simulated studies have the truth that the simulator says they have, and the chance of a name."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from scipy import integrate, special, stats

from codedose.analyse.effects import effects
from codedose.analyse.simulate import (
    Design,
    Spread,
    expected,
    generator,
    luck_of,
    moved,
    replies,
    scores,
    truth,
    world,
)
from codedose.errors import DataError
from codedose.tables import SCORES, UNTUNED, check

DESIGN = Design(
    shares={"General": 0.0, "Half": 0.5, "Code": 1.0},
    families={"a1": "a", "b1": "b"},
    domains={"letters": "symbolic", "sums": "arithmetic"},
    levels={"letters": 1.5, "sums": -2.0},
    items=12,
    cluster=4,
    draws=3,
    seeds=2,
    untuned=True,
)
SPREAD = Spread(
    backbone=0.4, arm_backbone=0.2, item=1.0, item_arm=0.6, shared=0.5,
    draw=0.3, dose=0.4, draw_arm=0.3, draw_task=0.2, draw_backbone=0.2, run=0.3,
)  # fmt: skip
NOTHING = np.zeros((3, 2))
STUDY = {"primary": ("Code", "General"), "confidence": 0.95, "margin": 1.0, "consistency": (0.8, 0.2)}


def study_of(*names, design=DESIGN, spread=SPREAD, effect=NOTHING, centred=False):
    return world(design, spread, effect, generator(*names), centred=centred)


class TestTruth:
    def test_is_the_mean_over_many_draws(self):
        study = study_of("many", design=replace(DESIGN, draws=6000, seeds=1), effect=np.array([[0, 0], [1, 0], [0, 1]]))
        right = 100 * replies(study, generator("many", "replies")).mean(axis=(3, 5))  # backbone, arm, draw, task
        error = right.std(axis=2, ddof=1) / 6000**0.5
        np.testing.assert_array_less(np.abs(right.mean(axis=2) - truth(study)) / error, 4.5)

    @pytest.mark.parametrize("luck", [0.0, 0.3, 1.0])
    def test_integral_is_that_of_quadrature(self, luck):
        logits = np.array([-3.0, 0.2, 4.0])
        wanted = [
            integrate.quad(lambda z, at=at: special.expit(at + luck * z) * stats.norm.pdf(z), -12, 12, epsabs=1e-12)[0]
            for at in logits
        ]
        assert expected(logits, luck) == pytest.approx(np.mean(wanted), abs=1e-8)

    def test_an_arm_without_effect_is_exactly_the_baseline_where_that_is_asked(self):
        spread = replace(SPREAD, arm_backbone=0.0)
        study = study_of("exact", spread=spread, effect=np.array([[0, 0], [0, 0], [0.5, 0]]), centred=True)
        found = truth(study)
        np.testing.assert_allclose(found[:, 1], found[:, 0], atol=1e-9)
        np.testing.assert_allclose(found[:, 0], 100 * study.untuned.mean(axis=-1), atol=1e-9)
        np.testing.assert_allclose(found[:, 2, 1], found[:, 0, 1], atol=1e-9)
        assert (found[:, 2, 0] > found[:, 0, 0] + 1).all()

    def test_items_take_each_arm_in_their_own_way_where_it_is_not(self):
        found = truth(study_of("as they come", spread=replace(SPREAD, arm_backbone=0.0)))
        assert (np.abs(found[:, 2] - found[:, 0]) > 0.01).all()

    def test_moved_log_odds_have_the_wanted_accuracy(self):
        logits = generator("moved").normal(size=(4, 20)) * 3
        wanted = np.array([0.02, 0.3, 0.7, 0.99])
        assert expected(logits + moved(logits, 0.8, wanted)[:, None], 0.8) == pytest.approx(wanted, abs=1e-10)

    def test_floors_and_ceilings_stay_where_no_log_odds_reach_them(self):
        levels = {"letters": 12.0, "sums": -12.0}
        spread = replace(SPREAD, item=0.1, arm_backbone=0.0)
        study = study_of("edges", design=replace(DESIGN, levels=levels), spread=spread, centred=True)
        found = truth(study)
        assert ((found > 0) & (found < 100)).all()
        np.testing.assert_allclose(found[:, 2], found[:, 0], atol=1e-8)


class TestNoise:
    def luck(self, **spread):
        alone = replace(Spread(**dict.fromkeys(vars(SPREAD), 0.0)), **spread)
        return luck_of(alone, np.array([0, 0.5, 1]), (400, 2, 3, 2, 2), generator("luck", *spread))

    @pytest.mark.parametrize(
        ("name", "axes"),
        [("draw", (0, 3)), ("draw_arm", (0, 2, 3)), ("draw_task", (0, 2, 3, 5)), ("draw_backbone", (0, 1, 2, 3))],
    )
    def test_is_shared_by_all_that_a_draw_is_shared_by(self, name, axes):
        luck = self.luck(**{name: 0.7})
        others = tuple(axis for axis in range(6) if axis not in axes)
        assert np.ptp(luck, axis=others).max() == pytest.approx(0, abs=1e-12)
        assert luck.mean(axis=others).std() == pytest.approx(0.7, rel=0.1)

    def test_of_a_dose_moves_arms_apart_by_their_share(self):
        luck = self.luck(dose=0.7)
        assert np.abs(luck[:, :, 0]).max() == 0
        np.testing.assert_allclose(luck[:, :, 2], 2 * luck[:, :, 1])

    def test_of_a_run_is_its_own(self):
        luck = self.luck(run=0.7)
        assert np.ptp(luck, axis=5).max() == pytest.approx(0, abs=1e-12)
        assert len(np.unique(luck[..., 0])) == luck[..., 0].size

    def test_of_luck_is_what_the_truth_integrates_over(self):
        luck = luck_of(SPREAD, np.array([0, 0.5, 1]), (20000, 1, 1, 1, 1), generator("whole"))
        np.testing.assert_allclose(luck.std(axis=(0, 1, 3, 4, 5)), SPREAD.of_luck(np.array([0, 0.5, 1])), rtol=0.03)

    def test_items_of_a_cluster_share_their_part_of_the_difficulty(self):
        design, spread = replace(DESIGN, items=4000, cluster=2), replace(SPREAD, shared=0.6, item_arm=0.0)
        logits = study_of("clusters", design=design, spread=spread).logits[0, 0, 0].reshape(-1, 2)
        assert logits.std() == pytest.approx(spread.item, rel=0.05)
        assert np.corrcoef(logits.T)[0, 1] == pytest.approx(0.6, abs=0.05)


class TestPublishedTraps:
    def test_the_name_decides(self):
        first, again, other = (study_of("named", number) for number in (1, 1, 2))
        np.testing.assert_array_equal(first.logits, again.logits)
        assert not np.isclose(first.logits, other.logits).any()

    def test_replicates_next_to_each_other_share_no_item(self):
        """seed + i would give study 1 the second item of study 0, and so on."""
        items = [study_of("next", number, design=replace(DESIGN, untuned=False)).logits[0, 0, 0] for number in range(6)]
        assert len(np.unique(np.round(items, 12))) == 6 * DESIGN.items

    def test_the_generator_is_heard(self):
        study = study_of("heard")
        first, again, other = (replies(study, generator("replies", number)) for number in (1, 1, 2))
        assert (first == again).all()
        assert (first != other).any()

    @pytest.mark.parametrize("empty", ["items", "draws", "seeds", "cluster"])
    def test_a_cell_without_items_or_runs_is_refused_and_has_no_accuracy_of_0(self, empty):
        with pytest.raises(ValueError, match="at least one of everything"):
            replace(DESIGN, **{empty: 0})


class TestScores:
    def test_are_the_replies(self):
        study = study_of("scores")
        right = replies(study, generator("scores", "replies"))
        table = check(scores(study, right, {"strict": {}}, generator("lost")), SCORES)
        tuned = table.filter(pl.col("arm") != UNTUNED)
        assert tuned.height == right.size
        assert table.height == right.size + study.untuned.size
        keys = ["backbone", "share", "draw", "seed", "task"]
        means = tuned.group_by(keys).agg((pl.col("outcome") == "right").mean()).sort(keys)["outcome"].to_numpy()
        np.testing.assert_allclose(means, right.mean(axis=-1).ravel())
        assert tuned.group_by("task", "cluster").agg(pl.col("item_id").n_unique())["item_id"].to_list() == [4] * 6

    def test_are_analysed_to_the_means_of_the_replies(self):
        study = study_of("analysed")
        right = 100 * replies(study, generator("analysed", "replies"))
        table = scores(study, right > 0, {"strict": {}}, generator("lost"))
        found = effects(table, reading="strict", **STUDY)
        row = found.filter(
            pl.col("view") == "overall", pl.col("family").is_null(), pl.col("contrast") == "Code - General",
            pl.col("kind") == "difference",
        ).row(0, named=True)  # fmt: skip
        assert row["estimate"] == pytest.approx(right[:, 2].mean() - right[:, 0].mean(), abs=1e-9)

    def test_a_reading_that_finds_no_answer_finds_it_neither_right_nor_wrong(self):
        study = study_of("unread", design=replace(DESIGN, items=200))
        right = replies(study, generator("unread", "replies"))
        readings = {"lenient": {}, "strict": {"General": 0.4}, "forced": {"General": 0.1}}
        table = scores(study, right, readings, generator("lost"))
        unread = table.group_by("reading", "arm").agg((pl.col("outcome") == "no_answer").mean())
        found = {(reading, arm): share for reading, arm, share in unread.iter_rows()}
        assert found["strict", "General"] == pytest.approx(0.4, abs=0.02)
        assert found["forced", "General"] == pytest.approx(0.1, abs=0.02)
        assert {found["strict", arm] for arm in ("Half", "Code", UNTUNED)} == {0.0}
        keys = ["cell", "item_id"]
        lost = {name: table.filter(pl.col("reading") == name, pl.col("outcome") == "no_answer") for name in readings}
        assert lost["forced"].join(lost["strict"], on=keys, how="anti").is_empty()

    def test_do_not_depend_on_what_else_is_read(self):
        study = study_of("alone")
        right = replies(study, generator("alone", "replies"))
        one = scores(study, right, {"strict": {"Code": 0.3}}, generator("lost"))
        two = scores(study, right, {"lenient": {}, "strict": {"Code": 0.3}}, generator("lost"))
        assert_frame_equal(one, two.filter(pl.col("reading") == "strict"))

    def test_a_lost_cell_is_missed_by_the_analysis(self):
        study = study_of("lost")
        table = scores(study, replies(study, generator("lost", "replies")), {"strict": {}}, generator("lost"))
        with pytest.raises(DataError, match="b1, Code, draw 1, seed 0"):
            effects(table.filter(pl.col("cell") != "b1/Code/1/0"), reading="strict", **STUDY)
