"""Labelled examples -> the training set of each arm, as alike as their shares allow.

For each label and draw all examples stand in one line, ranked by a hash. Every arm takes its
examples from the front of these lines and puts them into slots, so that two arms hold the same
example in the same slot except where the one has coding and the other has other.
"""

import hashlib
from collections.abc import Mapping, Sequence

import polars as pl

from codedose import tables
from codedose.errors import DataError


def apportion(total: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Whole numbers that sum to `total`, each within one of its exact share.

    Largest remainder; ties go to the name that sorts first, so the answer does
    not depend on the order in which a study file lists its labels.
    """
    if abs(sum(shares.values()) - 1) > 1e-9:
        raise ValueError(f"shares sum to {sum(shares.values())}, not 1")
    exact = {label: total * shares[label] for label in sorted(shares)}
    counts = {label: int(amount) for label, amount in exact.items()}
    by_remainder = sorted(exact, key=lambda label: counts[label] - exact[label])
    for label in by_remainder[: total - sum(counts.values())]:
        counts[label] += 1
    return counts


def composition(*, budget: int, math: int, share: float) -> dict[str, int]:
    """How many examples of each label an arm holds: `math` apart, the rest split by the share of coding."""
    if not 0 <= math <= budget:
        raise DataError(f"{math} math examples do not fit into a budget of {budget} examples")
    return apportion(budget - math, {"coding": share, "other": 1 - share}) | {"math": math}


def rank(example_id: str, draw: int) -> str:
    """A fixed place in line for each example: the same in every arm, whatever the pool's order."""
    return hashlib.sha256(f"mix/{draw}/{example_id}".encode()).hexdigest()


def slots_in_order(budget: int, draw: int) -> list[int]:
    """The slots in the order in which they are given away, so that no label gathers at one end."""
    return sorted(range(budget), key=lambda slot: hashlib.sha256(f"mix/{draw}/slot/{slot}".encode()).hexdigest())


def draw(labelled: pl.DataFrame, *, arms: Mapping[str, float], budget: int, math: int, draw: int) -> pl.DataFrame:
    """The training sets of all arms in one draw (tables.DRAWS), by arm and slot.

    `labelled` has example_id, label and messages; `arms` maps each arm's name to its share of coding.
    Slots 0 to budget - 1 are the order of training. Two arms differ in exactly as many slots as in
    coding examples, and nobody is in an arm twice. Raises DataError when the pool is too small for
    an arm, with what is missing.
    """
    if labelled["example_id"].is_duplicated().any():
        raise DataError("an example_id stands more than once among the labelled examples; remove the duplicates first")
    wanted = {arm: composition(budget=budget, math=math, share=share) for arm, share in arms.items()}
    refuse_shortage(labelled, wanted)
    lines = {label: line_of(labelled, label, draw) for label in tables.LABELS}
    order = slots_in_order(budget, draw)
    chosen = pl.DataFrame(
        [
            (arm, draw, slot, example_id)
            for arm, counts in wanted.items()
            for slot, example_id in zip(order, fill(lines, counts), strict=True)
        ],
        schema={name: tables.DRAWS.columns[name] for name in ("arm", "draw", "slot", "example_id")},
        orient="row",
    )
    known = labelled.select("example_id", "label", "messages")
    return tables.check(chosen.join(known, on="example_id").sort("arm", "slot"), tables.DRAWS)


def line_of(labelled: pl.DataFrame, label: str, draw: int) -> list[str]:
    """The examples of one label in the order of their rank."""
    return sorted(labelled.filter(pl.col("label") == label)["example_id"], key=lambda name: rank(name, draw))


def fill(lines: Mapping[str, Sequence[str]], counts: Mapping[str, int]) -> list[str]:
    """One example for each slot in the order of `slots_in_order`.

    Math comes first and coding grows from there, while other fills from the far end: a larger share
    replaces, slot by slot, the last of the other line by the next of the coding line.
    """
    coding, math, other = (lines[label][: counts[label]] for label in ("coding", "math", "other"))
    return [*math, *coding, *reversed(other)]


def refuse_shortage(labelled: pl.DataFrame, wanted: Mapping[str, Mapping[str, int]]) -> None:
    """Raises DataError that names every arm and label for which the pool is too small, and by how much."""
    has = dict(labelled.group_by("label").len().iter_rows())
    short = [
        f"arm {arm!r} wants {count} {label}, the pool has {has.get(label, 0)}: {count - has.get(label, 0)} too few"
        for arm, counts in wanted.items()
        for label, count in sorted(counts.items())
        if count > has.get(label, 0)
    ]
    if short:
        raise DataError(f"{'; '.join(short)}; add examples of that label, or lower the budget")
