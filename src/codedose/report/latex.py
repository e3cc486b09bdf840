"""A paper's tables and panels -> LaTeX to paste: booktabs tables, pgfplots figures, and a document that holds them all.

Tables need booktabs and graphicx; figures pgfplots with its library groupplots. Nothing else is assumed.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby

from codedose.report.escaped import latex
from codedose.report.panels import Kind, Panel, Series, legend
from codedose.report.paper import Line, Score, Table, figure, spread

MOST_LINES = 42  # of one float: what a page holds in \footnotesize beneath a caption and above its notes
MOST_PANELS = 12
ACROSS = 3
WIDTHS = {1: 0.5, 2: 0.44, 3: 0.36}  # of a panel, in widths of the text
# A table wider than the text is made as wide as the text, and no other is touched.
FITTED = r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%"
STYLES: Mapping[Kind, str] = {
    "one": "thin, mark=*, mark size=1pt",
    "all": "very thick, mark=*, mark size=1.6pt",
    "curve": "semithick, densely dotted, mark=none",
    "untuned": "semithick, dashed, mark=none",
}
DOCUMENT = r"""% {title}
% Compiles as it is; to paste a part, \input its file or copy it, with these packages.
\documentclass[10pt]{{article}}
\usepackage[margin=2cm]{{geometry}}
\usepackage{{booktabs,graphicx,pgfplots}}
\usepgfplotslibrary{{groupplots}}
\pgfplotsset{{compat=1.16}}
\begin{{document}}
{summary}
\clearpage
{inputs}
\end{{document}}
"""


def document(question: str, summary: Sequence[str], names: Sequence[str]) -> str:
    """A whole document: what the analysis says, and the files of these names."""
    inputs = "\n".join(rf"\input{{{name}}}" for name in names)
    told = "\n\n".join([rf"\section*{{\raggedright {latex(question)}}}", *map(latex, summary)])
    return DOCUMENT.format(title=latex(question), summary=told, inputs=inputs)


# ---- tables


def tables(told: Table) -> str:
    """One float, or several where a page would not hold the lines of one; lines of one place stay together."""
    parts = list(paged(told.lines)) or [()]
    return "\n".join(
        floating(told, part, f" (part {at} of {len(parts)})" if len(parts) > 1 else "", at)
        for at, part in enumerate(parts, 1)
    )


def paged(lines: Sequence[Line]) -> Iterator[tuple[Line, ...]]:
    page: tuple[Line, ...] = ()
    for _, group in groupby(lines, key=lambda line: line.of):
        place = tuple(group)
        if page and len(page) + len(place) > MOST_LINES:
            yield page
            page = ()
        page += place
    if page:
        yield page


def floating(told: Table, lines: Sequence[Line], part: str, at: int) -> str:
    columns = "ll" + "r" * (len(told.arms) + len(told.gaining))
    label = f"tab:codedose-{told.view}" + ("" if at == 1 else f"-{at}")
    return "\n".join(
        [
            r"\begin{table}[tp]",
            r"\centering\footnotesize",
            rf"\caption{{{latex(told.caption + part)}.}}\label{{{label}}}",
            r"\setlength{\tabcolsep}{4pt}%",
            FITTED,
            rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
            r"\toprule",
            *heads(told),
            r"\midrule",
            *body(lines),
            r"\bottomrule",
            r"\end{tabular}}",
            *noted(told.notes),
            r"\end{table}",
            "",
        ]
    )


def heads(told: Table) -> list[str]:
    """What the columns are: arms, and the arms that gain on the baseline."""
    first, second = 3, 3 + len(told.arms)
    spans = [rf" & & \multicolumn{{{len(told.arms)}}}{{c}}{{Accuracy, \%}}"]
    rules = [rf"\cmidrule(lr){{{first}-{second - 1}}}"]
    if told.gaining:
        spans.append(rf"\multicolumn{{{len(told.gaining)}}}{{c}}{{Gain on {latex(told.baseline)}, points}}")
        rules.append(rf"\cmidrule(l){{{second}-{second + len(told.gaining) - 1}}}")
    named = " & ".join(["", "backbone", *map(latex, told.arms), *map(latex, told.gaining)])
    return [" & ".join(spans) + r" \\", "".join(rules), named + r" \\"]


def body(lines: Sequence[Line]) -> Iterator[str]:
    """One row a line; the name of a place stands in its first, and places stand a little apart."""
    for at, (_, group) in enumerate(groupby(lines, key=lambda line: line.of)):
        if at:
            yield r"\addlinespace"
        for row, line in enumerate(group):
            place = "" if row else "{}" + latex(line.label)  # a [ or * would belong to the command before it
            cells = [*(cell(score, signed=False) for score in line.scores), *(cell(s, signed=True) for s in line.gains)]
            yield " & ".join([place, latex(line.backbone), *cells]) + r" \\"


def cell(score: Score | None, *, signed: bool) -> str:
    if score is None:
        return "--"
    value = latex(figure(score.value, signed=signed))
    value = rf"\textbf{{{value}}}" if score.is_best else value
    marks = "".join(rf"\textsuperscript{{{latex(mark)}}}" for mark in score.marks)
    around = latex(spread(score, signed=signed))
    return f"{value}{marks}{{\\scriptsize\\,{around}}}" if around else f"{value}{marks}"


def noted(notes: Sequence[str]) -> list[str]:
    said = [rf"{latex(note)}\par" for note in notes]
    return [r"\par\medskip", r"\begin{minipage}{\linewidth}\scriptsize", *said, r"\end{minipage}"]


# ---- figures


def figures(view: str, panels: Sequence[Panel], caption: str) -> str:
    """The panels of a view as one figure, or several where a page would not hold them."""
    parts = [panels[at : at + MOST_PANELS] for at in range(0, len(panels), MOST_PANELS)]
    colours = legend(tuple(panels))
    return "\n".join(
        drawn(view, part, colours, caption + (f" (part {at} of {len(parts)})" if len(parts) > 1 else ""), at)
        for at, part in enumerate(parts, 1)
    )


def drawn(view: str, panels: Sequence[Panel], colours: Mapping[tuple[str, Kind], str], caption: str, at: int) -> str:
    names = {pair: f"codedose{number}" for number, pair in enumerate(colours)}
    across = min(ACROSS, len(panels))
    rows = -(-len(panels) // across)
    label = f"fig:codedose-{view}" + ("" if at == 1 else f"-{at}")
    return "\n".join(
        [
            r"\begin{figure}[tp]",
            r"\centering\footnotesize",
            *(rf"\definecolor{{{names[pair]}}}{{HTML}}{{{colour}}}" for pair, colour in colours.items()),
            r"\begin{tikzpicture}",
            rf"\begin{{groupplot}}[group style={{group size={across} by {rows}, horizontal sep=1.1cm, "
            rf"vertical sep=1.7cm}}, width={WIDTHS[across]}\textwidth, height=0.29\textwidth, xmin=-5, xmax=105, "
            r"xtick={0,25,50,75,100}, xlabel={share of code, \%}, ymajorgrids, grid style={gray!30}, "
            r"title style={font=\footnotesize\bfseries, yshift=-1ex}, tick label style={font=\scriptsize}, "
            r"label style={font=\scriptsize}]",
            *(line for panel in panels for line in plot(panel, names)),
            r"\end{groupplot}",
            r"\end{tikzpicture}",
            r"\par\medskip",
            *(sample(name, kind, names[name, kind]) for name, kind in colours),
            rf"\caption{{{latex(caption)}}}\label{{{label}}}",
            r"\end{figure}",
            "",
        ]
    )


def plot(panel: Panel, names: Mapping[tuple[str, Kind], str]) -> Iterator[str]:
    ticks = ",".join(map(str, panel.ticks))
    yield (
        rf"\nextgroupplot[title={{{latex(panel.title)}}}, ytick={{{ticks}}}, ymin={panel.ticks[0]}, "
        rf"ymax={panel.ticks[-1]}]"
    )
    for series in panel.series:
        yield addplot(series, names[series.name, series.kind])


def addplot(series: Series, colour: str) -> str:
    bars = ", error bars/.cd, y dir=both, y explicit" if series.has_limits else ""
    places = [f"({point.share:.2f},{point.value:.3f})" for point in series.points]
    if bars:
        limits = [
            (point.value if point.low is None else point.low, point.value if point.high is None else point.high)
            for point in series.points
        ]
        places = [
            f"{place} += (0,{high - point.value:.3f}) -= (0,{point.value - low:.3f})"
            for place, point, (low, high) in zip(places, series.points, limits, strict=True)
        ]
    return rf"\addplot[{colour}, {STYLES[series.kind]}{bars}] coordinates {{{' '.join(places)}}};"


def sample(name: str, kind: Kind, colour: str) -> str:
    """One entry of the legend: a stretch of the line, and whose it is."""
    look = STYLES[kind].partition(", mark")[0]
    return rf"\mbox{{\tikz[baseline=-0.6ex]{{\draw[{colour}, {look}] (0,0) -- (0.6,0);}} {latex(name)}}}\quad"
