"""One effect flows in; the one sentence it allows flows out, which never says more than the numbers.

Every row is one of a few cases, told apart by its p value, its draws and the fixed words of its note.
"""

from collections.abc import Mapping
from typing import Any, Literal

from scipy import stats

from codedose.analyse import notes
from codedose.analyse.power import detectable
from codedose.named import CHANGES
from codedose.tables import UNTUNED

Row = Mapping[str, Any]
Case = Literal["undefined", "one draw", "two draws", "reading", "small", "clear", "equivalent", "inconclusive"]


def sentence(row: Row, *, arm: str, against: str, confidence: float, power: float) -> str:
    """The sentence for the difference `arm` - `against` in `row` of effects; `power` is for what may be missed."""
    match case(row, confidence):
        case "undefined":
            return undefined(row, arm, against)
        case "one draw":
            return one_draw(row, arm, against, confidence)
        case "two draws":
            return two_draws(row, arm, against, confidence)
        case "reading":
            return reading_decides(row, arm, against, confidence)
        case "small":
            return small(row, arm, against, confidence)
        case "clear":
            return clear(row, arm, against, confidence)
        case "equivalent":
            return equivalent(row, arm, against, confidence)
        case "inconclusive":
            return inconclusive(row, arm, against, confidence, power)


def case(row: Row, confidence: float) -> Case:
    """Which sentence the row allows: the first of these that holds."""
    if row["estimate"] is None or row["p"] is None:
        return "undefined"
    if row["n_draws"] < 3:
        return "one draw" if row["n_draws"] == 1 else "two draws"
    if row["p_adjusted"] < 1 - confidence:
        if piece(row, CHANGES):
            return "reading"
        return "small" if piece(row, notes.SMALL) else "clear"
    return "equivalent" if piece(row, notes.EQUIVALENT) else "inconclusive"


def undefined(row: Row, arm: str, against: str) -> str:
    reason = piece(row, "undefined: ") or piece(row, "one draw") or "no test was possible"
    return f"{arm} and {against} cannot be compared {where(row)}: {reason.removeprefix('undefined: ')}."


def one_draw(row: Row, arm: str, against: str, confidence: float) -> str:
    found = notes.DIFFER if row["p_adjusted"] < 1 - confidence else notes.NOT_SHOWN
    return (
        f"One draw says nothing about the data. Of {arm} and {against}, {found} {where(row)}: "
        f"{estimated(row, arm, against)} ({row['method']}, {chance(row)}){other_readings(row)}."
    )


def two_draws(row: Row, arm: str, against: str, confidence: float) -> str:
    return (
        f"Two draws are only indicative: {where(row)}, {estimated(row, arm, against)} "
        f"({interval(row, confidence)}; {chance(row)}){other_readings(row)}."
    )


def reading_decides(row: Row, arm: str, against: str, confidence: float) -> str:
    others = (piece(row, CHANGES) or "").removeprefix(f"{CHANGES} ")
    return (
        f"Under the {row['reading']} reading, {by(row, arm, against)} {where(row)} ({interval(row, confidence)}; "
        f"{chance(row)}), but not under {others}: the conclusion depends on how replies are read."
    )


def small(row: Row, arm: str, against: str, confidence: float) -> str:
    margin = (piece(row, notes.SMALL) or "").removeprefix(f"{notes.SMALL} of ")
    return (
        f"A difference is there but smaller than the margin of {margin}: {by(row, arm, against)} {where(row)} "
        f"({interval(row, confidence)}; {chance(row)}){other_readings(row)}."
    )


def clear(row: Row, arm: str, against: str, confidence: float) -> str:
    found = by(row, arm, against)
    return (
        f"{found[0].upper()}{found[1:]} {where(row)} ({interval(row, confidence)}; {chance(row)}){other_readings(row)}."
    )


def equivalent(row: Row, arm: str, against: str, confidence: float) -> str:
    margin = (piece(row, notes.EQUIVALENT) or "").removeprefix(f"{notes.EQUIVALENT} of ")
    return (
        f"{arm} and {against} are equivalent {where(row)} within the margin of {margin}: "
        f"{estimated(row, arm, against)} ({interval(row, confidence)}; {chance(row)}){other_readings(row)}."
    )


def inconclusive(row: Row, arm: str, against: str, confidence: float, power: float) -> str:
    return (
        f"No difference between {arm} and {against} is shown {where(row)}: {estimated(row, arm, against)} "
        f"({interval(row, confidence)}; {chance(row)}); a true difference below "
        f"{points(shown_with(row, confidence, power))} would be missed more often than {100 * (1 - power):.0f} times "
        f"in 100{other_readings(row)}."
    )


def shown_with(row: Row, confidence: float, power: float) -> float:
    """The true difference (points) that this row's own spread over draws would show with chance `power`."""
    error = (row["high"] - row["low"]) / 2 / float(stats.t.isf((1 - confidence) / 2, row["n_draws"] - 1))
    return detectable(error, draws=row["n_draws"], power=power, confidence=confidence)


def piece(row: Row, start: str) -> str | None:
    """The piece of the note that starts so."""
    return next((part for part in row["note"].split("; ") if part.startswith(start)), None)


def other_readings(row: Row) -> str:
    if changes := piece(row, CHANGES):
        return f"; the conclusion {changes.replace(CHANGES, 'is another under')}"
    return "; the other readings agree" if piece(row, notes.SURVIVES) else ""


def where(row: Row) -> str:
    return {"overall": "overall", "domain": f"in {row['of']} tasks", "task": f"in {row['of']}"}[row["view"]]


def by(row: Row, arm: str, against: str) -> str:
    """Who scores how much more or less than whom."""
    other = "the untuned backbone" if against == UNTUNED else against
    if row["estimate"] == 0:
        return f"{arm} scores the same as {other}"
    return f"{arm} scores {points(abs(row['estimate']))} {'higher' if row['estimate'] > 0 else 'lower'} than {other}"


def estimated(row: Row, arm: str, against: str) -> str:
    """The same number without a claim that one scores more than the other."""
    return f"{arm} minus {against} is estimated at {points(row['estimate'])}"


def interval(row: Row, confidence: float) -> str:
    return f"{100 * confidence:g} % interval {number(row['low'])} to {number(row['high'])}"


def chance(row: Row) -> str:
    """The p value that counts: adjusted where several tests were made."""
    name = "p" if row["p_adjusted"] == row["p"] else "adjusted p"
    return f"{name} < 0.001" if row["p_adjusted"] < 0.001 else f"{name} = {row['p_adjusted']:.2g}"


def points(value: float) -> str:
    return f"{number(value)} point{'' if number(value) in ('1.0', '-1.0') else 's'}"


def number(value: float) -> str:
    """One decimal; two significant digits where one decimal would hide on which side of zero it lies."""
    return f"{value:.1f}" if value == 0 or abs(value) >= 0.1 else f"{value:.2g}"
