"""Panels -> one SVG file of small multiples: no script, no font, no address in it, and always the same bytes."""

from collections.abc import Mapping, Sequence

from codedose.report.escaped import xml
from codedose.report.panels import Kind, Panel, Point, Series, legend

ACROSS = 3
WIDE, HIGH = 250, 190  # of a panel with its axes
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 28, 34  # around the plot inside a panel
LETTER = 7.2  # about what a letter of 12 pixels takes
LONGEST = 26  # letters of a title or name; the whole of it is there to point at
SHARES = (0, 25, 50, 75, 100)
WIDTHS: Mapping[Kind, float] = {"one": 1.2, "all": 2.4, "curve": 1.4, "untuned": 1.4}
DASHES: Mapping[Kind, str] = {"curve": "2 3", "untuned": "6 4"}
ROW = 20  # height of a row of the legend


def svg(panels: Sequence[Panel], caption: str) -> str:
    """The figure as a text that begins with <svg>; `caption` is its title."""
    across = max(1, min(ACROSS, len(panels)))
    width, below = across * WIDE, -(-len(panels) // across) * HIGH
    colours = legend(tuple(panels))
    key, rows = drawn_legend(colours, width, below)
    height = below + ROW * rows + 14
    inside = [panel(each, at % across * WIDE, at // across * HIGH, colours) for at, each in enumerate(panels)]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'role="img" font-family="sans-serif" font-size="12" fill="#1A1A1A">'
    )
    ground = f'<rect width="{width}" height="{height}" fill="#FFFFFF"/>'
    return "\n".join([head, f"<title>{xml(caption)}</title>", ground, *inside, *key, "</svg>"]) + "\n"


def panel(each: Panel, x: int, y: int, colours: Mapping[tuple[str, Kind], str]) -> str:
    title = each.title if len(each.title) <= LONGEST else f"{each.title[: LONGEST - 1]}…"
    named = f'<text x="{LEFT}" y="17" font-weight="bold">{xml(title)}<title>{xml(each.title)}</title></text>'
    lines = [drawn(line, colours[line.name, line.kind], each) for line in each.series]
    return "\n".join([f'<g transform="translate({x} {y})">', named, axes(each), *lines, "</g>"])


def across_of(share: float) -> str:
    return f"{LEFT + (WIDE - LEFT - RIGHT) * share / 100:.1f}"


def down_of(value: float, each: Panel) -> str:
    low, high = each.ticks[0], each.ticks[-1]
    return f"{TOP + (HIGH - TOP - BOTTOM) * (high - value) / (high - low):.1f}"


def axes(each: Panel) -> str:
    """Level lines with their accuracies, and the shares below them."""
    end = WIDE - RIGHT
    levels = [
        f'<path d="M{LEFT} {down_of(tick, each)}H{end}" stroke="#DDDDDD"/>'
        f'<text x="{LEFT - 6}" y="{float(down_of(tick, each)) + 4:.1f}" text-anchor="end">{tick}</text>'
        for tick in each.ticks
    ]
    base = HIGH - BOTTOM
    shares = [f'<text x="{across_of(share)}" y="{base + 16}" text-anchor="middle">{share}</text>' for share in SHARES]
    name = f'<text x="{(LEFT + end) / 2:g}" y="{base + 30}" text-anchor="middle" font-size="11">share of code, %</text>'
    return "\n".join([*levels, *shares, name])


def drawn(line: Series, colour: str, each: Panel) -> str:
    """A line with its dots; of all backbones also with the interval of each dot."""
    way = "L".join(f"{across_of(point.share)} {down_of(point.value, each)}" for point in line.points)
    parts = [stroke(f"M{way}", colour, line.kind)]
    if line.has_limits:
        parts += [bar(point, colour, each) for point in line.points if point.low is not None]
    if line.kind in ("one", "all"):
        size = 3.5 if line.kind == "all" else 2.5
        parts += [
            f'<circle cx="{across_of(point.share)}" cy="{down_of(point.value, each)}" r="{size}" fill="#{colour}"/>'
            for point in line.points
        ]
    return f"<g><title>{xml(line.name)}</title>{''.join(parts)}</g>"


def stroke(way: str, colour: str, kind: Kind) -> str:
    dash = f' stroke-dasharray="{DASHES[kind]}"' if kind in DASHES else ""
    return f'<path d="{way}" fill="none" stroke="#{colour}" stroke-width="{WIDTHS[kind]}"{dash}/>'


def bar(point: Point, colour: str, each: Panel) -> str:
    x, low, high = (
        float(across_of(point.share)),
        down_of(point.low or 0.0, each),
        down_of(100.0 if point.high is None else point.high, each),
    )
    return (
        f'<path d="M{x:.1f} {low}V{high}M{x - 4:.1f} {low}H{x + 4:.1f}M{x - 4:.1f} {high}H{x + 4:.1f}" '
        f'stroke="#{colour}" stroke-width="1.4"/>'
    )


def drawn_legend(colours: Mapping[tuple[str, Kind], str], width: int, top: int) -> tuple[list[str], int]:
    """The legend below the panels, and how many rows it takes."""
    parts, x, row = [], 10.0, 0
    for (name, kind), colour in colours.items():
        shown = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
        takes = 34 + LETTER * len(shown) + 14
        if x > 10 and x + takes > width:
            x, row = 10.0, row + 1
        y = top + ROW * row + 14
        sample = stroke(f"M{x:.1f} {y - 4}h26", colour, kind)
        parts.append(f'{sample}<text x="{x + 32:.1f}" y="{y}">{xml(shown)}<title>{xml(name)}</title></text>')
        x += takes
    return parts, row + 1
