"""A design and how far things differ flow in; studies with the truth known flow out, as replies or as scores.

The model, on the logit scale: in backbone b, arm a, draw d, seed s, an item i of task t is answered right with log odds

    level[t] + backbone[b] + effect[a, t] + arm x backbone[b, a] + difficulty[t, i] + item x arm[a, t, i]
    + draw[d] + share[a] x dose[d] + draw x arm[a, d] + draw x arm x task[a, d, t] + draw x backbone[b, a, d] + run[...]

The first line is what a study cannot change by more draws: it makes the truth for these items. The second line is the
luck of a draw and of a run; dose[d] is there because arms share slots, so that a draw whose code is good is good in
every arm that has code. All are independent and normal; items of one cluster share a part of the first line's last
two. Replies are independent given the log odds. Nothing of this is linear in percentage points, equally variable or
normal there, as the analysis takes it to be; floors and ceilings come as they come.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from codedose.keys import seed_for
from codedose.tables import SCORES, UNTUNED, check

Floats = NDArray[np.float64]
Marks = NDArray[np.bool_]
NODES = 21  # of the Gauss-Hermite rule: exact to 1e-9 for standard deviations up to 1


@dataclass(frozen=True)
class Design:
    """What a study asks of whom. The first arm is the baseline."""

    shares: Mapping[str, float]  # arm -> share of code, 0 to 1
    families: Mapping[str, str]  # backbone -> family
    domains: Mapping[str, str]  # task -> domain
    levels: Mapping[str, float]  # task -> log odds of an ordinary item
    items: int  # of each task
    cluster: int  # items that belong together
    draws: int
    seeds: int
    untuned: bool

    def __post_init__(self) -> None:
        sizes = [len(self.shares), len(self.families), len(self.domains), self.items, self.cluster, self.seeds]
        if min(*sizes, self.draws) < 1 or set(self.levels) != set(self.domains):
            raise ValueError(f"a design needs at least one of everything, and a level for each task: {self}")


@dataclass(frozen=True)
class Spread:
    """Standard deviations on the logit scale; `shared` is the part of the variance of items that clusters share."""

    backbone: float
    arm_backbone: float
    item: float
    item_arm: float
    shared: float
    draw: float
    dose: float
    draw_arm: float
    draw_task: float
    draw_backbone: float
    run: float

    def of_luck(self, shares: Floats) -> Floats:
        """The standard deviation of a run's log odds over new draws and seeds, one for each arm."""
        alike = (self.draw, self.draw_arm, self.draw_task, self.draw_backbone, self.run)
        return np.sqrt(sum(sd**2 for sd in alike) + (self.dose * shares) ** 2)


@dataclass(frozen=True)
class World:
    """One study's items and backbones. `logits` is (backbone, arm, task, item); `untuned`, of (backbone, task, item),
    says which replies of the untuned backbones are right: they have no luck of a draw and are what they are."""

    design: Design
    spread: Spread
    logits: Floats
    untuned: Marks


def generator(*names: str | int) -> np.random.Generator:
    """The stream of chance that belongs to a name: studies called by different names share nothing."""
    return np.random.default_rng(seed_for(*names))


def world(design: Design, spread: Spread, effects: Floats, rng: np.random.Generator, *, centred: bool) -> World:
    """The items and backbones of one study whose arms differ by `effects` (arm, task) of log odds.

    With `centred` the log odds of every backbone, arm and task are moved so that its true accuracy is what it would be
    without item x arm variance and with the baseline's luck: an arm without an effect then has exactly the baseline's
    accuracy for these items, not only for items like them. Where untuned backbones are asked, too, it is theirs.
    """
    shares = np.array(list(design.shares.values()))
    sizes = (len(design.families), len(shares), len(design.domains))
    levels = np.array([design.levels[task] for task in design.domains])[None, :, None]
    start = levels + spread.backbone * rng.normal(size=(sizes[0], 1, 1)) + items(design, spread.item, spread, 1, rng)[0]
    apart = effects + spread.arm_backbone * rng.normal(size=(*sizes[:2], 1))
    plain = start[:, None] + apart[..., None]
    logits = plain + items(design, spread.item_arm, spread, sizes[1], rng)
    untuned = rng.random(start.shape) < chance_of(start)
    if centred:
        luck = spread.of_luck(shares)
        if design.untuned:
            untuned = between(untuned)
            start = start + moved(start, luck[0], untuned.mean(axis=-1))[..., None]
            plain = start[:, None] + apart[..., None]
        logits = logits + moved(logits, luck[:, None], expected(plain, luck[0]))[..., None]
    return World(design, spread, logits, untuned)


def chance_of(odds: Floats) -> Floats:
    """The chances of log odds. As scipy's `expit`, whose import is a sixth of `codedose plan`."""
    chances: Floats = (1 + np.tanh(odds / 2)) / 2
    return chances


def items(design: Design, sd: float, spread: Spread, arms: int, rng: np.random.Generator) -> Floats:
    """(arm, task, item) deviations of standard deviation `sd`, of which clusters share a part."""
    clusters = -(-design.items // design.cluster)
    together = np.repeat(rng.normal(size=(arms, len(design.domains), clusters)), design.cluster, axis=-1)
    alone = rng.normal(size=(arms, len(design.domains), design.items))
    return sd * (math.sqrt(spread.shared) * together[..., : design.items] + math.sqrt(1 - spread.shared) * alone)


def between(right: Marks) -> Marks:
    """`right` with one reply the other way round where all are alike: no log odds stand for none or all of them."""
    kept = right.copy()
    kept[..., 0] = np.where(right.all(axis=-1), False, np.where(right.any(axis=-1), right[..., 0], True))
    return kept


def expected(logits: Floats, luck: Floats | float) -> Floats:
    """True accuracy (0 to 1) over new draws and seeds for these items: `logits` without its last axis.

    The log odds vary with the standard deviation `luck`; the mean over them is integrated (Gauss-Hermite).
    """
    return bent(logits, luck)[0]


def bent(logits: Floats, luck: Floats | float) -> tuple[Floats, Floats]:
    """`expected`, and how fast it rises with all log odds."""
    places, weights = np.polynomial.hermite_e.hermegauss(NODES)
    accuracy, slope = np.zeros(logits.shape[:-1]), np.zeros(logits.shape[:-1])
    wide = np.broadcast_to(np.asarray(luck, dtype=np.float64), logits.shape[:-1])[..., None]
    for place, weight in zip(places, weights / weights.sum(), strict=True):
        chance = chance_of(logits + wide * place)
        accuracy += weight * chance.mean(axis=-1)
        slope += weight * (chance * (1 - chance)).mean(axis=-1)
    return accuracy, slope


def moved(logits: Floats, luck: Floats | float, wanted: Floats) -> Floats:
    """By how much all log odds must rise for `expected` to be `wanted` (Newton's method, steps of at most 1)."""
    shift = np.zeros(logits.shape[:-1])
    for _ in range(60):
        accuracy, slope = bent(logits + shift[..., None], luck)
        step = np.clip((wanted - accuracy) / np.maximum(slope, 1e-12), -1, 1)
        shift += step
        if np.abs(step).max() < 1e-12:
            break
    return shift


def truth(study: World) -> Floats:
    """The estimand: true accuracy in percentage points over new draws, for these items: (backbone, arm, task)."""
    luck = study.spread.of_luck(np.array(list(study.design.shares.values())))
    return 100 * expected(study.logits, luck[:, None])


def luck_of(spread: Spread, shares: Floats, sizes: tuple[int, int, int, int, int], rng: np.random.Generator) -> Floats:
    """The luck of draws and runs: (study, backbone, arm, draw, seed, task), for sizes without the arms."""
    studies, backbones, draws, seeds, tasks = sizes
    arms = len(shares)

    def thrown(sd: float, *shape: int) -> Floats:
        return sd * rng.normal(size=shape)

    by_draw = thrown(spread.draw, studies, 1, 1, draws, 1, 1)
    by_dose = thrown(spread.dose, studies, 1, 1, draws, 1, 1) * shares[:, None, None, None]
    by_arm = thrown(spread.draw_arm, studies, 1, arms, draws, 1, 1)
    by_task = thrown(spread.draw_task, studies, 1, arms, draws, 1, tasks)
    by_backbone = thrown(spread.draw_backbone, studies, backbones, arms, draws, 1, 1)
    by_run = thrown(spread.run, studies, backbones, arms, draws, seeds, 1)
    whole: Floats = by_draw + by_dose + by_arm + by_task + by_backbone + by_run
    return whole


def replies(study: World, rng: np.random.Generator) -> Marks:
    """Which replies are right: (backbone, arm, draw, seed, task, item)."""
    design = study.design
    sizes = (1, len(design.families), design.draws, design.seeds, len(design.domains))
    luck = luck_of(study.spread, np.array(list(design.shares.values())), sizes, rng)[0]
    chance = chance_of(study.logits[:, :, None, None] + luck[..., None])
    right: Marks = rng.random(chance.shape) < chance
    return right


def scores(
    study: World, right: Marks, unread: Mapping[str, Mapping[str, float]], rng: np.random.Generator
) -> pl.DataFrame:
    """The scores of these replies, one row a reply and reading.

    `unread` holds, for each reading, the share of replies of an arm (0 to 1; 0 where it is not named) in which that
    reading finds no answer, whether it is right or not; a reading that finds fewer finds none in the same ones.
    """
    design, shape = study.design, right.shape
    tuned = placed(right, ("backbone", "arm", "draw", "seed", "task", "item"))
    parts = [tuned.with_columns(named("arm", list(design.shares)), chance=pl.Series(rng.random(math.prod(shape))))]
    if design.untuned:
        bare = placed(study.untuned, ("backbone", "task", "item"))
        nothing = {name: pl.lit(None, pl.Int64) for name in ("draw", "seed")}
        luck = pl.Series(rng.random(study.untuned.size))
        parts.append(bare.with_columns(arm=pl.lit(UNTUNED), chance=luck, **nothing))
    rows = pl.concat(parts, how="diagonal")
    return check(pl.concat([told(rows, design, reading, lost) for reading, lost in unread.items()]), SCORES)


def placed(right: Marks, axes: tuple[str, ...]) -> pl.DataFrame:
    """One row for each place of `right`: its place along each axis, and `right`."""
    place = {axis: along.ravel() for axis, along in zip(axes, np.indices(right.shape), strict=True)}
    return pl.DataFrame({**place, "right": right.ravel()})


def named(column: str, names: list[str]) -> pl.Expr:
    return pl.col(column).replace_strict(range(len(names)), names, return_dtype=pl.String)


def told(rows: pl.DataFrame, design: Design, reading: str, lost: Mapping[str, float]) -> pl.DataFrame:
    """`rows` as a table of scores under one reading."""
    fixed: dict[str, Any] = {"scale": 1.0, "measured_dose": None, "origin": "generated", "in_code": False}
    whole = {"level": 1, "sample": 0}
    shares = {arm: float(share) for arm, share in design.shares.items()}
    task, number = named("task", list(design.domains)), pl.col("item").cast(pl.String)
    run = pl.when(pl.col("draw").is_null()).then(pl.lit("")).otherwise(pl.format("/{}/{}", "draw", "seed"))
    unread = pl.col("arm").replace_strict(dict(lost) or {UNTUNED: 0.0}, default=0.0, return_dtype=pl.Float64)
    verdict = pl.when("right").then(pl.lit("right")).otherwise(pl.lit("wrong"))
    return rows.with_columns(
        task=task,
        domain=named("task", list(design.domains.values())),
        item_id=pl.concat_str(task, pl.lit("-"), number),
        cluster=pl.concat_str(task, pl.lit("-"), (pl.col("item") // design.cluster).cast(pl.String)),
        backbone=named("backbone", list(design.families)),
        family=named("backbone", list(design.families.values())),
        share=pl.col("arm").replace_strict(shares, default=None, return_dtype=pl.Float64),
        cell=pl.concat_str(named("backbone", list(design.families)), pl.lit("/"), "arm", run),
        reading=pl.lit(reading),
        outcome=pl.when(pl.col("chance") < unread).then(pl.lit("no_answer")).otherwise(verdict),
        **{name: pl.lit(value, SCORES.schema[name]) for name, value in (fixed | whole).items()},
    )
