"""Whole studies with planted findings: six fake backbones answer, the real readings, analysis and report read them.

Replies are texts. Whether a run knows an answer, and whether it states it as asked, is planted as a probability.
"""

import html
import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from codedose.analyse.cells import accuracies
from codedose.analyse.contrasts import arm_points
from codedose.analyse.curve import curves
from codedose.analyse.effects import effects
from codedose.analyse.power import calibrate
from codedose.analyse.words import summarise
from codedose.keys import seed_for
from codedose.report.build import TABLES, build
from codedose.score import score
from codedose.tables import AGREEMENT, BEST, COMPLETIONS, DIFFERENCE, UNTUNED
from codedose.tasks import TASKS
from codedose.tasks.twins import generated

pytestmark = pytest.mark.long

BACKBONES = {
    "oak-1b": ("oak", 1.0), "oak-7b": ("oak", 7.0), "elm-1b": ("elm", 1.0), "elm-7b": ("elm", 7.0),
    "ash-1b": ("ash", 1.0), "ash-7b": ("ash", 7.0),
}  # fmt: skip
ARMS = {"General": 0.0, "Half-half": 0.5, "Code": 1.0}
DRAWS, ITEMS = 4, 20
CONFIDENCE, MARGIN = 0.95, 2.0
WITH_LINE, WITHOUT_LINE = "Let me see.\nAnswer: {}", "Let me see. So the answer is {}."


def luck(*names: object) -> float:
    """A number from 0 to 1 that belongs to its names."""
    return seed_for("story", *map(str, names)) / 2**32


class Story:
    """A study that was told: its tables, its five lines and its page as text."""

    def __init__(self, folder: Path, reading: str, knows: Any, states: Any) -> None:
        """`knows(domain, task, share)` is the probability of knowing an answer (share None: untuned), `states(share)`
        that of stating it in the line that was asked for."""
        items = pl.concat([generated(task, seed_name="story", level=1, count=ITEMS) for task in TASKS])
        completions, scores = [], []
        for cell in cells():
            replies = COMPLETIONS.frame([reply_of(cell, item, knows, states) for item in paired(items)])
            completions.append(replies)
            scores.append(score(replies, items, cell=cell))
        self.scores, self.items, self.completions = pl.concat(scores), items, pl.concat(completions)
        self.study = study(reading)
        terms = {"reading": reading, "confidence": CONFIDENCE, "margin": MARGIN}
        self.effects = effects(self.scores, primary=("Code", "General"), consistency=(0.8, 0.2), **terms)
        self.accuracies = accuracies(self.scores, confidence=CONFIDENCE)
        noise = calibrate(self.scores, reading=reading)
        self.lines = summarise(self.effects, self.accuracies, primary=("Code", "General"), calibration=noise, **terms)
        self.page = self.told(folder)

    def told(self, folder: Path) -> str:
        """The page without its marks and scripts."""
        empty = {name: table.frame([]) for name, table in TABLES.items()}
        known = {
            "scores": self.scores, "items": self.items, "completions": self.completions, "effects": self.effects,
            "accuracies": self.accuracies, "curves": curves(arm_points(self.scores), CONFIDENCE),
        }  # fmt: skip
        tables = {name: known.get(name, frame) for name, frame in empty.items()}
        path = build(folder, study=self.study, tables=tables, summary=self.lines, provenance=[], missing=[], notes=[])
        text = re.sub(r"(?s)<(script|style).*?</\1>", "", path.read_text())
        return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", text)).split())

    def row(self, contrast: str, kind: str = DIFFERENCE, **wanted: Any) -> dict[str, Any]:
        """The pooled row of a contrast; overall and under the study's reading unless said otherwise."""
        default = {"view": "overall", "reading": self.study["analyse"]["reading"], "family": None, "backbone": None}
        rows = self.effects.filter(pl.col("contrast") == contrast, pl.col("kind") == kind)
        for name, value in {**default, **wanted}.items():
            rows = rows.filter(pl.col(name).is_null() if value is None else pl.col(name) == value)
        assert rows.height == 1
        return rows.row(0, named=True)


def cells() -> list[dict[str, Any]]:
    """Every backbone untuned, and tuned on every draw of every arm."""
    found = []
    for backbone, (family, scale) in BACKBONES.items():
        who = {"backbone": backbone, "family": family, "scale": scale, "measured_dose": None}
        bare = {"arm": UNTUNED, "share": None, "draw": None, "seed": None}
        tuned = [
            {"arm": arm, "share": share, "draw": draw, "seed": 0}
            for arm, share in ARMS.items()
            for draw in range(DRAWS)
        ]
        found += [{**who, **run, "cell": f"{backbone}/{run['arm']}/{run['draw']}"} for run in [bare, *tuned]]
    return found


def paired(items: pl.DataFrame) -> list[dict[str, Any]]:
    """The items as rows, each with a wrong answer: another item's of its task."""
    rows = items.sort("task", "item_id").to_dicts()
    for row in rows:
        others = (other["answer"] for other in rows if other["task"] == row["task"])
        row["wrong"] = next(answer for answer in others if answer != row["answer"])
    return rows


def reply_of(cell: dict[str, Any], item: dict[str, Any], knows: Any, states: Any) -> dict[str, Any]:
    who = (cell["backbone"], cell["draw"], item["item_id"])
    known = luck("knows", *who, cell["arm"]) < knows(item["domain"], item["task"], cell["share"])
    said = item["answer"] if known else item["wrong"]
    text = WITH_LINE if luck("states", *who, cell["arm"]) < states(cell["share"]) else WITHOUT_LINE
    return {
        "cell": cell["cell"], "item_id": item["item_id"], "sample": 0, "prompt_hash": "0", "text": text.format(said),
        "n_tokens": 9, "finish": "stop", "forced_text": f" {said}",
    }  # fmt: skip


def study(reading: str) -> dict[str, Any]:
    """What the page needs to know of the study."""
    arms = [{"name": name, "share": share, "repeat": None, "control": None} for name, share in ARMS.items()]
    models = [
        {"name": name, "model": name, "revision": None, "family": family, "scale": scale}
        for name, (family, scale) in BACKBONES.items()
    ]
    tasks = [
        {"name": task.name, "origin": "generated", "path": None, "level": 1, "count": ITEMS, "max_new_tokens": 64}
        for task in TASKS
    ]
    analyse = {"primary": {"arm": "Code", "against": "General"}, "reading": reading, "confidence": CONFIDENCE}
    mix = {"match_on": "examples", "design": "fixed", "budget": 48, "math": 4, "draws": DRAWS, "held_out": 0}
    return {
        "codedose": 1, "name": "story", "question": "Does code help?", "caution": None,
        "pool": {"sources": [{"path": "planted", "revision": None, "licence": "none"}], "leaks": "drop"},
        "label": {"by": "stated"}, "joined": None, "mix": {**mix, "arms": arms},
        "prompt": {"template": "chatml", "system": None},
        "tune": {"method": "full", "seeds": 1}, "backbones": models, "untuned": True, "tasks": tasks,
        "generate": {"engine": "transformers"}, "analyse": {**analyse, "margin": MARGIN}, "keep_checkpoints": False,
    }  # fmt: skip


def as_published(domain: str, task: str, share: float | None) -> float:
    """Code helps symbolic tasks most, logical ones less; arithmetic goes both ways, one logical task peaks inside."""
    if share is None:
        return 0.3
    if task == LOGICAL_PEAK:
        return 0.4 + 1.2 * share * (1 - share) + 0.02 * share
    if domain == "arithmetic":
        return 0.5 + (0.12 if ARITHMETIC.index(task) % 2 else -0.12) * share
    return 0.4 + {"symbolic": 0.35, "logical": 0.15}[domain] * share


DOMAIN = {task.name: task.domain for task in TASKS}
ARITHMETIC = [name for name, domain in DOMAIN.items() if domain == "arithmetic"]
LOGICAL_PEAK = next(name for name, domain in DOMAIN.items() if domain == "logical")


def mostly(share: float | None) -> float:
    return 0.9


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story(tmp_path_factory.mktemp("published"), "forced", as_published, mostly)


@pytest.fixture(scope="module")
def nothing(tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story(tmp_path_factory.mktemp("nothing"), "forced", lambda domain, task, share: 0.4, mostly)


@pytest.fixture(scope="module")
def only_format(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Arms know the same; with more code more of it is stated in the line that was asked for."""
    folder = tmp_path_factory.mktemp("format")
    return Story(folder, "strict", lambda domain, task, share: 0.5, lambda share: 0.4 + 0.5 * (share or 0))


class TestPublished:
    """What the reference study found, as planted."""

    def test_code_helps_overall_and_under_every_reading(self, published):
        assert published.lines[1].startswith("Code scores ")
        assert "higher than General overall" in published.lines[1]
        assert "the other readings agree" in published.lines[1]

    def test_symbolic_tasks_gain_most_and_arithmetic_ones_show_nothing(self, published):
        gains = {of: published.row("Code - General", view="domain", of=of)["estimate"] for of in set(DOMAIN.values())}
        assert gains["symbolic"] > gains["logical"] > abs(gains["arithmetic"])
        assert "no difference shown in arithmetic" in published.lines[2]
        assert re.search(r"higher by [0-9.]+ points in symbolic", published.lines[2])

    def test_arithmetic_tasks_go_both_ways(self, published):
        signs = {published.row("Code - General", view="task", of=task)["estimate"] > 0 for task in ARITHMETIC}
        assert signs == {True, False}

    def test_the_best_share_depends_on_the_task(self, published):
        best = {task: published.row(BEST, BEST, view="task", of=task)["estimate"] for task in DOMAIN}
        assert best[LOGICAL_PEAK] == 50
        assert {best[task] for task in DOMAIN if DOMAIN[task] == "symbolic"} == {100}
        assert len(set(best.values())) > 2 or 0 in best.values()
        assert "100 %" not in published.row(BEST, BEST, view="task", of=LOGICAL_PEAK)["note"].split("; ")[1]

    def test_backbones_agree_within_the_domains_that_gain(self, published):
        for domain in ("symbolic", "logical"):
            note = published.row("consistency", AGREEMENT, view="domain", of=domain)["note"]
            assert "6 of 6 backbones" in note
            assert "consistent" in note
        assert published.row("Kendall's W", AGREEMENT, view="domain", of="symbolic")["p"] < 0.05
        assert published.row("arm x backbone", AGREEMENT)["p"] > 0.05

    def test_the_page_says_just_that(self, published):
        for line in published.lines[:3]:
            assert line in published.page
        assert "6 of 6 backbones have the pooled sign" in published.page


class TestNothing:
    def test_no_difference_is_shown_anywhere(self, nothing):
        assert nothing.lines[1].startswith(
            ("No difference between Code and General is shown", "Code and General are equivalent")
        )
        assert not re.search(r"(higher|lower) by", nothing.lines[2])

    def test_no_task_stands_after_adjustment(self, nothing):
        rows = nothing.effects.filter(
            pl.col("view") == "task", pl.col("contrast") == "Code - General", pl.col("backbone").is_null(),
            pl.col("family").is_null(), pl.col("kind") == DIFFERENCE, pl.col("reading") == "forced",
        )  # fmt: skip
        assert not (rows["p_adjusted"] < 0.05).any()

    def test_every_share_may_be_the_best(self, nothing):
        assert "0 %, 50 %, 100 %" in nothing.row(BEST, BEST)["note"]

    def test_the_page_says_just_that(self, nothing):
        assert nothing.lines[1] in nothing.page
        assert "Code scores" not in nothing.page


class TestOnlyFormat:
    def test_the_answer_says_that_the_reading_decides(self, only_format):
        assert only_format.lines[1].startswith("Under the strict reading, Code scores ")
        assert "but not under forced, lenient" in only_format.lines[1]
        assert "the conclusion depends on how replies are read" in only_format.lines[1]

    def test_the_advice_is_to_look_and_not_to_train(self, only_format):
        assert "look at the replies" in only_format.lines[4]

    def test_how_often_an_answer_could_be_read_rises_with_code(self, only_format):
        rows = only_format.accuracies.filter(
            pl.col("view") == "overall", pl.col("backbone").is_null(), pl.col("draw").is_null(),
            pl.col("reading") == "strict",
        )  # fmt: skip
        answered = dict(rows.select("arm", "answered").iter_rows())
        assert answered["General"] < 0.5 < 0.8 < answered["Code"]

    def test_the_page_says_just_that(self, only_format):
        assert only_format.lines[1] in only_format.page
        assert "changes under forced, lenient" in only_format.page


def test_the_report_is_the_same_whatever_the_order_of_its_rows(published, tmp_path):
    """Reordering rows changes nothing, down to the last number."""
    again = effects(
        published.scores.sample(fraction=1, shuffle=True, seed=1),
        primary=("Code", "General"), reading="forced", confidence=CONFIDENCE, margin=MARGIN, consistency=(0.8, 0.2),
    )  # fmt: skip
    assert json.dumps(again.to_dicts()) == json.dumps(published.effects.to_dicts())
