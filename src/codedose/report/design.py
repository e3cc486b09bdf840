"""A study and its tables flow in; its arms, backbones, tasks and settings as tables flow out."""

from collections.abc import Mapping
from typing import Any

import polars as pl

from codedose.report import grids
from codedose.report.frame import Tables, domains_of
from codedose.report.grids import Grid

SETTINGS = ("pool", "label", "mix", "prompt", "tune", "generate", "analyse")
SHOWN_APART = ("mix.arms",)  # settings that have a table of their own


def design(study: Mapping[str, Any], tables: Tables) -> dict[str, object]:
    """The arms, backbones, tasks and settings, and what became of the sources, as tables."""
    mix = study["mix"]
    arms = [(arm["name"], 100 * arm["share"], repeats(arm["repeat"]), arm["control"]) for arm in mix["arms"]]
    models = [(b["name"], b["family"], b["scale"], b["model"], b["revision"]) for b in study["backbones"]]
    named = [(section, dict(grids.flat(study[section], section))) for section in SETTINGS]
    settings = [
        pair for _, pairs in named for pair in pairs.items() if not pair[0].startswith(SHOWN_APART)
    ]  # fmt: skip
    head = ("backbone", "family", "scale, 10\u2079 parameters", "model", "revision")
    return {
        "arms": grids.pairs_grid("Arms", ("arm", "share of coding, %", "repeated", "control"), arms),
        "backbones": grids.pairs_grid("Backbones", head, models),
        "tasks": tasks(study, tables["items"]),
        "joined": joined(study),
        "settings": grids.pairs_grid("Settings", ("setting", "value"), settings),
        "sources": grids.pairs_grid("Sources", tables["sources"].columns, tables["sources"].iter_rows()),
        **pool(tables),
    }


def joined(study: Mapping[str, Any]) -> Grid:
    """The cells that were trained elsewhere."""
    head = ("backbone", "arm", "share of coding, %", "draw", "seed", "checkpoint")
    shares = {arm["name"]: arm["share"] for arm in study["mix"]["arms"]}
    rows = []
    for each in study["joined"] or ():
        share = shares.get(each["arm"], each["share"])
        known = "not known" if share is None else 100 * share
        rows.append((each["backbone"], each["arm"], known, each["draw"], each["seed"], each["checkpoint"]))
    return grids.pairs_grid("Trained elsewhere", head, rows)


def repeats(factors: Mapping[str, int] | None) -> str | None:
    return ", ".join(f"{label} {factor} times" for label, factor in factors.items()) if factors else None


def pool(tables: Tables) -> dict[str, Grid]:
    """What left the pool, what was mended in it, and which tasks' items stood in it."""
    left = tables["drops"].group_by("source", "reason").len().sort("source", "reason")
    mended = tables["repairs"].group_by("source", "rule").agg(pl.len(), pl.col("count").sum()).sort("source", "rule")
    leaks = tables["leaks"].group_by("task", "match").agg(pl.col("example_id").n_unique()).sort("task", "match")
    return {
        "drops": grids.pairs_grid("Left out, and why", ("source", "reason", "rows"), left.iter_rows()),
        "repairs": grids.pairs_grid("Mended", ("source", "rule", "conversations", "places"), mended.iter_rows()),
        "leaks": grids.pairs_grid(
            "Benchmark items found in training text", ("task", "match", "examples"), leaks.iter_rows()
        ),
    }


def tasks(study: Mapping[str, Any], items: pl.DataFrame) -> Grid:
    domains = domains_of(study, items)
    rows = [
        (use["name"], domains.get(use["name"]), use["origin"], use["level"], use["count"], use["max_new_tokens"])
        for use in study["tasks"]
    ]
    return grids.pairs_grid("Tasks", ("task", "domain", "items are", "level", "items", "longest reply, tokens"), rows)
