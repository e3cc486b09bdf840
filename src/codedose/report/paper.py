"""Accuracies and effects flow in; the three tables of a paper flow out as values: overall, by domain, by task.

A line is a backbone (or all of them) in one place; its columns are the arms, and what each gains on the
baseline. Markdown, LaTeX and JSON only lay these values out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from codedose.named import CHANGES
from codedose.report.footnotes import footnotes
from codedose.report.grids import MINUS, arm_order, label_of, origins_of, places
from codedose.tables import DIFFERENCE, UNTUNED, VIEWS

ALL = "all backbones"
STANDS, DISAGREES = "*", "†"
CLAIMED = 3  # draws from which an interval over draws is more than indicative
ALIKE = 0.05  # points: below this the two sides of an interval look the same with one decimal
NAMES = {"overall": "overall", "domain": "by domain", "task": "by task"}
Rows = Mapping[tuple[str, str, str | None], Mapping[str, Mapping[str, Any]]]  # place and backbone -> arm -> row


@dataclass(frozen=True)
class Score:
    """An accuracy in %, or a gain in percentage points, with its interval where there is one."""

    value: float
    low: float | None
    high: float | None
    is_best: bool = False
    marks: str = ""


@dataclass(frozen=True)
class Line:
    """One row of a table; `scores` and `gains` are as the table's arms and gaining arms."""

    of: str
    label: str
    backbone: str
    scores: tuple[Score | None, ...]
    gains: tuple[Score | None, ...]


@dataclass(frozen=True)
class Table:
    """One table of the paper."""

    view: str
    caption: str
    arms: tuple[str, ...]
    gaining: tuple[str, ...]
    baseline: str
    lines: tuple[Line, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Terms:
    """What a study settled, and the order in which its names stand."""

    arms: tuple[str, ...]
    compared: frozenset[str]  # arms that can be the best: neither the untuned backbone nor negative controls
    baseline: str
    reading: str
    confidence: float
    backbones: tuple[str, ...]
    places: tuple[tuple[str, str], ...]
    labels: Mapping[tuple[str, str], str]

    @property
    def shown(self) -> tuple[str | None, ...]:
        """The backbones that have a line; None stands for all of them."""
        return (*self.backbones, None) if len(self.backbones) > 1 else (None,)

    def name(self, backbone: str | None) -> str:
        return backbone or (self.backbones[0] if len(self.backbones) == 1 else ALL)


def terms_of(study: Mapping[str, Any], tables: Mapping[str, pl.DataFrame]) -> Terms:
    """`study` is a Study as plain JSON values; `tables` holds accuracies, effects and items."""
    accuracies, analyse, arms = tables["accuracies"], study["analyse"], study["mix"]["arms"]
    found, origins = set(accuracies["backbone"].drop_nulls()), origins_of(tables["items"])
    where = tuple(places([accuracies, tables["effects"]], domains_of(study, tables["items"])))
    controls = {arm["name"] for arm in arms if arm["control"]}
    order = arm_order([arm["name"] for arm in arms], accuracies["arm"])
    return Terms(
        arms=tuple(order),
        compared=frozenset(order) - controls - {UNTUNED},
        baseline=analyse["primary"]["against"],
        reading=analyse["reading"],
        confidence=analyse["confidence"],
        backbones=tuple(each["name"] for each in study["backbones"] if each["name"] in found),
        places=where,
        labels={(view, of): label_of(view, of, origins) for view, of in where},
    )


def domains_of(study: Mapping[str, Any], items: pl.DataFrame) -> dict[str, str]:
    """task -> domain, in the order of the study."""
    found = dict(items.select("task", "domain").unique().sort("task").iter_rows())
    listed = [use["name"] for use in study["tasks"] if use["name"] in found]
    return {task: found[task] for task in [*listed, *found]}


def paper(
    study: Mapping[str, Any], tables: Mapping[str, pl.DataFrame], missing: Sequence[str]
) -> tuple[Terms, tuple[Table, ...]]:
    """The terms of a study and its three tables, whatever the order of rows in `tables`."""
    terms = terms_of(study, tables)
    return terms, tuple(table(view, terms, study, tables, missing) for view in VIEWS)


def table(
    view: str,
    terms: Terms,
    study: Mapping[str, Any],
    tables: Mapping[str, pl.DataFrame],
    missing: Sequence[str],
) -> Table:
    here = (pl.col("view") == view) & (pl.col("reading") == terms.reading)
    cells = over_runs(tables["accuracies"].filter(here))
    gains = tables["effects"].filter(
        here, pl.col("kind") == DIFFERENCE, pl.col("contrast").str.ends_with(f" - {terms.baseline}")
    )
    scores, found = by_arm(cells, terms), by_arm(with_arm(gains, terms.baseline), terms)
    gaining = tuple(arm for arm in terms.arms if any(arm in rows for rows in found.values()))
    lines = tuple(
        line(view, of, backbone, terms, scores, found, gaining)
        for place, of in terms.places
        if place == view
        for backbone in terms.shown
        if (view, of, backbone) in scores
    )
    return Table(
        view=view,
        caption=f"Accuracy {NAMES[view]}, %, and gain on {terms.baseline}, percentage points",
        arms=terms.arms,
        gaining=gaining,
        baseline=terms.baseline,
        lines=lines,
        notes=tuple(footnotes(view, study, tables["items"], cells, with_arm(gains, terms.baseline), missing)),
    )


def over_runs(accuracies: pl.DataFrame) -> pl.DataFrame:
    """Accuracies over all draws and seeds."""
    return accuracies.filter(pl.col("draw").is_null() & pl.col("seed").is_null())


def with_arm(gains: pl.DataFrame, baseline: str) -> pl.DataFrame:
    return gains.with_columns(arm=pl.col("contrast").str.strip_suffix(f" - {baseline}"))


def by_arm(rows: pl.DataFrame, terms: Terms) -> Rows:
    """The rows of backbones and those over all of them; of a study with one backbone, one of the two."""
    found: dict[tuple[str, str, str | None], dict[str, Mapping[str, Any]]] = {}
    single = len(terms.backbones) == 1
    for row in rows.filter(pl.col("family").is_null() | pl.col("backbone").is_not_null()).iter_rows(named=True):
        named = found.setdefault((row["view"], row["of"], None if single else row["backbone"]), {})
        if row["backbone"] is None or row["arm"] not in named:
            named[row["arm"]] = row
    return found


def line(
    view: str, of: str, backbone: str | None, terms: Terms, scores: Rows, gains: Rows, gaining: Sequence[str]
) -> Line:
    here, gained = scores[view, of, backbone], gains.get((view, of, backbone), {})
    best = best_arms({arm: here[arm]["accuracy"] for arm in terms.compared if arm in here})
    return Line(
        of=of,
        label=terms.labels[view, of],
        backbone=terms.name(backbone),
        scores=tuple(accuracy(here[arm], arm in best) if arm in here else None for arm in terms.arms),
        gains=tuple(gain(gained.get(arm), terms.confidence) for arm in gaining),
    )


def best_arms(accuracies: Mapping[str, float]) -> frozenset[str]:
    """The arms with the highest mean; none where all have the same."""
    top = max(accuracies.values(), default=0.0)
    best = frozenset(arm for arm, value in accuracies.items() if value >= top - 1e-12)
    return best if len(best) < len(accuracies) else frozenset()


def accuracy(row: Mapping[str, Any], is_best: bool) -> Score:
    low, high = (None if row[name] is None else 100 * row[name] for name in ("low", "high"))
    return Score(100 * row["accuracy"], low, high, is_best)


def gain(row: Mapping[str, Any] | None, confidence: float) -> Score | None:
    """A difference, marked where it stands after adjustment over three draws, and where readings disagree on it."""
    if row is None or row["estimate"] is None:
        return None
    stands = row["p_adjusted"] is not None and row["p_adjusted"] < 1 - confidence and row["n_draws"] >= CLAIMED
    disagrees = any(piece.startswith(CHANGES) for piece in row["note"].split("; "))
    return Score(row["estimate"], row["low"], row["high"], marks=STANDS * stands + DISAGREES * disagrees)


def figure(value: float, *, signed: bool) -> str:
    """One decimal and a true minus; a gain shows its sign."""
    text = f"{value:+.1f}" if signed else f"{value:.1f}"
    return "0.0" if text in ("+0.0", "-0.0") else text.replace("-", MINUS)


def spread(score: Score, *, signed: bool) -> str:
    """± half an interval where both of its sides look the same, else its limits; empty without one."""
    if score.low is None or score.high is None:
        return ""
    if abs((score.high - score.value) - (score.value - score.low)) < ALIKE:
        return f"± {(score.high - score.low) / 2:.1f}"
    return f"[{figure(score.low, signed=signed)}, {figure(score.high, signed=signed)}]"
