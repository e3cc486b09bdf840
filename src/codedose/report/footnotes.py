"""What must stand beneath a table of a paper: the rows that it shows flow in, sentences flow out."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl

from codedose.tables import UNTUNED

READ = {
    "strict": "the stated answer line only",
    "lenient": "the last thing in a reply that could be an answer",
    "forced": "the answer to “Therefore, the answer is”, asked after each reply",
}
ADJUSTED = re.compile(r"(?:Holm|Benjamini-Hochberg) over \d+ tests?|not adjusted")  # as analyse words a note
WEIGHED = {
    "overall": "Each task weighs the same. ",
    "domain": "Within a domain each task weighs the same. ",
    "task": "",
}


def footnotes(
    view: str,
    study: Mapping[str, Any],
    items: pl.DataFrame,
    cells: pl.DataFrame,
    gains: pl.DataFrame,
    missing: Sequence[str],
) -> list[str]:
    """The reading, the items, the draws, the intervals, what they are about, the adjustment, and what bold means.

    `cells` and `gains` are the rows of accuracies and effects that the table shows; gains have an arm.
    """
    analyse = study["analyse"]
    told = [
        measured(view, analyse["reading"]),
        asked(items),
        repeated(study, cells),
        intervals(cells, f"{100 * analyse['confidence']:g} %"),
        *tested(gains, analyse),
        bold(study),
    ]
    if missing:
        told.append(f"A part of the study: {counted(len(missing), 'cell')} failed, missing here: {listed(missing)}.")
    if study["caution"]:
        told.append(f"Caution: {study['caution']}")
    return told


def measured(view: str, reading: str) -> str:
    return (
        f"Accuracy: right answers among all questions asked, under the {reading} reading ({READ[reading]}); a reply "
        f"without an answer, or cut at the token limit, is not right. {WEIGHED[view]}Zero-shot, generative."
    )


def asked(items: pl.DataFrame) -> str:
    """How many items of which origin each task has."""
    counts = items.group_by("origin", "task").agg(pl.len()).sort("origin", "task")
    kinds = [
        f"{origin} ({', '.join(f'{task} {count:,}' for task, count in part.select('task', 'len').iter_rows())})"
        for (origin,), part in counts.group_by("origin", maintain_order=True)
    ]
    return f"Items: {'; '.join(kinds)}." if kinds else "Items: not listed."


def repeated(study: Mapping[str, Any], cells: pl.DataFrame) -> str:
    """How many draws and seeds stand behind each arm; of fewer draws in a part of a study, how many were analysed."""
    planned, seeds = study["mix"]["draws"], study["tune"]["seeds"]
    tuned = cells.filter(pl.col("arm") != UNTUNED)["n_draws"]
    draws = int(tuned.max() or 0) if tuned.len() else 0  # type: ignore[arg-type]
    given = counted(draws, "draw") if draws == planned else f"{draws:,} of {counted(planned, 'draw')}"
    few = {1: " One draw allows no claim about the data.", 2: " Two draws are only indicative."}.get(draws, "")
    return f"Each arm: {given} of training examples, shared by all backbones, with {counted(seeds, 'seed')} each.{few}"


def intervals(cells: pl.DataFrame, confidence: str) -> str:
    tuned, untuned = (cells.filter(same)["method"] for same in (pl.col("arm") != UNTUNED, pl.col("arm") == UNTUNED))
    said = f"± is half of a {confidence} interval, [low, high] its limits where it is not symmetric: {together(tuned)}"
    return f"{said}; the untuned backbone: {together(untuned)}, over its items alone." if len(untuned) else f"{said}."


def tested(gains: pl.DataFrame, analyse: Mapping[str, Any]) -> list[str]:
    """What the gains are, what they are about, and how their p values were adjusted; nothing where there are none."""
    if gains.is_empty():
        return []
    against, alpha = analyse["primary"]["against"], 1 - analyse["confidence"]
    pieces = {piece for note in gains["note"] for piece in note.split("; ") if ADJUSTED.fullmatch(piece)}
    return [
        f"Gain: percentage points above {against}, paired by draw and item; {together(gains['method'])}. "
        f"Estimand: new draws of training examples; {together(gains['estimand'].drop_nulls())}.",
        f"* adjusted p < {alpha:.2g} over three or more draws ({'; '.join(sorted(pieces, key=natural)) or 'no test'}); "
        f"only {analyse['primary']['arm']} against {against}, overall and over all backbones, is primary. "
        "† another reading comes to another verdict.",
    ]


def bold(study: Mapping[str, Any]) -> str:
    controls = any(arm["control"] for arm in study["mix"]["arms"])
    apart = f"the untuned backbone{' and negative controls' if controls else ''} apart"
    return f"Bold: the highest mean of a row, {apart}; it does not say that the others are lower (see the gains)."


def counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def together(methods: Iterable[str]) -> str:
    """Methods in words, last those that say why some have no interval."""
    return ", ".join(sorted(set(methods), key=lambda method: (method.startswith("no"), method))) or "not stated"


def natural(text: str) -> tuple[str, int]:
    """Sorts 9 tests before 36."""
    number = re.search(r"\d+", text)
    return text[: number.start()] if number else text, int(number[0]) if number else 0


def listed(names: Sequence[str], most: int = 8) -> str:
    more = f" and {len(names) - most:,} others" if len(names) > most else ""
    return ", ".join(names[:most]) + more
