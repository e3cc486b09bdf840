"""A planted small study goes in, with hostile texts wherever a person or a model can write one."""

import base64
import contextlib
import csv
import hashlib
import html
import html.parser
import io
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import polars as pl
import pytest
from scipy import stats

from codedose.errors import DataError
from codedose.report.build import FORMULA_SIGNS, TABLES, build
from codedose.report.citation import citation
from codedose.report.differences import heat_cell
from codedose.report.figures import MOST_REPLIES, inert_json, packed, shown_items
from codedose.report.grids import arm_order, balance_grid
from codedose.report.ranking import mean_ranks
from codedose.tables import (
    ACCURACIES,
    AGREEMENT,
    BALANCE,
    BEST,
    BOOTSTRAP,
    COMPLETIONS,
    CONTROL,
    CURVES,
    DIFFERENCE,
    DROPS,
    EFFECTS,
    ITEMS,
    LABELS,
    LEAKS,
    LENGTHS,
    LOSSES,
    MODEL,
    NEW_ITEMS,
    NOISE,
    READINGS,
    RELATIVE,
    REPAIRS,
    SCORES,
    SOURCES,
    THESE_ITEMS,
    TRAINING,
    TREND,
    UNTUNED,
)

HOSTILE = (
    "</script><img src=x onerror=window.hacked=1>",
    "<!--<script>window.hacked=1</script>",
    "<a href=javascript:window.hacked=1>Code</a><b>x</b>",
    "\u2028window.hacked=1//\u2029",
    "=cmd|' /C calc'!A0",
    '"><svg onload=window.hacked=1>',
    "{{ 7*7 }}%{x}&lt;img src=http://127.0.0.1:9/y&gt;",
    "\u202eright to left\x00\x07",
)
ARMS = {"General": 0.0, "Half <b>half</b>": 0.5, "</script><img src=x onerror=window.hacked=1>": 1.0}
BACKBONES = {"tiny": "llama", '"><svg onload=window.hacked=1>': "qwen"}
TASKS = {"coin_flip": "symbolic", "<a href=javascript:window.hacked=1>babi</a>": "logical", "svamp": "arithmetic"}
DRAWS, ITEMS_A_TASK = 2, 4
PRIMARY = {"arm": list(ARMS)[2], "against": "General"}


def chance(*names: object) -> float:
    """A number from 0 to 1 that belongs to its names."""
    return int(hashlib.sha256(repr(names).encode()).hexdigest()[:8], 16) / 2**32


def planted_study() -> dict[str, Any]:
    return {
        "codedose": 1,
        "name": "planted",
        "question": f"Does code help? {HOSTILE[0]}",
        "caution": f"Planted numbers. {HOSTILE[3]}{HOSTILE[5]}",
        "pool": {"sources": [{"path": HOSTILE[2], "revision": None, "licence": "=1+1"}], "leaks": "drop"},
        "label": {"by": "stated"},
        "joined": None,
        "mix": {
            "held_out": 8,
            "match_on": "examples",
            "design": "fixed",
            "budget": 48,
            "math": 4,
            "draws": DRAWS,
            "arms": [{"name": name, "share": share, "repeat": None, "control": None} for name, share in ARMS.items()],
        },
        "prompt": {"template": "chatml", "system": HOSTILE[1]},
        "tune": {"method": "full", "seeds": 1, "epochs": 1, "step_size": 4, "betas": [0.9, 0.95]},
        "backbones": [
            {"name": name, "model": f"/models/{HOSTILE[0]}", "revision": None, "family": family, "scale": 0.135}
            for name, family in BACKBONES.items()
        ],
        "untuned": True,
        "tasks": [
            {"name": task, "origin": "generated", "path": None, "level": 1, "count": 4, "max_new_tokens": 64}
            for task in TASKS
        ],
        "generate": {"engine": "transformers", "dtype": "bfloat16", "decoding": "greedy", "batch_tokens": 8192},
        "analyse": {"primary": PRIMARY, "reading": "lenient", "confidence": 0.95, "margin": 2.0},
        "keep_checkpoints": False,
    }


def planted_items() -> pl.DataFrame:
    return ITEMS.frame(
        [
            {
                "item_id": f"{task}-{at}", "task": task, "domain": domain, "origin": "generated", "level": 1,
                "cluster": f"{task}-{at}", "question": f"Question {at}? {HOSTILE[at % len(HOSTILE)]}",
                "answer": HOSTILE[(at + 1) % len(HOSTILE)],
            }
            for task, domain in TASKS.items()
            for at in range(ITEMS_A_TASK)
        ]
    )  # fmt: skip


def planted_cells() -> list[dict[str, Any]]:
    tuned = [
        (backbone, arm, draw, 0) for backbone, arm, draw in itertools.product(BACKBONES, ARMS, range(DRAWS))
    ]  # fmt: skip
    return [
        {
            "cell": f"{backbone}/{arm}/{draw}", "backbone": backbone, "family": BACKBONES[backbone], "scale": 0.135,
            "arm": arm, "share": ARMS.get(arm), "measured_dose": None, "draw": draw, "seed": seed,
        }
        for backbone, arm, draw, seed in [*tuned, *((backbone, UNTUNED, None, None) for backbone in BACKBONES)]
    ]  # fmt: skip


def planted_replies() -> tuple[pl.DataFrame, pl.DataFrame]:
    """Completions and scores."""
    completions, scores = [], []
    for at, (cell, item) in enumerate(itertools.product(planted_cells(), planted_items().iter_rows(named=True))):
        text = f"Reply {at}: {HOSTILE[at % len(HOSTILE)]}" if at % 3 else HOSTILE[at % len(HOSTILE)]
        key = {"cell": cell["cell"], "item_id": item["item_id"], "sample": 0}
        forced = None if at % 2 else HOSTILE[(at + 3) % len(HOSTILE)]
        rest = {"prompt_hash": "abc", "n_tokens": at % 60, "finish": "stop" if at % 5 else "length"}
        completions.append({**key, "text": text, "forced_text": forced, **rest})
        for reading in READINGS:
            right = chance(at, reading) < 0.3 + 0.4 * (cell["share"] or 0)
            outcome = "right" if right else ("wrong", "no_answer", "truncated")[at % 3]
            item_part = {name: item[name] for name in ("task", "domain", "origin", "level", "cluster")}
            scores.append({**cell, **key, **item_part, "reading": reading, "outcome": outcome, "in_code": at % 7 == 0})
    return COMPLETIONS.frame(completions), SCORES.frame(scores)


def places() -> list[tuple[str, str]]:
    return [("overall", "all"), *(("domain", domain) for domain in TASKS.values()), *(("task", task) for task in TASKS)]


def planted_accuracies() -> pl.DataFrame:
    """Rows per run, per backbone and pooled: what analyse gives, with made-up numbers."""
    cells = planted_cells()
    over = [{**cell, "draw": None, "seed": None} for cell in cells if cell["draw"] in (0, None)]
    pooled = [{**cell, "backbone": None, "family": None} for cell in over if cell["backbone"] == "tiny"]
    rows = []
    for (view, of), cell, reading in itertools.product(places(), [*cells, *over, *pooled], READINGS):
        if cell["arm"] == UNTUNED and (cell in over) and cell["backbone"] is not None:
            continue
        accuracy = 0.25 + 0.3 * (cell["share"] or 0) + 0.2 * chance(view, of, cell["cell"], reading)
        rows.append(
            {
                **{name: cell[name] for name in ("family", "backbone", "arm", "share", "draw", "seed")},
                "view": view, "of": of, "reading": reading, "accuracy": accuracy, "low": accuracy - 0.1,
                "high": accuracy + 0.1, "method": "t over draws", "answered": 0.5 + 0.5 * chance(of, cell["arm"]),
                "truncated": 0.1, "in_code": 0.02, "n_items": 4, "n_draws": DRAWS,
            }
        )  # fmt: skip
    return ACCURACIES.frame(rows)


def planted_effects() -> pl.DataFrame:
    arms = list(ARMS)
    contrasts = [f"{arm} - General" for arm in arms[1:]] + [f"{arm} - {UNTUNED}" for arm in arms]
    who = [(None, None), *((family, backbone) for backbone, family in BACKBONES.items())]
    rows = []
    for (view, of), contrast, (family, backbone), reading in itertools.product(places(), contrasts, who, READINGS):
        estimate = 30 * chance(view, of, contrast, backbone, reading) - 8
        undefined = contrast.startswith("Half") and view == "task"
        rows.append(
            {
                "view": view, "of": of, "family": family, "backbone": backbone, "contrast": contrast,
                "kind": "difference", "estimand": "these items", "reading": reading,
                "estimate": estimate, "low": None if undefined else estimate - 6,
                "high": None if undefined else estimate + 6, "p": None if undefined else 0.0004,
                "p_adjusted": None if undefined else 0.04, "method": "t over draws", "n_items": 12, "n_draws": 2,
                "n_runs": 8, "note": f"indicative: two draws {HOSTILE[4]}",
            }
        )  # fmt: skip
    return EFFECTS.frame([*rows, *(row for rows in map(beside, places()) for row in rows)])


SETS = "95 % confidence set: 50 %, 100 %"


def beside(place: tuple[str, str]) -> list[dict[str, Any]]:
    """What stands beside the differences in one place, of every kind; in symbolic tasks the baseline is too low."""
    primary = f"{PRIMARY['arm']} - {PRIMARY['against']}"
    low = place == ("domain", "symbolic")
    told = [
        (BOOTSTRAP, primary, 9.0, 1.5, 17.25, "hierarchical", NEW_ITEMS, "covers 83 % instead of 95 % with 5 draws"),
        (RELATIVE, primary, None if low else 30.0, None if low else 12.0, None if low else 48.0, "Fieller",
         THESE_ITEMS, "undefined: near zero" if low else HOSTILE[4]),
        (NOISE, primary, 1.25, None, None, "item noise", NEW_ITEMS, ""),
        (NOISE, primary, 2.75, None, None, "draw noise", THESE_ITEMS, ""),
        (TREND, "quadratic trend", -3.0, -9.0, 3.0, "t over draws", THESE_ITEMS, ""),
        (TREND, "linear trend", 8.5, 2.0, 15.0, "t over draws", THESE_ITEMS, ""),
        (TREND, "linear trend (measured share)", 11.5, 3.0, 20.0, "t over draws", THESE_ITEMS, ""),
        (TREND, "linear trend (corrected for label error)", 10.5, 2.5, 18.5, "t over draws", THESE_ITEMS, ""),
        (BEST, "best share", 100.0, None, None, "Hsu", THESE_ITEMS, SETS),
        (AGREEMENT, "consistency", 50.0, None, None, "signs", THESE_ITEMS, f"1 of 2 backbones: mixed {HOSTILE[5]}"),
        (AGREEMENT, "Kendall's W", 0.625, None, None, "permutation", THESE_ITEMS, "not adjusted for several tests"),
        (AGREEMENT, "arm x backbone", 4.25, None, None, "permutation", THESE_ITEMS, "points"),
        (AGREEMENT, f"{primary} per tenfold scale", -2.5, -7.0, 2.0, "t over draws", THESE_ITEMS, ""),
        (CONTROL, "General, draw 0 - draw 1", 6.5, -5.0, 5.0, "A/A", THESE_ITEMS, ""),
        (CONTROL, f"{PRIMARY['arm']}, draw 0 - draw 1", -1.5, -5.0, 5.0, "A/A", THESE_ITEMS, ""),
        (CONTROL, "A/A outside", 50.0, None, None, "A/A", THESE_ITEMS, "1 of 2 outside; 5 % by design"),
        *([(MODEL, "share", 0.875, 0.25, 1.5, "mixed", NEW_ITEMS, "log odds")] if place[0] == "overall" else []),
    ]  # fmt: skip
    names = ("kind", "contrast", "estimate", "low", "high", "method", "estimand", "note")
    return [
        {
            **dict(zip(names, row, strict=True)), "note": f"secondary; {row[-1]}", "view": place[0], "of": place[1],
            "family": None, "backbone": None, "reading": reading, "p": 0.02, "p_adjusted": 0.04, "n_items": 12,
            "n_draws": 2, "n_runs": 8,
        }
        for row in told
        for reading in READINGS
        if row[0] != MODEL or reading == "lenient"
    ]  # fmt: skip


PEAK = 0.75  # the share at which every planted curve is highest


def planted_curves() -> pl.DataFrame:
    who = [(None, None), *((family, backbone) for backbone, family in BACKBONES.items())]
    return CURVES.frame(
        [
            {
                "view": view, "of": of, "family": family, "backbone": backbone, "reading": reading, "share": share,
                "estimate": 0.6 - (share - PEAK) ** 2, "low": 0.55 - (share - PEAK) ** 2,
                "high": 0.65 - (share - PEAK) ** 2, "method": f"quadratic {HOSTILE[2]}", "error": 1.75,
            }
            for (view, of), (family, backbone), reading in itertools.product(places(), who, READINGS)
            for share in (0.0, 0.25, 0.5, 0.75, 1.0)
        ]
    )  # fmt: skip


def planted_balance() -> pl.DataFrame:
    return BALANCE.frame(
        [
            {
                "arm": arm, "draw": draw, "quantity": quantity, "mean": 100 * chance(arm, draw, quantity), "sd": 12.5,
                "smd": None if arm == "General" else 0.4 * chance(arm, draw, quantity) - 0.2, "n": 48,
            }
            for arm, draw, quantity in itertools.product(ARMS, range(DRAWS), ("chars", "turns", HOSTILE[0]))
        ]
        + [
            {"arm": arm, "draw": draw, "quantity": "code_share", "mean": 0.4 * share, "sd": 0.1, "smd": 3.0, "n": 48}
            for draw, (arm, share) in itertools.product(range(DRAWS), ARMS.items())
        ]
    )  # fmt: skip


def planted_lengths() -> pl.DataFrame:
    counts = {"examples": 48, "cut": 5, "tokens": 9000, "tokens_cut": 450, "loss_tokens": 6000, "loss_tokens_cut": 600}
    places = itertools.product((HOSTILE[0], HOSTILE[3]), (*ARMS, HOSTILE[1]), range(DRAWS))
    return LENGTHS.frame([{"backbone": b, "arm": arm, "draw": draw, **counts} for b, arm, draw in places])


def planted_training() -> pl.DataFrame:
    return TRAINING.frame(
        [
            {
                "cell": cell["cell"], "step": step, "loss": 2 / step**0.3 + 0.1 * chance(cell["cell"], step),
                "learning_rate": 1e-4, "grad_norm": 1.0, "tokens": 900, "loss_tokens": 600, "seconds": 2.5,
                "memory": 2_000_000_000,
            }
            for cell in planted_cells() if cell["draw"] is not None
            for step in range(1, 13)
        ]
    )  # fmt: skip


def planted_losses() -> pl.DataFrame:
    """Tuning lowers every loss, more so on coding text the more code an arm holds."""
    return LOSSES.frame(
        [
            {
                "cell": cell["cell"], "label": label, "examples": 8, "cut": 1, "left_out": 0, "tokens": 900,
                "loss": 2 + 0.05 * chance(cell["cell"], label) - (cell["draw"] is not None) * 0.3
                - 0.4 * (cell["share"] or 0) * (label == "coding"),
            }
            for cell in planted_cells()
            for label in LABELS
        ]
    )  # fmt: skip


def planted_tables() -> dict[str, pl.DataFrame]:
    completions, scores = planted_replies()
    return {
        "accuracies": planted_accuracies(),
        "effects": planted_effects(),
        "curves": planted_curves(),
        "balance": planted_balance(),
        "lengths": planted_lengths(),
        "scores": scores,
        "items": planted_items(),
        "completions": completions,
        "training": planted_training(),
        "losses": planted_losses(),
        "drops": DROPS.frame([{"source": HOSTILE[0], "reference": "@ref", "reason": HOSTILE[5]}]),
        **planted_pool(),
    }


def planted_pool() -> dict[str, pl.DataFrame]:
    """What became of the sources."""
    counts = {"records": 9, "conversations": 6, "joined": 2, "unread": 1}
    leak = {"example_id": "e1", "task": HOSTILE[1], "item_id": "i1", "origin": "official", "match": "whole"}
    repair = {"source": HOSTILE[0], "reference": "-1+1", "rule": HOSTILE[2], "count": 3}
    return {
        "sources": SOURCES.frame([{"source": HOSTILE[0], "licence": "=1+1", "format": HOSTILE[3], **counts}]),
        "repairs": REPAIRS.frame([repair]),
        "leaks": LEAKS.frame([{**leak, "coverage": 1.0}]),
    }


SUMMARY = [
    f"Code was compared with General over {HOSTILE[0]} tasks.",
    "Code minus General: +9.1 points (95 % interval 2.0 to 16.2).",
    HOSTILE[2],
    f"Too uncertain to say: much. {HOSTILE[0]}",
    "To settle it: more draws.",
]
PROVENANCE = [
    {
        "step": f"tune {HOSTILE[0]}", "key": "0123456789ab", "kind": "tune", "started": "2026-11-01T10:00:00Z",
        "seconds": 5400, "versions": {"torch": "2.13.0"}, "hardware": {"cpu": HOSTILE[5], "cores": 2}, "commit": None,
    },
    {
        "step": "analyse", "key": "fedcba987654", "kind": "analyse", "started": "2027-01-01T10:00:00Z",
        "seconds": 1800.0, "versions": {}, "hardware": {}, "commit": None,
    },
]  # fmt: skip


def report(out: Path, tables: dict[str, pl.DataFrame] | None = None, **changes: Any) -> Path:
    given = {
        "study": planted_study(), "tables": tables or planted_tables(), "summary": SUMMARY,
        "provenance": PROVENANCE, "missing": [HOSTILE[0]], "notes": [HOSTILE[1]],
    }  # fmt: skip
    return build(out, **{**given, **changes})


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report(tmp_path_factory.mktemp("report"))


# ---- the files


def test_the_same_rows_in_any_order_give_the_same_bytes(page: Path, tmp_path: Path) -> None:
    report(tmp_path / "again")
    report(tmp_path / "shuffled", {name: frame.reverse() for name, frame in planted_tables().items()})
    assert contents(tmp_path / "again") == contents(page.parent)
    assert contents(tmp_path / "shuffled") == contents(page.parent)


def test_the_tables_beside_the_page_hold_every_row_and_no_formula(page: Path) -> None:
    for name, frame in planted_tables().items():
        kept = pl.read_parquet(page.parent / "tables" / f"{name}.parquet")
        assert kept.sort(kept.columns).equals(frame.sort(frame.columns))
        told = pl.read_csv(page.parent / "tables" / f"{name}.csv", infer_schema=False)
        assert told.height == frame.height
        for column in (name for name, kind in frame.schema.items() if kind == pl.String):
            assert not told[column].fill_null("").str.contains(FORMULA_SIGNS).any()
            assert set(told[column].str.strip_prefix("'")) == set(frame[column].str.strip_prefix("'"))


def test_cells_whose_loss_could_not_be_measured_are_named_and_their_answers_stay(tmp_path: Path) -> None:
    tables = planted_tables()
    lost = sorted(set(tables["losses"]["cell"]))[0]
    text = report(
        tmp_path, {**tables, "losses": tables["losses"].filter(pl.col("cell") != lost)}, missing=[]
    ).read_text()
    assert f"Measuring the loss failed for 1 cell, whose answers stand: {lost}." in html.unescape(text)
    assert "Missing cells" not in text


def test_a_missing_table_and_a_wrong_one_are_refused_by_name(tmp_path: Path) -> None:
    tables = planted_tables()
    with pytest.raises(DataError, match="needs the effects table"):
        report(tmp_path, {name: frame for name, frame in tables.items() if name != "effects"})
    with pytest.raises(DataError, match=r"scores table lacks .* reading"):
        report(tmp_path, {**tables, "scores": tables["scores"].drop("reading")})


def test_tables_that_may_be_empty_leave_a_sentence(tmp_path: Path) -> None:
    may_be_empty = (BALANCE, TRAINING, LOSSES, SOURCES, REPAIRS, LEAKS, DROPS)
    empty = {table.name: table.frame([]) for table in may_be_empty}
    text = report(tmp_path, {**planted_tables(), **empty}, missing=[]).read_text()
    assert "Balance was not measured" in text
    assert "No training was recorded" in text
    assert "The loss on held-out text was not measured" in text
    assert "Missing cells" not in text


# ---- the page as text


class Reader(html.parser.HTMLParser):
    """The tags, attributes and the text of scripts and styles of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.bodies: list[tuple[str, dict[str, str | None], str]] = []
        self.words: list[str] = []
        self.open: tuple[str, dict[str, str | None]] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open = (tag, dict(attrs)) if tag in ("script", "style") else None

    def handle_data(self, data: str) -> None:
        if self.open:
            self.bodies.append((*self.open, data))
        else:
            self.words.append(data)

    def handle_endtag(self, tag: str) -> None:
        self.open = None


@pytest.fixture(scope="module")
def parsed(page: Path) -> Reader:
    reader = Reader()
    reader.feed(page.read_text(encoding="utf-8"))
    return reader


def test_hostile_text_stays_text(parsed: Reader, page: Path) -> None:
    tags = {tag for tag, _ in parsed.tags}
    assert not tags & {"img", "svg", "iframe", "object", "embed", "form", "base", "link"}
    for _, attributes in parsed.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert not (attributes.get("href") or "").startswith("javascript")
    assert HOSTILE[0] in "".join(parsed.words)
    assert not [text for text in ("<img", "<svg", "<a href=java") if text in without_plotly(page)]


def without_plotly(page: Path) -> str:
    return re.sub(r"<script>/\*\*\n\* plotly.*?</script>", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_policy_names_each_script_and_style_by_its_hash(parsed: Reader) -> None:
    policy = next(a["content"] or "" for tag, a in parsed.tags if tag == "meta" and "http-equiv" in a)
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    for tag in ("script", "style"):
        bodies = [body for name, attributes, body in parsed.bodies if name == tag and "type" not in attributes]
        wanted = [f"'sha256-{base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()}'" for body in bodies]
        assert re.search(rf"{tag}-src ([^;]*)", policy)[1].split() == wanted  # type: ignore[index]
        assert len(wanted) == 2


def test_the_data_of_the_page_is_the_data_given(parsed: Reader) -> None:
    blocks = {a["id"]: json.loads(body) for tag, a, body in parsed.bodies if tag == "script" and a.get("id")}
    told = blocks["reply-data"]["replies"]["columns"]["text"]
    completions = planted_tables()["completions"].sort("cell", "item_id", "sample")
    assert [told["levels"][code] for code in told["codes"]] == completions["text"].to_list()


def test_the_page_without_its_replies_stays_small(parsed: Reader, page: Path) -> None:
    replies = next(body for tag, a, body in parsed.bodies if a.get("id") == "reply-data")
    assert page.stat().st_size - len(replies.encode()) < 3_000_000


def test_the_vendored_bundle_is_the_one_its_note_names() -> None:
    vendor = Path("src/codedose/report/vendor")
    digest = hashlib.sha256((vendor / "plotly-basic.min.js").read_bytes()).hexdigest()
    assert digest in (vendor / "README.md").read_text()


# ---- the sections, as a reader sees them


class Sections(html.parser.HTMLParser):
    """The words of each section, and its tables by their captions: rows of texts, the head first.

    What stands hidden until another reading is chosen is left out.
    """

    VOID = ("meta", "input", "br")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: dict[str, str] = {}
        self.tables: dict[str, list[list[str]]] = {}
        self.where, self.caption, self.hidden, self.open = "", "", 0, list[tuple[str, bool]]()
        self.feed(re.sub(r"(?s)<(script|style).*?</\1>", "", text))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if tag not in self.VOID:
            self.open.append((tag, "hidden" in told))
            self.hidden += "hidden" in told
        if tag == "section":
            self.where = told.get("id") or ""
        if tag == "caption":
            self.caption = ""
        if tag == "tr" and not self.hidden:
            self.tables.setdefault(self.caption, []).append([])
        if tag in ("td", "th") and not self.hidden:
            self.tables[self.caption][-1].append("")

    def handle_data(self, data: str) -> None:
        if self.hidden or not self.open:
            return
        if self.open[-1][0] == "caption":
            self.caption += data
        if self.open[-1][0] in ("td", "th"):
            self.tables[self.caption][-1][-1] += data
        self.words[self.where] = self.words.get(self.where, "") + data

    def handle_endtag(self, tag: str) -> None:
        while self.open:
            name, hidden = self.open.pop()
            self.hidden -= hidden
            if name == tag:
                break

    def table(self, start: str) -> dict[str, dict[str, str]]:
        """The table whose caption starts so: row name -> column -> text."""
        found = next(rows for caption, rows in self.tables.items() if caption.startswith(start))
        return {row[0]: dict(zip(found[0], row, strict=True)) for row in found[1:]}


@pytest.fixture(scope="module")
def read(page: Path) -> Sections:
    return Sections(page.read_text(encoding="utf-8"))


NAMED = f"{PRIMARY['arm']} - {PRIMARY['against']}"


def test_three_sentences_answer_and_the_rest_is_said_to_be_open(read: Sections) -> None:
    answer, still_open = read.words["answer"].split("What is still open")
    assert all(sentence in answer for sentence in SUMMARY[:3])
    assert all(sentence in still_open for sentence in SUMMARY[3:])


def test_each_difference_has_its_two_intervals_its_noise_and_its_relative_gain(read: Sections) -> None:
    row = read.table(f"{NAMED} in percentage points, lenient reading; noise")["all tasks"]
    assert row["over draws and items, new items"] == "+1.5 to +17.2"
    assert (row["draw noise"], row["item noise"], row["relative gain, %"]) == ("2.75", "1.25", "+30.0")
    assert "over draws and items covers 83 % instead of 95 % with 5 draws" in read.words["certainty"]
    missing = read.table(f"{NAMED} in percentage points, lenient reading; noise")["symbolic"]
    assert (missing["relative gain, %"], missing["note"]) == ("\u2013", "undefined: near zero")


def test_trends_stand_beside_those_of_the_dose_that_was_given(read: Sections) -> None:
    caption, rows = next((c, rows) for c, rows in read.tables.items() if c.startswith("Trends over shares, lenient"))
    told = {row[rows[0].index("contrast")]: row[rows[0].index("estimate")] for row in rows[1:5]}
    assert list(told.values()) == ["+8.5", "+11.5", "+10.5", "\u22123.0"]
    assert list(told)[1:3] == ["linear trend (measured share)", "linear trend (corrected for label error)"]
    assert caption.endswith("intervals over new draws, about these items")


def test_the_model_is_shown_in_its_own_unit(read: Sections) -> None:
    row = read.table("Mixed logistic model, log odds")["all tasks"]
    assert (row["estimate"], row["interval"]) == ("0.875", "0.25 to 1.5")


def test_the_order_of_the_arms_has_its_agreement(read: Sections) -> None:
    row = read.table("Mean rank of each arm, 1 the most accurate, lenient")["all tasks"]
    assert row["judges"] == str(len(BACKBONES) * DRAWS * len(TASKS))
    assert sum(float(row[arm]) for arm in ARMS) == pytest.approx(6, abs=0.02)
    assert (row["Kendall\u2019s W"], row["p"]) == ("0.62", "0.020")
    agreed = read.table(f"Agreement of the backbones on {NAMED}, lenient")["all tasks"]
    assert agreed["backbones"] == f"1 of 2 backbones: mixed {HOSTILE[5]}"
    assert (agreed["arm x backbone"], agreed["per tenfold scale"]) == ("4.2", "\u22122.5")


def test_the_best_share_has_its_set_and_the_curve_its_peak(read: Sections) -> None:
    row = read.table("Which share is best, lenient")["all tasks"]
    assert (row["best trained share, %"], row["which may be best"]) == ("100", SETS)
    assert (row["curve highest at, %"], row["accuracy there, %"]) == ("75", "60.0 (55.0 to 65.0)")
    assert row["error, points"] == "1.8"


def test_negative_controls_say_how_many_are_outside(read: Sections) -> None:
    assert "Overall: 1 of 2 outside; 5 % by design." in read.words["controls"]
    rows = next(rows for caption, rows in read.tables.items() if caption.startswith("Two draws of the same arm"))
    told = {row[1]: row[2] for row in rows[1:] if row[0] == "all tasks"}
    assert told == {"General, draw 0 - draw 1": "+6.5*", f"{PRIMARY['arm']}, draw 0 - draw 1": "\u22121.5"}
    assert "The study has no control arms." in read.words["controls"]


def test_a_control_arm_stands_beside_the_arm_of_its_share(tmp_path: Path) -> None:
    study = planted_study()
    study["mix"]["arms"][2] |= {"share": 0.5, "control": "shuffled_lines"}
    told = Sections(report(tmp_path, study=study).read_text())
    row = told.table("Control arms beside their sources, lenient")["all tasks"]
    assert row["what it holds"] == "code with shuffled lines"
    assert row["source arm"] == list(ARMS)[1]
    runs = planted_accuracies().filter(
        pl.col("draw").is_not_null(), pl.col("backbone").is_not_null(), view="overall", reading="lenient"
    )
    means = dict(runs.group_by("arm").agg(pl.col("accuracy").mean()).iter_rows())
    assert row["difference"] == f"{100 * (means[list(ARMS)[2]] - means[list(ARMS)[1]]):+.1f}".replace("-", "\u2212")


def with_verdicts(changing: str | None) -> pl.DataFrame:
    """The effects, of which under strict nothing stands in the task `changing`."""
    nothing = (pl.col("reading") == "strict") & (pl.col("of") == pl.lit(changing))
    same = planted_effects().with_columns(
        estimate=pl.when(pl.col("kind") == DIFFERENCE).then(5.0).otherwise("estimate")
    )
    return same.with_columns(p_adjusted=pl.when(nothing).then(0.8).otherwise("p_adjusted"))


def test_a_conclusion_that_changes_with_the_reading_is_named(tmp_path: Path) -> None:
    tables = planted_tables()
    changed = Sections(report(tmp_path / "one", {**tables, "effects": with_verdicts("svamp")}).read_text())
    assert "1 of 7 conclusions changes with the reading: svamp." in changed.words["readings"]
    row = changed.table(f"{NAMED} under each reading")["svamp (generated)"]
    assert row["changes"] == "yes"
    alike = Sections(report(tmp_path / "none", {**tables, "effects": with_verdicts(None)}).read_text())
    assert "None of the 7 conclusions changes with the reading." in alike.words["readings"]


def test_hours_by_kind_add_up(read: Sections) -> None:
    rows = read.table("Hours by kind of step")
    assert {kind: row["hours"] for kind, row in rows.items()} == {"tune": "1.50", "analyse": "0.50"}
    assert "2.00 hours of steps in all" in read.words["cost"]
    asked = planted_replies()[0].height
    assert f"repliesasked{asked}" in re.sub(r"\s", "", read.words["cost"])


def test_the_citation_names_study_analysis_and_reference(read: Sections) -> None:
    said = read.words["cite"]
    assert "planted (2027): Does code help?" in said
    assert "analysis fedcba987654" in said
    assert "arXiv:2405.20535" in said


def test_bibtex_stays_one_entry_whatever_the_question() -> None:
    for text in (*HOSTILE, "100 % of {code}_x & \\input{/etc/passwd}\n}@misc{x,"):
        entry = citation({"name": "a b", "question": text}, [])["bibtex"].split("\n\n")[0]
        plain = re.sub(r"\\[{}]", "", entry)
        assert plain.startswith("@misc{codedose-a-b,\n  title = {")
        assert plain.count("{") == plain.count("}")
        assert len(entry.split("\n")) == 4
        assert not re.search(r"(?<!\\)[%&_#$^~]", entry)


def test_every_section_with_a_figure_has_a_table(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for section in re.findall(r'(?s)<section id="\w+" aria-labelledby.*?</section>', text):
        assert "data-plot" not in section or "<table>" in section


def test_sections_without_rows_say_so_in_one_sentence(tmp_path: Path) -> None:
    tables = planted_tables()
    only = tables["effects"].filter(pl.col("kind") == DIFFERENCE)
    bare = Sections(report(tmp_path, {**tables, "effects": only, "curves": CURVES.frame([])}).read_text())
    assert "Nothing stands beside the differences in this study" in bare.words["certainty"]
    assert "Agreement of backbones was not measured" in bare.words["ranking"]
    assert "Two draws of the same arm could not be compared" in bare.words["controls"]
    assert not [c for c in bare.tables if c.startswith(("Trends", "Agreement", "Which share", "Mixed", "Two draws"))]


# ---- single parts


def test_mean_ranks_are_those_of_scipy() -> None:
    ranks = mean_ranks(planted_accuracies(), TASKS)
    runs = planted_accuracies().filter(
        pl.col("draw").is_not_null(), pl.col("backbone").is_not_null(), pl.col("arm") != UNTUNED, view="task"
    )
    for (reading, view, of), own in ranks.group_by("reading", "view", "of"):
        tasks = [task for task, domain in TASKS.items() if view == "overall" or of in (task, domain)]
        judged = runs.filter(pl.col("reading") == reading, pl.col("of").is_in(tasks)).sort(
            "of", "backbone", "draw", "arm"
        )
        scores = judged["accuracy"].to_numpy().reshape(-1, len(ARMS))
        expected = stats.rankdata(-scores, axis=1).mean(axis=0)
        assert own.sort("arm")["rank"].to_list() == pytest.approx(expected.tolist())
        assert set(own["judges"]) == {len(scores)}


def test_a_judge_who_lacks_an_arm_does_not_count() -> None:
    whole = planted_accuracies()
    lost = (pl.col("arm") == "General") & (pl.col("draw") == 1) & (pl.col("backbone") == "tiny")
    ranks = mean_ranks(whole.filter(~lost.fill_null(False)), TASKS)
    assert set(ranks.filter(pl.col("view") == "task")["judges"]) == {len(BACKBONES) * DRAWS - 1}


def test_json_cannot_end_its_script_element() -> None:
    for text in HOSTILE:
        told = inert_json([text])
        assert not set(told) & set("<>&\u2028\u2029")
        assert json.loads(told) == [text]


def test_packed_columns_unpack_to_the_same_values() -> None:
    frame = pl.DataFrame({"a": ["x", None, "b", "x"], "n": [1, None, 3, 4], "f": [0.5, None, float("nan"), 2.0]})
    told: Any = packed(frame)["columns"]
    codes, levels = told["a"]["codes"], told["a"]["levels"]
    assert [None if code is None else levels[code] for code in codes] == ["x", None, "b", "x"]
    assert told["n"] == [1, None, 3, 4]
    assert told["f"] == [0.5, None, None, 2.0]


def test_a_page_holds_whole_items_of_every_task_when_there_are_too_many_replies() -> None:
    rows = [("big", at) for at in range(300)] + [("small", at) for at in range(50)]
    items = pl.DataFrame({"item_id": [f"{task}{at}" for task, at in rows], "task": [task for task, _ in rows]})
    completions = items.select("item_id").join(pl.DataFrame({"cell": range(100)}), how="cross")
    held = shown_items(items, completions)
    counts = dict(held.group_by("task").len().iter_rows())
    assert counts == {"big": 100, "small": 50}
    assert completions.join(held, on="item_id", how="semi").height <= MOST_REPLIES


def test_arms_stand_in_the_order_of_the_study_and_the_untuned_backbone_last() -> None:
    assert arm_order(["b", "a"], [UNTUNED, "c", "a", "b"]) == ["b", "a", "c", UNTUNED]


def test_balance_marks_the_worst_draw_and_leaves_the_dose_unmarked() -> None:
    rows = [
        {"arm": "Code", "draw": draw, "quantity": quantity, "mean": 1.0, "sd": None, "smd": smd, "n": 5}
        for quantity, smds in {"chars": (0.05, -0.3), "code_share": (2.0, 2.0), "turns": (0.05, 0.1)}.items()
        for draw, smd in enumerate(smds)
    ]
    grid = balance_grid(BALANCE.frame(rows), ["Code"])
    assert {row[0].text: (row[2].text, row[2].kind) for row in grid.rows} == {
        "chars": ("\u22120.30*", "flag"),
        "code_share": ("+2.00", "n"),
        "turns": ("+0.10", "n"),
    }


def test_heat_cells_say_nothing_of_what_is_undefined() -> None:
    assert heat_cell({"estimate": None, "low": None, "high": None}).text == "\u2013"
    assert heat_cell({"estimate": 6.0, "low": 1.0, "high": 11.0}).text == "+6.0*"
    assert heat_cell({"estimate": -6.0, "low": -13.0, "high": 1.0}).kind == "n heat-down-2"


# ---- the page in a browser


# Chromium reads orders from descriptor 3 and writes answers to 4.
TO_3_AND_4 = """
import fcntl, os, sys
spare = [fcntl.fcntl(int(given), fcntl.F_DUPFD_CLOEXEC, 10) for given in sys.argv[1:3]]
for descriptor, place in zip(spare, (3, 4)):
    os.dup2(descriptor, place)
os.execvp(sys.argv[3], sys.argv[3:])
"""


class Browser:
    """Headless Chromium over its debugging pipe: no port, no package, every event kept."""

    def __init__(self, profile: Path, program: str) -> None:
        flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
        flags += ["--disable-ipc-flooding-protection"]  # 200 links in 10 s are followed, not throttled
        flags += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
        flags += ["--remote-debugging-pipe", "--force-color-profile=srgb", f"--user-data-dir={profile}", "about:blank"]
        orders, self.orders = os.pipe()
        self.answers, answers = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, "-c", TO_3_AND_4, str(orders), str(answers), program, *flags],
            pass_fds=(orders, answers), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        os.close(orders)
        os.close(answers)
        self.rest, self.count, self.session, self.events = b"", 0, "", list[dict[str, Any]]()

    def start(self) -> None:
        """Open one tab and listen to it."""
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> Any:
        self.count += 1
        order = {"id": self.count, "method": method, "params": parameters}
        session = {"sessionId": self.session} if self.session else {}
        os.write(self.orders, json.dumps({**order, **session}).encode() + b"\0")
        return self.until(lambda told: told.get("id") == self.count)["result"]

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first message that is wanted; those before it that are events are kept."""
        while True:
            while b"\0" not in self.rest:
                read = os.read(self.answers, 1 << 20)
                if not read:
                    raise RuntimeError("Chromium ended")
                self.rest += read
            message, self.rest = self.rest.split(b"\0", 1)
            told = json.loads(message)
            if "method" in told:
                self.events.append(told)
            if wanted(told):
                return told

    def load(self, url: str) -> None:
        """Until the page can be read; its figures are drawn in slices from then on."""
        self.events.clear()
        self.ask("Page.navigate", url=url)
        self.until(lambda told: told.get("method") == "Page.loadEventFired")

    def open(self, url: str) -> None:
        """Until every figure stands, or for a minute; at once where there is none."""
        self.load(url)
        self.drawn()

    def drawn(self) -> None:
        self.value(
            "new Promise((done) => { const end = Date.now() + 60000; const look = () => (Date.now() > end"
            " || !document.querySelector('.plot')"
            " || document.documentElement.dataset.figures === 'drawn' ? done() : setTimeout(look, 20)); look(); })"
        )

    def value(self, code: str) -> Any:
        told = self.ask("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    def complaints(self) -> list[dict[str, Any]]:
        """Console messages, log entries and uncaught exceptions."""
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [event for event in self.events if event["method"] in kinds]

    def requests(self) -> set[str]:
        sent = [event for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return {event["params"]["request"]["url"].split("#")[0] for event in sent}

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.orders)
        os.close(self.answers)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome")
    program = next((path for path in map(shutil.which, names) if path), None)
    if program is None:
        pytest.skip(f"no Chromium on this machine: none of {', '.join(names)} is on the path")
    browser = Browser(tmp_path_factory.mktemp("profile"), program)
    try:
        browser.start()
        yield browser
    finally:
        browser.close()


@pytest.fixture(scope="module")
def opened(browser: Browser, page: Path) -> Browser:
    browser.open(page.as_uri())
    return browser


def test_every_plot_is_drawn_and_nothing_complains(opened: Browser, page: Path) -> None:
    assert opened.value("document.querySelectorAll('.plot').length") == 7 + 9 + len(BACKBONES)
    assert opened.value("[...document.querySelectorAll('.plot')].every((plot) => plot.querySelector('.main-svg'))")
    for reading in READINGS:
        opened.value(f"document.querySelector('input[value={reading}]').click()")
    assert opened.value("document.querySelector('[data-reading=forced]').hidden") is False
    assert opened.value("document.querySelector('[data-reading=lenient]').hidden") is True
    assert opened.complaints() == []
    assert opened.requests() == {page.as_uri()}


def test_nothing_hostile_runs_or_becomes_markup(opened: Browser) -> None:
    opened.value("[...document.querySelectorAll('details')].forEach((one) => { one.open = true; })")
    for _ in range(3 * ITEMS_A_TASK):
        opened.value("document.getElementById('next').click()")
    assert opened.value("typeof window.hacked") == "undefined"
    assert opened.value("document.querySelectorAll('img, iframe, object, embed').length") == 0
    assert opened.value("document.querySelectorAll('svg a, a[href^=javascript]').length") == 0
    assert opened.value("document.querySelector('.plot-extraction').textContent").count("<a href=javascript:") == 1
    assert opened.complaints() == []


def test_replies_can_be_filtered_and_searched(opened: Browser) -> None:
    def items() -> list[str]:
        return list(opened.value("[...document.getElementById('pick-item').options].map((option) => option.value)"))

    assert len(items()) == len(TASKS) * ITEMS_A_TASK
    assert opened.value("document.querySelectorAll('#case article').length") == len(ARMS) + 1
    opened.value("document.getElementById('disagree').click()")
    lenient = pl.col("reading") == "lenient"
    opened.value("document.querySelector('input[value=lenient]').click()")
    scores = planted_tables()["scores"].filter(lenient, pl.col("draw") == 0, backbone=sorted(BACKBONES)[0])
    right = scores.group_by("item_id").agg(share=(pl.col("outcome") == "right").mean())
    assert sorted(items()) == sorted(right.filter(pl.col("share").is_between(0, 1, closed="none"))["item_id"])
    opened.value("document.getElementById('disagree').click()")
    found = opened.value(
        "new Promise((done) => { const box = document.getElementById('search'); box.value = 'question 2?';"
        "box.dispatchEvent(new Event('input'));"
        "setTimeout(() => done(document.getElementById('found').textContent), 400); })"
    )
    assert found.startswith("3 of 12 items")


SAVED = (
    "(async () => { let last; URL.createObjectURL = (blob) => { last = blob; return '#replies'; };"
    " const kept = HTMLAnchorElement.prototype.click; HTMLAnchorElement.prototype.click = () => {};"
    " const before = last; document.querySelectorAll('.plot-%s ~ .downloads button')[%d].click();"
    " while (last === before) await new Promise((done) => setTimeout(done, 20));"
    " HTMLAnchorElement.prototype.click = kept; return last.text(); })()"
)


def test_a_figure_can_be_had_as_the_rows_that_it_shows(opened: Browser) -> None:
    opened.value("document.querySelector('input[value=lenient]').click()")
    told = pl.read_csv(opened.value(SAVED % ("forest", 0)).encode())
    rows = planted_effects().filter(
        pl.col("backbone").is_null(), kind=DIFFERENCE, contrast=NAMED, reading="lenient"
    )  # fmt: skip
    assert sorted(told["of"]) == sorted(rows["of"])
    assert sorted(told["estimate"]) == pytest.approx(sorted(rows["estimate"]), rel=1e-5)
    both = pl.read_csv(opened.value(SAVED % ("certainty", 0)).encode())
    assert set(both["interval"]) == {"over draws, these items", "over draws and items, new items"}
    fitted = pl.read_csv(opened.value(SAVED % ("dose", 0)).encode(), infer_schema_length=None)
    assert dict(fitted.group_by("what").len().iter_rows()) == {
        "mean": len(ARMS) + 1, "run": len(ARMS) * len(BACKBONES) * DRAWS, "curve": 5,
    }  # fmt: skip


def test_a_figure_can_be_had_as_a_drawing(opened: Browser) -> None:
    for kind in ("forest", "heat", "readings", "dose"):
        drawing = ElementTree.fromstring(opened.value(SAVED % (kind, 1)))  # noqa: S314 - of our own making
        assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
        assert not [one for one in drawing.iter() if one.tag.endswith(("}script", "}a", "}image", "}foreignObject"))]
    assert opened.complaints() == []


def test_a_csv_holds_no_formula_and_loses_nothing(opened: Browser) -> None:
    texts = [*HOSTILE, "a,b", 'say "x"', "line\nbreak", "\t=1", "-1+1", "@x"]
    told = opened.value(f"csv({json.dumps([{'text': text, 'number': -2.5} for text in texts])})")
    rows = list(csv.reader(io.StringIO(told, newline="")))[1:]
    assert [number for _, number in rows] == ["-2.5"] * len(texts)
    assert [text.removeprefix("'") for text, _ in rows] == texts
    assert not [text for text, _ in rows if re.match(FORMULA_SIGNS, text)]


def test_every_figure_has_its_two_buttons(opened: Browser) -> None:
    assert opened.value("document.querySelectorAll('.downloads button').length") == 2 * (7 + 9 + len(BACKBONES))
    assert opened.value("[...document.querySelectorAll('.downloads button')].every((one) => one.ariaLabel.length > 8)")


def test_the_curve_is_drawn_between_trained_shares_and_the_runs_stay(opened: Browser) -> None:
    data = opened.value(
        "document.querySelector('.plot-dose').data.map((one) => [one.mode, one.x.length, one.fill ?? ''])"
    )
    assert data == [
        ["lines", 10, "toself"], ["lines", 5, ""], ["lines", 2, ""],
        ["markers", len(ARMS) * len(BACKBONES) * DRAWS, ""], ["markers", len(ARMS), ""],
    ]  # fmt: skip


def test_the_heat_map_has_a_field_for_every_place_and_backbone(opened: Browser) -> None:
    shapes = opened.value(
        "document.querySelector('.plot-heat').layout.shapes.filter((one) => one.type === 'rect').length"
    )
    assert shapes == len(places()) * len(BACKBONES)


def test_a_link_brings_back_what_was_chosen(browser: Browser, page: Path) -> None:
    browser.open(page.as_uri())
    browser.value("document.querySelector('input[value=strict]').click()")
    for box, value in (("pick-task", "svamp"), ("pick-backbone", "tiny"), ("pick-run", "draw 1, seed 0")):
        browser.value(f"document.getElementById('{box}').value = '{value}'")
        browser.value(f"document.getElementById('{box}').dispatchEvent(new Event('change'))")
    browser.value("document.getElementById('next').click()")
    link, case = browser.value("[byId('case-link').href, byId('case').textContent]")
    browser.load("about:blank")
    browser.open(link)
    assert browser.value("byId('case').textContent") == case
    assert browser.value("document.querySelector('input[name=reading]:checked').value") == "strict"
    assert browser.value("byId('pick-task').value") == "svamp"


@pytest.mark.long
def test_a_link_can_only_choose_among_what_is_there(browser: Browser, page: Path) -> None:
    for text in HOSTILE:
        state = urllib.parse.urlencode(dict.fromkeys(("case", "task", "backbone", "run", "reading", "search"), text))
        browser.load("about:blank")
        browser.open(f"{page.as_uri()}#{state}")
        assert browser.value("byId('found').textContent") == "The page does not hold the item that this link names."
        assert browser.value("typeof window.hacked") == "undefined"
        assert browser.complaints() == []


def test_replies_in_code_and_in_words_are_told_apart(browser: Browser, page: Path) -> None:
    browser.open(page.as_uri())
    counts = [
        browser.value(f"byId('pick-form').value = '{form}'; listItems(); byId('pick-item').options.length")
        for form in ("code", "words", "")
    ]
    scores = planted_tables()["scores"].filter(
        pl.col("draw").is_null() | (pl.col("draw") == 0), backbone=sorted(BACKBONES)[0], reading="strict"
    )
    in_code = scores.group_by("item_id").agg(pl.col("in_code").any())["in_code"].sum()
    assert counts == [in_code, len(TASKS) * ITEMS_A_TASK - in_code, len(TASKS) * ITEMS_A_TASK]


def test_the_page_is_no_wider_than_a_small_screen(browser: Browser, page: Path) -> None:
    browser.ask("Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=1, mobile=True)
    browser.open(page.as_uri())
    assert browser.value("document.documentElement.scrollWidth") == 360
    browser.ask("Emulation.clearDeviceMetricsOverride")


def test_a_study_of_which_nothing_is_left_still_opens(browser: Browser, tmp_path: Path) -> None:
    empty = {name: table.frame([]) for name, table in TABLES.items()}
    browser.open(report(tmp_path, empty).as_uri())
    assert browser.complaints() == []


@pytest.mark.long
def test_twenty_thousand_replies_build_and_open_quickly(browser: Browser, tmp_path: Path) -> None:
    tables = planted_tables()
    copies = 20_000 // tables["completions"].height
    many = {}
    for name in ("items", "completions", "scores"):
        parts = [
            tables[name].with_columns(item_id=pl.concat_str("item_id", pl.lit(f"+{copy}"))) for copy in range(copies)
        ]
        many[name] = pl.concat(parts)
    longer = many["completions"].with_columns(text=pl.concat_str("text", "item_id", pl.lit(" and so on" * 110)))
    started = time.monotonic()
    built = report(tmp_path, {**tables, **many, "completions": longer})
    assert time.monotonic() - started < 10
    started = time.monotonic()
    browser.load(built.as_uri())
    assert time.monotonic() - started < 5  # 2 on a quiet machine (LOG.md); other tests run beside this one
    browser.drawn()
    assert browser.value("document.getElementById('found').textContent").startswith(f"{12 * copies} of")
