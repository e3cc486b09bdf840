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
