"""Effects and accuracies -> what the negative controls said: the same arm twice, and arms made to teach nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from codedose.named import OUTSIDE
from codedose.report.frame import Frame, about, of_kind, over_runs, said
from codedose.report.grids import (
    NOTHING,
    Cell,
    Grid,
    between,
    figures,
    label_of,
    percent,
    plain,
    points,
    pooled,
    probability,
    real,
)
from codedose.tables import CONTROL, UNTUNED

Row = Mapping[str, Any]
KINDS = {
    "other_draw": "other examples of the same share",
    "no_comments": "code without comments",
    "scrambled_identifiers": "code with scrambled identifiers",
    "shuffled_lines": "code with shuffled lines",
    "non_code": "other examples of the same length in place of code",
}


def controls(
    study: Mapping[str, Any], effects: pl.DataFrame, accuracies: pl.DataFrame, frame: Frame
) -> dict[str, object]:
    """Under each reading: how many A/A contrasts lie outside their limits, each of them, and the control arms."""
    pairs = sources(study["mix"]["arms"])
    return {
        reading: {
            **same_arm(of_kind(effects, CONTROL, reading, frame), reading, frame),
            "arms": control_arms(pairs, accuracies.filter(pl.col("reading") == reading), reading, frame),
        }
        for reading in frame.readings
    }


def same_arm(rows: pl.DataFrame, reading: str, frame: Frame) -> dict[str, object]:
    counted, pairs = rows.filter(pl.col("contrast") == OUTSIDE), rows.filter(pl.col("contrast") != OUTSIDE)
    whole = counted.filter(pl.col("view") == "overall")
    caption = f"{reading} reading{about(pairs)}"
    return {
        "said": said(whole["note"][0]) if whole.height else "",
        "outside": Grid(
            f"A/A contrasts outside their limits, {caption}",
            ["of", "outside, %", "how many"],
            [
                [Cell(label_of(row["view"], row["of"], frame.origins)), Cell(plain(real(row["estimate"])), "n"),
                 Cell(said(row["note"]))]
                for row in counted.iter_rows(named=True)
            ],
        ),
        "pairs": Grid(
            f"Two draws of the same arm, percentage points, {caption}; * is outside",
            ["of", "pair", "difference", "expected between", "p", "note"],
            [pair_row(row, frame) for row in pairs.iter_rows(named=True)],
        ),
    }  # fmt: skip


def pair_row(row: Row, frame: Frame) -> list[Cell]:
    estimate, low, high = (real(row[name]) for name in ("estimate", "low", "high"))
    outside = estimate is not None and low is not None and high is not None and not low <= estimate <= high
    return [
        Cell(label_of(row["view"], row["of"], frame.origins)),
        Cell(row["contrast"]),
        Cell(points(estimate) + "*" * outside, "flag" if outside else "n"),
        *figures(between(low, high, points), probability(real(row["p"]))),
        Cell(said(row["note"]), "note"),
    ]


def sources(arms: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Each control arm, the ordinary arm of its share, and what was changed in words."""
    ordinary = {arm["share"]: arm["name"] for arm in reversed(arms) if arm["control"] is None}
    return [
        (arm["name"], ordinary[arm["share"]], KINDS.get(arm["control"], str(arm["control"])))
        for arm in arms
        if arm["control"] is not None and arm["share"] in ordinary
    ]


def control_arms(
    pairs: Sequence[tuple[str, str, str]], accuracies: pl.DataFrame, reading: str, frame: Frame
) -> Grid | None:
    """One row per place and control arm: its accuracy beside its source's, and their difference over draws."""
    if not pairs:
        return None
    means = {(row["view"], row["of"], row["arm"]): row for row in pooled(over_runs(accuracies)).iter_rows(named=True)}
    gaps = per_draw(accuracies)
    rows = [
        [Cell(label_of(*place, frame.origins)), Cell(arm), Cell(change), Cell(source),
         *figures(*(accuracy(means[(*place, name)]) for name in (arm, source))),
         *figures(*apart(gaps.get((*place, arm), {}), gaps.get((*place, source), {})))]
        for place in frame.places
        for arm, source, change in pairs
        if (*place, arm) in means and (*place, source) in means
    ]  # fmt: skip
    head = [
        "of", "control arm", "what it holds", "source arm", "control, %", "source, %", "difference", "in single draws",
    ]  # fmt: skip
    caption = (
        f"Control arms beside their sources, {reading} reading; accuracies with intervals over new draws, about these "
        "items; differences in points, with the lowest and the highest of the draws, which is no interval"
    )
    return Grid(caption, head, rows) if rows else None


def per_draw(accuracies: pl.DataFrame) -> dict[tuple[str, str, str], dict[int, float]]:
    """(view, of, arm) -> the accuracy in each draw, over backbones and seeds."""
    runs = accuracies.filter(pl.col("draw").is_not_null(), pl.col("backbone").is_not_null(), pl.col("arm") != UNTUNED)
    found: dict[tuple[str, str, str], dict[int, float]] = {}
    for view, of, arm, draw, mean in (
        runs.group_by("view", "of", "arm", "draw").agg(pl.col("accuracy").mean()).sort("draw").iter_rows()
    ):
        found.setdefault((view, of, arm), {})[draw] = mean
    return found


def apart(own: Mapping[int, float], source: Mapping[int, float]) -> tuple[str, str]:
    """The mean difference of two arms over the draws that they share, in points, and its lowest and highest."""
    gaps = [100 * (own[draw] - source[draw]) for draw in sorted(own) if draw in source]
    if not gaps:
        return NOTHING, NOTHING
    return points(sum(gaps) / len(gaps)), between(min(gaps), max(gaps), points)


def accuracy(row: Row) -> str:
    span = between(row["low"], row["high"], percent)
    return percent(row["accuracy"]) + ("" if span == NOTHING else f" ({span})")
