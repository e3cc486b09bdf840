"""What the folders of steps hold: tables by their names, and files beside them."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from codedose import tables
from codedose.tables import Table

SUMMARY = "summary.json"
REPLIES = "replies"  # of an endpoint that labels, in the store
SPENT = "spent.json"  # what those replies took
NOTES = "notes.json"  # what a person must read beside the arms
CHECKPOINT = "checkpoint"
MEANS = "means.json"  # how a training was done
TOGETHER = "together.json"  # how much faster adapters were together
ALONE = "alone.json"  # how many greedy replies change in bfloat16 when they are asked alone


def save(out: Path, table: Table, frame: pl.DataFrame) -> None:
    tables.write(frame, out / f"{table.name}.parquet", table)


def take(folders: Sequence[Path], table: Table) -> pl.DataFrame:
    """The rows of `table` in all of the folders that hold it; none is an empty frame."""
    files = [folder / f"{table.name}.parquet" for folder in folders]
    frames = [tables.read(file, table) for file in files if file.is_file()]
    return pl.concat(frames) if frames else table.frame([])


def kept_for(scratch: Path, work: str) -> Path:
    """The folder in `scratch` for just this work: another checkpoint, prompt or version finds nothing there."""
    folder = scratch / work
    folder.mkdir(parents=True, exist_ok=True)
    return folder
