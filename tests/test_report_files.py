"""What leaves the page, and what comes to it from outside: each figure as CSV and SVG, and links to one case."""

import csv
import io
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

import polars as pl
import pytest
from hostile import NAMES
from test_report import BACKBONES, HOSTILE, READINGS, Browser, browser, page, planted_tables, report  # noqa: F401 - fixtures

from codedose.report.build import FORMULA_SIGNS

# Every figure's two buttons pressed; the files are kept where a browser would save them.
SAVED = """
(async () => {
  const saved = [], blobs = new Map(), address = URL.createObjectURL, click = HTMLAnchorElement.prototype.click;
  URL.createObjectURL = (blob) => { const url = address.call(URL, blob); blobs.set(url, blob); return url; };
  HTMLAnchorElement.prototype.click = function () { saved.push([this.download, blobs.get(this.href)]); };
  const buttons = [...document.querySelectorAll(".downloads button")];
  for (const button of buttons) button.click();
  for (let wait = 0; saved.length < buttons.length && wait < 600; wait += 1)
    await new Promise((done) => setTimeout(done, 50));
  URL.createObjectURL = address;
  HTMLAnchorElement.prototype.click = click;
  return Promise.all(saved.map(async ([name, blob]) => [name, blob.type, await blob.text()]));
})()
"""
STATE = """
({
  task: document.getElementById("pick-task").value, backbone: document.getElementById("pick-backbone").value,
  run: document.getElementById("pick-run").value, item: document.getElementById("pick-item").value,
  reading: document.querySelector("input[name=reading]:checked").value,
  words: document.getElementById("case").textContent, found: document.getElementById("found").textContent,
})
"""


FORMULAS = tuple(text for text in NAMES if re.match(FORMULA_SIGNS, text))


@pytest.fixture(scope="module")
def formulas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The planted page, where what was measured in the arms has names that a spreadsheet would run."""
    tables = planted_tables()
    rows = tables["balance"].filter(pl.col("quantity") == "chars")
    named = pl.concat([rows.with_columns(quantity=pl.lit(text)) for text in FORMULAS])
    return report(tmp_path_factory.mktemp("formulas"), {**tables, "balance": pl.concat([tables["balance"], named])})


def without_policy(page: Path) -> Path:  # noqa: F811
    """The same page without its content security policy, beside it."""
    bare, found = re.subn(
        r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8"), count=1
    )
    assert found == 1
    path = page.with_name("bare.html")
    path.write_text(bare, encoding="utf-8")
    return path


@pytest.fixture(scope="module", params=["with policy", "without"])
def saved(request: pytest.FixtureRequest, browser: Browser, formulas: Path) -> list[tuple[str, str, str]]:  # noqa: F811
    """Every figure's files: (name, type, contents)."""
    own = formulas if request.param == "with policy" else without_policy(formulas)
    browser.open(own.as_uri())
    told = [(name, kind, text) for name, kind, text in browser.value(SAVED)]
    assert browser.complaints() == []
    assert {url for url in browser.requests() if not url.startswith(("blob:", "data:image/"))} == {own.as_uri()}
    assert len(told) == 2 * browser.value("document.querySelectorAll('.plot').length")
    return told


def test_a_figure_saved_as_a_table_has_its_rows_and_no_formula(saved: list[tuple[str, str, str]]) -> None:
    tables = [text for name, kind, text in saved if name.endswith(".csv") and kind == "text/csv"]
    assert len(tables) == len(saved) / 2
    for text in tables:
        head, *rows = list(csv.reader(io.StringIO(text)))
        assert rows
        assert {len(row) for row in rows} == {len(head)}
        words = [field for row in rows for field in row if not re.fullmatch(r"-?\d[\d.]*(e-?\d+)?", field)]
        assert [word for word in words if re.match(FORMULA_SIGNS, word)] == []
    assert len(FORMULAS) > 3
    assert [text for text in FORMULAS if f"'{text}" not in "\n".join(tables).replace('""', '"')] == []


def test_a_figure_saved_as_a_drawing_is_a_drawing_and_nothing_else(saved: list[tuple[str, str, str]]) -> None:
    """An SVG file opened by itself is a document that may run scripts and fetch: none of that is in it."""
    drawings = [text for name, kind, text in saved if name.endswith(".svg") and kind == "image/svg+xml"]
    assert len(drawings) == len(saved) / 2
    for text in drawings:
        elements = list(ElementTree.fromstring(text).iter())  # noqa: S314 - of the page's own making
        kinds = {element.tag.rpartition("}")[2] for element in elements}
        assert kinds <= {"svg", "g", "path", "text", "tspan", "rect", "line", "circle", "defs", "clipPath", "style"}
        attributes = [(name.rpartition("}")[2], value) for element in elements for name, value in element.items()]
        assert [name for name, _ in attributes if name.startswith("on") or name in ("href", "src")] == []
        assert [value for _, value in attributes if re.search(r"url\((?!['\"]?#)", value)] == []
        styles = [element.text or "" for element in elements if element.tag.endswith("style")]
        assert [style for style in styles if "@import" in style or "//" in style] == []


def test_names_of_files_hold_nothing_but_plain_signs(saved: list[tuple[str, str, str]]) -> None:
    assert [name for name, _, _ in saved if not re.fullmatch(r"codedose-[A-Za-z0-9_-]+\.(csv|svg)", name)] == []
    assert "codedose-dose-svamp.csv" in {name for name, _, _ in saved}


# ---- links to one case


def at(browser: Browser, page: Path, fragment: str) -> dict[str, Any]:  # noqa: F811
    """What the reply browser shows for who opens the page at `fragment`."""
    browser.ask("Page.navigate", url="about:blank")
    browser.open(f"{page.as_uri()}#{fragment}")
    return dict(browser.value(STATE))


@pytest.mark.long
def test_a_link_opens_the_case_it_was_copied_from(browser: Browser, page: Path) -> None:  # noqa: F811
    """Item, task, backbone, draw and reading, for every backbone and reading; without network."""
    items = planted_tables()["items"].sort("item_id")
    for number, reading in enumerate(READINGS):
        item = items.row(5 * number % items.height, named=True)
        backbone = sorted(BACKBONES)[number % len(BACKBONES)]
        browser.open(page.as_uri())
        for name, value in (("pick-task", item["task"]), ("pick-backbone", backbone), ("pick-item", item["item_id"])):
            browser.value(
                f"(() => {{ const select = document.getElementById('{name}'); select.value = {value!r};"
                "select.dispatchEvent(new Event('change', { bubbles: true })); })()"
            )
        browser.value(f"document.querySelector('input[value={reading}]').click()")
        browser.value(
            f"(() => {{ const select = document.getElementById('pick-item'); select.value = {item['item_id']!r};"
            "select.dispatchEvent(new Event('change', { bubbles: true })); })()"
        )
        before = browser.value(STATE)
        fragment = browser.value("document.getElementById('case-link').getAttribute('href')")[1:]
        named = parse_qs(fragment)
        assert (named["case"], named["task"], named["backbone"], named["reading"]) == (
            [item["item_id"]], [item["task"]], [backbone], [reading],
        )  # fmt: skip
        assert at(browser, page, fragment) == before
        assert f"Question {item['item_id'].rsplit('-')[-1]}?" in before["words"]
        assert browser.requests() == {page.as_uri()}
        assert browser.complaints() == []


def test_a_link_to_what_the_page_does_not_hold_says_so(browser: Browser, page: Path) -> None:  # noqa: F811
    told = at(browser, page, "case=no-such-item&backbone=none&reading=none")
    assert told["found"] == "The page does not hold the item that this link names."
    assert told["item"] in set(planted_tables()["items"].select(pl.col("item_id")).to_series())
    assert told["reading"] == "lenient"


@pytest.mark.long
def test_a_hostile_link_chooses_nothing_and_runs_nothing(browser: Browser, page: Path) -> None:  # noqa: F811
    """Whoever sends a link writes its fragment: in the name of the item, in every other name, and raw."""
    count = "document.querySelectorAll('*').length"
    for own in (page, without_policy(page)):
        told = at(browser, own, "case=x")
        elements = browser.value(count)
        for text in (*NAMES, *HOSTILE):
            plain = text.encode("utf-8", "replace").decode()
            for fragment in (
                f"case={quote(plain)}&search={quote(plain)}",
                f"case=x&task={quote(plain)}&backbone={quote(plain)}&run={quote(plain)}&reading={quote(plain)}",
                quote(plain, safe="<>'\"/=;:(){}[]&$#%!"),
            ):
                browser.value(f"location.hash = {fragment!r}; new Promise((done) => setTimeout(done))")
        browser.value("location.hash = '#case=x'; new Promise((done) => setTimeout(done, 50))")
        assert browser.value("[typeof window.__pwned, typeof window.hacked, typeof ({}).__pwned]") == ["undefined"] * 3
        assert browser.value(count) == elements
        assert browser.value(STATE) == told
        assert {url for url in browser.requests() if url != own.as_uri()} == set()
        assert browser.complaints() == []
