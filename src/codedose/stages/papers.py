"""A finished study's folders -> what is published of it: tables and figures to paste, or cards for the Hub.

No step of the plan: nothing rests on what is written here, and the same folders give the same bytes.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import polars as pl

from codedose import tables
from codedose.errors import DataError
from codedose.stages.folders import SUMMARY, take
from codedose.stages.telling import provenance

Form = Literal["markdown", "latex", "json", "cards"]
SHOWN = (tables.ACCURACIES, tables.EFFECTS, tables.CURVES, tables.ITEMS)


def write_paper(
    form: Form, out: Path, inputs: Sequence[Path], *, study: Mapping[str, Any], missing: Sequence[str]
) -> list[Path]:
    """Write the tables and figures of a study into the folder `out`; the files come back, the first to read first.

    `inputs` are the folders that the report step needs, the analysis first, and `study` and `missing` its settings.
    Raises DataError for a folder that cannot be written.
    """
    from codedose.report.paper import paper

    frames = ordered({table.name: take(inputs, table) for table in SHOWN})
    terms, found = paper(study, frames, missing)
    lines = json.loads((inputs[0] / SUMMARY).read_text())["lines"]
    if form == "json":
        from codedose.report.results import results

        records = provenance(inputs)
        return written(out, {"results.json": results(study, terms, found, frames, lines, missing, records)})
    from codedose.report.panels import panels

    return written(out, {"markdown": as_markdown, "latex": as_latex}[form](study, found, panels(terms, frames), lines))


def as_markdown(study: Mapping[str, Any], found: Any, drawn: Any, lines: Sequence[str]) -> dict[str, str]:
    from codedose.report.markdown import document
    from codedose.report.panels import caption
    from codedose.report.svg import svg

    captions = {table.view: caption(table.view, drawn[table.view]) for table in found}
    figures = {f"{view}.svg": svg(drawn[view], text) for view, text in captions.items()}
    named = [(f"{view}.svg", text) for view, text in captions.items()]
    return {"results.md": document(study["question"], lines, found, named), **figures}


def as_latex(study: Mapping[str, Any], found: Any, drawn: Any, lines: Sequence[str]) -> dict[str, str]:
    from codedose.report.latex import document, figures, tables
    from codedose.report.panels import caption

    parts: dict[str, str] = {}
    for table in found:
        view, shown = table.view, drawn[table.view]
        parts[f"table-{view}"] = tables(table)
        parts[f"figure-{view}"] = figures(view, shown, caption(view, shown))
    whole = document(study["question"], lines, list(parts))
    return {"all.tex": whole, **{f"{name}.tex": text for name, text in parts.items()}}


def ordered(frames: Mapping[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """The tables with their rows in an order that depends on nothing but what they say."""
    return {name: frame.sort(frame.columns, nulls_last=True) for name, frame in frames.items()}


def written(out: Path, files: Mapping[str, str]) -> list[Path]:
    """Write texts into the folder `out`; their paths come back. DataError for a place that cannot be written."""
    try:
        for name, text in files.items():
            path = out / name
            path.parent.mkdir(parents=True, exist_ok=True)
            # A study file can hold half a surrogate pair, and no file in UTF-8 can.
            path.write_text(text, encoding="utf-8", errors="replace", newline="\n")
    except OSError as problem:
        raise DataError(
            f"{out}: cannot be written ({problem.strerror or problem}); name another folder with --out"
        ) from problem
    return [out / name for name in files]
