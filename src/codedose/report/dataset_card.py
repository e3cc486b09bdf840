"""The arms of a study -> the dataset card of their draws: how they differ, and in what they do not."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from huggingface_hub import DatasetCardData

from codedose.keys import slug
from codedose.report.cards import (
    LANGUAGE,
    TAGS,
    card,
    findings,
    hub_name,
    language_codes,
    licence,
    made_by,
    quoted,
    shown_name,
    size_category,
    unique_slugs,
)
from codedose.report.escaped import markdown
from codedose.report.frame import UNITS
from codedose.report.grids import arm_order, balance_grid
from codedose.report.markdown import listed, table
from codedose.tables import LABELS

COMMON = 0.01  # of the examples: a language that fewer are in is the language detector's noise
MOST_REASONS = 20
LABELLERS = {
    "stated": "the labels that the sources state themselves",
    "rules": "rules that look for code",
    "model": "the classifier of purpose that comes with codedose",
    "llm": "a language model behind an endpoint",
}
FIELDS = (
    ("arm, draw", "which training set a row belongs to"),
    ("slot", "the place in it: rows stand in the order of training"),
    ("step", "under token matching the optimiser step that takes the row in, else empty"),
    ("example_id", "a hash of the conversation: the same in every arm and draw that holds it"),
    ("copy", "0; from 1 where the arm repeats an example"),
    ("label", "coding, math or other"),
    ("messages", "the conversation: role and content"),
    ("tokens, loss_tokens", "counted by the study's reference tokenizer, where there is one"),
)
Place = tuple[str, int]  # arm and draw


def census(draws: pl.DataFrame, examples: pl.DataFrame) -> pl.DataFrame:
    """(arm, draw, label, source, lang, rows, tokens) of one draw; `examples` holds example_id, source and lang."""
    keys = ["arm", "draw", "label", "source", "lang"]
    known = draws.select("arm", "draw", "label", "example_id", "tokens").join(examples, on="example_id", how="left")
    known = known.with_columns(pl.col("source").fill_null("not in the pool"))
    counted = known.group_by(keys).agg(
        rows=pl.len().cast(pl.Int64),
        tokens=pl.when(pl.col("tokens").null_count() == 0).then(pl.col("tokens").sum()),
    )
    return counted.sort(keys, nulls_last=True)


def dataset_card(
    study: Mapping[str, Any],
    counts: pl.DataFrame,
    files: Mapping[Place, str],
    frames: Mapping[str, pl.DataFrame],
    summary: Sequence[str],
    notes: Sequence[str],
) -> str:
    """The README.md of a dataset repository that holds `files`, one for each arm and draw.

    `counts` are the rows of `census` of all of them; `frames` the tables balance, sources, repairs, leaks and drops;
    `notes` what making the arms had to say.
    """
    arms = arm_order([arm["name"] for arm in study["mix"]["arms"]], counts["arm"])
    body = [
        f"# The mixes of {markdown(study['name'])}",
        quoted(study["question"]),
        made_by(study),
        "## Arms",
        arms_told(study, counts, files, arms),
        how_made(study),
        "## Were the arms equal?",
        *balanced(frames["balance"], arms, notes),
        "## Where the conversations come from",
        sources(study, counts, frames["sources"]),
        "## What was mended, and what was left out",
        *mended(study, frames),
        "## What was found with them",
        *findings(summary, study["caution"]),
        "## Limits",
        limits(study),
        "## Fields",
        table(["field", "what it holds"], FIELDS, numbers_from=2),
    ]
    return card(data(study, counts, files, arms, frames["sources"]), body)


def data(
    study: Mapping[str, Any],
    counts: pl.DataFrame,
    files: Mapping[Place, str],
    arms: Sequence[str],
    found: pl.DataFrame,
) -> DatasetCardData:
    named = [hub_name(source["path"], source["revision"]) for source in study["pool"]["sources"]]
    originals = {"original" if s["path"].startswith("builtin:") else "extended" for s in study["pool"]["sources"]}
    return DatasetCardData(
        pretty_name=f"{study['name']}: instruction mixes with different shares of code",
        language=languages(study, counts) or None,
        license=licence(found["licence"] if found.height else [s["licence"] for s in study["pool"]["sources"]]),
        annotations_creators=["found" if study["label"]["by"] == "stated" else "machine-generated"],
        size_categories=[size_category(int(counts["rows"].sum()))],
        source_datasets=sorted({name for name in named if name}) or sorted(originals),
        task_categories=["text-generation"],
        tags=[*TAGS, slug(study["name"])],
        configs=configs(files, arms),
    )


def configs(files: Mapping[Place, str], arms: Sequence[str]) -> list[dict[str, object]]:
    """One configuration an arm, one split a draw, as the Hub's loader reads them."""
    names = unique_slugs(arms)
    return [
        {
            "config_name": names[arm],
            "data_files": [
                {"split": f"draw_{draw}", "path": path} for (other, draw), path in sorted(files.items()) if other == arm
            ],
        }
        for arm in arms
    ]


def languages(study: Mapping[str, Any], counts: pl.DataFrame) -> list[str]:
    """The languages that were let in, or those of more than a few of the examples."""
    if study["pool"]["clean"]["languages"]:
        return language_codes(study)
    told = counts.drop_nulls("lang").group_by("lang").agg(pl.col("rows").sum()).sort("lang")
    total = int(counts["rows"].sum())
    return [lang for lang, rows in told.iter_rows() if LANGUAGE.fullmatch(lang) and rows >= COMMON * total]


def arms_told(study: Mapping[str, Any], counts: pl.DataFrame, files: Mapping[Place, str], arms: Sequence[str]) -> str:
    """One row an arm and draw: its share, what it holds of each label, and its file."""
    known = {arm["name"]: arm for arm in study["mix"]["arms"]}
    rows = []
    for arm, draw in sorted(files, key=lambda place: (arms.index(place[0]), place[1])):
        here = counts.filter(pl.col("arm") == arm, pl.col("draw") == draw)
        labels = {label: int(here.filter(pl.col("label") == label)["rows"].sum()) for label in LABELS}
        counted = "–" if here["tokens"].null_count() or here.is_empty() else f"{here['tokens'].sum():,}"
        share, control = f"{100 * known[arm]['share']:g}", known[arm]["control"] or "–"
        numbers = [f"{count:,}" for count in (int(here["rows"].sum()), *labels.values())]
        rows.append([arm, control, files[arm, draw], draw, share, *numbers, counted])
    head = ["arm", "control", "file", "draw", "share of coding, %", "rows", *LABELS, "tokens"]
    return table(head, rows, numbers_from=3)


def how_made(study: Mapping[str, Any]) -> str:
    mix, label = study["mix"], study["label"]["by"]
    unit = UNITS[mix["match_on"]]
    design = (
        "Coding takes the place of other examples, so that arms differ in what they hold and not in their size."
        if mix["design"] == "fixed"
        else "Coding comes on top of the same other examples: its share is confounded with the size of the arm."
    )
    repeated = [arm["name"] for arm in mix["arms"] if arm["repeat"]]
    return listed(
        [
            f"Matched on {unit}: {mix['budget']:,} {unit} an arm, {mix['math']:,} of them math in every arm. {design}",
            f"Beyond the budget, coding and other were matched on: {', '.join(mix['stratify']) or 'nothing'}.",
            f"{mix['draws']:,} draws, each an independent choice of examples; within a draw arms share as many of them "
            "as their shares allow. Compare arms within a draw.",
            f"Labels (coding, math, other) come from {LABELLERS[label]}.",
            f"Arms that repeat examples: {', '.join(repeated) or 'none'}.",
        ]
    )


def balanced(balance: pl.DataFrame, arms: Sequence[str], notes: Sequence[str]) -> list[str]:
    """The balance table, and what making the arms had to say."""
    if balance.is_empty():
        return ["What else differs between the arms was not measured.", listed(notes)]
    grid = balance_grid(balance, [arm for arm in arms if arm in set(balance["arm"])])
    said = (
        "Mean (standard deviation) of each quantity in each arm, and its standardised mean difference (SMD) from the "
        "baseline arm in the draw where it is largest; * marks an SMD beyond 0.1 that is not the dose itself."
    )
    return [said, table(grid.head, [[cell.text for cell in row] for row in grid.rows], numbers_from=1), listed(notes)]


def sources(study: Mapping[str, Any], counts: pl.DataFrame, found: pl.DataFrame) -> str:
    """Each source with its licence as stated, its conversations, and how many rows of these files are from it."""
    revisions = {source["path"]: source["revision"] for source in study["pool"]["sources"]}
    taken = dict(counts.group_by("source").agg(pl.col("rows").sum()).iter_rows())
    rows = [
        [
            shown_name(row["source"], revisions.get(row["source"])),
            revisions.get(row["source"]) or "–",
            row["licence"],
            row["format"],
            f"{row['conversations']:,}",
            f"{taken.get(row['source'], 0):,}",
        ]
        for row in found.sort(found.columns).iter_rows(named=True)
    ]
    head = ["source", "revision", "licence as stated", "format", "conversations", "rows here, of all its formats"]
    return table(head, rows, numbers_from=4)


def mended(study: Mapping[str, Any], frames: Mapping[str, pl.DataFrame]) -> list[str]:
    """What rules changed, which benchmark items were found, and why conversations left the pool."""
    repairs = frames["repairs"].group_by("rule").agg(pl.len(), pl.col("count").sum()).sort("rule")
    leaks = frames["leaks"].group_by("task").agg(pl.col("example_id").n_unique()).sort("task")
    pooled = frames["drops"].filter(pl.col("source").is_in(frames["sources"]["source"].unique().implode()))
    kinds = pooled.with_columns(pl.col("reason").str.split(":").list.first())
    left = kinds.group_by("reason").len().sort(pl.col("len"), "reason", descending=[True, False])
    kept = "left out of every arm" if study["pool"]["leaks"] == "drop" else "kept, and counted"
    more = left.height - MOST_REASONS
    return [
        table(["mended", "conversations", "places"], numbered(repairs), numbers_from=1) if repairs.height else "",
        f"Conversations that hold items of the benchmarks were searched for and {kept}: "
        + (markdown("; ".join(f"{task} {count:,}" for task, count in leaks.iter_rows())) or "none were found")
        + ".",
        table(["left out of the pool", "conversations"], numbered(left.head(MOST_REASONS)), numbers_from=1)
        if left.height
        else "",
        f"{more:,} rarer reasons are not listed." if more > 0 else "",
    ]


def numbered(frame: pl.DataFrame) -> list[list[str]]:
    return [[f"{value:,}" if isinstance(value, int) else str(value) for value in row] for row in frame.iter_rows()]


def limits(study: Mapping[str, Any]) -> str:
    licences = sorted({source["licence"] for source in study["pool"]["sources"]})
    masked = study["pool"]["clean"]["personal_data"] == "mask"
    return listed(
        [
            f"The licence of a conversation is that of its source (as stated: {', '.join(licences)}); nothing here "
            "grants more. Where none is stated, ask before passing the conversations on.",
            "E-mail addresses, phone numbers and keys were masked by patterns, which miss some."
            if masked
            else "Personal data was not masked.",
            "Labels are about what a conversation is for: not all of a coding conversation is code. Balance holds for "
            "the quantities listed, and for no others.",
            "The sets are small and made for comparison. A model trained on one of them is part of an experiment.",
        ]
    )
