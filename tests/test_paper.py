"""A planted study goes in; what is pasted into papers and put on the Hub comes out, and says what was planted."""

import itertools
import json
import re
import shutil
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from conftest import SMALL, changed
from huggingface_hub import DatasetCard, DatasetCardData, ModelCard
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from test_analyse import STUDY, plant, points
from test_report import HOSTILE, planted_study, planted_tables

from codedose import tables
from codedose.analyse.cells import accuracies
from codedose.analyse.effects import effects
from codedose.report import escaped, latex, markdown
from codedose.report.cards import TAGS, hub_name, licence, shown_name, size_category, unique_slugs
from codedose.report.dataset_card import census, dataset_card
from codedose.report.model_cards import model_card
from codedose.report.panels import Panel, caption, panels
from codedose.report.paper import Line, Table, Terms, paper, spread
from codedose.report.results import results
from codedose.report.svg import svg
from codedose.tables import BALANCE, CURVES, DRAWS, UNTUNED

NASTY = (
    *HOSTILE,
    "[a](http://evil.example/x) ![b](javascript:alert(1)) <http://evil.example>",
    "see www.evil.example or http://evil.example or mailto:me@evil.example, @everyone",
    "a|b\\|c | d",
    "# heading",
    "- - -",
    "1. one",
    "---\nlicense: mit\n---",
    "*/ ``` $x^2$ $$y$$ ~~z~~ _u_ `v` **w**",
    r"\input{/etc/passwd} \write18{id} ^^5cinput % } { # & _ ~",
    "[8pt] first",
    "* starred",
    "naïve café Łódź 中文 𝔘 \u200b\U0001f600",
)


def study_of(**changes: Any) -> dict[str, Any]:
    """The settings that go with `plant`, as a study's plain values."""
    said = json.loads(json.dumps(changed(SMALL, {"name": "planted", **changes})))
    arms = [
        {"name": name, "share": share, "repeat": None, "control": None}
        for name, share in (("General", 0.0), ("Half", 0.5), ("Code", 1.0))
    ]
    said["mix"] |= {"arms": arms, "draws": 3}
    said["backbones"] = [
        {"name": name, "model": f"/home/me/{name}", "revision": None, "family": name[0], "scale": 1.0}
        for name in ("a1", "b1")
    ]
    said["tasks"] = [
        {"name": task, "origin": "generated", "path": None, "level": 1, "count": 40, "max_new_tokens": 9}
        for task in ("sums", "rules", "letters")
    ]
    said["analyse"] |= {"reading": "strict", "margin": 1.0}
    return said


def frames_of(scores: pl.DataFrame, **changes: Any) -> dict[str, pl.DataFrame]:
    named = ["item_id", "task", "domain", "origin", "level", "cluster"]
    asked = scores.select(named).unique().with_columns(question=pl.lit("q"), answer=pl.lit("a"))
    return {
        "accuracies": accuracies(scores, confidence=0.95),
        "effects": effects(scores, **{**STUDY, **changes}),
        "items": asked,
        "curves": CURVES.frame([]),
    }


def told(scores: pl.DataFrame, *, missing: tuple[str, ...] = (), **changes: Any) -> tuple[Terms, tuple[Table, ...]]:
    return paper(study_of(**changes), frames_of(scores), missing)


def line_of(table: Table, backbone: str, of: str = "all") -> Line:
    return next(line for line in table.lines if (line.backbone, line.of) == (backbone, of))


@pytest.fixture(scope="module")
def scores() -> pl.DataFrame:
    return plant(readings=("strict", "lenient"), effect=(0.3, 0.0), draws=3, items=60)


def hostile_paper() -> tuple[Terms, tuple[Table, ...], dict[str, tuple[Panel, ...]]]:
    """The planted study of the report's tests, whose names and notes are hostile, with more of that in its study."""
    study, frames = {**planted_study(), "caution": " ".join(NASTY)}, {**planted_tables(), "curves": CURVES.frame([])}
    terms, found = paper(study, frames, NASTY)
    return terms, found, panels(terms, frames)


# ---- the tables


def test_accuracies_and_gains_are_the_ones_that_a_person_would_work_out(scores: pl.DataFrame) -> None:
    terms, (overall, _, _) = told(scores)
    line = line_of(overall, "all backbones")
    wanted = {arm: points(scores, arm) for arm in ("General", "Half", "Code")}
    for arm, score in zip(overall.arms, line.scores, strict=True):
        if arm != UNTUNED:
            assert score is not None
            assert score.value == pytest.approx(wanted[arm].mean())
            assert score.high - score.low == pytest.approx(2 * half_width(wanted[arm]))
    for arm, score in zip(overall.gaining, line.gains, strict=True):
        assert score is not None
        gaps = wanted[arm] - wanted["General"]
        assert score.value == pytest.approx(gaps.mean())
        assert score.high - score.low == pytest.approx(2 * half_width(gaps))
    assert overall.gaining == ("Half", "Code")
    assert terms.arms == ("General", "Half", "Code", UNTUNED)


def half_width(values: np.ndarray) -> float:
    return float(4.302652729 * values.std(ddof=1) / len(values) ** 0.5)  # t with two degrees of freedom at 97.5 %


def test_every_place_has_a_line_for_each_backbone_and_for_all_in_the_order_of_the_study(scores: pl.DataFrame) -> None:
    _, (overall, domain, task) = told(scores)
    who = ["a1", "b1", "all backbones"]
    assert [line.backbone for line in overall.lines] == who
    assert [(line.of, line.backbone) for line in domain.lines] == [
        pair for of in ("symbolic", "logical", "arithmetic") for pair in itertools.product([of], who)
    ]
    assert [line.label for line in task.lines[::3]] == [f"{of} (generated)" for of in ("letters", "rules", "sums")]


def test_a_study_of_one_backbone_says_each_thing_once(scores: pl.DataFrame) -> None:
    one = scores.filter(pl.col("backbone") == "a1")
    study = study_of()
    terms, (overall, domain, _) = paper({**study, "backbones": study["backbones"][:1]}, frames_of(one), ())
    assert [line.backbone for line in overall.lines] == ["a1"]
    assert domain.lines[0].gains[-1] is not None
    drawn = panels(terms, frames_of(one))["overall"][0]
    assert [line.kind for line in drawn.series] == ["untuned", "all"]


def test_bold_is_the_highest_mean_and_neither_the_untuned_backbone_nor_a_control(scores: pl.DataFrame) -> None:
    high = scores.with_columns(
        outcome=pl.when((pl.col("arm") == UNTUNED) | (pl.col("arm") == "Code"))
        .then(pl.lit("right"))
        .otherwise("outcome")
    )
    study = study_of()
    study["mix"]["arms"][2]["control"] = "non_code"
    terms, found = paper(study, frames_of(high), ())
    assert terms.compared == {"General", "Half"}
    for line in (line for table in found for line in table.lines):
        values = {arm: score.value for arm, score in zip(terms.arms, line.scores, strict=True) if score}
        best = {arm for arm, score in zip(terms.arms, line.scores, strict=True) if score and score.is_best}
        top = max(values[arm] for arm in terms.compared)
        tied = {arm for arm in terms.compared if values[arm] == pytest.approx(top)}
        assert best == (set() if tied == terms.compared else tied)
    assert "and negative controls apart" in " ".join(found[0].notes)


def test_a_star_needs_three_draws_and_an_adjusted_p_and_a_dagger_tells_of_other_readings(scores: pl.DataFrame) -> None:
    _, (overall, _, _) = told(scores)
    clear = line_of(overall, "all backbones").gains[-1]
    assert clear is not None
    assert clear.marks == "*†"  # planted in the strict reading only
    two = plant(effect=0.4, draws=2, items=60, draw_sd=0.001, run_sd=0.001)
    frames = frames_of(two)
    assert frames["effects"]["p_adjusted"].drop_nulls().min() < 0.05  # type: ignore[operator]
    marks = {
        score.marks
        for table in paper(study_of(), frames, ())[1]
        for line in table.lines
        for score in line.gains
        if score
    }
    assert "*" not in "".join(marks)
    nothing = told(plant(draws=3, items=30, seed=5))[1][0]
    assert line_of(nothing, "all backbones").gains[-1].marks == ""  # type: ignore[union-attr]


def test_the_notes_say_reading_items_draws_estimand_adjustment_and_what_is_missing(scores: pl.DataFrame) -> None:
    _, (overall, domain, task) = told(scores, missing=("a1/Code/d2/s0",), caution="Planted.")
    said = " ".join(overall.notes)
    for words in (
        "under the strict reading (the stated answer line only)",
        "Items: generated (letters 60, rules 60, sums 60).",
        "Each arm: 3 draws of training examples",
        "Estimand: new draws of training examples; these items.",
        "not adjusted",
        "1 cell failed, missing here: a1/Code/d2/s0.",
        "Caution: Planted.",
    ):
        assert words in said
    assert "Holm over 3 tests" in " ".join(domain.notes)
    assert "Benjamini-Hochberg over 6 tests" in " ".join(task.notes)


def test_one_draw_has_no_intervals_and_says_why() -> None:
    _, (overall, _, _) = told(plant(draws=1, items=30))
    line = line_of(overall, "all backbones")
    assert all(spread(score, signed=True) == "" for score in line.gains if score)
    assert "1 of 3 draws" in " ".join(overall.notes)
    assert "One draw allows no claim about the data." in " ".join(overall.notes)


# ---- the same rows, the same bytes


def everything(study: dict[str, Any], frames: dict[str, pl.DataFrame]) -> dict[str, str]:
    """Every text that is written, by its file."""
    from codedose.stages.papers import as_latex, as_markdown, ordered

    sorted_frames = ordered(frames)
    terms, found = paper(study, sorted_frames, ())
    drawn = panels(terms, sorted_frames)
    return {
        **as_markdown(study, found, drawn, ["One.", "Two."]),
        **as_latex(study, found, drawn, ["One.", "Two."]),
        "results.json": results(study, terms, found, sorted_frames, ["One."], [], []),
    }


def test_the_order_of_rows_changes_nothing(scores: pl.DataFrame) -> None:
    frames = frames_of(scores)
    turned = {name: frame.reverse() for name, frame in frames.items()}
    assert everything(study_of(), frames) == everything(study_of(), turned)


# ---- texts from strangers

ALLOWED = {"h1", "h2", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "img", "br"}


def rendered(text: str) -> list[tuple[str, dict[str, str | None]]]:
    """The tags of Markdown as it is shown, raw HTML let through, and what CommonMark makes of it."""
    from test_report import Reader

    reader = Reader()
    reader.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))
    return reader.tags


def words_of(text: str) -> str:
    """What a person reads of Markdown."""
    from test_report import Reader

    reader = Reader()
    reader.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))
    return " ".join("".join(reader.words).split())


@pytest.mark.parametrize("text", NASTY)
def test_a_hostile_text_in_markdown_is_text(text: str) -> None:
    shown = escaped.one_line(text)
    for around in ("{}", "before {} after", "| a | b |\n| --- | --- |\n| {} | x |"):
        whole = around.format(escaped.markdown(text))
        assert {tag for tag, _ in rendered(whole)} <= {"p", "table", "thead", "tbody", "tr", "th", "td"}
        assert " ".join(shown.split()) in words_of(whole).replace("\u200b", "")


@given(st.text(max_size=60))
def test_any_text_in_a_table_stays_in_its_cell(text: str) -> None:
    whole = markdown.table(["a", "b"], [[text, "x"], ["y", text]], numbers_from=1)
    tags = [tag for tag, _ in rendered(whole)]
    assert (tags.count("td"), tags.count("th")) == (4, 2)
    assert set(tags) <= {"table", "thead", "tbody", "tr", "th", "td"}


def test_half_a_sign_is_written_as_one_that_is_there(tmp_path: Path) -> None:
    from codedose.stages.papers import written

    assert {say("a\ud83d") for say in (escaped.markdown, escaped.xml)} == {"a\ufffd"}
    assert written(tmp_path, {"x.json": '"a\ud83d"'})[0].read_text() == '"a?"'


def test_no_address_or_name_is_left_for_a_renderer_to_link() -> None:
    made = escaped.markdown("http://x.example www.y.example me@z.example @everyone HTTPS://Q WWW.Q")
    assert not re.search(r"(?i)://|www\.|@\w", made)


SPECIAL = re.compile(r"[\\{}#$%&_^~<>|\"]")
KNOWN_COMMAND = re.compile(
    r"\\(?:text(?:backslash|asciicircum|asciitilde|less|greater|bar|asciigrave)\{\}|[{}#$%&_]"
    r"|[`'^~=.\"](?:\{[A-Za-z]\})|[uvHrc]\{[A-Za-z]\}|(?:ss|ae|AE|oe|OE|o|O|l|L|ldots|dag)\{\})"
    r"|\$(?:\\pm|-|\\times|\\cdot)\$|\{\}"
)


@given(st.text(max_size=60))
def test_latex_holds_no_command_that_is_not_ours(text: str) -> None:
    made = escaped.latex(text)
    assert made.isascii()
    assert "\n" not in made
    assert not SPECIAL.search(KNOWN_COMMAND.sub("", made))


def test_letters_in_latex_are_set_or_named() -> None:
    assert escaped.latex("naïve Łódź ß") == r"na\"{i}ve \L{}\'{o}d\'{z} \ss{}"
    assert escaped.latex("中--−±") == "[U+4E2D]-{}-$-$$\\pm$"


@given(st.text(max_size=60))
def test_xml_gives_every_text_back(text: str) -> None:
    back = ElementTree.fromstring(f'<t a="{escaped.xml(text)}">{escaped.xml(text)}</t>')  # noqa: S314
    assert (back.text or "") == back.attrib["a"] == escaped.one_line(text)


def test_a_text_of_a_hundred_thousand_letters_takes_no_time() -> None:
    started = time.perf_counter()
    for text in ("-" * 100_000, "www." * 25_000, "1" * 100_000, "@" * 100_000, "- " * 50_000, "\u0301" * 100_000):
        escaped.markdown(text), escaped.latex(text), escaped.xml(text)
    assert time.perf_counter() - started < 10


def test_a_hostile_study_in_markdown_runs_and_links_nothing() -> None:
    _, found, drawn = hostile_paper()
    figures = [(f"{table.view}.svg", caption(table.view, drawn[table.view])) for table in found]
    whole = markdown.document(" ".join(NASTY), list(NASTY), found, figures)
    tags = rendered(whole)
    assert {tag for tag, _ in tags} <= ALLOWED
    assert [attributes["src"] for tag, attributes in tags if tag == "img"] == ["overall.svg", "domain.svg", "task.svg"]
    assert {name for _, attributes in tags for name in attributes} <= {"style", "src", "alt"}
    rows = sum(len(table.lines) for table in found)
    columns = 2 + len(found[0].arms) + len(found[0].gaining)
    assert [tag for tag, _ in tags].count("td") == rows * columns


def test_a_hostile_study_in_svg_is_drawn_and_runs_nothing() -> None:
    _, _, drawn = hostile_paper()
    for view, shown in drawn.items():
        root = ElementTree.fromstring(svg(shown, caption(view, shown)))  # noqa: S314
        elements = [element.tag.partition("}")[2] for element in root.iter()]
        assert set(elements) == {"svg", "title", "rect", "g", "text", "path", "circle"}
        assert not [
            name for element in root.iter() for name in element.attrib if name.startswith("on") or "href" in name
        ]
        titles = {element.text for element in root.iter() if element.tag.endswith("}title")}
        assert {escaped.one_line(each.title) for each in shown} <= titles


def test_panels_hold_what_they_draw(scores: pl.DataFrame) -> None:
    frames = frames_of(scores)
    terms, _ = paper(study_of(), frames, ())
    for each in itertools.chain(*panels(terms, frames).values()):
        assert each.ticks[-1] - each.ticks[0] >= 10
        for line in each.series:
            for point in line.points:
                limits = [point.value, *((point.low, point.high) if line.has_limits else ())]
                assert all(each.ticks[0] <= value <= each.ticks[-1] for value in limits if value is not None)
    pooled = panels(terms, frames)["overall"][0].series[-1]
    assert [point.share for point in pooled.points] == [0, 50, 100]
    assert [point.value for point in pooled.points] == pytest.approx(
        [points(scores, arm).mean() for arm in ("General", "Half", "Code")]
    )


def test_a_fitted_curve_is_drawn_where_there_is_one(scores: pl.DataFrame) -> None:
    rows = [
        {"view": "overall", "of": "all", "family": None, "backbone": None, "reading": "strict", "share": share,
         "estimate": 0.5, "low": None, "high": None, "method": "quadratic", "error": None}
        for share in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]  # fmt: skip
    part = scores.filter(pl.col("arm") != "Code")
    frames = {**frames_of(part, primary=("Half", "General")), "curves": CURVES.frame(rows)}
    terms, _ = paper(study_of(), frames, ())
    drawn = panels(terms, frames)["overall"]
    assert [line.kind for line in drawn[0].series] == ["untuned", "curve", "one", "one", "all"]
    assert [point.share for point in drawn[0].series[1].points] == [0, 25, 50]  # no arm was trained beyond
    assert "curve fitted" in caption("overall", drawn)
    assert "densely dotted" in latex.figures("overall", drawn, "c")


@pytest.fixture(scope="module")
def engine() -> str:
    found = next((path for path in map(shutil.which, ("tectonic", "pdflatex", "lualatex", "xelatex")) if path), None)
    if found is None:
        pytest.skip("no LaTeX on this machine: none of tectonic, pdflatex, lualatex, xelatex is on the path")
    return found


@pytest.mark.long
def test_the_document_compiles_with_hostile_names(engine: str, tmp_path: Path) -> None:
    from codedose.stages.papers import as_latex, written

    _, found, drawn = hostile_paper()
    (tmp_path / "secret.tex").write_text("SECRET")
    written(tmp_path, as_latex({"question": " ".join(NASTY)}, found, drawn, list(NASTY)))
    flags = [] if "tectonic" in engine else ["-interaction=nonstopmode", "-halt-on-error"]
    made = subprocess.run([engine, *flags, "all.tex"], cwd=tmp_path, capture_output=True, text=True, errors="replace")
    if "not found" in made.stdout and ".sty" in made.stdout:
        pytest.skip("this LaTeX lacks booktabs, graphicx or pgfplots")
    assert made.returncode == 0, made.stdout[-2000:]
    assert "/etc/passwd" not in re.sub(r"\s", "", made.stdout)
    assert (tmp_path / "all.pdf").stat().st_size > 10_000


def test_a_table_longer_than_a_page_is_cut_between_places() -> None:
    place = [Line(f"task{at}", f"task{at}", name, (), ()) for at in range(20) for name in ("a", "b", "c", "d")]
    pages = list(latex.paged(place))
    assert [line for page in pages for line in page] == place
    assert all(len(page) <= latex.MOST_LINES for page in pages)
    assert all(page[0].backbone == "a" for page in pages)


# ---- JSON


def test_json_holds_the_numbers_and_no_others(scores: pl.DataFrame) -> None:
    frames = frames_of(scores)
    odd = frames["effects"].with_columns(high=pl.lit(float("inf")), p=pl.lit(float("nan")))
    terms, found = paper(study_of(), {**frames, "effects": odd}, ())
    text = results(study_of(), terms, found, {**frames, "effects": odd}, ["One."], ["x"], [{"step": "s"}])
    back = json.loads(text, parse_constant=pytest.fail)
    assert back["study"] == study_of()
    assert (back["format"], back["summary"], back["missing"]) == ("codedose results", ["One."], ["x"])
    line = back["tables"]["overall"]["lines"][-1]
    assert line["accuracy"]["Code"]["value"] == pytest.approx(points(scores, "Code").mean())
    assert line["accuracy"]["Code"]["best"] is True
    assert line["gain"]["Code"]["stands"] is True
    assert {row["high"] for row in back["effects"]} == {row["p"] for row in back["effects"]} == {None}
    assert len(back["effects"]) == frames["effects"].height
    assert [row["accuracy"] for row in back["accuracies"]] == frames["accuracies"]["accuracy"].to_list()


# ---- cards


def draws() -> pl.DataFrame:
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]
    return DRAWS.frame(
        [
            {
                "arm": arm, "draw": draw, "slot": slot, "step": None, "example_id": f"{label}{slot}", "copy": 0,
                "label": label, "messages": messages, "tokens": 10, "loss_tokens": 5,
            }
            for arm, label in (("General", "other"), ("Half", "coding"), ("Code", "coding"))
            for draw in range(2)
            for slot in range(4)
        ]
    )  # fmt: skip


def described(study: dict[str, Any], **changes: pl.DataFrame) -> str:
    """The dataset card of `draws`."""
    examples = draws().select("example_id").unique()
    examples = examples.with_columns(source=pl.lit(study["pool"]["sources"][0]["path"]), lang=pl.lit("en"))
    counts = pl.concat(census(part, examples) for part in draws().partition_by("arm", "draw"))
    files = {(arm, draw): f"data/{arm}-{draw}.parquet" for arm, draw in draws().select("arm", "draw").unique().rows()}
    frames = {
        table.name: table.frame([]) for table in (BALANCE, tables.SOURCES, tables.REPAIRS, tables.LEAKS, tables.DROPS)
    }
    return dataset_card(study, counts, files, {**frames, **changes}, list(NASTY), list(NASTY))


def test_a_dataset_card_is_read_as_it_was_written() -> None:
    card = DatasetCard(described(study_of()))
    assert isinstance(card.data, DatasetCardData)
    said = card.data.to_dict()
    assert yaml.safe_load(card.data.to_yaml()) == said
    assert (said["license"], said["language"], said["size_categories"]) == ("apache-2.0", ["en"], ["n<1K"])
    assert [config["config_name"] for config in said["configs"]] == ["general", "half", "code"]
    assert said["configs"][1]["data_files"][1] == {"split": "draw_1", "path": "data/Half-1.parquet"}
    assert "| Code | – | data/Code-1.parquet | 1 | 100 | 4 | 4 | 0 | 0 | 40 |" in card.text
    assert str(card) == described(study_of())


def test_a_dataset_card_says_what_was_mended_dropped_and_leaked() -> None:
    pool = {"source": "builtin:starter", "reference": "r"}
    leak = {"example_id": "e", "task": "gsm8k", "item_id": "i", "origin": "official", "match": "whole", "coverage": 1.0}
    text = described(
        study_of(),
        sources=tables.SOURCES.frame(
            [{"source": "builtin:starter", "licence": "Apache-2.0", "format": "f", "records": 9, "conversations": 9,
              "joined": 0, "unread": 0}]
        ),
        repairs=tables.REPAIRS.frame([{**pool, "rule": "markup", "count": 3}]),
        leaks=tables.LEAKS.frame([leak, {**leak, "item_id": "j"}]),
        drops=tables.DROPS.frame([{**pool, "reason": "too short: 3"}, {**pool, "source": "mix", "reason": "x"}]),
    )  # fmt: skip
    assert "| markup | 1 | 3 |" in text
    assert "left out of every arm: gsm8k 1." in text
    assert "| too short | 1 |" in text
    assert "| x |" not in text
    assert "| builtin:starter | – | Apache-2.0 | f | 9 | 24 |" in text


def model(study: dict[str, Any], frames: dict[str, pl.DataFrame], **changes: Any) -> str:
    cell = {"cell": "a1/Code/d1/s0", "backbone": "a1", "arm": "Code", "share": 1.0, "draw": 1, "seed": 0, **changes}
    own = {"training": tables.TRAINING.frame([]), "losses": tables.LOSSES.frame([])}
    return model_card(study, cell, "planted-a1", "tune/a1-123", {**frames, **own}, list(NASTY))


def test_a_model_card_holds_what_the_checkpoint_got_right(scores: pl.DataFrame) -> None:
    card = ModelCard(model(study_of(), frames_of(scores)))
    mine = scores.filter(backbone="a1", arm="Code", draw=1, reading="strict")
    wanted = dict(mine.group_by("task").agg((pl.col("outcome") == "right").mean()).iter_rows())
    found = {result.task_name.split(" ")[0]: result for result in card.data.eval_results}
    assert {task: result.metric_value for task, result in found.items()} == pytest.approx(wanted, abs=1e-6)
    assert {result.verified for result in found.values()} == {False}
    assert {result.task_type for result in found.values()} == {"text-generation"}
    assert card.data.model_name == "planted-a1"
    assert str(card) == model(study_of(), frames_of(scores))
    assert yaml.safe_load(card.data.to_yaml())["model-index"][0]["results"][0]["metrics"][0]["type"] == "accuracy"


def test_generated_items_never_stand_among_a_benchmarks_results(scores: pl.DataFrame) -> None:
    study = study_of()
    study["tasks"][0] |= {"origin": "official", "level": None}
    names = {result.dataset_type for result in ModelCard(model(study, frames_of(scores))).data.eval_results}
    assert names == {"sums", "codedose-rules-generated", "codedose-letters-generated"}


def test_a_model_card_names_its_backbone_only_where_the_hub_has_it(scores: pl.DataFrame) -> None:
    frames, study = frames_of(scores), study_of()
    here = model(study, frames)
    assert "base_model" not in ModelCard(here).data.to_dict()
    assert "/home/me" not in here
    study["backbones"][0] |= {"model": "owner/name-7B", "revision": "a" * 40}
    full = ModelCard(model(study, frames)).data
    assert (full.base_model, full.base_model_relation, full.library_name) == (
        "owner/name-7B",
        "finetune",
        "transformers",
    )
    study["tune"] |= {"method": "lora", "lora": {"rank": 4, "alpha": 8.0, "dropout": 0.0, "targets": "all_linear"}}
    adapter = ModelCard(model(study, frames)).data
    assert (adapter.base_model_relation, adapter.library_name) == ("adapter", "peft")


@pytest.fixture(scope="module")
def harmless(scores: pl.DataFrame) -> tuple[dict[str, pl.DataFrame], DatasetCard, ModelCard]:
    frames = frames_of(scores)
    return frames, DatasetCard(described(study_of())), ModelCard(model(study_of(), frames))


@pytest.mark.parametrize("text", NASTY)
def test_a_hostile_study_makes_harmless_cards(
    text: str, harmless: tuple[dict[str, pl.DataFrame], DatasetCard, ModelCard]
) -> None:
    study = study_of(question=text, caution=text)
    study["name"] = study["prompt"]["system"] = study["prompt"]["template"] = text
    study["pool"]["sources"][0] |= {"path": text, "licence": text}
    study["backbones"][0] |= {"model": text, "family": text, "revision": text}
    frames, *cards = harmless
    frames, renamed = dict(frames), {"sums": text}
    for name in ("accuracies", "items"):
        column = "of" if name == "accuracies" else "task"
        frames[name] = frames[name].with_columns(pl.col(column).replace(renamed))
    study["tasks"][0]["name"] = text
    for made, plain in zip((described(study), model(study, frames)), cards, strict=True):
        card = type(plain)(made)
        assert set(card.data.to_dict()) == set(plain.data.to_dict())
        assert str(card) == made
        assert {tag for tag, _ in rendered(card.text)} <= {*ALLOWED, "blockquote", "pre", "code"} - {"img"}
        assert card.text.count("\n## ") == plain.text.count("\n## ")
        assert all(re.fullmatch(r"[a-z0-9.-]+", tag) for tag in card.data["tags"])


@pytest.mark.parametrize(
    ("rows", "wanted"), [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (9_999, "1K<n<10K"), (10_000, "10K<n<100K")]
)
def test_sizes_are_those_of_the_hub(rows: int, wanted: str) -> None:
    assert size_category(rows) == wanted


def test_licences_are_those_of_the_hub_or_said_to_be_none() -> None:
    assert licence(["Apache-2.0", "apache 2.0"]) == "apache-2.0"
    assert licence(["not stated"]) == "unknown"
    assert licence(["MIT", "some licence of our own"]) == ["mit", "other"]


def test_names_of_files_are_told_apart_and_places_are_not_told() -> None:
    assert unique_slugs(["A b", "a-b", "中"])["a-b"] == "a-b-2"
    assert shown_name("/home/me/data/x.json", None) == "x.json"
    assert hub_name("/home/me/x", None) is None
    assert hub_name("a/b", "0" * 40) == "a/b"
    assert hub_name("a/../b", "0" * 40) is None
    assert len(set(TAGS)) == len(TAGS)


# ---- from a store


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The study file of a small study that ran: one tiny backbone, two arms, one draw."""
    import torch
    from tiny import FAMILIES, write_backbone

    from codedose.plan import Planner, settled
    from codedose.runner.disk import Disk
    from codedose.runner.schedule import Slots, Teller, inline, run
    from codedose.study import load

    home, threads = tmp_path_factory.mktemp("finished"), torch.get_num_threads()
    torch.set_num_threads(1)
    write_backbone(home / "tiny", FAMILIES[2], layers=1, hidden=32)
    path = home / "small.yaml"
    path.write_text(yaml.safe_dump(changed(SMALL, {"mix.budget": 4, "mix.draws": 1, "tune.max_length": 320})))
    planner = Planner(load(path), home)
    how: dict[str, Any] = {"slots": Slots(1), "submit": inline, "tell": Teller()}
    run(Disk(home / "store"), planner.search, **how)
    outcome = run(Disk(home / "store"), settled(planner, Disk(home / "store")).steps, **how)
    assert outcome.failed == []
    yield path
    torch.set_num_threads(threads)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("form", ["markdown", "latex", "json", "cards"])
def test_a_store_gives_the_same_bytes_each_time(codedose: Callable[..., Any], finished: Path, form: str) -> None:
    told = [
        codedose("report", finished, "--as", form, "--out", finished.parent / f"{form}{n}", "--json") for n in (1, 2)
    ]
    assert [said.code for said in told] == [0, 0]
    first, second = (contents(finished.parent / f"{form}{n}") for n in (1, 2))
    assert first == second
    listed = {str(Path(name).relative_to(finished.parent / f"{form}1")) for name in told[0].json["written"]}
    assert listed == set(first)


def test_the_cards_of_a_store_name_files_that_are_there(codedose: Callable[..., Any], finished: Path) -> None:
    said = codedose("report", finished, "--as", "cards")
    assert said.code == 0
    folder = finished.parent / "small-cards"
    card = DatasetCard.load(folder / "dataset" / "README.md")
    named = [file["path"] for config in card.data.to_dict()["configs"] for file in config["data_files"]]
    assert len(named) == 2
    for path in named:
        assert pl.read_parquet(folder / "dataset" / path).height == 4
    models = sorted(folder.glob("models/*/README.md"))
    assert len(models) == 2
    assert {len(ModelCard.load(path).data.eval_results) for path in models} == {2}


def test_the_json_of_a_store_is_what_its_report_says(codedose: Callable[..., Any], finished: Path) -> None:
    said = codedose("report", finished, "--as", "json", "--json").json
    told = json.loads((finished.parent / "small-json" / "results.json").read_text())
    assert told["summary"] == said["summary"]
    assert told["study"]["name"] == "small"
    assert {record["kind"] for record in told["provenance"]} >= {"pool", "mix", "tune", "generate", "score", "analyse"}


def test_what_is_not_finished_or_cannot_be_written_is_refused(
    codedose: Callable[..., Any], finished: Path, a_study: Callable[..., Path]
) -> None:
    unfinished = codedose("report", a_study(), "--as", "latex")
    assert (unfinished.code, "steps are not done yet" in unfinished.err) == (2, True)
    alone = codedose("report", finished, "--out", finished.parent / "x")
    assert (alone.code, "--out goes with --as" in alone.err) == (2, True)
    full = codedose("report", finished, "--as", "json", "--out", finished)
    assert full.code == 2
    assert "name another folder with --out" in full.err
