"""What strangers write stays words: no place of the page runs it, fetches for it, or takes it for markup.

Each page is opened with its content security policy and without, and beside a page of the same shape whose
texts are harmless: what stands in one as an element or an attribute must stand in the other.
"""

import functools
import itertools
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import polars as pl
import pytest
import test_report
from hostile import AWAY, LONGEST, NAMES, TEXTS
from test_report import Browser, browser  # noqa: F401 - a fixture

from codedose.report.build import build
from codedose.report.figures import inert_json

PLACES = ("model", "task", "prompt", "reply", "error", "path", "study", "label")
WITH_NAMES = ("model", "task", "label")  # whose texts are names: each more is a row of many tables and a plot
A_PAGE = 22  # names in one page
POLICY = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')

# Before the page's own scripts: what a text that runs would do, kept to be asked for.
WATCH = """
window.broken = [];
document.addEventListener("securitypolicyviolation", (event) => window.broken.push(event.violatedDirective));
for (const name of ["alert", "confirm", "prompt", "print", "open"]) window[name] = () => { window.__pwned = name; };
window.saved = [];
URL.createObjectURL = (blob) => { window.saved.push(blob); return "#saved"; };
window.plainObject = Object.getOwnPropertyNames(Object.prototype).join();
"""

# What a page is made of. Inside plots counts depend on ticks, so there only the kinds are told.
SHAPE = """
(() => {
  const tags = {}, handlers = [], addresses = {}, kinds = new Set();
  const count = (all, key) => { all[key] = (all[key] ?? 0) + 1; };
  for (const element of document.querySelectorAll("*")) {
    const name = element.tagName.toLowerCase(), drawn = element.parentElement?.closest(".plot, .js-plotly-plot");
    if (drawn) kinds.add(name); else count(tags, name);
    for (const attribute of element.attributes) {
      kinds.add(`${name}[${attribute.name}]`);
      if (attribute.name.startsWith("on")) handlers.push(`${name}[${attribute.name}]`);
      if (/^(href|xlink:href|src|srcset|srcdoc|action|formaction|data|poster|ping)$/.test(attribute.name))
        if (!attribute.value.startsWith("#")) count(addresses, attribute.value);
    }
  }
  return { tags, handlers, addresses, kinds: [...kinds].sort() };
})()
"""

# Everything a reader can do: every switch, list, button and fold, three words to search, and a look at the dots.
USE = """
(async (most, texts) => {
  const heard = (element, name) => element.dispatchEvent(new Event(name, { bubbles: true }));
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));
  const tidy = (text) => text.replace(/[\\u0000\\ufffd]/g, "").replace(/\\s+/g, " ").trim();
  const left = new Map(texts.map((text) => [text, tidy(text)])), seen = [];
  const look = (elements) => {
    const words = tidy([...elements].map((element) => element.textContent).join(" \\n "));
    for (const [text, plain] of left) if (words.includes(plain)) { seen.push(text); left.delete(text); }
  };
  const whole = () => [...document.body.children].filter((one) => one.tagName !== "SCRIPT");
  const drawn = async () => { while (document.documentElement.dataset.figures === "being drawn") await pause(20); };
  await drawn();
  for (const one of document.querySelectorAll("details")) one.open = true;
  look(whole());
  for (const radio of document.querySelectorAll("input[type=radio]")) radio.click();
  for (const select of document.querySelectorAll("select:not(#pick-item)")) {
    const before = select.selectedIndex;
    for (let at = 0; at < Math.min(select.options.length, most); at += 1) {
      select.selectedIndex = at;
      heard(select, "change");
    }
    select.selectedIndex = before;
    heard(select, "change");
  }
  for (const box of document.querySelectorAll("input[type=checkbox]")) { box.click(); box.click(); }
  for (const box of document.querySelectorAll("input[type=search], input[type=text]")) {
    for (const words of ["<", texts[0], ""]) { box.value = words; heard(box, "input"); await pause(230); }
  }
  for (let at = 0; at < document.getElementById("pick-item").options.length; at += 1) {
    document.getElementById("next").click();
    look(document.querySelectorAll("#case"));
  }
  const pressed = new Set();
  for (const button of document.querySelectorAll("button")) {
    const kind = `${button.closest("figure")?.querySelector(".plot")?.dataset.plot} ${button.textContent}`;
    if (!pressed.has(kind)) { pressed.add(kind); button.click(); }
  }
  for (const plot of document.querySelectorAll(".js-plotly-plot")) {
    for (let curve = 0; curve < Math.min(plot.data.length, most); curve += 1) {
      if (plot.data[curve].x.length) Plotly.Fx.hover(plot, [{ curveNumber: curve, pointNumber: 0 }]);
    }
  }
  look(whole());
  await pause(60);
  await drawn();
  return seen;
})
"""

# A page may draw its figures one after another; it says so while it does.
DRAWN = """
(async () => {
  while (document.documentElement.dataset.figures === "being drawn") await new Promise((done) => setTimeout(done, 20));
})()
"""

# What files that a reader saved are made of: kinds of elements in drawings, cells that a spreadsheet would run.
SAVED = """
(async () => {
  const kinds = new Set();
  for (const blob of window.saved) {
    const text = await blob.text();
    if (!blob.type.includes("svg")) {
      kinds.add(blob.type);
      const formula = text.match(/(^|[,\\n])"?[=+@\\t\\r].{0,60}/);
      if (formula) kinds.add(`a formula: ${formula[0]}`);
      continue;
    }
    for (const element of new DOMParser().parseFromString(text, "image/svg+xml").querySelectorAll("*")) {
      kinds.add(element.tagName);
      for (const attribute of element.attributes) kinds.add(`${element.tagName}[${attribute.name}]`);
    }
  }
  return [...kinds].sort();
})()
"""

FRAGMENTS = """
(async (texts) => {
  for (const text of texts) for (const name of ["case", "search", "task", "reading"]) {
    location.hash = new URLSearchParams({ case: text, [name]: text });
    await new Promise((done) => setTimeout(done));
  }
})
"""

MIDDLES = """
[...document.querySelectorAll(".js-plotly-plot")].slice(0, 3).map((plot) => {
  plot.scrollIntoView({ block: "center", behavior: "instant" });
  const box = plot.getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2];
})
"""


def in_tables(text: str) -> str:
    """`text` as a table can hold it: with ? for half surrogate pairs."""
    return text.encode("utf-8", "replace").decode()


def harmless(texts: Sequence[str]) -> dict[str, str]:
    """text -> a text of the same standing without a sign that means anything anywhere."""
    return {text: f"plain words {number:03d}" for number, text in enumerate(texts)}


def cycled(frame: pl.DataFrame, columns: Sequence[str], texts: Sequence[str]) -> pl.DataFrame:
    """`frame` with `texts` one after another in each of `columns`, a little later in each."""
    endless = [list(itertools.islice(itertools.cycle(texts), at, at + frame.height)) for at in range(len(columns))]
    return frame.with_columns(*map(pl.Series, columns, endless))


def planted(monkeypatch: pytest.MonkeyPatch, texts: Mapping[str, Sequence[str]], twin: Mapping[str, str]) -> None:
    """Make the planted study of test_report speak `texts`, by place; numbers are those of its harmless `twin`."""
    chance = test_report.chance

    @functools.cache
    def plain(name: object) -> object:
        for text, other in twin.items() if isinstance(name, str) else ():
            name = str(name).replace(text, other)
        return name

    arms = dict.fromkeys(["General", "Half", *texts.get("label", ()), "Code"], 0.5) | {"General": 0.0, "Code": 1.0}
    domains = itertools.cycle(texts.get("label", ("symbolic", "logical", "arithmetic")))
    backbones = [*texts.get("model", ("tiny", "small"))]
    values: dict[str, Any] = {
        "HOSTILE": tuple(f"word {number}" for number in range(8)),
        "ARMS": arms,
        "PRIMARY": {"arm": list(arms)[2], "against": "General"},
        "BACKBONES": {name: ("llama", "qwen")[at % 2] for at, name in enumerate(backbones)},
        "TASKS": {name: next(domains) for name in texts.get("task", ("coin_flip", "babi", "svamp"))},
        "ITEMS_A_TASK": 4,
        "chance": lambda *names: chance(*map(plain, names)),
    }
    if {"prompt", "reply"} & set(texts):
        values["ITEMS_A_TASK"] = -(
            -max(len(texts.get(name, ())) for name in ("prompt", "reply")) // len(values["TASKS"])
        )
    if "label" in texts and len(texts["label"]) > len(values["TASKS"]):
        values["TASKS"] = {f"task {number}": next(domains) for number in range(len(texts["label"]))}
    for name, value in values.items():
        monkeypatch.setattr(test_report, name, value)


def spoken(given: dict[str, Any], texts: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """What build takes, with `texts` in the places that are no names."""
    tables, study = dict(given["tables"]), given["study"]
    names = {place: [in_tables(text) for text in some] for place, some in texts.items()}
    if "prompt" in texts:
        tables["items"] = cycled(tables["items"], ["question", "answer"], names["prompt"])
        study["prompt"]["system"] = texts["prompt"][0]
    if "reply" in texts:
        asked = cycled(tables["items"].select("item_id"), ["text", "forced_text"], names["reply"])
        tables["completions"] = tables["completions"].drop("text", "forced_text").join(asked, on="item_id")
    if "error" in texts:
        tables["effects"] = cycled(tables["effects"], ["note", "method"], names["error"])
        tables["accuracies"] = cycled(tables["accuracies"], ["method"], names["error"])
        tables["drops"] = cycled(pl.concat([tables["drops"]] * len(names["error"])), ["reason"], names["error"])
        given |= {"missing": texts["error"], "notes": texts["error"], "lost": [*map(lost, texts["error"])]}
    if "path" in texts:
        given |= from_paths(tables, study, texts["path"], names["path"])
    if "label" in texts:
        measured = pl.concat([tables["balance"]] * len(names["label"]))
        tables["balance"] = cycled(measured, ["quantity"], names["label"])
    if "study" in texts:
        told = texts["study"]
        study |= {"question": "\n".join(told), "caution": "\n".join(told[::-1]), "name": told[0]}
        study["generate"] |= {f"{text}{number}": text for number, text in enumerate(told)}
        given |= {"summary": told}
    return {**given, "tables": tables, "study": study}


def lost(text: str) -> dict[str, Any]:
    """A cell that failed, with `text` wherever a step or an exception speaks."""
    failure = {"step": text, "task": text, "class": "bug", "tries": 1, "reason": text}
    return {"cell": text, "backbone": text, "arm": text, "draw": 0, "seed": 0, "failures": [failure]}


def from_paths(
    tables: dict[str, pl.DataFrame], study: dict[str, Any], raw: Sequence[str], names: Sequence[str]
) -> dict[str, Any]:
    """Put paths into `tables` and `study`; comes back: the steps' records that hold them."""
    for name, columns in (
        ("sources", ["source", "format", "licence"]),
        ("repairs", ["source", "rule", "reference"]),
        ("leaks", ["task", "item_id", "match"]),
        ("drops", ["source", "reference"]),
    ):
        tables[name] = cycled(pl.concat([tables[name]] * len(names)), columns, names)
    study["pool"]["sources"] = [{"path": text, "revision": text, "licence": text} for text in raw]
    study["backbones"] = [{**one, "model": raw[at], "revision": raw[-at]} for at, one in enumerate(study["backbones"])]
    checkpoint = {"backbone": "tiny", "arm": "General", "share": None, "draw": 0, "seed": 0}
    study["joined"] = [{**checkpoint, "checkpoint": text} for text in raw]
    step = {"key": "0123456789ab", "kind": "tune", "started": "2026-11-01T10:00:00Z", "seconds": 1.5}
    parts = [
        {"step": text, "versions": {text: text}, "hardware": {"cpu": text, "cores": 2}, "commit": text} for text in raw
    ]
    return {"provenance": [{**step, **part} for part in parts]}


def written(folder: Path, texts: Mapping[str, Sequence[str]], twin: Mapping[str, str]) -> Path:
    """A page whose named places hold `texts`."""
    folder.mkdir()
    with pytest.MonkeyPatch.context() as monkeypatch:
        whole = {place: [in_tables(text) for text in some] for place, some in texts.items()}
        planted(monkeypatch, whole, {in_tables(text): other for text, other in twin.items()})
        study, tables = test_report.planted_study(), test_report.planted_tables()
    given = {
        "study": study, "tables": tables, "summary": ["One sentence."], "missing": ["one"], "notes": ["one"],
        "provenance": test_report.PROVENANCE,
    }  # fmt: skip
    return build(folder, **spoken(given, texts))


def pages(names: Sequence[str], texts: Sequence[str], mark: pytest.MarkDecorator) -> Iterator[Any]:
    """Each place with what fits there, names in pages of A_PAGE, as parameters of a test."""
    for place in PLACES:
        if place in WITH_NAMES:
            for at in range(0, len(names), A_PAGE):
                yield pytest.param({place: names[at : at + A_PAGE]}, marks=mark, id=f"{mark.name}-{place}-{at}")
        else:
            yield pytest.param({place: texts}, marks=mark, id=f"{mark.name}-{place}")


SOME = list(pages(NAMES[::8], NAMES[::4], pytest.mark.long))  # without the longest, whose pages take minutes
ALL = list(pages(NAMES, TEXTS, pytest.mark.soak))


def without_policy(page: Path) -> Path:
    """The same page without its content security policy, beside it."""
    bare, found = POLICY.subn("", page.read_text(encoding="utf-8"))
    assert found == 1
    path = page.with_name("bare.html")
    path.write_text(bare, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def watched(browser: Browser) -> Browser:  # noqa: F811 - the fixture
    browser.ask("Page.addScriptToEvaluateOnNewDocument", source=WATCH)
    return browser


def used(browser: Browser, page: Path, texts: Sequence[str], most: int) -> dict[str, Any]:  # noqa: F811
    """Open a page and do all a reader can: what it was made of before and after, which texts were seen, what broke.

    Where `most` is 0 the page is only looked at.
    """
    browser.open(page.as_uri())
    browser.value(DRAWN)
    before = browser.value(SHAPE)
    seen = browser.value(f"{USE}({most}, {inert_json(list(texts))})") if most else []
    point(browser)
    return {
        "seen": seen,
        "before": before,
        "after": browser.value(SHAPE),
        "ran": browser.value(
            "[window.__pwned, ({}).__pwned, document.cookie, Object.getOwnPropertyNames(Object.prototype).join() === "
            "window.plainObject].map(String)"
        ),
        "broken": browser.value("window.broken"),
        "saved": browser.value(SAVED),
        "requests": browser.requests(),
        "frames": [event["method"] for event in browser.events if event["method"] in LEAVING],
        "complaints": browser.complaints(),
    }


LEAVING = ("Page.frameAttached", "Page.frameRequestedNavigation", "Page.javascriptDialogOpening", "Page.windowOpen")


def point(browser: Browser) -> None:  # noqa: F811
    """Move a real mouse over the middle of the first plots."""
    middles = browser.value(MIDDLES)
    for x, y in middles:
        browser.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)


def away(requests: set[str], page: Path) -> set[str]:
    """The requests for anything but the page itself and pictures within it."""
    return {url for url in requests if url != page.as_uri() and not url.startswith("data:image/")}


def words(complaints: Sequence[Mapping[str, Any]]) -> set[str]:
    """What Chromium complained of; a complaint that the harmless page causes too is Plotly's."""
    return {one["params"].get("entry", {}).get("text", json.dumps(one)) for one in complaints}


@pytest.fixture(scope="module")
def twins_use(watched: Browser, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """What comes of using the page of harmless texts in places; pages of as many are one page, and used once."""

    @functools.cache
    def use(texts: str, most: int) -> dict[str, Any]:
        plain = json.loads(texts)
        told = used(watched, written(tmp_path_factory.mktemp("plain") / "page", plain, {}), each_once(plain), most)
        assert set(told["seen"]) == set(each_once(plain))
        return told

    return lambda texts, most: use(json.dumps(texts), most)


def each_once(texts: Mapping[str, Sequence[str]]) -> list[str]:
    return list(dict.fromkeys(text for some in texts.values() for text in some))


def check(
    browser: Browser,  # noqa: F811
    twins_use: Callable[..., dict[str, Any]],
    folder: Path,
    texts: dict[str, Sequence[str]],
    most: int = 2,
    most_with_policy: int = 2,
) -> None:
    """A page with `texts` in places, with policy and without, is the page of their harmless twins in other words."""
    every = each_once(texts)
    twin = harmless(every)
    shown = [in_tables(text) for text in every]
    meant = twins_use({place: [twin[text] for text in some] for place, some in texts.items()}, most)
    page = written(folder / "page", texts, twin)
    for each, most_here in ((page, most_with_policy), (without_policy(page), most)):
        told = used(browser, each, shown, most_here)
        assert told["ran"] == ["undefined", "undefined", "", "true"]
        assert away(told["requests"], each) == set()
        assert set(told["saved"]) <= set(meant["saved"])
        assert told["frames"] == []
        assert set(told["broken"]) <= set(meant["broken"])
        assert words(told["complaints"]) <= words(meant["complaints"])
        for when in ("before", "after") if most_here else ("before",):
            assert told[when]["handlers"] == meant[when]["handlers"] == []
            assert told[when]["addresses"] == meant[when]["addresses"]
            assert set(told[when]["kinds"]) <= set(meant[when]["kinds"])
            wanted = dict(meant[when]["tags"])
            if each != page:
                wanted["meta"] -= 1
            # a search for a hostile text may end at another case than one for its twin: kinds then, not counts
            assert told[when]["tags"] == wanted if when == "before" else set(told[when]["tags"]) <= set(wanted)
        assert [text[:90] for text in shown if most_here and text not in told["seen"]] == []


@pytest.mark.long
def test_every_place_at_once(watched: Browser, twins_use: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    """The short version: some texts in every place."""
    texts = {place: NAMES[at :: 30 if place in WITH_NAMES else 9] for at, place in enumerate(PLACES)}
    check(watched, twins_use, tmp_path, texts, 1, 1)


@pytest.mark.parametrize("texts", [*SOME, *ALL])
def test_each_place(
    watched: Browser, twins_use: Callable[..., dict[str, Any]], tmp_path: Path, texts: dict[str, Sequence[str]]
) -> None:
    """Pages of many names are used without their policy, where nothing but the page itself stops a text.

    With it they are opened and looked at: a use of one takes half a minute, and the other places' pages, and that of
    every place at once, are used both ways.
    """
    check(watched, twins_use, tmp_path, texts, most_with_policy=0 if set(texts) & set(WITH_NAMES) else 2)


def test_the_texts_do_run_where_nothing_stops_them(watched: Browser, tmp_path: Path) -> None:
    """What the other tests rest on: each way in which a text could act is noticed."""
    for name, text in {"run": NAMES[4], "away": f"<img src={AWAY}.png>", "frame": "<iframe></iframe>"}.items():
        (tmp_path / f"{name}.html").write_text(f"<!doctype html><meta charset=utf-8><p>{text}</p>", encoding="utf-8")
    watched.open((tmp_path / "run.html").as_uri())
    assert watched.value("new Promise((done) => setTimeout(() => done(window.__pwned), 300))") == 1
    watched.open((tmp_path / "away.html").as_uri())
    assert away(watched.requests(), tmp_path / "away.html") == {f"{AWAY}.png"}
    watched.open((tmp_path / "frame.html").as_uri())
    assert "Page.frameAttached" in [event["method"] for event in watched.events]


def test_there_are_enough_texts() -> None:
    assert len(set(NAMES)) >= 60
    assert len(set(TEXTS) - set(LONGEST)) == len(NAMES)


def test_an_address_that_a_stranger_made_runs_nothing(watched: Browser, tmp_path: Path) -> None:
    """A link to the page may say what to show after its #."""
    page = written(tmp_path / "page", {}, {})
    fragment = urlencode(dict.fromkeys(("case", "search", "task", "backbone", "reading"), NAMES[4]))
    watched.open(page.as_uri())
    watched.value(DRAWN)
    meant = watched.value(SHAPE)["kinds"]
    for start in (f"#{fragment}", f"#{quote(NAMES[0], safe='<>=/')}"):
        watched.open("about:blank")
        watched.open(page.as_uri() + start)
        watched.value(f"{FRAGMENTS}({inert_json([in_tables(text) for text in NAMES[::4]])})")
        watched.value(DRAWN)
        assert watched.value("String(window.__pwned)") == "undefined"
        assert set(watched.value(SHAPE)["kinds"]) <= set(meant)
        assert away(watched.requests(), page) == set()
        assert watched.complaints() == []
