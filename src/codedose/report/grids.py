"""Tables for the eye: frames in, rows of text out. The page's template only lays them out."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from codedose.tables import DOMAINS, DOSE, LARGE_SMD, UNTUNED, VIEWS

MINUS = "\u2212"
NOTHING = "\u2013"
STEPS_OF_GAIN = (2.5, 5, 10, 20)  # percentage points at which the heat map takes the next colour
CODE_SHARE = "code_share"


@dataclass(frozen=True)
class Cell:
    """One cell. `kind` is a class of page.css: n (number), flag, or a heat-map colour."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class Grid:
    """One table; the first column names its rows."""

    caption: str
    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def is_numeric(self, column: int) -> bool:
        return any(row[column].kind.startswith(("n ", "flag")) or row[column].kind == "n" for row in self.rows)


def without_empty(grid: Grid) -> Grid:
    """`grid` without the columns in which no row says anything; the first, which names the rows, stays."""
    kept = [at for at in range(len(grid.head)) if not at or any(row[at].text not in ("", NOTHING) for row in grid.rows)]
    return Grid(grid.caption, [grid.head[at] for at in kept], [[row[at] for at in kept] for row in grid.rows])


def number(value: float | None, digits: int = 1) -> str:
    return NOTHING if value is None else f"{value:,.{digits}f}".replace("-", MINUS)


def points(value: float | None) -> str:
    """A difference with its sign: +3.1, or a true minus."""
    if value is None:
        return NOTHING
    return "0.0" if round(value, 1) == 0 else f"{value:+.1f}".replace("-", MINUS)


def probability(value: float | None) -> str:
    if value is None:
        return NOTHING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def percent(value: float | None) -> str:
    return NOTHING if value is None else f"{100 * value:.1f}"


def plain(value: float | None) -> str:
    """A share or a coefficient, which is no difference and has no sign to show."""
    return NOTHING if value is None else f"{value:.3g}".replace("-", MINUS)


def real(value: object) -> float | None:
    return value if isinstance(value, float) else None


def between(low: float | None, high: float | None, say: Callable[[float | None], str]) -> str:
    return NOTHING if low is None or high is None else f"{say(low)} to {say(high)}"


def words(*texts: object) -> list[Cell]:
    return [Cell(NOTHING if text is None else str(text)) for text in texts]


def figures(*texts: str) -> list[Cell]:
    return [Cell(text, "n") for text in texts]


def arm_order(study_arms: Sequence[str], found: Iterable[str]) -> list[str]:
    """The study's arms as it lists them, then any other, the untuned backbone last."""
    names = set(found)
    listed = [name for name in study_arms if name in names]
    return [*listed, *sorted(names - {*listed, UNTUNED}), *([UNTUNED] if UNTUNED in names else [])]


def pooled(frame: pl.DataFrame) -> pl.DataFrame:
    """The rows pooled over backbones; where a study has one backbone and no such rows, that backbone's."""
    over_all = frame.filter(pl.col("backbone").is_null() & pl.col("family").is_null())
    if over_all.is_empty() and frame["backbone"].drop_nulls().n_unique() == 1:
        return frame.filter(pl.col("backbone").is_not_null())
    return over_all


def in_view_order(frame: pl.DataFrame, places: Sequence[tuple[str, str]], last: Sequence[str] = ()) -> pl.DataFrame:
    """Rows from overall to domains to tasks, in the order of `places`, then by the columns in `last`."""
    order = pl.DataFrame(
        [(view, of, at) for at, (view, of) in enumerate(places)],
        schema={"view": pl.String, "of": pl.String, "place": pl.Int64},
        orient="row",
    )
    return frame.join(order, on=["view", "of"], how="left").sort("place", "of", *last, nulls_last=True).drop("place")


def places(tables: Sequence[pl.DataFrame], domains: Mapping[str, str]) -> list[tuple[str, str]]:
    """Every (view, of) that the tables speak of: overall, the domains, the tasks domain by domain.

    `domains` maps each task to its domain, in the order in which tasks shall stand.
    """
    found = {pair for table in tables for pair in table.select("view", "of").unique().iter_rows()}
    tasks = list(domains)

    def place(pair: tuple[str, str]) -> tuple[int, int, str, int, str]:
        view, of = pair
        domain = domains.get(of, of) if view == "task" else of
        rank = DOMAINS.index(domain) if domain in DOMAINS else len(DOMAINS)
        return (VIEWS.index(view), rank, domain, tasks.index(of) if of in tasks else len(tasks), of)

    return sorted(found, key=place)


def label_of(view: str, of: str, origins: Mapping[str, str]) -> str:
    """How a row calls what it speaks of; tasks say whether their items are official or generated."""
    if view == "overall":
        return "all tasks"
    return f"{of} ({origins.get(of, 'origin not stated')})" if view == "task" else of


def origins_of(items: pl.DataFrame) -> dict[str, str]:
    """task -> "generated", "official", or both words."""
    grouped = items.group_by("task").agg(pl.col("origin").unique().sort().str.join(" and "))
    return dict(grouped.sort("task").iter_rows())


# ---- were the arms equal


def balance_grid(balance: pl.DataFrame, arms: Sequence[str]) -> Grid:
    """One row per quantity: its mean (and sd) per arm, and the draw's SMD furthest from 0."""
    summary = balance.group_by("quantity", "arm").agg(
        pl.col("mean").mean(),
        pl.col("sd").mean(),
        pl.col("smd").sort_by(pl.col("smd").abs(), nulls_last=True, descending=True).first(),
    )
    found = {(row["quantity"], row["arm"]): row for row in summary.iter_rows(named=True)}
    rows = [
        [Cell(quantity), *(cell for arm in arms for cell in balance_cells(quantity, found.get((quantity, arm))))]
        for quantity in sorted(set(balance["quantity"]))
    ]
    return Grid("Mean (standard deviation) per arm, over draws", ["quantity", *twice(arms)], rows)


def twice(arms: Sequence[str]) -> list[str]:
    return [name for arm in arms for name in (arm, "SMD")]


def balance_cells(quantity: str, row: Mapping[str, float | None] | None) -> list[Cell]:
    if row is None:
        return figures(NOTHING, NOTHING)
    smd = row["smd"]
    flagged = smd is not None and abs(smd) > LARGE_SMD and quantity not in DOSE
    spread = "" if row["sd"] is None else f" ({number(row['sd'], 2)})"
    shown = NOTHING if smd is None else f"{smd:+.2f}".replace("-", MINUS)
    return [Cell(f"{number(row['mean'], 2)}{spread}", "n"), Cell(shown + "*" * flagged, "flag" if flagged else "n")]


def lengths_grid(lengths: pl.DataFrame, arms: Sequence[str]) -> Grid | None:
    """One row per backbone, arm and draw: what the longest length cut off; None where nothing was trained."""
    if lengths.is_empty():
        return None
    order = pl.col("arm").replace_strict(list(arms), list(range(len(arms))), default=len(arms))
    head = ["backbone", "arm", "draw", "examples", "of these cut", "tokens", "cut off, %", "loss tokens", "cut off, %"]
    rows = [
        [
            Cell(row["backbone"]),
            Cell(row["arm"]),
            *figures(*(f"{row[name]:,}" for name in ("draw", "examples", "cut"))),
            *(
                cell
                for kind in ("tokens", "loss_tokens")
                for cell in figures(f"{row[kind]:,}", percent(row[f"{kind}_cut"] / row[kind] if row[kind] else None))
            ),
        ]
        for row in lengths.sort("backbone", "draw", order).iter_rows(named=True)
    ]
    return Grid("Conversations longer than were trained on", head, rows)


def dose_grid(arms: Sequence[tuple[str, float]], balance: pl.DataFrame, scores: pl.DataFrame) -> Grid | None:
    """The nominal share of coding beside the share of code characters in each arm; None if never measured.

    Where the scores do not carry it, the mean over examples stands in, under its own name.
    """
    doses, name = scores.select("arm", "draw", "measured_dose").unique().drop_nulls(), "code characters, %"
    measured = doses.select("arm", dose="measured_dose")
    if measured.is_empty():
        measured = balance.filter(pl.col("quantity") == CODE_SHARE).select("arm", dose="mean")
        name = "code characters, % (mean of examples)"
    if measured.is_empty():
        return None
    rows = []
    for arm, share in arms:
        found = sorted(measured.filter(pl.col("arm") == arm)["dose"])
        mean = sum(found) / len(found) if found else None
        span = between(found[0], found[-1], percent) if found else NOTHING
        rows.append([Cell(arm), *figures(percent(share), percent(mean), span)])
    return Grid("The dose that was given", ["arm", "coding examples, %", name, "range over draws"], rows)


def flat(value: object, path: str = "") -> Iterable[tuple[str, str]]:
    """Every leaf of nested mappings and lists of mappings as (dotted name, text)."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from flat(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(inner, Mapping) for inner in value):
        for at, inner in enumerate(value, 1):
            yield from flat(inner, f"{path} {at}")
    elif isinstance(value, list | tuple):
        yield path, ", ".join(map(str, value)) or NOTHING
    else:
        yield path, NOTHING if value is None else str(value)


def pairs_grid(caption: str, head: Sequence[str], pairs: Iterable[Sequence[object]]) -> Grid:
    """A plain table of texts and counts."""
    return Grid(caption, head, [[cell_of(value) for value in pair] for pair in pairs])


def cell_of(value: object) -> Cell:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Cell(f"{value:,}" if isinstance(value, int) else f"{value:,.6g}", "n")
    return words(value)[0]
