"""What steps recorded -> how trainings went, where everything ran and what it cost, as tables."""

from collections.abc import Mapping, Sequence

import polars as pl

from codedose.report.grids import NOTHING, Cell, Grid, figures, flat, number, words


def training_grid(training: pl.DataFrame, cells: pl.DataFrame) -> Grid:
    """One row per training run: what it saw, and its loss in the first and the last tenth of its steps."""
    tenth = pl.max_horizontal(pl.col("step").count() // 10, 1)
    told = training.sort("cell", "step").group_by("cell", maintain_order=True).agg(
        steps=pl.len(),
        tokens=pl.col("tokens").sum(),
        loss_tokens=pl.col("loss_tokens").sum(),
        first=pl.col("loss").head(tenth).mean(),
        last=pl.col("loss").tail(tenth).mean(),
        rate=pl.col("learning_rate").max(),
        norm=pl.col("grad_norm").median(),
        memory=pl.col("memory").max() / 1e6,
        speed=pl.col("tokens").sum() / pl.col("seconds").sum(),
        seconds=pl.col("seconds").sum(),
    )  # fmt: skip
    named = told.join(cells, on="cell", how="left").sort("backbone", "arm", "draw", "seed", "cell", nulls_last=True)
    rows = [
        [
            *words(row["backbone"] or row["cell"], row["arm"], row["draw"], row["seed"]),
            *figures(f"{row['steps']:,}", f"{row['tokens']:,}", f"{row['loss_tokens']:,}"),
            *figures(number(row["first"], 3), number(row["last"], 3), f"{row['rate']:.1e}", number(row["norm"], 2)),
            *figures(number(row["speed"]), number(row["memory"]), number(row["seconds"])),
        ]
        for row in named.iter_rows(named=True)
    ]
    seen = ["backbone", "arm", "draw", "seed", "steps", "tokens", "loss-bearing", "first loss", "last loss"]
    head = [*seen, "highest learning rate", "median gradient norm", "tokens a second", "peak MB", "seconds"]
    return Grid("Training runs; loss in nats per loss-bearing token, first and last tenth of the steps", head, rows)


def environments(provenance: Sequence[Mapping[str, object]]) -> tuple[Grid, Grid]:
    """The steps with the letter of the environment they ran in, and the environments."""
    known: dict[tuple[tuple[str, str], ...], str] = {}
    steps = []
    for record in provenance:
        environment = tuple(flat({name: record.get(name) for name in ("versions", "hardware", "commit")}))
        letter = known.setdefault(environment, f"E{len(known) + 1}")
        seconds = record.get("seconds")
        shown = number(float(seconds), 1) if isinstance(seconds, int | float) else NOTHING
        told = words(record.get("step"), record.get("kind"), record.get("key"), record.get("started"))
        steps.append([*told, Cell(shown, "n"), Cell(letter)])
    rows = [[Cell(letter), *words(name, value)] for pairs, letter in known.items() for name, value in pairs]
    head = ["step", "kind", "key", "started", "seconds", "environment"]
    return Grid("Steps", head, steps), Grid("Environments", ["environment", "what", "value"], rows)


def seconds(record: Mapping[str, object]) -> float:
    value = record.get("seconds")
    return float(value) if isinstance(value, int | float) else 0.0


def hours(provenance: Sequence[Mapping[str, object]]) -> str:
    return number(sum(map(seconds, provenance)) / 3600, 2)


def cost(provenance: Sequence[Mapping[str, object]]) -> Grid:
    """One row per kind of step, the longest first: how many steps there were and how long they took together."""
    kinds: dict[str, list[float]] = {}
    for record in provenance:
        kinds.setdefault(str(record.get("kind")), []).append(seconds(record))
    whole = sum(map(sum, kinds.values()))
    rows = [
        [Cell(kind), *figures(f"{len(times):,}", number(sum(times) / 3600, 2), share_of(sum(times), whole))]
        for kind, times in sorted(kinds.items(), key=lambda pair: (-sum(pair[1]), pair[0]))
    ]
    return Grid("Hours by kind of step, as the steps recorded them", ["kind", "steps", "hours", "of all, %"], rows)


def share_of(part: float, whole: float) -> str:
    return number(100 * part / whole) if whole else NOTHING


def spent(training: pl.DataFrame, completions: pl.DataFrame) -> list[tuple[str, str]]:
    """What was trained and asked, as (what, how much)."""
    tuned = training.select(pl.col("cell").n_unique(), pl.col("tokens").sum(), pl.col("loss_tokens").sum()).row(0)
    forced = completions["forced_text"].is_not_null().sum()
    told = [
        ("trainings", tuned[0]), ("tokens trained on", tuned[1]), ("of them bearing loss", tuned[2]),
        ("replies asked", completions.height), ("of them asked once more", forced),
        ("tokens in replies", completions["n_tokens"].sum()),
    ]  # fmt: skip
    return [(what, f"{count:,}") for what, count in told]
