"""The page for everyone: axe-core, contrasts, and a keyboard, in light, in dark and on a small screen."""

import importlib.util
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from test_report import Browser, browser, page  # noqa: F401 - fixtures

AXE = "axe_playwright_python"  # a package that carries axe.min.js; nothing of it is imported
GRAVE = ("serious", "critical")
LOOKS = ("light", *(pytest.param(look, marks=pytest.mark.long) for look in ("dark", "small")))

FINDINGS = """
axe.run(document, { resultTypes: ["violations"], rules: { "target-size": { enabled: true } } }).then((found) =>
  found.violations.map((one) => [one.impact, one.id, one.nodes.length, one.nodes[0].target.join(" "),
    one.nodes[0].failureSummary]))
"""
OPEN_ALL = "for (const one of document.querySelectorAll('details')) one.open = true"


@pytest.fixture(scope="module")
def axe() -> str:
    found = importlib.util.find_spec(AXE)
    if found is None or not found.submodule_search_locations:
        pytest.skip(f"axe-core is not here: pip install --no-deps {AXE.replace('_', '-')}")
    return (Path(found.submodule_search_locations[0]) / "axe.min.js").read_text(encoding="utf-8")


@pytest.fixture(params=LOOKS)
def looked_at(request: pytest.FixtureRequest, browser: Browser, page: Path) -> Iterator[Browser]:  # noqa: F811
    """The planted page with every fold open, as one sees it in light, in dark, or on a screen 360 pixels wide."""
    scheme = "dark" if request.param == "dark" else "light"
    browser.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    if request.param == "small":
        browser.ask("Emulation.setDeviceMetricsOverride", width=360, height=740, deviceScaleFactor=1, mobile=True)
    browser.open(page.as_uri())
    browser.value(OPEN_ALL)
    yield browser
    browser.ask("Emulation.clearDeviceMetricsOverride")
    browser.ask("Emulation.setEmulatedMedia", features=[])


def test_axe_finds_nothing_serious(looked_at: Browser, axe: str) -> None:
    looked_at.value(f"{axe}; 0")
    found: list[Any] = looked_at.value(FINDINGS)
    print(*found, sep="\n")
    assert [one for one in found if one[0] in GRAVE] == []


# ---- colours


COLOURS = """
(() => {
  const style = getComputedStyle(document.documentElement), probe = document.createElement("p");
  document.body.append(probe);
  const solid = (name) => { probe.style.color = `var(${name})`; return getComputedStyle(probe).color; };
  const names = %s, told = Object.fromEntries(names.map((name) => [name, solid(name)]));
  for (const way of ["up", "down"]) for (const depth of [1, 2, 3, 4]) {
    const table = document.createElement("table"), cell = table.insertRow().insertCell();
    cell.className = `n heat-${way}-${depth}`;
    document.body.append(table);
    told[cell.className] = getComputedStyle(cell).backgroundColor;
    table.remove();
  }
  probe.remove();
  return told;
})()
"""
WORDS = ("--ink", "--quiet", "--accent", "--caution", "--warning", "--untuned")
DOTS = (*(f"--arm-{number}" for number in range(7)), "--untuned", "--edge")
PAPERS = ("--paper", "--panel")


def channels(colour: str) -> list[float]:
    """Red, green, blue (0 to 255) and opacity of a computed colour."""
    found = [float(part) for part in re.findall(r"[\d.]+", colour)]
    return found if len(found) == 4 else [*found, 1.0]


def luminance(colour: Sequence[float]) -> float:
    """Relative luminance (WCAG 2.2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in colour[:3])]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str, under: str = "rgb(0 0 0)") -> float:
    """The ratio of two colours, from 1 to 21; the second may let a third shine through."""
    *top, opacity = channels(other)
    whole = [opacity * part + (1 - opacity) * below for part, below in zip(top, channels(under), strict=False)]
    dark, light = sorted((luminance(channels(one)), luminance(whole)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_and_dots_stand_out_from_what_they_lie_on(browser: Browser, page: Path, scheme: str) -> None:  # noqa: F811
    """WCAG 2.2: words 4.5 to 1, dots and edges of controls 3 to 1; also colours that this page has no arm for."""
    browser.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    browser.open(page.as_uri())
    told = browser.value(COLOURS % json.dumps([*WORDS, *DOTS, *PAPERS]))
    browser.ask("Emulation.setEmulatedMedia", features=[])
    paper = told["--paper"]
    pairs = [(name, under, contrast(told[name], told[under]), 4.5) for name in WORDS for under in PAPERS]
    pairs += [(name, "--paper", contrast(told[name], paper), 3.0) for name in DOTS]
    pairs += [("--ink", heat, contrast(told["--ink"], told[heat], paper), 4.5) for heat in told if "heat" in heat]
    assert len(pairs) == len(WORDS) * 2 + len(DOTS) + 8
    assert [pair for pair in pairs if pair[2] < pair[3]] == []


# ---- keyboard, motion


FOCUS = """
(() => {
  const here = document.activeElement, style = getComputedStyle(here), box = here.getBoundingClientRect();
  if (here === document.body) return null;
  window.passed.push(here);
  const top = document.elementFromPoint(box.x + Math.min(box.width / 2, 20), box.y + Math.min(box.height / 2, 12));
  const covered = !(top && (here.contains(top) || top.contains(here)));
  const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  return { name: `${here.tagName} ${here.id} ${here.textContent.slice(0, 40)}`, ring, covered };
})()
"""
CONTROLS = """
[...document.querySelectorAll("a[href], button, select, input, summary, [tabindex='0']")].filter((one) =>
  one.checkVisibility() && !(one.type === "radio" && !one.checked))
"""


def tab(browser: Browser) -> Any:  # noqa: F811
    """Press the Tab key: what then has the focus; None after the last."""
    key = {"key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
    browser.ask("Input.dispatchKeyEvent", type="rawKeyDown", **key)
    browser.ask("Input.dispatchKeyEvent", type="keyUp", **key)
    return browser.value(FOCUS)


@pytest.mark.parametrize("width", [1200, 360])
def test_tab_reaches_every_control_in_order_and_shows_where_it_is(browser: Browser, page: Path, width: int) -> None:  # noqa: F811
    browser.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    browser.ask("Emulation.setDeviceMetricsOverride", width=width, height=740, deviceScaleFactor=1, mobile=False)
    browser.open(page.as_uri())
    browser.value("window.passed = []; 0")
    told = list(itertools.takewhile(bool, (tab(browser) for _ in range(1000))))
    missed = browser.value(
        f"{CONTROLS}.filter((one) => !window.passed.includes(one)).map((one) => one.outerHTML.slice(0, 90))"
    )
    ordered = browser.value(
        "window.passed.every((one, at, all) => !at"
        "|| all[at - 1].compareDocumentPosition(one) & Node.DOCUMENT_POSITION_FOLLOWING)"
    )
    browser.ask("Emulation.clearDeviceMetricsOverride")
    browser.ask("Emulation.setEmulatedMedia", features=[])
    assert len(told) > 20
    assert missed == []
    assert ordered
    assert [one["name"] for one in told if not one["ring"]] == []
    assert [one["name"] for one in told if one["covered"]] == []


def test_nothing_moves_for_who_wants_no_motion(browser: Browser, page: Path) -> None:  # noqa: F811
    browser.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-reduced-motion", "value": "reduce"}])
    browser.open(page.as_uri())
    moving = browser.value(
        "[...document.querySelectorAll('*')].filter((one) => { const style = getComputedStyle(one);"
        "return style.scrollBehavior === 'smooth' || style.animationName !== 'none'"
        "|| /[1-9]/.test(style.transitionDuration); }).map((one) => one.outerHTML.slice(0, 80))"
    )
    browser.ask("Emulation.setEmulatedMedia", features=[])
    assert moving == []
