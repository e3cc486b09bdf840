"""A finished study's folders -> a dataset repository of its mixes and a model card for each checkpoint."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from codedose import tables
from codedose.errors import DataError
from codedose.keys import slug
from codedose.runner.record import RECORD
from codedose.stages.folders import NOTES, SUMMARY, take
from codedose.stages.papers import ordered, written

DESCRIBED = (tables.BALANCE, tables.SOURCES, tables.REPAIRS, tables.LEAKS, tables.DROPS)
MEASURED = (tables.ACCURACIES, tables.ITEMS)
CELL = ("cell", "backbone", "arm", "share", "draw", "seed")


def write_cards(
    out: Path, inputs: Sequence[Path], mixes: Sequence[Path], *, study: Mapping[str, Any], missing: Sequence[str]
) -> list[Path]:
    """Write out/dataset (its card, and the draws beside it) and out/models/NAME/README.md; the files come back.

    `inputs` are the folders that the report step needs, the analysis first, `mixes` those of the draws; `study` is the
    report's setting. Cells in `missing`, and those trained elsewhere, have no card. Raises DataError for a folder that
    cannot be written.
    """
    lines = json.loads((inputs[0] / SUMMARY).read_text())["lines"]
    cards = dict(model_cards(inputs, study, lines, missing))
    return [*dataset(out / "dataset", inputs, mixes, study, lines), *written(out / "models", cards)]


def dataset(
    out: Path, inputs: Sequence[Path], mixes: Sequence[Path], study: Mapping[str, Any], lines: Sequence[str]
) -> list[Path]:
    from codedose.report.cards import unique_slugs
    from codedose.report.dataset_card import census, dataset_card

    pool = next(folder for folder in inputs if (folder / f"{tables.EXAMPLES.name}.parquet").is_file())
    examples = pl.read_parquet(
        pool / f"{tables.EXAMPLES.name}.parquet", columns=["example_id", "source", "lang"], glob=False
    )
    names = unique_slugs([arm["name"] for arm in study["mix"]["arms"]])
    counts, files, copies = [], {}, {}
    for folder in mixes:
        drawn = take([folder], tables.DRAWS)
        arm, draw = drawn["arm"][0], drawn["draw"][0]
        files[arm, draw] = f"data/{names[arm]}-draw{draw}.parquet"
        copies[files[arm, draw]] = folder / f"{tables.DRAWS.name}.parquet"
        counts.append(census(drawn, examples))
    if not counts:
        return []
    frames = ordered({table.name: take(inputs, table) for table in DESCRIBED})
    told = next(folder / NOTES for folder in inputs if (folder / NOTES).is_file())
    text = dataset_card(study, pl.concat(counts), files, frames, lines, json.loads(told.read_text()))
    return [*written(out, {"README.md": text}), *copied(out, copies)]


def copied(out: Path, files: Mapping[str, Path]) -> list[Path]:
    try:
        for name, source in files.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, out / name)
    except OSError as problem:
        raise DataError(f"{out}: the draws cannot be copied there ({problem.strerror or problem})") from problem
    return [out / name for name in files]


def model_cards(
    inputs: Sequence[Path], study: Mapping[str, Any], lines: Sequence[str], missing: Sequence[str]
) -> Iterator[tuple[str, str]]:
    """The file and the text of each card, in the order of the plan."""
    from codedose.report.cards import unique_slugs
    from codedose.report.model_cards import model_card

    frames = ordered({table.name: take(inputs, table) for table in MEASURED})
    cells = take(inputs, tables.SCORES).select(CELL).unique()
    known = {row["cell"]: row for row in cells.iter_rows(named=True) if row["cell"] not in missing}
    tuned = {cell: folder for cell, folder in trained(inputs) if cell in known}
    names = unique_slugs([f"{slug(study['name'])}-{cell}" for cell in tuned])
    losses = take(inputs, tables.LOSSES)
    for (cell, folder), name in zip(tuned.items(), names.values(), strict=True):
        own = {"training": take([folder], tables.TRAINING), "losses": losses.filter(pl.col("cell") == cell)}
        step = f"{folder.parent.name}/{folder.name}"
        yield f"{name}/README.md", model_card(study, known[cell], name, step, {**frames, **own}, lines)


def trained(inputs: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """The cells that were trained here, with the folders of their steps."""
    for folder in inputs:
        if (folder / f"{tables.TRAINING.name}.parquet").is_file():
            yield json.loads((folder / RECORD).read_text())["settings"]["cell"], folder
