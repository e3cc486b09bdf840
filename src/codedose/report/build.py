"""A study's tables flow in; one HTML file and the tables as Parquet and CSV flow out.

The same inputs give the same bytes, whatever the order of their rows: nothing here looks at a clock.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import polars as pl
import polars.selectors as cs

from codedose.errors import DataError
from codedose.report import figures
from codedose.report.missing import losses
from codedose.report.page import sections
from codedose.tables import (
    ACCURACIES,
    BALANCE,
    COMPLETIONS,
    CURVES,
    DROPS,
    EFFECTS,
    ITEMS,
    LEAKS,
    LENGTHS,
    LOSSES,
    REPAIRS,
    SCORES,
    SOURCES,
    TRAINING,
    check,
)

SHOWN = (
    ACCURACIES, EFFECTS, CURVES, BALANCE, LENGTHS, SCORES, ITEMS, COMPLETIONS, TRAINING, LOSSES, SOURCES, REPAIRS,
    LEAKS, DROPS,
)  # fmt: skip
TABLES = {table.name: table for table in SHOWN}
SCRIPTS = (
    "base", "plots", "rows", "dose", "forest", "heat", "ranking", "controls", "answered", "balance", "treatment",
    "training", "downloads", "switches", "replies", "links", "start",
)  # fmt: skip
HERE = Path(__file__).parent
FORMULA_SIGNS = "^[=+\\-@\t\r]"  # with these a spreadsheet starts a formula (OWASP: CSV injection)
# Plotly puts its rules into an element of this id where there is one; through the CSSOM, which the policy allows.
PLOTLY_STYLE = "/* plotly's rules */"


def build(
    out: Path,
    *,
    study: Mapping[str, object],
    tables: Mapping[str, pl.DataFrame],
    summary: Sequence[str],
    provenance: Sequence[Mapping[str, object]],
    missing: Sequence[str],
    notes: Sequence[str],
    lost: Sequence[Mapping[str, Any]] = (),
) -> Path:
    """Write out/report.html, whose path comes back, and out/tables/<name>.parquet and .csv.

    `study` is a Study as plain JSON values; `tables` holds the tables named in TABLES, of which
    balance, lengths, training, losses and those about the pool may be empty; `summary` stands first, word for word;
    `provenance` has one record a step; `missing` names the cells that failed, and `lost` says why (report.missing);
    `notes` is what making the arms had to say. Raises DataError for a table that is not there or not what tables.py
    says.
    """
    ordered = {name: canonical(name, tables) for name in TABLES}
    write_tables(out / "tables", ordered)
    text = page(study, ordered, summary, provenance, missing, notes, lost)
    path = out / "report.html"
    path.write_text(text, encoding="utf-8", errors="replace", newline="\n")  # a lone surrogate becomes ?
    return path


def canonical(name: str, tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The checked table, its rows in an order that depends on nothing but what they say."""
    if name not in tables:
        raise DataError(f"the report needs the {name} table; it got {', '.join(sorted(tables)) or 'none'}")
    frame = check(tables[name], TABLES[name])
    return frame.sort(frame.columns, nulls_last=True)


def write_tables(folder: Path, tables: Mapping[str, pl.DataFrame]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in tables.items():
        frame.write_parquet(folder / f"{name}.parquet", compression="zstd", statistics=False)
        defused(frame).write_csv(folder / f"{name}.csv")


def defused(frame: pl.DataFrame) -> pl.DataFrame:
    """`frame` without nested columns, and with an apostrophe before every text that a spreadsheet would run."""
    plain = frame.select(~cs.nested())
    return plain.with_columns(defused_text(column) for column in plain.select(cs.string()).columns)


def defused_text(column: str) -> pl.Expr:
    text = pl.col(column)
    return (
        pl.when(text.str.contains(FORMULA_SIGNS)).then(pl.concat_str(pl.lit("'"), text)).otherwise(text).alias(column)
    )


def page(
    study: Mapping[str, Any],
    tables: Mapping[str, pl.DataFrame],
    summary: Sequence[str],
    provenance: Sequence[Mapping[str, object]],
    missing: Sequence[str],
    notes: Sequence[str],
    lost: Sequence[Mapping[str, Any]] = (),
) -> str:
    """The whole page as text."""
    told = sections(study, tables, provenance)
    styles = {"css": asset("page.css"), "plotly_css": PLOTLY_STYLE}
    scripts = {"plotly": asset("vendor/plotly-basic.min.js"), "js": script()}
    return environment().get_template("page.html").render(
        **told.words,
        **styles,
        **scripts,
        policy=policy(list(scripts.values()), list(styles.values())),
        data=figures.inert_json(told.data),
        replies=figures.inert_json(told.replies),
        study=study,
        summary=summary,
        missing=missing,
        lost=losses(study, tables, lost),
        notes=notes,
        files=[(name, frame.height) for name, frame in tables.items()],
    )  # fmt: skip


def environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip


def asset(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def script() -> str:
    return "\n".join(asset(f"script/{name}.js") for name in SCRIPTS)


def policy(scripts: Sequence[str], styles: Sequence[str]) -> str:
    """A content security policy under which nothing runs or is fetched but these very texts."""
    return "; ".join(
        [
            "default-src 'none'",
            "script-src " + " ".join(map(source_hash, scripts)),
            "style-src " + " ".join(map(source_hash, styles)),
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        ]
    )


def source_hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
