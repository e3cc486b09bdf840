"""What is recommended, against planted curves: the worth of cells by simulation, and what following it wins."""

import numpy as np
import polars as pl
import pytest
from test_analyse import one, plant

from codedose.analyse.recommend import recommend
from codedose.analyse.worth import Noise, at_stake, believed, best_together, noise_of, worth
from codedose.errors import DataError
from codedose.tables import UNTUNED

AT = np.arange(11) / 10
SHARES = {"General": 0.0, "Quarter": 0.25, "Half": 0.5, "Code": 1.0}


QUIET = Noise(1.0, 2.0, 0.0)


def seen(curve, shares, draws=3, noise=QUIET, seed=0, at=AT):
    rng = np.random.default_rng(seed)
    common, own = rng.normal(0, noise.draw, draws), rng.normal(0, noise.cell, (draws, len(shares)))
    points = curve(np.array(shares)) + common[:, None] + own
    number = np.repeat(np.arange(draws), len(shares))
    return believed(np.tile(shares, draws), number, points.ravel(), at, noise)


def hill(share):
    return 40 + 40 * share - 60 * share**2


def test_a_belief_is_near_what_was_planted_and_surer_where_it_was_seen():
    belief = seen(hill, [0.0, 0.5, 1.0], draws=20)
    mean, spread = belief.of_shares
    assert mean == pytest.approx(hill(AT), abs=1.5)
    _, beyond = seen(hill, [0.0, 0.2, 0.4], draws=20).of_shares
    assert spread[10, 10] < beyond[10, 10] / 4


def test_the_worth_of_a_cell_is_that_of_seeing_it_by_simulation():
    """Draw truth and a new cell from the belief, believe anew, choose: what is won over choosing now."""
    shares, noise = [0.0, 0.5, 1.0], Noise(3.0, 2.0, 0.0)
    draws, rng = np.repeat([0, 1], 3), np.random.default_rng(1)
    points = hill(np.tile(shares, 2)) + rng.normal(0, 3, 6)
    before = believed(np.tile(shares, 2), draws, points, AT, noise)
    cell = np.zeros(len(before.mean))
    cell[[3, len(AT)]] = 1  # 30 % in draw 0
    told = rng.normal(cell @ before.mean, np.sqrt(cell @ before.spread @ cell + 9), 1500)
    now = before.of_shares[0].max()
    won = [
        believed(np.append(np.tile(shares, 2), 0.3), np.append(draws, 0), np.append(points, new), AT, noise)
        .of_shares[0]
        .max()
        - now
        for new in told
    ]
    # The new point moves the prior's level, too, which is so loose that it hardly matters.
    assert np.mean(won) == pytest.approx(worth(before, 0.3, [0]), abs=4 * np.std(won) / np.sqrt(1500) + 0.02)


def test_no_cell_is_worth_more_than_all_that_is_at_stake():
    for seed in range(5):
        belief = seen(hill, [0.0, 0.5, 1.0], seed=seed)
        stake = at_stake(belief, np.random.default_rng(0), tries=20_000)
        assert max(worth(belief, share, range(8)) for share in AT) <= stake * 1.05 + 0.02


def test_what_is_certain_is_worth_nothing_more():
    sure = seen(lambda share: 20 + 50 * share, [0.0, 0.5, 1.0], draws=30, noise=Noise(0.5, 0.5, 0.0))
    assert max(worth(sure, share, range(8)) for share in AT) < 1e-6
    assert at_stake(sure, np.random.default_rng(0)) < 1e-6


def test_beside_the_others_of_its_draw_a_cell_says_more_than_alone():
    belief = seen(lambda share: 40 - 10 * share**2, [0.0, 0.5, 1.0], noise=Noise(2.0, 8.0, 0.0))
    assert worth(belief, 0.3, [0]) > 2 * worth(belief, 0.3, [3])


def test_noise_comes_back_from_many_draws():
    rng = np.random.default_rng(3)
    points = hill(np.array([0, 0.25, 0.5, 1.0])) + rng.normal(0, 2, (1, 4000, 1)) + rng.normal(0, 1, (1, 4000, 4))
    found = noise_of(points, np.array([np.nan]))[0]
    assert (found.cell, found.draw) == (pytest.approx(1, rel=0.05), pytest.approx(2, rel=0.05))
    assert found.curve == pytest.approx(2.6, abs=0.1)  # unknown: a tenth of the range
    assert noise_of(points, np.array([5.0]))[0].curve == pytest.approx(5, abs=0.01)


# From scores


def hilly(**how):
    """A study whose accuracy is highest near 40 %, which no arm has: trained at 0, 25, 50 and 100 %."""
    rise = {0.0: 0.0, 0.25: 0.22, 0.5: 0.23, 1.0: -0.1}
    told = plant(shares={name: rise[share] for name, share in SHARES.items()}, effect=1.0, **how)
    return told.with_columns(share=pl.col("arm").replace_strict({**SHARES, UNTUNED: None}, return_dtype=pl.Float64))


def advised(scores, **how):
    return recommend(scores, **{"reading": "strict", "confidence": 0.95, **how})


def test_a_hill_is_told_with_its_best_share_inside_and_a_next_cell():
    found = advised(hilly(items=60, draws=3, run_sd=0.05))
    row = one(found.best, view="overall", backbone=None)
    assert row["best"] in (0.25, 0.5)
    assert row["best"] in row["may_be_best"]
    assert not {0.0, 1.0} & set(row["may_be_best"])
    assert 0.25 < row["curve_best"] < 0.5
    cells = found.cells.filter((pl.col("view") == "overall") & pl.col("backbone").is_null())
    assert one(cells, share=0.4)["draw"] == 0
    again = one(cells, share=0.5)
    assert (again["trained"], again["draw"]) == (True, 3)
    assert cells["gain_per_hour"].to_list() == sorted(cells["gain_per_hour"], reverse=True)
    assert 0 < cells["gain"].max() <= row["at_stake"]


def followed(rng, choose, cells=8):
    """The points that the share which looks best falls short of the best after `cells` more, each chosen in turn."""
    noise = Noise(3.0, 2.0, 1.0)
    curve = (
        40
        + 6 * AT * rng.normal()
        - 12 * (AT - rng.uniform()) ** 2
        + rng.normal(size=3) @ np.cos(np.pi * np.arange(1, 4)[:, None] * AT)
    )
    common, seen = rng.normal(0, 2, 40), {}

    def cell(share, draw):
        seen[share, draw] = curve[round(10 * share)] + common[draw] + rng.normal(0, 3)

    def belief():
        shares, draws = zip(*seen, strict=True)
        return believed(np.array(shares), np.array(draws), np.array([*seen.values()]), AT, noise)

    for draw in range(2):
        for share in (0.0, 0.5, 1.0):
            cell(share, draw)
    for _ in range(cells):
        free = {share: [draw for draw in range(30) if (share, draw) not in seen] for share in AT.tolist()}
        share = choose(belief(), free)
        cell(share, free[share][0])
    return curve.max() - curve[belief().of_shares[0].argmax()]


def rate(belief, share, free):
    count, gain = best_together(belief, share, free)
    return gain / count


@pytest.mark.long
def test_following_the_advice_ends_nearer_to_the_best_share_than_chance():
    def advice(belief, free):
        return max(free, key=lambda share: rate(belief, share, free[share]))

    def chance(belief, free):
        return float(numbers.choice(AT))

    numbers = np.random.default_rng(7)
    losses = [[followed(np.random.default_rng(seed), way) for way in (advice, chance)] for seed in range(200)]
    advised_, random_ = np.mean(losses, axis=0)
    assert advised_ < 0.85 * random_


def test_predictions_are_of_untrained_shares_with_their_error():
    found = advised(hilly(items=300), candidates=[0.1, 0.25, 0.7])
    rows = found.predicted.filter((pl.col("view") == "overall") & pl.col("backbone").is_null())
    assert rows["share"].to_list() == [0.1, 0.7]
    assert rows["error"].null_count() == 0
    assert (rows["low"] < rows["estimate"]).all()
    assert (rows["estimate"] < rows["high"]).all()


def test_where_every_candidate_is_trained_nothing_is_predicted():
    found = advised(hilly(items=40), candidates=[0.25, 0.5])
    assert found.predicted.is_empty()
    assert found.cells["trained"].all()


def test_a_cell_that_takes_longer_is_worth_less_an_hour():
    scores = hilly(items=60)
    hours = pl.DataFrame([(b, s, 2.0 + 6 * (s == 1.0)) for b in ("a1", "b1") for s in SHARES.values()], orient="row",
                         schema=["backbone", "share", "hours"])  # fmt: skip
    cells = advised(scores, hours=hours).cells.filter((pl.col("view") == "overall") & pl.col("backbone").is_null())
    each = cells.with_columns(pl.col("hours") / pl.col("cells"))
    assert one(each, share=0.5)["hours"] == 4  # one cell on each backbone
    assert one(each, share=1.0)["hours"] == 16
    assert one(each, share=0.4)["hours"] == pytest.approx(7)  # never trained: what the others take on average
    assert (cells["gain_per_hour"] - cells["gain"] / cells["hours"]).abs().max() < 1e-12
    assert "counted as one" in advised(scores).notes[-1]


def test_of_a_partial_study_the_missing_cell_of_a_begun_draw_comes_next():
    scores = hilly(items=60).filter(~((pl.col("draw") == 2) & (pl.col("arm") == "Code")))
    found = advised(scores)
    assert any("partial study" in note for note in found.notes)
    cells = found.cells.filter((pl.col("view") == "overall") & pl.col("backbone").is_null())
    assert one(cells, share=1.0)["draw"] == 2
    assert one(cells, share=0.0)["draw"] == 3


def test_a_backbone_that_has_only_begun_is_left_out_and_named():
    scores = hilly(items=40)
    begun = scores.filter((pl.col("backbone") == "a1") | (pl.col("arm") == "General") & (pl.col("draw") == 0))
    found = advised(begun)
    assert found.notes[0] == "left out, with too few whole draws: b1"
    assert found.best.equals(advised(scores.filter(pl.col("backbone") == "a1")).best)


def test_with_one_draw_no_cell_can_be_ranked():
    found = advised(hilly(draws=1))
    assert found.cells.is_empty()
    assert found.best["may_be_best"].null_count() == found.best.height
    assert "second draw" in found.notes[-1]


def test_without_two_shares_or_scores_there_is_one_sentence():
    for kept, says in (("Code", "1 share"), (UNTUNED, "0 share")):
        with pytest.raises(DataError, match=says):
            advised(hilly().filter(pl.col("arm") == kept))
    with pytest.raises(DataError, match="no reading 'forced'; they hold strict"):
        advised(hilly(), reading="forced")


def test_the_order_of_rows_changes_nothing():
    scores = hilly(items=40)
    found, again = advised(scores), advised(scores.sample(fraction=1, shuffle=True, seed=1))
    for name in ("best", "predicted", "cells"):
        assert getattr(found, name).equals(getattr(again, name))
