"""A paper's tables -> Markdown to paste: GitHub's tables, with the figures beside them as files."""

from collections.abc import Iterable, Sequence

from codedose.report.escaped import markdown
from codedose.report.paper import Line, Score, Table, figure, spread


def document(question: str, summary: Sequence[str], tables: Sequence[Table], figures: Sequence[tuple[str, str]]) -> str:
    """The answer, then each table with its notes, then its figure: (file, caption), as many as tables."""
    parts = [f"# {markdown(question)}", *map(markdown, summary)]
    for at, (told, (file, caption)) in enumerate(zip(tables, figures, strict=True), 1):
        parts += [f"**Table {at}.** {markdown(told.caption)}.", grid(told), listed(told.notes)]
        parts.append(f"![Figure {at}]({file})\n\n**Figure {at}.** {markdown(caption)}")
    return "\n\n".join(parts) + "\n"


def grid(told: Table) -> str:
    """A line a row, the best arm in bold; gains stand behind the accuracies."""
    gains = [f"{arm} on {told.baseline}, points" for arm in told.gaining]
    head = ["", "backbone", *(f"{arm}, %" for arm in told.arms), *gains]
    return rows([markdown(name) for name in head], map(cells, told.lines), numbers_from=2)


def cells(line: Line) -> list[str]:
    scores = [cell(score, signed=False) for score in line.scores]
    return [markdown(line.label), markdown(line.backbone), *scores, *(cell(score, signed=True) for score in line.gains)]


def cell(score: Score | None, *, signed: bool) -> str:
    if score is None:
        return "–"
    value = figure(score.value, signed=signed) + score.marks.replace("*", r"\*")
    value = f"**{value}**" if score.is_best else value
    return f"{value} {markdown(spread(score, signed=signed))}".rstrip()


def rows(head: Sequence[str], body: Iterable[Sequence[str]], *, numbers_from: int) -> str:
    """A table of cells that are Markdown already; columns from `numbers_from` on stand to the right."""
    rule = ["---" if at < numbers_from else "---:" for at in range(len(head))]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, rule, *body])


def table(head: Sequence[object], body: Iterable[Sequence[object]], *, numbers_from: int) -> str:
    """A table of texts from anywhere."""
    escaped = ([markdown(value) for value in row] for row in body)
    return rows([markdown(name) for name in head], escaped, numbers_from=numbers_from)


def listed(texts: Iterable[object]) -> str:
    return "\n".join(f"- {markdown(text)}" for text in texts)
