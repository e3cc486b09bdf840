"""From scores to what a person reads: the analysis and the report."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from codedose import tables
from codedose.runner.record import RECORD
from codedose.runner.step import Progress
from codedose.stages.folders import MEANS, NOTES, SUMMARY, save, take

if TYPE_CHECKING:
    from codedose.analyse.dose import Labels
    from codedose.label.audit import Estimate

REPORTED = (
    tables.ACCURACIES,
    tables.EFFECTS,
    tables.CURVES,
    tables.BALANCE,
    tables.LENGTHS,
    tables.SCORES,
    tables.ITEMS,
    tables.COMPLETIONS,
    tables.TRAINING,
    tables.LOSSES,
    tables.SOURCES,
    tables.REPAIRS,
    tables.LEAKS,
    tables.DROPS,
)


def analyse_step(
    inputs: list[Path],
    out: Path,
    *,
    progress: Progress,
    primary: list[str],
    reading: str,
    confidence: float,
    margin: float,
    consistency: list[float],
    model_check: bool,
    audit: str | None,
    partial: bool,
) -> None:
    """`inputs` are the scores; where an audit is given, also the labels that it is about."""
    from codedose.analyse.cells import accuracies
    from codedose.analyse.contrasts import arm_points
    from codedose.analyse.curve import curves
    from codedose.analyse.effects import effects
    from codedose.analyse.grid import complete
    from codedose.analyse.power import calibrate
    from codedose.analyse.words import summarise

    scores = take(inputs, tables.SCORES)
    named = (primary[0], primary[1])
    cells = accuracies(scores, confidence=confidence, partial=partial)
    found = effects(
        scores,
        primary=named,
        reading=reading,
        confidence=confidence,
        margin=margin,
        consistency=(consistency[0], consistency[1]),
        labels=label_quality(take(inputs, tables.LABELLED), Path(audit)) if audit else None,
        model=model_check,
        partial=partial,
    )
    calibration = calibrate(scores, reading=reading, partial=partial)
    lines = summarise(
        found, cells, primary=named, reading=reading, confidence=confidence, margin=margin, calibration=calibration
    )
    save(out, tables.ACCURACIES, cells)
    save(out, tables.EFFECTS, found)
    save(out, tables.CURVES, curves(arm_points(complete(scores, partial=partial)[0]), confidence))
    (out / SUMMARY).write_text(json.dumps({"lines": lines, "calibration": calibration}, indent=2) + "\n")


def label_quality(labelled: pl.DataFrame, audit: Path) -> "Labels | None":
    """PPV and NPV of the labels over the whole pool, from a sample labelled by hand; None where either is unknown."""
    from codedose.analyse.dose import Labels
    from codedose.label.audit import audit as compare
    from codedose.label.hand import read_audit

    found = compare(labelled, read_audit(audit))
    ppv, npv = limits(found.ppv), limits(found.npv)
    return Labels(ppv, npv, found.confidence) if ppv and npv else None


def limits(found: "Estimate") -> tuple[float, float, float] | None:
    """A figure of an audit with its interval; None where it is undefined."""
    if found.value is None or found.low is None or found.high is None:
        return None
    return found.value, found.low, found.high


def report_step(
    inputs: list[Path],
    out: Path,
    *,
    progress: Progress,
    study: Mapping[str, Any],
    missing: list[str],
    lost: Sequence[Mapping[str, Any]] = (),
) -> None:
    """`inputs` begin with the analysis; the rest hold the tables that the page shows.

    `lost` are the cells in `missing` as report.missing takes them.
    """
    from codedose.report.build import build

    found = {table.name: take(inputs, table) for table in REPORTED}
    summary = json.loads((inputs[0] / SUMMARY).read_text())["lines"]
    told = next(folder / NOTES for folder in inputs if (folder / NOTES).is_file())
    notes = json.loads(told.read_text()) + noted_means(inputs)
    build(
        out,
        study=study,
        tables=found,
        summary=summary,
        provenance=provenance(inputs),
        missing=missing,
        notes=notes,
        lost=lost,
    )


def noted_means(folders: Sequence[Path]) -> list[str]:
    """What is to be said about how trainings were done: states in 8 bits are not quite what the others had."""
    states = [json.loads((folder / MEANS).read_text())["states"] for folder in folders if (folder / MEANS).is_file()]
    small = states.count("8bit")
    return [f"the optimiser states of {small:,} of {len(states):,} trainings were kept in 8 bits"] if small else []


def provenance(inputs: Sequence[Path]) -> list[dict[str, Any]]:
    """The records of these steps and of all that they rest on, in the order of their folders' names."""
    root = inputs[0].parents[1]
    records: dict[str, dict[str, Any]] = {}
    left = [str(folder.relative_to(root)) for folder in inputs]
    while left:
        folder = left.pop()
        if folder not in records:
            records[folder] = json.loads((root / folder / RECORD).read_text())
            left += records[folder]["needs"]
    return [{"step": folder, **records[folder]} for folder in sorted(records)]
