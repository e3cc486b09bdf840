"""Before a study: which difference a design would show, and which design shows a wanted difference; by simulation."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codedose.cli.show import AsJson
from codedose.errors import DataError, StudyError

if TYPE_CHECKING:
    import polars as pl

    from codedose.analyse.chances import Ask, Found, Size
    from codedose.analyse.moments import Likeness

Like = Annotated[
    list[Path] | None,
    typer.Option("--like", metavar="SCORES", help="scores.parquet of an earlier study: noise is measured on it"),
]
MOST_DRAWS, MOST_SEEDS, ITEMS = 40, 3, (20, 2000)
SIZES = {"tasks": 12, "items": 100, "draws": 5, "seeds": 1, "backbones": 1, "shares": 3}


def power(
    like: Like = None,
    reading: Annotated[str | None, typer.Option(help="of the earlier scores")] = None,
    tasks: Annotated[int | None, typer.Option(min=1, help="default: as the earlier study, or 12")] = None,
    items: Annotated[
        list[int] | None, typer.Option(min=1, help="of each task, repeatable; default: as the earlier study, or 100")
    ] = None,
    draws: Annotated[
        list[int] | None, typer.Option(min=2, help="repeatable; default: as the earlier study, or 5")
    ] = None,
    seeds: Annotated[
        list[int] | None, typer.Option(min=1, help="repeatable; default: as the earlier study, or 1")
    ] = None,
    backbones: Annotated[int | None, typer.Option(min=1, help="default: as the earlier study, or 1")] = None,
    shares: Annotated[
        int | None, typer.Option(min=2, help="of code, evenly from 0 to 100 %; default: as before, or 3")
    ] = None,
    wanted: Annotated[
        float | None, typer.Option(metavar="POINTS", min=0.01, help="find the cheapest design that shows so much")
    ] = None,
    run_cost: Annotated[float, typer.Option(min=0, help="of one training, in replies")] = 1000,
    accuracy: Annotated[float | None, typer.Option(min=0.01, max=0.99, help="0 to 1; assumed: 0.5")] = None,
    draw_sd: Annotated[float | None, typer.Option(min=0, help="points between draws of one arm; assumed: 1")] = None,
    run_sd: Annotated[float | None, typer.Option(min=0, help="points between runs beside it; assumed: 1")] = None,
    chance: Annotated[float, typer.Option("--power", min=0.1, max=0.99, help="how often it is to be found")] = 0.8,
    confidence: Annotated[float, typer.Option(min=0.5, max=0.999, help="of the interval that excludes 0")] = 0.95,
    studies: Annotated[int, typer.Option(min=100, help="simulated for each figure")] = 2000,
    json: AsJson = False,
) -> None:
    """The smallest difference that a design shows, and the cheapest design that shows a wanted one, by simulation."""
    from codedose.analyse.chances import DIFFERENCE, TREND, Ask, Size
    from codedose.cli.show import as_json

    stated = {"draw": draw_sd, "run": run_sd, "accuracy": None if accuracy is None else (accuracy,)}
    likeness, sizes, unknown = taken(like, reading, stated)
    given = {"tasks": tasks, "items": items, "draws": draws, "seeds": seeds, "backbones": backbones, "shares": shares}
    chosen = {name: sizes[name] if value is None else value for name, value in given.items()}
    designs = [
        Size(**dict(zip(chosen, each, strict=True)))
        for each in product(*(value if isinstance(value, list) else [value] for value in chosen.values()))
    ]
    asks = [Ask(kind, chance, confidence, studies) for kind in (DIFFERENCE, TREND)]
    told = {
        "assumed": {**vars(likeness), "from": [str(path) for path in like or ()], "unknown": unknown},
        "power": chance,
        "confidence": confidence,
        "studies": studies,
        "designs": [shown(each, likeness, asks) for each in designs],
        "wanted": wanted,
        "cheapest": proposed(designs[0], likeness, wanted, asks[0], run_cost) if wanted else None,
    }
    as_json(told) if json else tell(told, run_cost)


def taken(
    paths: Sequence[Path] | None, reading: str | None, stated: dict[str, Any]
) -> tuple["Likeness", dict[str, int], list[str]]:
    """What the study is taken to be like, its sizes where none are said, and what earlier scores do not tell."""
    from dataclasses import replace

    from codedose.analyse.moments import ASSUMED

    likeness, sizes, unknown = ASSUMED, SIZES, list[str]()
    if paths:
        scores = read(paths)
        likeness, unknown = likeness_of(scores, reading)
        sizes = sizes_of(scores)
    elif reading:
        raise StudyError("--reading: goes with --like, the scores of an earlier study")
    return replace(likeness, **{name: value for name, value in stated.items() if value is not None}), sizes, unknown


def read(paths: Sequence[Path]) -> "pl.DataFrame":
    import polars as pl

    from codedose import tables

    return pl.concat([tables.read(path, tables.SCORES) for path in paths])


def likeness_of(scores: "pl.DataFrame", reading: str | None) -> tuple["Likeness", list[str]]:
    """The likeness of earlier scores under a reading, or under the only one that they have."""
    from codedose.analyse.moments import like

    there = sorted(scores["reading"].unique())
    if reading is None and len(there) != 1:
        raise DataError(f"the scores hold the readings {', '.join(there) or '(none)'}: name one with --reading")
    return like(scores, reading=reading or there[0])


def sizes_of(scores: "pl.DataFrame") -> dict[str, int]:
    """How large an earlier study was; items are the mean over tasks, rounded down."""
    import polars as pl

    tuned = scores.filter(pl.col("draw").is_not_null())
    items = scores.select("task", "item_id").unique().height // max(scores["task"].n_unique(), 1)
    columns = {"tasks": "task", "draws": "draw", "seeds": "seed", "backbones": "backbone", "shares": "arm"}
    counted = {name: tuned[column].n_unique() for name, column in columns.items()}
    least = {"draws": 2, "shares": 2}
    return {name: max(value, least.get(name, 1)) for name, value in {**counted, "items": items}.items()}


def shown(size: "Size", likeness: "Likeness", asks: "Sequence[Ask]") -> dict[str, Any]:
    """One design: its sizes, and per contrast the smallest difference with its Monte Carlo error, and by formula."""
    from codedose.analyse.chances import formula, smallest

    found = {ask.kind: figure(smallest(size, likeness, ask, name="design")) for ask in asks}
    return {**vars(size), **found, "formula": {ask.kind: formula(size, likeness, ask) for ask in asks}}


def figure(found: "Found | None") -> dict[str, float] | None:
    return None if found is None else {"points": found.value, "error": found.error}


def proposed(size: "Size", likeness: "Likeness", wanted: float, ask: "Ask", run_cost: float) -> dict[str, Any] | None:
    """The cheapest design in plain values; None where there is none."""
    from codedose.analyse.designs import Bounds, cheapest

    found = cheapest(size, likeness, wanted, ask, Bounds(MOST_DRAWS, MOST_SEEDS, ITEMS, run_cost))
    if found is None:
        return None
    return {**vars(found.size), "runs": found.size.runs, "cost": found.cost, "power": vars(found.power)}


def tell(told: dict[str, Any], run_cost: float) -> None:
    """What was assumed, the designs, and the cheapest one."""
    from codedose.cli.show import as_table, plain

    assumed, chance = told["assumed"], told["power"]
    source = "measured on " + ", ".join(assumed["from"]) if assumed["from"] else "stated, not measured: see --like"
    accuracies = [f"{100 * value:.0f}" for value in assumed["accuracy"]]
    print(f"taken to be like this ({plain(source)}):")
    print(f"accuracy   {', '.join(accuracies)} %{' by task' if len(accuracies) > 1 else ' in every task'}")
    print(
        f"noise      {assumed['draw']:.2g} points between draws of an arm, {assumed['run']:.2g} between runs beside it"
    )
    print(f"items      log odds differ by {assumed['item']:.2g}, and by {assumed['item_arm']:.2g} from arm to arm")
    for sentence in assumed["unknown"]:
        print(f"not told   {sentence}")
    print(
        f"\nThe smallest true difference, in points, found {100 * chance:g} times in 100 by the t test over draws "
        f"({told['studies']:,} simulated studies each, with the Monte Carlo error; for these items):"
    )
    sizes = ("tasks", "items", "draws", "seeds", "backbones", "shares")
    rows = [
        (*(each[name] for name in sizes), in_words(each["difference"]), in_words(each["trend"]),
         f"{each['formula']['difference']:.2f}")
        for each in told["designs"]
    ]  # fmt: skip
    as_table("", (*sizes, "difference", "trend, 0 to 100 %", "difference by formula"), rows)
    if told["wanted"]:
        print(cheapest_in_words(told, run_cost))


def in_words(found: dict[str, float] | None) -> str:
    return "none fits" if found is None else f"{found['points']:.2f} ± {found['error']:.2f}"


def cheapest_in_words(told: dict[str, Any], run_cost: float) -> str:
    wanted, found = f"{told['wanted']:g} points", told["cheapest"]
    if found is None:
        return (
            f"No design of up to {MOST_DRAWS} draws, {MOST_SEEDS} seeds and {ITEMS[1]:,} items a task shows {wanted} "
            f"{100 * told['power']:g} times in 100."
        )
    return (
        f"Cheapest for {wanted}: {found['draws']} draws, {found['seeds']} seed(s), {found['items']} items in each of "
        f"{found['tasks']} tasks ({found['runs']} trainings; a training counts as {run_cost:,g} replies): found "
        f"{100 * found['power']['value']:.0f} ± {100 * found['power']['error']:.0f} times in 100."
    )


COMMANDS: tuple[Any, ...] = (power,)
