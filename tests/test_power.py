"""Designs flow in and the difference they would show is checked by simulation; effects flow in and
every sentence is checked against the numbers it was given."""

import math

import numpy as np
import polars as pl
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower
from test_analyse import STUDY, plant

from codedose.analyse.cells import accuracies
from codedose.analyse.effects import effects
from codedose.analyse.power import calibrate, cheapest_design, smallest_effect
from codedose.analyse.sentences import case, number, sentence
from codedose.analyse.student import noncentrality
from codedose.analyse.words import summarise
from codedose.errors import DataError

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
