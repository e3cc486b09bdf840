"""The cells that failed and the tables of the others flow in; what is missing and what that does to the conclusions.

A cell that failed is a row as scores have one (cell, backbone, arm, draw, seed) with its `failures`: the step, its
class, its tries, its reason, and the task where it asked one. What is analysed is read off the accuracies and effects,
which hold whole draws only.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from codedose.report import grids
from codedose.report.frame import Tables, compared, said
from codedose.report.grids import Grid
from codedose.tables import DIFFERENCE, UNTUNED

Lost = Mapping[str, Any]
CLASSES = {"memory": "out of memory"}  # those that are not called what they are
SHOWN = 12  # names in a sentence, or cells in a row of the table


def losses(study: Mapping[str, Any], tables: Tables, lost: Sequence[Lost]) -> dict[str, object]:
    """The failures and the runs that are missing as tables, and sentences on what can still be said."""
    return {
        "failures": failures(lost),
        "counts": counts(study, lost),
        "sentences": [*left_out(study, tables, lost), *primary(study, tables), *undefined(study, tables)]
        if lost
        else [],
    }


def failures(lost: Sequence[Lost]) -> Grid:
    """One row a failed step, with the cells that it cost."""
    cost: dict[tuple[str, str, int, str], list[str]] = {}
    for cell in lost:
        for each in cell["failures"]:
            step = (each["step"], CLASSES.get(each["class"], each["class"]), each["tries"], each["reason"])
            cost.setdefault(step, []).append(cell["cell"])
    rows = [(step, kind, tries, reason, some(cells)) for (step, kind, tries, reason), cells in sorted(cost.items())]
    return grids.pairs_grid("What failed", ("step", "class", "tries", "reason", "cells without it"), rows)


def counts(study: Mapping[str, Any], lost: Sequence[Lost]) -> Grid:
    """How many runs each arm, draw and backbone loses, and every task, of how many that were planned."""
    planned = sizes(study)
    rows = []
    for what in ("arm", "draw", "backbone"):
        for name, of in planned[what].items():
            gone = sum(cell[what] == name and cell["arm"] != UNTUNED for cell in lost)
            rows += [(f"{what} {name}", gone, of)] if gone else []
    bare = sum(cell["arm"] == UNTUNED for cell in lost)
    rows += [("untuned backbones", bare, len(study["backbones"]))] if bare else []
    cells = sum(planned["backbone"].values()) + len(study["backbones"]) * study["untuned"]
    rows += [("every task", len(lost), cells)] if lost else []  # a cell is analysed with all of its tasks
    return grids.pairs_grid("Runs that are missing", ("of", "missing", "planned"), rows)


def sizes(study: Mapping[str, Any]) -> dict[str, dict[Any, int]]:
    """The tuned runs that were planned for each arm, draw and backbone."""
    foreign = [each["arm"] for each in study["joined"] or ()]
    arms = list(dict.fromkeys([*(arm["name"] for arm in study["mix"]["arms"]), *foreign]))
    draws, seeds, backbones = range(study["mix"]["draws"]), study["tune"]["seeds"], study["backbones"]
    return {
        "arm": dict.fromkeys(arms, len(draws) * seeds * len(backbones)),
        "draw": dict.fromkeys(draws, len(arms) * seeds * len(backbones)),
        "backbone": dict.fromkeys([b["name"] for b in backbones], len(arms) * len(draws) * seeds),
    }


def left_out(study: Mapping[str, Any], tables: Tables, lost: Sequence[Lost]) -> list[str]:
    """What is not analysed: tasks that were not asked, arms, backbones, draws, the untuned backbones."""
    kept = tables["accuracies"].filter(pl.col("backbone").is_not_null())
    tuned, planned = kept.filter(pl.col("arm") != UNTUNED), sizes(study)
    arms, backbones, draws = (
        [name for name in planned[what] if name not in set(tuned[what])] for what in ("arm", "backbone", "draw")
    )
    bare = [cell["backbone"] for cell in lost if cell["arm"] == UNTUNED]
    told = [
        unasked(lost),
        without_arms(arms) if arms else "",
        without_backbones(backbones, len(planned["backbone"])) if backbones else "",
        without_draws(tables["scores"], planned, draws, backbones) if draws else "",
        f"No gain over the untuned backbone is given: {some(bare)} untuned is missing."
        if bare and UNTUNED not in set(kept["arm"])
        else "",
    ]
    return [sentence for sentence in told if sentence]


def unasked(lost: Sequence[Lost]) -> str:
    """The tasks whose replies could not be had, and what that costs the others."""
    short = {each["task"]: cell["cell"] for cell in lost for each in cell["failures"] if each["task"] is not None}
    if not short:
        return ""
    number = sum(any(each["task"] is not None for each in cell["failures"]) for cell in lost)
    return (
        f"Of {number:,} cell{'' if number == 1 else 's'} the replies to {some(sorted(short))} could not be had; a cell "
        "is analysed with all of its tasks or not at all."
    )


def without_arms(arms: Sequence[str]) -> str:
    who = f"The arm{ending(arms)} {some(arms)} {have(arms)}"
    return f"{who} no run that is analysed: no contrast with {it(arms)} is given."


def without_backbones(backbones: Sequence[str], planned: int) -> str:
    who = f"The backbone{ending(backbones)} {some(backbones)} {have(backbones)}"
    return (
        f"{who} no whole draw and {are(backbones)} left out of every comparison: what is pooled is over "
        f"{planned - len(backbones)} of {planned} backbones."
    )


def without_draws(
    scores: pl.DataFrame, planned: Mapping[str, Mapping[Any, int]], gone: Sequence[int], backbones: Sequence[str]
) -> str:
    """Which draws are left out, and how many runs that are there go with them."""
    there = scores.filter(pl.col("draw").is_in(gone), ~pl.col("backbone").is_in(backbones))["cell"].n_unique()
    also = f", with {there:,} run{'' if there == 1 else 's'} whose replies are shown below" if there else ""
    return (
        f"Arms are compared within whole draws: the draw{ending(gone)} {some(gone)} {are(gone)} left out for all arms "
        f"and backbones{also}. {len(planned['draw']) - len(gone)} of {len(planned['draw'])} draws remain."
    )


def primary(study: Mapping[str, Any], tables: Tables) -> list[str]:
    """Whether the contrast that was named beforehand can still be given, and what fewer draws do to it."""
    name, planned = " - ".join(compared(study)), study["mix"]["draws"]
    main = of_primary(study, tables["effects"]).filter(pl.col("view") == "overall")
    if main.is_empty() or main["estimate"][0] is None:
        why = f": {said(main['note'][0])}" if main.height else ""
        return [f"The primary contrast {name} cannot be given{why}."]
    row = main.row(0, named=True)
    rests = f"The primary contrast {name} rests on {row['n_draws']} of {planned} draws"
    if row["n_draws"] == 1:
        return [f"{rests}: it says whether these checkpoints differ, and nothing of new draws."]
    if row["p"] is None:
        return [f"{rests} and cannot be tested: {said(row['note'])}."]
    if row["n_draws"] == planned:
        return [f"{rests}, as planned."]
    return [f"{rests}: it can still be given, but misses a true difference more often than was planned."]


def undefined(study: Mapping[str, Any], tables: Tables) -> list[str]:
    """The domains and tasks in which the primary contrast is null, by their reasons."""
    rows = of_primary(study, tables["effects"]).filter(pl.col("view") != "overall", pl.col("p").is_null())
    by_reason: dict[str, list[str]] = {}
    for view, of, note in rows.select("view", "of", "note").sort("view", "of").iter_rows():
        by_reason.setdefault(said(note), []).append(f"{view} {of}")
    return [f"Not tested ({reason}): {some(names)}." for reason, names in sorted(by_reason.items())]


def of_primary(study: Mapping[str, Any], effects: pl.DataFrame) -> pl.DataFrame:
    wanted = [
        pl.col("contrast") == " - ".join(compared(study)),
        pl.col("kind") == DIFFERENCE,
        pl.col("reading") == study["analyse"]["reading"],
    ]
    return grids.pooled(effects.filter(*wanted))


def some(names: Iterable[object]) -> str:
    """Names in a sentence, the first dozen of them."""
    texts = list(dict.fromkeys(map(str, names)))
    return ", ".join(texts[:SHOWN]) + (f" and {len(texts) - SHOWN} more" if len(texts) > SHOWN else "")


def ending(names: Sequence[object]) -> str:
    return "" if len(names) == 1 else "s"


def it(names: Sequence[object]) -> str:
    return "it" if len(names) == 1 else "them"


def are(names: Sequence[object]) -> str:
    return "is" if len(names) == 1 else "are"


def have(names: Sequence[object]) -> str:
    return "has" if len(names) == 1 else "have"
