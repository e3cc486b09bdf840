"""Effects and accuracies flow in; the five plain lines that answer the study's question flow out."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from codedose.analyse.grid import PARTIAL
from codedose.analyse.power import cheapest_design, smallest_effect
from codedose.analyse.sentences import case, piece, points, sentence, shown_with
from codedose.errors import DataError
from codedose.named import CHANGES
from codedose.tables import BEST, DIFFERENCE

Row = Mapping[str, Any]
REPLIES_PER_RUN = 1000.0  # one training run is taken to cost as much as a thousand replies
DECIDED = ("clear", "small", "equivalent")


def summarise(
    effects: pl.DataFrame,
    accuracies: pl.DataFrame,
    *,
    primary: tuple[str, str],
    reading: str,
    confidence: float,
    margin: float,
    calibration: Mapping[str, float],
    power: float = 0.8,
) -> list[str]:
    """Exactly five lines: what was compared; the primary contrast; what holds by domain and how far the
    reading matters; what is too uncertain to say; what would settle it.

    `margin` is in percentage points; `calibration` is what `power.calibrate` says of the scores.
    Raises DataError when the effects hold no row for the primary contrast under `reading`.
    """
    arm, against = primary
    here = effects.filter((pl.col("reading") == reading) & pl.col("family").is_null() & pl.col("backbone").is_null())
    ours = here.filter(pl.col("contrast") == f"{arm} - {against}", pl.col("kind") == DIFFERENCE)
    rows = {view: ours.filter(pl.col("view") == view).to_dicts() for view in ("overall", "domain", "task")}
    if not rows["overall"]:
        raise DataError(f"the effects hold no overall row for {arm} - {against} under the reading {reading!r}")
    main, design = rows["overall"][0], design_of(accuracies, reading)
    best = here.filter((pl.col("contrast") == BEST) & (pl.col("view") == "overall")).to_dicts()
    return [
        compared(main, accuracies, design, arm, against),
        sentence(main, arm=arm, against=against, confidence=confidence, power=power),
        by_domain(rows["domain"], main, best, confidence),
        uncertain(rows, design, calibration, confidence, power),
        settles(main, design, calibration, margin, confidence, power),
    ]


def design_of(accuracies: pl.DataFrame, reading: str) -> dict[str, int]:
    """draws, seeds, backbones, tasks and items_per_task (rounded down) of the tuned runs."""
    runs = accuracies.filter(pl.col("draw").is_not_null() & (pl.col("reading") == reading))
    tasks = runs.filter(pl.col("view") == "task")
    sizes = {"draws": runs["draw"], "seeds": runs["seed"], "backbones": runs["backbone"], "tasks": tasks["of"]}
    items = tasks.select("of", "n_items").unique()["n_items"].sum() // max(tasks["of"].n_unique(), 1)
    return {**{name: column.n_unique() for name, column in sizes.items()}, "items_per_task": int(items)}


def compared(main: Row, accuracies: pl.DataFrame, design: Mapping[str, int], arm: str, against: str) -> str:
    shares = dict(accuracies.select("arm", "share").unique().iter_rows())
    arms = [
        f"{name} ({100 * shares[name]:g} % code)" if shares.get(name) is not None else name for name in (arm, against)
    ]
    sizes = [counted(design[f"{what}s"], what) for what in ("backbone", "draw", "seed", "task")]
    partial = piece(main, PARTIAL)
    return (
        f"{arms[0]} was compared with {arms[1]}: {', '.join(sizes)}, {counted(main['n_items'], 'item')}, "
        f"{main['reading']} reading{f'; {partial}' if partial else ''}."
    )


def by_domain(domains: Sequence[Row], main: Row, best: Sequence[Row], confidence: float) -> str:
    """What stands after adjustment in each domain, then which share may be the best."""
    if main["n_draws"] < 3:
        return f"By domain nothing is claimed: that needs three draws, and there {are(main['n_draws'])}."
    said = [f"{found_in(row, confidence)} in {row['of']}" for row in domains]
    shares = f" Best share overall: {best[0]['note'].split('; ')[1].replace('set:', 'set')}." if best else ""
    return f"By domain (Holm-adjusted): {', '.join(said)}.{shares}"


def found_in(row: Row, confidence: float) -> str:
    """The verdict on one domain in two or three words, with the readings that come to another."""
    kind, changes = case(row, confidence), piece(row, CHANGES)
    if kind in ("clear", "small", "reading"):
        found = ("higher" if row["estimate"] > 0 else "lower") + f" by {points(abs(row['estimate']))}"
    else:
        found = {"equivalent": "equivalent", "undefined": "not testable"}.get(kind, "no difference shown")
    return found + (f" (another verdict under {changes.removeprefix(CHANGES).strip()})" if changes else "")


def uncertain(
    rows: Mapping[str, Sequence[Row]],
    design: Mapping[str, int],
    calibration: Mapping[str, float],
    confidence: float,
    power: float,
) -> str:
    """Where nothing is shown, and the smallest difference that this study would have shown overall."""
    open_rows = [row for view in ("domain", "task") for row in rows[view] if case(row, confidence) not in DECIDED]
    names = [str(row["of"]) for row in open_rows if row["view"] == "domain"]
    tasks = sum(row["view"] == "task" for row in open_rows)
    unsaid = f"{tasks} of {counted(len(rows['task']), 'task')}" + (
        f" and the domain{'' if len(names) == 1 else 's'} {', '.join(names)}" if names else ""
    )
    main = rows["overall"][0]
    if main["low"] is not None and main["n_draws"] > 1:
        least = shown_with(main, confidence, power)
    elif "draw_sd" in calibration:
        least = smallest_effect(
            **design,
            accuracy=calibration["accuracy"],
            draw_sd=calibration["draw_sd"],
            run_sd=calibration["run_sd"],
            power=power,
            confidence=confidence,
        )
    else:
        least = math.inf
    if 100 <= least < math.inf:
        return "Too uncertain to say: anything; with this few draws only a difference above 100 points would show."
    shown = (
        f"the smallest true difference this design shows {100 * power:.0f} times in 100 is {points(least)} overall"
        if math.isfinite(least)
        else "with one draw no difference can be laid to the data"
    )
    return f"Too uncertain to say: {unsaid if open_rows else 'nothing by domain or task'}; {shown}."


def settles(
    main: Row,
    design: Mapping[str, int],
    calibration: Mapping[str, float],
    margin: float,
    confidence: float,
    power: float,
) -> str:
    """What to do next: nothing, read the replies, or a design large enough to show the margin."""
    kind = case(main, confidence)
    if kind == "reading":
        return "To settle it: look at the replies on which the readings disagree; more draws alone would not."
    if kind in DECIDED:
        return (
            f"At {100 * confidence:g} % confidence the primary contrast is answered for these items, tasks and "
            "backbones; others need runs of their own."
        )
    if "draw_sd" not in calibration:
        return "To settle it: at least three draws, so that the difference between draws can be seen."
    found = cheapest_design(
        margin,
        tasks=design["tasks"],
        seeds=design["seeds"],
        backbones=design["backbones"],
        accuracy=calibration["accuracy"],
        draw_sd=calibration["draw_sd"],
        run_sd=calibration["run_sd"],
        cost_per_run=REPLIES_PER_RUN,
        cost_per_reply=1.0,
        power=power,
        confidence=confidence,
    )
    if found is None:
        return (
            f"To settle it: no design up to 50 draws would show a difference of {points(margin)}; cut the noise first."
        )
    draws, items = found
    if draws <= design["draws"] and items <= design["items_per_task"]:
        return f"To settle it: more draws; a true difference of {points(margin)} should have shown with the noise seen."
    return (
        f"To settle it: about {counted(draws, 'draw')} with {counted(items, 'item')} per task would show a true "
        f"difference of {points(margin)} {100 * power:.0f} times in 100, if the noise stays as it was."
    )


def counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def are(draws: int) -> str:
    return "is one" if draws == 1 else f"are {draws}"
