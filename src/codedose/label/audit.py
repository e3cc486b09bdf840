"""Labels beside hand labels -> how often the labeller is right, and what its errors do to an arm's share.

Every figure is a function of independent proportions: in each stratum of the sample, the share of examples that
the hand gave a class. Strata are weighted by what they stand for in the pool. Intervals are Wilson's in a stratum
(scipy), combined by the square-and-add rule: each proportion is moved to its own limits, and the figure's moves are
squared and added (G. Y. Zou, W. Huang & X. Zhang, Computational Statistics & Data Analysis 53, 2009, for weighted
sums; for the other figures the same rule to first order, its coverage tested by simulation). Unlike a bootstrap it
does not take a stratum without an observed error for one without errors.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
import polars as pl

from codedose.errors import DataError
from codedose.label.hand import at_rows
from codedose.tables import LABELS

PLACE = {label: place for place, label in enumerate(LABELS)}
Rates = npt.NDArray[np.float64]
Figure = Callable[[Rates], float]


@dataclass(frozen=True)
class Estimate:
    """A figure from 0 to 1 (kappa: from -1) with its interval; null, with the reason in `note`, where undefined.

    `n` is how many hand labels it rests on.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    note: str = ""


@dataclass(frozen=True)
class Stratum:
    """Examples of one label and one stratum of the sample: their share of the pool, and the hand's classes."""

    label: str
    share: float
    counts: tuple[int, ...]  # as LABELS

    @property
    def n(self) -> int:
        return sum(self.counts)


@dataclass(frozen=True)
class Class:
    """How one class is labelled: precision (its PPV), recall and F1."""

    precision: Estimate
    recall: Estimate
    f1: Estimate


@dataclass(frozen=True)
class Audit:
    """A labeller measured by hand. Figures are of the whole pool, not of the sample.

    ppv is the share of examples labelled coding that are; npv the share of the others that are not. `confusion`
    has one row per label and hand label: n in the sample, share of the pool.
    """

    n: int
    unfilled: int
    confidence: float
    ppv: Estimate
    npv: Estimate
    accuracy: Estimate
    kappa: Estimate
    classes: dict[str, Class]
    confusion: pl.DataFrame
    strata: tuple[Stratum, ...]

    def table(self) -> pl.DataFrame:
        """Every figure as a row: quantity, of (a class, or all), value, low, high, n, note."""
        of_all = [("accuracy", "all", self.accuracy), ("kappa", "all", self.kappa)]
        of_coding = [("ppv", "coding", self.ppv), ("npv", "coding", self.npv)]
        of_classes = [(name, label, value) for label in LABELS for name, value in vars(self.classes[label]).items()]
        rows = [(name, of, *vars(value).values()) for name, of, value in [*of_all, *of_coding, *of_classes]]
        kinds = [pl.String, pl.String, pl.Float64, pl.Float64, pl.Float64, pl.Int64, pl.String]
        names = ["quantity", "of", "value", "low", "high", "n", "note"]
        return pl.DataFrame(rows, schema=dict(zip(names, kinds, strict=True)), orient="row")


def audit(labels: pl.DataFrame, hand: pl.DataFrame, *, confidence: float = 0.95) -> Audit:
    """The labeller's figures from `labels` (tables.LABELLED) and `hand` (read_audit). Only filled rows count.

    Raises DataError when hand labels are about examples that have no label, or none is filled in.
    """
    strata = strata_of(labels, hand)

    def positive(wanted: str, of: Sequence[Stratum], figure: Figure) -> Estimate:
        return estimate(figure, [(one.counts[PLACE[wanted]], one.n) for one in of], of, confidence)

    def of_class(label: str) -> Class:
        share = np.array([one.share for one in strata])
        own = np.array([one.label == label for one in strata])

        def f1(rates: Rates) -> float:
            return 2 * float((share * rates)[own].sum()) / float(share[own].sum() + (share * rates).sum())

        def recall(rates: Rates) -> float:
            return float((share * rates)[own].sum()) / float((share * rates).sum())

        labelled = [one for one in strata if one.label == label]
        return Class(
            precision=positive(label, labelled, mean(labelled)),
            recall=positive(label, strata, recall),
            f1=positive(label, strata, f1),
        )

    classes = {label: of_class(label) for label in LABELS}
    others = [one for one in strata if one.label != "coding"]
    right = [(one.counts[PLACE[one.label]], one.n) for one in strata]
    return Audit(
        n=sum(one.n for one in strata),
        unfilled=hand["hand"].null_count(),
        confidence=confidence,
        ppv=classes["coding"].precision,
        npv=positive("coding", others, lambda rates: 1 - mean(others)(rates)),
        accuracy=estimate(mean(strata), right, strata, confidence),
        kappa=estimate(kappa_of(strata), [*right, *splits(strata)], strata, confidence, least=-1.0),
        classes=classes,
        confusion=confusion_of(strata),
        strata=tuple(strata),
    )


def true_share(nominal: float, result: Audit, *, labelled_math: float = 0.0) -> Estimate:
    """The expected true share of coding among coding and other in an arm whose labels say `nominal`.

    Examples labelled coding are so with the PPV, examples labelled other are coding with the false omission rate
    among them; both may be math, which belongs to neither side and leaves the denominator. `labelled_math`
    is the share of examples labelled math in the arm, if the coding among them is to count as well.
    """
    if not (0 <= nominal <= 1 and 0 <= labelled_math < 1):
        raise ValueError(f"shares lie between 0 and 1, not {nominal} and {labelled_math}")
    apart = 1 - labelled_math
    parts = {"coding": apart * nominal, "other": apart * (1 - nominal), "math": labelled_math}
    whole = {label: sum(one.share for one in result.strata if one.label == label) for label in LABELS}
    strata = [one for one in result.strata if parts[one.label] > 0]
    if lacking := [label for label in LABELS if parts[label] > 0 and not any(s.label == label for s in strata)]:
        return Estimate(None, None, None, 0, f"no example is labelled {' or '.join(lacking)}")
    share = np.array([parts[one.label] * one.share / whole[one.label] for one in strata])
    maths, codings = PLACE["math"], PLACE["coding"]

    def coding(rates: Rates) -> float:
        kept = share * (1 - rates[: len(strata)])
        return float((kept * rates[len(strata) :]).sum() / kept.sum())

    counts = [(one.counts[maths], one.n) for one in strata]
    counts += [(one.counts[codings], one.n - one.counts[maths]) for one in strata]
    return estimate(coding, counts, strata, result.confidence)


def strata_of(labels: pl.DataFrame, hand: pl.DataFrame) -> list[Stratum]:
    """The sample by label and stratum, each with its share of the pool.

    Rows that are not filled in are taken for missing at random in their stratum. The examples of a label sum to
    what the pool holds of it, also when it was another labeller's strata that the sample was drawn from.
    """
    if strange := set(labels["label"].unique()) - set(LABELS):
        raise DataError(f"the labels hold {sorted(strange)[0]!r}, which is none of {', '.join(LABELS)}")
    joined = hand.join(labels.select("example_id", "label"), on="example_id", how="left", maintain_order="left")
    if (unknown := joined.filter(pl.col("label").is_null())).height:
        raise DataError(
            f"the hand labels' {at_rows(unknown['row'].to_list())}: no such example among the labels; "
            "audit the labels that the file was made from"
        )
    if not joined["hand"].count():
        raise DataError("no hand label is filled in: write coding, math or other into the column hand")
    pool = dict(labels.group_by("label").len().rows())
    found = (
        joined.group_by("label", "stratum", "weight")
        .agg(
            pl.len(),
            pl.col("hand").count().alias("filled"),
            *((pl.col("hand") == label).sum().alias(f"hand {label}") for label in LABELS),
        )
        .filter(pl.col("filled") > 0)
        .with_columns(size=pl.col("len") * pl.col("weight").fill_null(1.0))
        .with_columns(size=pl.col("size") / pl.col("size").sum().over("label"))
        .sort("label", "stratum", "weight")
    )
    strata = [
        Stratum(
            row["label"],
            row["size"] * pool[row["label"]] / labels.height,
            tuple(row[f"hand {label}"] for label in LABELS),
        )
        for row in found.to_dicts()
    ]
    unread = [label for label in LABELS if label in pool and label not in {one.label for one in strata}]
    return strata + [Stratum(label, pool[label] / labels.height, (0,) * len(LABELS)) for label in unread]


def mean(strata: Sequence[Stratum]) -> Figure:
    """The weighted mean of one proportion per stratum."""
    share = np.array([one.share for one in strata])
    return lambda rates: float((share * rates).sum() / share.sum())


def splits(strata: Sequence[Stratum]) -> list[tuple[int, int]]:
    """In each stratum, of the examples that the hand gave another class: how many the first of the two others."""
    wrong = [[one.counts[PLACE[label]] for label in LABELS if label != one.label] for one in strata]
    return [(first, first + second) for first, second in wrong]


def kappa_of(strata: Sequence[Stratum]) -> Figure:
    """Cohen's kappa of label and hand, from the shares of right ones and the splits of wrong ones."""

    def kappa(rates: Rates) -> float:
        table = np.zeros((len(LABELS), len(LABELS)))
        for one, right, split in zip(strata, rates[: len(strata)], rates[len(strata) :], strict=True):
            own = PLACE[one.label]
            first, second = (place for place in range(len(LABELS)) if place != own)
            table[own, own] += one.share * right
            table[own, first] += one.share * (1 - right) * split
            table[own, second] += one.share * (1 - right) * (1 - split)
        by_chance = float(table.sum(axis=0) @ table.sum(axis=1))
        return (float(np.trace(table)) - by_chance) / (1 - by_chance)

    return kappa


def confusion_of(strata: Sequence[Stratum]) -> pl.DataFrame:
    """One row per label and hand label: label, hand, n, and the estimated share of the pool."""
    rows = []
    for label in LABELS:
        own = [one for one in strata if one.label == label]
        for place, hand in enumerate(LABELS):
            n = sum(one.counts[place] for one in own)
            share = sum(one.share * one.counts[place] / one.n for one in own if one.n)
            rows.append((label, hand, n, share))
    kinds = {"label": pl.String, "hand": pl.String, "n": pl.Int64, "share": pl.Float64}
    return pl.DataFrame(rows, schema=kinds, orient="row")


def estimate(
    figure: Figure,
    counts: Sequence[tuple[int, int]],
    strata: Sequence[Stratum],
    confidence: float,
    *,
    least: float = 0.0,
) -> Estimate:
    """`figure` at the observed proportions (k of n each), with its square-and-add interval."""
    n = sum(one.n for one in strata)
    if unread := sorted({one.label for one in strata if not one.n}):
        return Estimate(None, None, None, n, f"no example labelled {' or '.join(unread)} was labelled by hand")
    observed = np.array([k / size if size else 0.5 for k, size in counts])
    value = defined(figure, observed) if strata else math.nan
    if math.isnan(value):
        return Estimate(None, None, None, n, "there are no such examples")
    down = up = 0.0
    for place, (k, size) in enumerate(counts):
        moves = [defined(figure, moved(observed, place, to)) - value for to in wilson(k, size, confidence)]
        down += min(*moves, 0.0) ** 2
        up += max(*moves, 0.0) ** 2
    return Estimate(value, max(least, value - down**0.5), min(1.0, value + up**0.5), n)


def defined(figure: Figure, rates: Rates) -> float:
    """A figure, or NaN where it divides nothing by nothing."""
    try:
        with np.errstate(invalid="ignore", divide="ignore"):
            return figure(rates)
    except ZeroDivisionError:
        return math.nan


def moved(rates: Rates, place: int, to: float) -> Rates:
    other = rates.copy()
    other[place] = to
    return other


@cache
def wilson(k: int, n: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of k in n; everything is possible when nothing was seen."""
    from scipy.stats import binomtest

    if n == 0:
        return 0.0, 1.0
    interval = binomtest(k, n).proportion_ci(confidence, method="wilson")
    return float(interval.low), float(interval.high)
