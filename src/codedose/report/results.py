"""A finished study -> one JSON document that a program can read: the paper's tables, and what stands behind them.

    {
      "format": "codedose results", "version": 1,
      "study":      the study as it ran, every setting of it
      "summary":    ["...", ...]      the sentences that the analysis allows, in their order
      "missing":    ["cell", ...]     cells that failed; [] for a whole study
      "tables":     {"overall": T, "domain": T, "task": T}, where T is
          {"caption": "...", "reading": "...", "confidence": 0.95, "baseline": "arm", "notes": ["...", ...],
           "lines": [{"of": "task, domain or all", "label": "...", "backbone": "name, or all backbones",
                      "accuracy": {"arm": S}, "gain": {"arm": S}}, ...]}
          and S is null where nothing is known, or {"value": 53.1, "low": 50.2, "high": 56.0}, of an accuracy in %
          with "best": true or false, of a gain in percentage points with "stands" (adjusted p below 1 - confidence
          over three or more draws) and "readings_disagree"; low and high are null where there is no interval
      "accuracies": [row, ...]        tables.ACCURACIES, 0 to 1
      "effects":    [row, ...]        tables.EFFECTS, with every note; kind says in what unit an estimate is
      "curves":     [row, ...]        tables.CURVES, 0 to 1
      "provenance": [record, ...]     one a step: what it was given, its versions, hardware, commit
    }

Rows are objects by column. What is undefined is null, never 0; no number is infinite or NaN.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from codedose.report.paper import DISAGREES, STANDS, Line, Score, Table, Terms

FORMAT, VERSION = "codedose results", 1
LISTED = ("accuracies", "effects", "curves")


def results(
    study: Mapping[str, Any],
    terms: Terms,
    tables: Sequence[Table],
    frames: Mapping[str, pl.DataFrame],
    summary: Sequence[str],
    missing: Sequence[str],
    provenance: Sequence[Mapping[str, object]],
) -> str:
    """The document as text that ends with a line break: the same values give the same bytes."""
    told = {
        "format": FORMAT,
        "version": VERSION,
        "study": study,
        "summary": list(summary),
        "missing": list(missing),
        "tables": {table.view: as_values(table, terms) for table in tables},
        **{name: frames[name].to_dicts() for name in LISTED},
        "provenance": list(provenance),
    }
    return json.dumps(finite(told), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def as_values(table: Table, terms: Terms) -> dict[str, object]:
    settled = {"reading": terms.reading, "confidence": terms.confidence, "baseline": table.baseline}
    lines = [line_values(line, table) for line in table.lines]
    return {"caption": table.caption, **settled, "notes": list(table.notes), "lines": lines}


def line_values(line: Line, table: Table) -> dict[str, object]:
    scores = {arm: accuracy_values(score) for arm, score in zip(table.arms, line.scores, strict=True)}
    gains = {arm: gain_values(score) for arm, score in zip(table.gaining, line.gains, strict=True)}
    return {"of": line.of, "label": line.label, "backbone": line.backbone, "accuracy": scores, "gain": gains}


def accuracy_values(score: Score | None) -> dict[str, object] | None:
    return {"value": score.value, "low": score.low, "high": score.high, "best": score.is_best} if score else None


def gain_values(score: Score | None) -> dict[str, object] | None:
    if score is None:
        return None
    marks = {"stands": STANDS in score.marks, "readings_disagree": DISAGREES in score.marks}
    return {"value": score.value, "low": score.low, "high": score.high, **marks}


def finite(value: Any) -> Any:
    """`value` with null for every number that JSON cannot hold."""
    if isinstance(value, Mapping):
        return {str(key): finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value
