"""Labelled examples and an arm -> its training set in one draw.

Everything about an arm follows from its own share, the pool and the draw, so that each is made alone
and all are nested: an ordinary arm takes the front of the lines, its controls the same front under a
change, or the lines' other end.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import polars as pl

from codedose import tables
from codedose.errors import DataError
from codedose.mix import strata
from codedose.mix.controls import CONTROLS
from codedose.mix.fit import WINDOW, fit
from codedose.mix.lines import composition, copies, in_slots, rank
from codedose.mix.material import Count, Material
from codedose.mix.partners import partners
from codedose.mix.steps import TOLERANCE, deal, homes
from codedose.study import Arm

MatchOn = Literal["examples", "tokens", "loss_tokens"]
Quantity = Literal["reply_length", "turns"]
UNIT = {"tokens": 0, "loss_tokens": 1}
MOVED = ("coding", "other")
Entry = tuple[int, int]  # row, copy


@dataclass(frozen=True)
class Drawn:
    """The training sets (tables.DRAWS, by arm, draw and slot), the examples that were passed over since they cannot be
    trained on, each with the reason, and sentences about the arms that a person must read beside them."""

    draws: pl.DataFrame
    passed_over: Mapping[str, str]
    notes: tuple[str, ...]


def draw(
    labelled: pl.DataFrame,
    *,
    arms: Sequence[Arm],
    match_on: MatchOn,
    design: Literal["fixed", "additive"],
    budget: int,
    math: int,
    stratify: Sequence[Quantity],
    step_size: int | None,
    draw: int,
    count: Count | None,
) -> Drawn:
    """The training sets of `arms` in one draw; an arm is the same whichever others stand beside it.

    `labelled` has example_id, label and messages; budget, math and step_size are in the unit of `match_on`,
    for which `count` gives (tokens, loss-bearing tokens) of messages, or raises DataError for what
    cannot be trained on. Slots from 0 are the order of training. Where steps cannot be any equal row of
    slots (under tokens, or an additive arm that does not fill its steps), `step` says which takes each slot in.

    Under examples, ordinary arms differ in exactly as many slots as in coding examples; nobody is in an
    arm twice unless it says so. Raises DataError when the pool is too small for an arm, with what is missing,
    and when tokens cannot be met within 0.5 %.
    """
    pool = Material(labelled, count)
    if count is None and match_on != "examples":
        raise DataError(f"matching on {match_on} needs a tokenizer that counts them")
    maker = Maker(pool, match_on, design, budget, math, tuple(stratify), step_size, draw)
    frames, short, notes = [], [], list(maker.notes())
    for arm in arms:
        try:
            frame, told = maker.make(arm)
            frames.append(frame)
            notes += told
        except Shortage as problem:
            short.append(str(problem))
    if short:
        raise DataError(f"{'; '.join(short)}; add examples of that label, or lower the budget")
    if pool.passed_over:
        first = pool.passed_over[min(pool.passed_over)]
        notes.append(f"{len(pool.passed_over):,} examples were passed over in every arm, such as one because {first}")
    return Drawn(pl.concat(frames), dict(sorted(pool.passed_over.items())), tuple(notes))


class Shortage(DataError):
    """The pool is too small for an arm."""


@dataclass
class Maker:
    """Makes single arms of one draw."""

    pool: Material
    match_on: MatchOn
    design: Literal["fixed", "additive"]
    budget: int
    math: int
    stratify: tuple[Quantity, ...]
    step_size: int | None
    draw: int
    lines: dict[tuple[str, bool], list[int]] = field(default_factory=dict)

    def make(self, arm: Arm) -> tuple[pl.DataFrame, list[str]]:
        """One arm (tables.DRAWS) and what is to be said about it."""
        change = CONTROLS.get(arm.control or "")
        material = self.pool.under(change)
        wanted = composition(budget=self.budget, math=self.math, share=arm.share, design=self.design)
        factors = {label: (arm.repeat or {}).get(label, 1) for label in wanted}  # type: ignore[call-overload]
        far = arm.control == "other_draw"
        lines = {label: self.line(label, from_the_end=far) for label in wanted}
        takes = self.examples if self.match_on == "examples" else self.tokens
        taken, short = {}, []
        for label in wanted:
            try:
                taken[label] = takes(material, lines[label], wanted[label], factors[label], arm.name, label)
            except Shortage as problem:
                short.append(str(problem))
        if short:
            raise Shortage("; ".join(short))
        if arm.control == "non_code":
            taken["coding"] = self.replaced(material, taken, lines["coding"], wanted["coding"], arm)
        return self.framed(material, taken, arm, steps=self.steps(sum(wanted.values()))), self.told(arm, taken, lines)

    def line(self, label: str, *, from_the_end: bool) -> list[int]:
        key = (label, from_the_end)
        if key not in self.lines:
            order = self.pool.line(label, self.draw, from_the_end=from_the_end)
            if self.stratify and label in MOVED:
                order = strata.stratified_line(order, self.cells[label], self.strata.weights, self.draw)
            self.lines[key] = order
        return self.lines[key]

    @cached_property
    def strata(self) -> strata.Strata:
        features = self.pool.features.with_columns(pl.Series("label", self.pool.labels))
        return strata.stratify(
            {
                label: {
                    quantity: features.filter(pl.col("label") == label)[quantity].cast(pl.Float64).to_numpy()
                    for quantity in self.stratify
                }
                for label in MOVED
            }
        )

    @cached_property
    def cells(self) -> dict[str, dict[int, int]]:
        rows = {label: [row for row, found in enumerate(self.pool.labels) if found == label] for label in MOVED}
        return {label: dict(zip(rows[label], self.strata.cells[label].tolist(), strict=True)) for label in MOVED}

    def examples(
        self, material: Material, line: Sequence[int], wanted: int, factor: int, arm: str, label: str
    ) -> list[Entry]:
        """`wanted` entries from the front of the line, each row `factor` times, the last one perhaps less often."""
        rows: list[int] = []
        different = -(-wanted // factor)
        for row in material.trainable(line):
            if len(rows) == different:
                break
            rows.append(row)
        if len(rows) < different:
            has = f"the pool has {len(rows):,}{' that can be matched' if self.stratify and label in MOVED else ''}"
            times = f", each {factor} times," if factor > 1 else ","
            raise Shortage(f"arm {arm!r} wants {different:,} {label}{times} {has}: {different - len(rows):,} too few")
        return copies(rows, factor)[:wanted]

    def tokens(
        self, material: Material, line: Sequence[int], wanted: int, factor: int, arm: str, label: str
    ) -> list[Entry]:
        """Entries from the front of the line whose tokens sum to `wanted` within 0.5 %."""
        if not wanted:
            return []
        rows, total = fit(self.sizes(material, line, factor), wanted)
        if abs(total - wanted) <= TOLERANCE * wanted:
            return copies(rows, factor)
        what = f"{wanted:,} {self.match_on.replace('_', ' ')} of {label}"
        everything = sum(size for _, size in self.sizes(material, line, factor))
        if everything < wanted:
            raise Shortage(f"arm {arm!r} wants {what}, the pool has {everything:,}: {wanted - everything:,} too few")
        raise DataError(
            f"arm {arm!r} wants {what}, and whole examples come no nearer than {total:,}, not within 0.5 %; "
            f"raise mix.{'math' if label == 'math' else 'budget'}"
        )

    def sizes(self, material: Material, line: Sequence[int], factor: int) -> Iterator[tuple[int, int]]:
        for row in material.trainable(line):
            yield row, self.size(material, row) * factor

    def size(self, material: Material, row: int) -> int:
        return (material.cost(row) or (0, 0))[UNIT[self.match_on]]

    def replaced(
        self, material: Material, taken: Mapping[str, Sequence[Entry]], line: Sequence[int], wanted: int, arm: Arm
    ) -> list[Entry]:
        """Unused other examples in the place of the coding entries."""
        used = {row for row, _ in taken["other"]}
        others = self.pool.line("other", self.draw, from_the_end=False)
        candidates = [row for row in material.trainable(others) if row not in used]
        profiles = dict(enumerate(self.pool.features.select("reply_length", "turns").iter_rows()))
        rows = list(dict.fromkeys(row for row, _ in taken["coding"]))
        if self.match_on == "examples":
            becomes = dict(zip(rows, partners(rows, candidates, profiles, arm=arm.name), strict=True))
            return [(becomes[row], copy) for row, copy in taken["coding"]]
        factor = (arm.repeat or {}).get("coding", 1)
        known = set(rows)
        more = [row for row in material.trainable(line[: 2 * len(rows) + WINDOW]) if row not in known]
        wide = (rows + more)[: min(len(candidates), len(rows) + len(rows) // 4 + WINDOW)]
        return self.tokens(
            material,
            partners(wide, candidates, profiles, arm=arm.name),
            wanted,
            factor,
            arm.name,
            "other in place of coding",
        )

    def steps(self, total: int) -> int | None:
        """How many steps an arm of this size takes, where they are not simply rows of slots of equal length."""
        if self.step_size is None or (self.match_on == "examples" and total % self.step_size == 0):
            return None
        return max(round(total / self.step_size), 1)

    def framed(
        self, material: Material, taken: Mapping[str, Sequence[Entry]], arm: Arm, *, steps: int | None
    ) -> pl.DataFrame:
        if steps is not None and self.match_on != "examples":
            placed = self.dealt(material, taken, arm, steps)
        else:
            slots = in_slots(taken, self.draw)
            placed = [
                (slot, None if steps is None else slot * steps // len(slots), row, copy) for slot, _, row, copy in slots
            ]
        counted = [material.cost(row) if material.count else None for _, _, row, _ in placed]
        rows = [row for _, _, row, _ in placed]
        messages = material.frame["messages"].gather(rows)
        if any(material.changed(row) for row in rows):
            messages = pl.Series("messages", [material.messages(row) for row in rows], tables.MESSAGES)
        known = material.frame.select("example_id", "label")[rows]
        return tables.check(
            known.with_columns(
                messages,
                arm=pl.lit(arm.name),
                draw=pl.lit(self.draw, pl.Int64),
                slot=pl.Series([slot for slot, *_ in placed], dtype=pl.Int64),
                step=pl.Series([step for _, step, *_ in placed], dtype=pl.Int64),
                copy=pl.Series([copy for *_, copy in placed], dtype=pl.Int64),
                tokens=pl.Series([cost and cost[0] for cost in counted], dtype=pl.Int64),
                loss_tokens=pl.Series([cost and cost[1] for cost in counted], dtype=pl.Int64),
            ),
            tables.DRAWS,
        )

    def dealt(
        self, material: Material, taken: Mapping[str, Sequence[Entry]], arm: Arm, steps: int
    ) -> list[tuple[int, int | None, int, int]]:
        """(slot, step, row, copy): steps of equal tokens; in a step examples stand by their rank."""
        entries = [entry for label in taken for entry in taken[label]]
        home = np.concatenate([self.homes_of(taken[label], label, steps) for label in taken])
        sizes = [self.size(material, row) for row, _ in entries]
        found = deal(sizes, home, steps, [row for row, _ in entries], arm=arm.name).tolist()
        ranks = {row: rank(material.ids[row], self.draw) for row, _ in entries}
        order = sorted(range(len(entries)), key=lambda n: (found[n], ranks[entries[n][0]], entries[n][1]))
        return [(slot, found[entry], *entries[entry]) for slot, entry in enumerate(order)]

    def homes_of(
        self, entries: Sequence[Entry], label: str, steps: int
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        """The home steps of entries in the order of their line: copies as far apart as steps allow."""
        number = {row: place for place, row in enumerate(dict.fromkeys(row for row, _ in entries))}
        first = homes(len(number), steps, self.draw, label)
        times = max((copy for _, copy in entries), default=0) + 1
        stride = max(steps // times, 1)
        return np.array([(first[number[row]] + copy * stride) % steps for row, copy in entries], np.int64)

    def notes(self) -> Iterator[str]:
        """What is to be said about all arms of the draw."""
        if self.design == "additive":
            yield (
                "additive design: coding comes on top of the same other and math examples, so arms with more coding "
                "also train longer; their differences are confounded with the budget"
            )
        if self.stratify:
            left = ", ".join(f"{name} {value:.2f}" for name, value in sorted(self.strata.left.items()))
            shares = ", ".join(
                f"{len(self.line(label, from_the_end=False)):,} of {self.pool.labels.count(label):,} {label}"
                for label in MOVED
            )
            yield (
                f"matched on {' and '.join(self.stratify)} in {self.strata.bins} parts each: {shares} examples can be "
                f"used; expected |SMD| between coding and other: {left}"
            )

    def told(self, arm: Arm, taken: Mapping[str, Sequence[Entry]], lines: Mapping[str, Sequence[int]]) -> list[str]:
        """What is to be said about one arm."""
        notes = []
        for label, factor in sorted((arm.repeat or {}).items()):
            different = len({row for row, _ in taken[label]})
            notes.append(f"arm {arm.name!r}: its {different:,} {label} examples stand {factor} times each")
        if arm.control == "other_draw":
            again = sum(max(2 * len({row for row, _ in taken[label]}) - len(lines[label]), 0) for label in taken)
            if again:
                notes.append(
                    f"arm {arm.name!r}: the pool is too small for other examples throughout; "
                    f"about {again:,} are those of the ordinary arm of this share"
                )
        return notes
