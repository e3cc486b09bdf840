"""Designs flow in and the difference they would show is checked by simulation; effects flow in and
every sentence is checked against the numbers it was given."""

import math
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from scipy import special, stats
from statsmodels.stats.power import TTestPower
from test_analyse import STUDY, plant

from codedose import tables
from codedose.analyse.cells import accuracies
from codedose.analyse.chances import DIFFERENCE, TREND, Ask, Size, finds, formula, power_of, smallest
from codedose.analyse.contrasts import over_draws
from codedose.analyse.designs import Bounds, cheapest
from codedose.analyse.effects import effects
from codedose.analyse.moments import ASSUMED, difficulties, like, logit_sd
from codedose.analyse.power import calibrate, cheapest_design, smallest_effect
from codedose.analyse.sentences import case, number, sentence
from codedose.analyse.simulate import Design, Spread, chance_of, generator, replies, scores, world
from codedose.analyse.student import beyond, noncentrality, spreads
from codedose.analyse.words import summarise
from codedose.errors import DataError
from codedose.tables import UNTUNED

NOISE = {"accuracy": 0.4, "draw_sd": 1.0, "run_sd": 1.5}
SIZE = {"tasks": 6, "items_per_task": 100, "draws": 4, "seeds": 2, "backbones": 3}
COSTS = {"cost_per_run": 1000.0, "cost_per_reply": 1.0}


def found_by_simulation(difference, rng, *, studies, tasks, items_per_task, draws, seeds, backbones, **noise):
    """How often the t test over draws finds `difference` points, item by item as the model says."""
    items, shape = tasks * items_per_task, (2, studies, draws, seeds, backbones)
    level = 100 * noise["accuracy"] + difference * np.array([-0.5, 0.5]).reshape(2, 1, 1, 1, 1)
    level = level + noise["draw_sd"] * rng.normal(size=(2, studies, draws, 1, 1))
    level = level + noise["run_sd"] * rng.normal(size=shape)
    right = 100 * rng.binomial(items, level / 100) / items
    gaps = (right[1] - right[0]).mean(axis=(2, 3))
    edge = stats.t.isf(0.025, draws - 1) * gaps.std(axis=1, ddof=1) / draws**0.5
    return (abs(gaps.mean(axis=1)) > edge).mean()


class TestPower:
    @pytest.mark.parametrize("draws", [2, 3, 5, 10])
    def test_smallest_effect_is_found_four_times_in_five(self, draws):
        size = {**SIZE, "draws": draws}
        least = smallest_effect(**size, **NOISE)
        noise = NOISE if draws > 2 else {**NOISE, "draw_sd": 0.1, "run_sd": 0.1}  # else accuracies leave 0 to 1
        least = least if draws > 2 else smallest_effect(**size, **noise)
        found = found_by_simulation(least, np.random.default_rng(draws), studies=4000, **size, **noise)
        assert found == pytest.approx(0.8, abs=0.025)

    @pytest.mark.parametrize(("df", "power"), [(2, 0.8), (4, 0.5), (9, 0.8), (29, 0.95)])
    def test_noncentrality_is_the_published_one(self, df, power):
        distance = noncentrality(df, power, 0.95)
        assert TTestPower().power(distance / math.sqrt(df + 1), df + 1, 0.05) == pytest.approx(power, abs=1e-9)

    @pytest.mark.parametrize("df", [1, 2, 9, 39, 500])
    def test_the_distributions_are_scipys(self, df):
        values, weights = spreads(df)
        assert [weights.sum(), weights @ values**2] == pytest.approx([1, 1], abs=1e-12)
        assert weights @ values == pytest.approx(stats.chi.mean(df) / df**0.5, rel=1e-12)
        assert weights @ np.exp(-values) == pytest.approx(
            stats.chi.expect(lambda value: np.exp(-value / df**0.5), args=(df,)), rel=1e-7
        )
        for tail, close in ((0.4, 1e-12), (0.05, 1e-12), (0.025, 1e-12), (0.0005, 1e-12), (1e-6, 1e-9)):
            assert beyond(tail, df) == pytest.approx(stats.t.isf(tail, df), rel=close)

    @pytest.mark.parametrize("df", [*range(1, 41), 100, 500])
    def test_power_is_that_of_scipys_noncentral_t(self, df):
        edge, distance = beyond(0.025, df), noncentrality(df, 0.8, 0.95)
        power = stats.nct.sf(edge, df, distance) + stats.nct.cdf(-edge, df, distance)
        assert power == pytest.approx(0.8, abs=1e-10)

    def test_chances_and_places_are_scipys(self):
        odds = np.linspace(-700, 700, 10_001)
        assert chance_of(odds) == pytest.approx(special.expit(odds), abs=1e-15)
        for count in (1, 2, 8, 64, 2000):
            assert difficulties(count) == pytest.approx(special.ndtri((np.arange(count) + 0.5) / count), abs=1e-14)

    def test_more_of_anything_shows_less(self):
        least = smallest_effect(**SIZE, **NOISE)
        for name in SIZE:
            assert smallest_effect(**{**SIZE, name: 2 * SIZE[name]}, **NOISE) < least

    def test_draw_noise_does_not_average_over_runs(self):
        noise = {"accuracy": 0.4, "draw_sd": 2.0, "run_sd": 0.0}
        many = smallest_effect(**{**SIZE, "items_per_task": 10**9, "seeds": 500}, **noise)
        few = smallest_effect(**{**SIZE, "items_per_task": 10**9}, **noise)
        assert many == pytest.approx(few, rel=1e-3)

    def test_one_draw_shows_nothing(self):
        assert smallest_effect(**{**SIZE, "draws": 1}, **NOISE) == math.inf


class TestDesign:
    def test_the_cheapest_design_shows_the_wanted_difference_and_no_cheaper_one_does(self):
        fixed = {name: SIZE[name] for name in ("tasks", "seeds", "backbones")}
        draws, items = cheapest_design(2.5, **fixed, **NOISE, **COSTS)
        cost = draws * (1000 + 6 * items)
        assert smallest_effect(**fixed, draws=draws, items_per_task=items, **NOISE) <= 2.5
        for other in range(3, 51):
            fewer = next((n for n in range(20, 2001) if other * (1000 + 6 * n) >= cost), 20) - 1
            if fewer >= 20:
                assert smallest_effect(**fixed, draws=other, items_per_task=fewer, **NOISE) > 2.5

    def test_dear_runs_are_replaced_by_items(self):
        fixed = {name: SIZE[name] for name in ("tasks", "seeds", "backbones")}
        cheap = cheapest_design(2.5, **fixed, **NOISE, cost_per_run=1, cost_per_reply=1)
        dear = cheapest_design(2.5, **fixed, **NOISE, cost_per_run=1e6, cost_per_reply=1)
        assert cheap[0] > dear[0]
        assert cheap[1] < dear[1]

    def test_what_cannot_be_shown_has_no_design(self):
        fixed = {name: SIZE[name] for name in ("tasks", "seeds", "backbones")}
        assert cheapest_design(0.01, **fixed, **NOISE, **COSTS) is None


class TestCalibration:
    def test_finds_the_planted_noise(self):
        scores = plant(draws=40, seeds=2, items=150, draw_sd=0.03, run_sd=0.04, untuned=False, seed=5)
        found = calibrate(scores, reading="strict")
        assert found["draw_sd"] == pytest.approx(3, rel=0.3)
        assert found["run_sd"] == pytest.approx(4, rel=0.2)
        right = (scores["outcome"] == "right").mean()
        assert found["accuracy"] == pytest.approx(right, abs=1e-9)

    def test_one_backbone_with_seeds_tells_them_apart_too(self):
        scores = plant(backbones=("a1",), draws=40, seeds=3, items=150, draw_sd=0.03, run_sd=0.04, untuned=False)
        found = calibrate(scores, reading="strict")
        assert found["draw_sd"] == pytest.approx(3, rel=0.3)
        assert found["run_sd"] == pytest.approx(4, rel=0.2)

    def test_predicts_the_standard_error_of_the_study_it_came_from(self):
        scores = plant(draws=30, items=100, draw_sd=0.02, run_sd=0.02, untuned=False)
        row = primary(effects(scores, **STUDY))
        error = (row["high"] - row["low"]) / 2 / stats.t.isf(0.025, 29)
        size = {"tasks": 3, "items_per_task": 100, "draws": 30, "seeds": 1, "backbones": 2}
        predicted = smallest_effect(**size, **calibrate(scores, reading="strict"))
        assert predicted == pytest.approx(error * noncentrality(29, 0.8, 0.95), rel=0.2)

    def test_one_draw_tells_no_noise(self):
        assert set(calibrate(plant(draws=1), reading="strict")) == {"accuracy"}

    def test_a_reading_that_is_not_there(self):
        with pytest.raises(DataError, match="no tuned cell under the reading 'forced'"):
            calibrate(plant(), reading="forced")


LIKE = replace(ASSUMED, accuracy=(0.3, 0.5, 0.6), draw=1.5, run=1.0)
MEDIUM = Size(tasks=6, items=60, draws=5, seeds=1, backbones=2, shares=3)
HOW = Ask(DIFFERENCE, 0.8, 0.95, 2000)


class TestBySimulation:
    @pytest.mark.parametrize("draws", [3, 5, 10])
    @pytest.mark.parametrize("kind", [DIFFERENCE, TREND])
    def test_agrees_with_the_formula_where_both_assume_the_same(self, draws, kind):
        size, ask = replace(MEDIUM, draws=draws, shares=4), replace(HOW, kind=kind, studies=4000)
        found = smallest(size, replace(LIKE, accuracy=(0.5,)), ask, name="agree")
        wanted = formula(size, replace(LIKE, accuracy=(0.5,)), ask)
        assert found.value == pytest.approx(wanted, abs=4 * found.error)
        assert found.error < 0.03 * wanted

    def test_formula_is_that_of_the_closed_form(self):
        sizes = {"tasks": 6, "items_per_task": 60, "draws": 5, "seeds": 1, "backbones": 2}
        wanted = smallest_effect(**sizes, accuracy=0.5, draw_sd=1.5, run_sd=1.0)
        assert formula(MEDIUM, replace(LIKE, accuracy=(0.5,)), HOW) == pytest.approx(wanted, abs=1e-9)

    def test_the_smallest_difference_is_found_as_often_as_asked(self):
        least = smallest(MEDIUM, LIKE, HOW, name="least")
        again = power_of(MEDIUM, LIKE, least.value, replace(HOW, studies=4000), name="other studies")
        assert again.value == pytest.approx(0.8, abs=0.035)

    def test_nothing_is_found_by_chance_only(self):
        found = power_of(MEDIUM, LIKE, 0.0, replace(HOW, studies=4000), name="nothing")
        assert found.value == pytest.approx(0.05, abs=0.015)

    def test_monte_carlo_error_is_the_spread_of_repeated_figures(self):
        """And not that spread once more divided by the root of the number of studies."""
        ask = replace(HOW, studies=300)
        found = [power_of(MEDIUM, LIKE, 5.0, ask, name=f"repeat {number}") for number in range(40)]
        spread = np.std([each.value for each in found], ddof=1)
        assert np.mean([each.error for each in found]) == pytest.approx(spread, rel=0.35)

    def test_the_name_decides(self):
        ask = replace(HOW, studies=300)
        first, again, other = (power_of(MEDIUM, LIKE, 5.0, ask, name=name) for name in ("a", "a", "b"))
        assert first == again
        assert first != other

    def test_items_of_unequal_difficulty_add_less_noise(self):
        noiseless = replace(LIKE, draw=0.1, run=0.1)
        alike, apart = (formula(MEDIUM, replace(noiseless, item=item), HOW) for item in (0.0, 2.0))
        assert apart < 0.9 * alike
        found = smallest(MEDIUM, replace(noiseless, item=2.0), HOW, name="unequal")
        assert found.value == pytest.approx(apart, abs=4 * found.error)

    def test_more_shares_show_a_smaller_trend_only_with_more_runs_at_the_ends(self):
        """Least-squares weights: with three even shares the middle one has none."""
        two, three, five = (formula(replace(MEDIUM, shares=n), LIKE, replace(HOW, kind=TREND)) for n in (2, 3, 5))
        assert two == pytest.approx(three)
        assert five < three

    def test_what_does_not_fit_between_0_and_1_is_not_a_number(self):
        floor = replace(LIKE, accuracy=(0.02,), draw=3.0)
        assert smallest(replace(MEDIUM, draws=2), floor, HOW, name="floor") is None

    def test_one_draw_shows_nothing(self):
        assert smallest(replace(MEDIUM, draws=1), LIKE, HOW, name="one") is None

    def test_without_spread_over_draws_nothing_is_found(self):
        assert finds(np.full((3, 4), 7.0), 0.95).tolist() == [0, 0, 0]

    def test_finds_what_the_analysis_finds(self):
        values = np.random.default_rng(3).normal(1, 1, (50, 4))
        rows = pl.DataFrame(
            [
                {"reading": f"{n:02}", "view": "overall", "of": "all", "family": None, "backbone": None,
                 "contrast": "c", "kind": "baseline", "reason": None, "draw": draw, "value": value}
                for n, row in enumerate(values) for draw, value in enumerate(row)
            ],
            schema_overrides={"family": pl.String, "backbone": pl.String, "reason": pl.String},
        )  # fmt: skip
        p = over_draws(rows, 0.95, None).sort("reading")["p"].to_numpy()
        assert ((p < 0.05) == (finds(values, 0.95) == 1)).all()


class TestCheapest:
    BOUNDS = Bounds(draws=30, seeds=2, items=(20, 500), run_cost=1000)

    def test_design_shows_what_is_wanted_in_studies_it_was_not_chosen_by(self):
        found = cheapest(MEDIUM, LIKE, 4.0, replace(HOW, studies=1000), self.BOUNDS)
        assert found.power.value >= 0.8 - 3 * found.power.error
        assert found.cost == found.size.runs * (1000 + found.size.tasks * found.size.items)
        fewer = replace(found.size, items=found.size.items * 2 // 3)
        assert power_of(fewer, LIKE, 4.0, HOW, name="fewer items").value < 0.8
        fewer = replace(found.size, draws=found.size.draws - 1)
        assert power_of(fewer, LIKE, 4.0, HOW, name="fewer draws").value < 0.8

    def test_dear_trainings_are_replaced_by_items(self):
        cheap, dear = (
            cheapest(MEDIUM, LIKE, 4.0, replace(HOW, studies=500), replace(self.BOUNDS, run_cost=cost))
            for cost in (1, 1e6)
        )
        assert cheap.size.draws > dear.size.draws
        assert cheap.size.items < dear.size.items

    def test_what_cannot_be_shown_has_no_design(self):
        assert cheapest(MEDIUM, LIKE, 0.01, HOW, self.BOUNDS) is None


PLANTED = Spread(
    backbone=0.3, arm_backbone=0.0, item=1.0, item_arm=0.6, shared=0.0,
    draw=0.2, dose=0.0, draw_arm=0.15, draw_task=0.0, draw_backbone=0.0, run=0.2,
)  # fmt: skip
EARLIER = Design(
    shares={"General": 0.0, "Code": 1.0}, families={"a1": "a", "b1": "b"},
    domains={"letters": "symbolic", "sums": "arithmetic"}, levels={"letters": 0.5, "sums": -1.0},
    items=300, cluster=1, draws=30, seeds=1, untuned=True,
)  # fmt: skip


def earlier(design=EARLIER, spread=PLANTED, name="earlier"):
    rng = generator(name)
    study = world(design, spread, np.zeros((len(design.shares), len(design.domains))), rng, centred=False)
    return scores(study, replies(study, rng), {"strict": {}}, rng)


@pytest.fixture(scope="module")
def found():
    return like(earlier(), reading="strict")


class TestLikeness:
    def test_says_what_was_planted(self, found):
        likeness, unknown = found
        assert unknown == []
        assert likeness.item == pytest.approx(1.0, rel=0.15)
        assert likeness.item_arm == pytest.approx(0.6, rel=0.15)
        slope = 19  # points for one in log odds: between 0.5 and -1, items one apart
        assert likeness.draw == pytest.approx(0.15 * slope, rel=0.35)
        assert likeness.run == pytest.approx(0.2 * slope, rel=0.25)

    def test_has_the_accuracy_of_each_task(self, found):
        rows = earlier().filter(pl.col("arm") != UNTUNED).group_by("task").agg((pl.col("outcome") == "right").mean())
        assert found[0].accuracy == pytest.approx(rows.sort("task")["outcome"].to_list(), abs=1e-9)

    def test_predicts_the_standard_error_of_a_study_of_its_kind(self, found):
        size = Size(tasks=2, items=300, draws=30, seeds=1, backbones=2, shares=2)
        row = primary(effects(earlier(), **STUDY))
        error = (row["high"] - row["low"]) / 2 / stats.t.isf(0.025, 29)
        assert formula(size, found[0], HOW) == pytest.approx(error * noncentrality(29, 0.8, 0.95), rel=0.2)

    def test_one_draw_tells_no_noise_and_it_is_not_0(self):
        likeness, unknown = like(earlier(replace(EARLIER, draws=1), name="one"), reading="strict")
        assert (likeness.draw, likeness.run) == (ASSUMED.draw, ASSUMED.run)
        assert "item x arm" in unknown[0]
        assert "one draw or one arm tells no spread" in unknown[1]

    def test_one_run_of_one_arm_tells_nothing_but_accuracy(self):
        design = replace(EARLIER, draws=1, shares={"General": 0.0}, families={"a1": "a"})
        likeness, unknown = like(earlier(design, name="bare"), reading="strict")
        assert likeness == replace(ASSUMED, accuracy=likeness.accuracy)
        assert len(unknown) == 2

    def test_one_backbone_with_one_seed_says_that_it_cannot_tell(self):
        _, unknown = like(earlier(replace(EARLIER, families={"a1": "a"}, items=40), name="single"), reading="strict")
        assert unknown == ["one backbone with one seed: draws have the spread of runs, too"]

    def test_a_task_of_one_item_tells_nothing_of_items_and_does_not_count_as_0(self):
        table = earlier(replace(EARLIER, items=60, draws=10), name="single item")
        single = (pl.col("task") == "letters") & (pl.col("item_id") != "letters-0")
        fewer, other = (like(rows, reading="strict")[0] for rows in
                        (table.filter(~single), table.filter(pl.col("task") != "letters")))  # fmt: skip
        assert math.hypot(fewer.item, fewer.item_arm) == pytest.approx(math.hypot(other.item, other.item_arm))
        assert fewer.item > 0.7

    def test_row_order_changes_nothing(self):
        table = earlier(replace(EARLIER, items=20, draws=3), name="order")
        assert like(table, reading="strict") == like(table.sample(fraction=1, shuffle=True, seed=1), reading="strict")

    @pytest.mark.parametrize("outcome", ["right", "no_answer"])
    def test_floor_and_ceiling_have_no_variance_of_items(self, outcome):
        table = earlier(replace(EARLIER, items=20, draws=3), name="floor").with_columns(outcome=pl.lit(outcome))
        likeness, _ = like(table, reading="strict")
        assert (likeness.item, likeness.item_arm, likeness.draw) == (0, 0, 0)

    def test_a_reading_that_is_not_there(self):
        with pytest.raises(DataError, match="no tuned cell under the reading 'forced'"):
            like(plant(), reading="forced")

    @pytest.mark.parametrize(("mean", "sd"), [(0.5, 0.5), (0.1, 1.0), (0.8, 2.0)])
    def test_log_odds_have_the_variance_of_their_chances(self, mean, sd):
        rng = np.random.default_rng(4)
        logits = sd * rng.normal(size=400_000) + math.log(mean / (1 - mean))
        chances = 1 / (1 + np.exp(-logits))
        assert logit_sd(float(chances.mean()), float(chances.var())) == pytest.approx(sd, rel=0.03)


def primary(found):
    return found.filter(pl.col("note").str.starts_with("primary")).row(0, named=True)


ROW = {
    "view": "overall", "of": "all", "contrast": "Code - General", "reading": "strict", "estimate": 3.21, "low": 1.1,
    "high": 5.32, "p": 0.012, "p_adjusted": 0.012, "method": "t over draws", "n_draws": 5,
    "note": "primary; not adjusted; not shown to be within the margin of 1 point; survives the other readings",
}  # fmt: skip
ROWS = {
    "clear": (
        {},
        "Code scores 3.2 points higher than General overall (95 % interval 1.1 to 5.3; p = 0.012); "
        "the other readings agree.",
    ),
    "reading": (
        {"note": "primary; changes under forced, lenient", "p_adjusted": 0.0004},
        "Under the strict reading, Code scores 3.2 points higher than General overall (95 % interval 1.1 to 5.3; "
        "adjusted p < 0.001), but not under forced, lenient: the conclusion depends on how replies are read.",
    ),
    "small": (
        {"estimate": -0.3, "low": -0.5, "high": -0.1, "note": "different, and smaller than the margin of 1 point"},
        "A difference is there but smaller than the margin of 1 point: Code scores 0.3 points lower than General "
        "overall (95 % interval -0.5 to -0.1; p = 0.012).",
    ),
    "equivalent": (
        {
            "estimate": 0.1, "low": -0.4, "high": 0.6, "p": 0.6, "p_adjusted": 0.6,
            "note": "primary; equivalent within the margin of 1 point; survives the other readings",
        },
        "Code and General are equivalent overall within the margin of 1 point: Code minus General is "
        "estimated at 0.1 points (95 % interval -0.4 to 0.6; p = 0.6); the other readings agree.",
    ),
    "inconclusive": (
        {"low": -2.0, "high": 8.42, "p": 0.16, "p_adjusted": 0.32, "note": "secondary; changes under lenient"},
        "No difference between Code and General is shown overall: Code minus General is estimated at 3.2 points "
        "(95 % interval -2.0 to 8.4; adjusted p = 0.32); a true difference below 7.1 points would be missed more often "
        "than 20 times in 100; the conclusion is another under lenient.",
    ),
    "two draws": (
        {"n_draws": 2, "note": "primary; not adjusted; indicative: two draws; only one reading"},
        "Two draws are only indicative: overall, Code minus General is estimated at 3.2 points "
        "(95 % interval 1.1 to 5.3; p = 0.012).",
    ),
    "one draw": (
        {"n_draws": 1, "low": None, "high": None, "method": "exact McNemar over items", "view": "task", "of": "sums"},
        "One draw says nothing about the data. Of Code and General, these checkpoints differ in sums: Code minus "
        "General is estimated at 3.2 points (exact McNemar over items, p = 0.012); the other readings agree.",
    ),
    "undefined": (
        {"p": None, "p_adjusted": None, "low": None, "high": None, "view": "domain", "of": "logical",
         "note": "secondary; undefined: all draws gave the same value, so there is no variance to test with"},
        "Code and General cannot be compared in logical tasks: all draws gave the same value, so there is "
        "no variance to test with.",
    ),
}  # fmt: skip


CALM = {"draws": 8, "draw_sd": 0.002, "run_sd": 0.002}
PLANTED = [
    ({**CALM, "effect": 0.1}, 1.0, "clear"),
    ({**CALM, "effect": (0.1, 0.0)}, 1.0, "reading"),
    ({**CALM, "effect": 0.1}, 20.0, "small"),
    ({**CALM, "effect": 0.0}, 10.0, "equivalent"),
    ({"effect": 0.0, "draws": 4, "draw_sd": 0.05}, 1.0, "inconclusive"),
    ({**CALM, "draws": 2, "effect": 0.1}, 1.0, "two draws"),
    ({**CALM, "draws": 1, "effect": 0.1}, 1.0, "one draw"),
]


class TestSentences:
    @pytest.mark.parametrize("name", ROWS)
    def test_each_case_has_its_sentence(self, name):
        change, wanted = ROWS[name]
        row = ROW | change
        assert case(row, 0.95) == name
        assert sentence(row, arm="Code", against="General", confidence=0.95, power=0.8) == wanted

    @pytest.mark.parametrize(("planted", "margin", "wanted"), PLANTED, ids=[wanted for *_, wanted in PLANTED])
    def test_each_case_is_reached_by_a_planted_study(self, planted, margin, wanted):
        """The whole way from scores: what was planted is the sentence that comes out, and no stronger one."""
        scores = plant(readings=("strict", "forced"), items=100, seed=11, **planted)
        row = primary(effects(scores, **{**STUDY, "margin": margin}))
        assert case(row, 0.95) == wanted
        told = sentence(row, arm="Code", against="General", confidence=0.95, power=0.8)
        assert ("points higher than" in told) == (wanted in ("clear", "reading", "small"))

    def test_a_difference_that_does_not_survive_adjustment_is_inconclusive(self):
        assert case(ROW | {"p": 0.02, "p_adjusted": 0.06}, 0.95) == "inconclusive"

    def test_numbers_keep_their_side_of_zero(self):
        assert [number(value) for value in (0.04, -0.04, 0, -3.26)] == ["0.04", "-0.04", "0.0", "-3.3"]


def said(scores, margin=1.0):
    found = effects(scores, **{**STUDY, "margin": margin})
    return summarise(
        found,
        accuracies(scores, confidence=0.95),
        primary=("Code", "General"),
        reading="strict",
        confidence=0.95,
        margin=margin,
        calibration=calibrate(scores, reading="strict"),
    )


class TestFiveLines:
    def test_clear_study(self):
        lines = said(plant(effect=0.3, draws=5, items=100, readings=("strict", "lenient")))
        assert lines[0] == (
            "Code (100 % code) was compared with General (0 % code): 2 backbones, 5 draws, 1 seed, 3 tasks, 300 items, "
            "strict reading."
        )
        assert "higher than General overall" in lines[1]
        assert lines[1].endswith("the other readings agree.")
        assert lines[2].count("higher by") == 3
        assert lines[2].endswith("Best share overall: 95 % confidence set 100 %.")
        assert lines[3].startswith("Too uncertain to say: nothing by domain or task; the smallest true difference")
        assert lines[4].startswith("At 95 % confidence the primary contrast is answered")

    def test_study_without_an_effect_claims_none_and_says_what_it_would_take(self):
        lines = said(plant(draws=5, items=60, seed=1), margin=4.0)
        assert lines[1].startswith("No difference between Code and General is shown overall")
        assert lines[2].count("no difference shown") == 3
        assert "3 of 3 tasks and the domains arithmetic, logical, symbolic" in lines[3]
        assert "would show a true difference of 4.0 points 80 times in 100" in lines[4]

    def test_equivalent_study(self):
        lines = said(plant(draws=6, items=250, draw_sd=0.002, run_sd=0.002, seed=2), margin=5.0)
        assert lines[1].startswith("Code and General are equivalent overall within the margin of 5 points")
        assert "answered" in lines[4]

    def test_gain_in_one_reading_only(self):
        lines = said(plant(readings=("lenient", "strict"), effect=(0.0, 0.3), draws=5, items=100))
        assert "but not under lenient: the conclusion depends on how replies are read" in lines[1]
        assert "look at the replies on which the readings disagree" in lines[4]

    @pytest.mark.parametrize(("draws", "start"), [(1, "One draw says nothing"), (2, "Two draws are only indicative")])
    def test_few_draws_claim_nothing(self, draws, start):
        lines = said(plant(draws=draws, effect=0.3, items=100))
        assert lines[1].startswith(start)
        assert lines[2].startswith("By domain nothing is claimed")
        assert "answered" not in lines[4]
        assert len(lines) == 5

    def test_a_partial_study_says_so(self):
        scores = plant(draws=4)
        part = scores.filter(~((pl.col("draw") == 2) & (pl.col("arm") == "Code")).fill_null(False))
        lines = summarise(
            effects(part, **STUDY, partial=True),
            accuracies(part, confidence=0.95, partial=True),
            primary=("Code", "General"),
            reading="strict",
            confidence=0.95,
            margin=1.0,
            calibration=calibrate(part, reading="strict", partial=True),
        )
        assert lines[0].endswith("partial study, analysed: draw 0, 1, 3 of 0, 1, 2, 3.")

    def test_a_contrast_that_is_not_there(self):
        with pytest.raises(DataError, match="no overall row for Code - Half"):
            summarise(
                effects(plant(), **STUDY),
                accuracies(plant(), confidence=0.95),
                primary=("Code", "Half"),
                reading="strict",
                confidence=0.95,
                margin=1.0,
                calibration={},
            )


class TestCommand:
    @pytest.fixture
    def measured(self, tmp_path):
        path = tmp_path / "scores.parquet"
        tables.write(earlier(replace(EARLIER, items=40, draws=4), name="command"), path, tables.SCORES)
        return path

    def test_power_tells_what_it_assumes_and_what_each_design_shows(self, codedose):
        told = codedose("power", "--studies", 200, "--draws", 3, "--draws", 6, "--json").json
        assert (told["assumed"]["accuracy"], told["assumed"]["draw"], told["assumed"]["from"]) == ([0.5], 1.0, [])
        assert [each["draws"] for each in told["designs"]] == [3, 6]
        few, many = (each["difference"]["points"] for each in told["designs"])
        assert many < few
        assert told["cheapest"] is None

    def test_in_words_the_assumptions_stand_before_the_figures(self, codedose):
        told = codedose("power", "--studies", 200, "--accuracy", 0.3, "--draw-sd", 2, "--wanted", 6)
        assert told.code == 0
        assert told.out.index("stated, not measured") < told.out.index("Monte Carlo error") < told.out.index("Cheapest")
        assert "accuracy   30 % in every task" in told.out
        assert "2 points between draws" in told.out

    def test_like_measures_noise_and_takes_the_sizes(self, codedose, measured):
        told = codedose("power", "--like", measured, "--studies", 200, "--json").json
        (design,) = told["designs"]
        assert [design[name] for name in ("tasks", "items", "draws", "backbones", "shares")] == [2, 40, 4, 2, 2]
        likeness, unknown = like(tables.read(measured, tables.SCORES), reading="strict")
        assert told["assumed"] == {**vars(likeness), "accuracy": list(likeness.accuracy), "from": [str(measured)],
                                   "unknown": unknown}  # fmt: skip

    def test_what_is_stated_goes_before_what_is_measured(self, codedose, measured):
        told = codedose("power", "--like", measured, "--draw-sd", 9, "--items", 10, "--studies", 200, "--json").json
        assert told["assumed"]["draw"] == 9
        assert told["designs"][0]["items"] == 10

    def test_wanted_gives_a_design(self, codedose, measured):
        told = codedose("power", "--like", measured, "--wanted", 8, "--studies", 300, "--json").json
        assert told["cheapest"]["power"]["value"] > 0.7
        assert told["cheapest"]["runs"] == told["cheapest"]["draws"] * told["cheapest"]["seeds"] * 2 * 2

    def test_what_no_design_shows_is_said(self, codedose):
        told = codedose("power", "--wanted", 0.05, "--studies", 100)
        assert "No design of up to 40 draws" in told.out

    def test_scores_of_several_readings_need_one_named(self, codedose, tmp_path):
        path = tmp_path / "scores.parquet"
        tables.write(plant(readings=("strict", "forced")), path, tables.SCORES)
        told = codedose("power", "--like", path)
        assert told.code == 2
        assert "forced, strict: name one with --reading" in told.err
        assert codedose("power", "--like", path, "--reading", "forced", "--studies", 100).code == 0

    def test_what_is_no_table_of_scores_is_refused_by_name(self, codedose, tmp_path):
        path = tmp_path / "scores.parquet"
        path.write_text("not a table")
        told = codedose("power", "--like", path)
        assert told.code == 2
        assert str(path) in told.err
        assert codedose("power", "--reading", "strict").code == 2

    def test_plan_says_what_the_margin_would_take(self, codedose, a_study):
        easy, hard, beyond = (
            codedose("plan", a_study({"analyse.margin": margin}), "--json").json["for_margin"]
            for margin in (20.0, 5.0, 0.01)
        )
        assert easy["draws"] * easy["items"] < hard["draws"] * hard["items"]
        assert beyond is None

    def test_plan_takes_earlier_scores(self, codedose, a_study, measured):
        study = a_study({"analyse.reading": "strict", "mix.draws": 5})
        assumed, found = (codedose("plan", study, *more, "--json").json for more in ((), ("--like", measured)))
        assert (assumed["assumed"]["accuracy"], assumed["assumed"]["measured"]) == (0.5, False)
        assert found["assumed"]["measured"]
        assert found["assumed"]["accuracy"] == pytest.approx(
            np.mean(like(tables.read(measured, tables.SCORES), reading="strict")[0].accuracy)
        )
        assert found["smallest_effect"] not in (None, assumed["smallest_effect"])
        assert "measured on the earlier scores" in codedose("plan", study, "--like", measured).out
