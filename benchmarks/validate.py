"""Does the analysis keep its promises? Simulated studies with the truth known go through it, and are counted.

    .venv/bin/python benchmarks/validate.py [--studies 1000] [--draws 3 5 10] [--processes 2]

A study is three arms, two backbones and the untuned ones, six tasks of 30 items in clusters of three, from near the
floor to near the ceiling (`analyse.simulate`). Studies of a chunk are analysed at once, each under a reading of its
own; their analyses do not touch. Prints the tables for LOG.md, and exits with 1 where a figure misses what
STATISTICS asks: see `LIMITS`.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from typing import Any

os.environ.setdefault("POLARS_MAX_THREADS", "1")  # the processes share the cores

import numpy as np
import polars as pl
from numpy.typing import NDArray

from codedose.analyse.effects import effects
from codedose.analyse.simulate import Design, Spread, World, generator, replies, scores, truth, world
from codedose.analyse.views import GROUP, VIEW, averaged, by_group, by_view
from codedose.tables import BEST, BOOTSTRAP, CONTROL, DIFFERENCE, TREND, UNTUNED

SHARES = {"General": 0.0, "Half-half": 0.5, "Code": 1.0}
PRIMARY = ("Code", "General")
MAIN = " - ".join(PRIMARY)
LEVELS = {"a1": -2.2, "a2": -1.0, "b1": -0.5, "b2": 0.0, "c1": 0.6, "c2": 1.5}
DOMAINS = {task: {"a": "arithmetic", "b": "logical", "c": "symbolic"}[task[0]] for task in LEVELS}
FAMILIES = {"one": "first", "two": "second"}
SPREAD = Spread(
    backbone=0.4, arm_backbone=0.0, item=1.0, item_arm=0.4, shared=0.5,
    draw=0.12, dose=0.12, draw_arm=0.1, draw_task=0.1, draw_backbone=0.08, run=0.1,
)  # fmt: skip
CHUNK, SAME = 20, 1e-6

# name -> lowest and highest share (0 to 1) that is accepted
LIMITS = {
    "coverage": (0.93, 0.97),
    "false positives": (0.03, 0.07),
    "any false": (0.0, 0.07),
    "false discoveries": (0.0, 0.06),
    "best held": (0.94, 1.0),
}


@dataclass(frozen=True)
class Setting:
    """A kind of truth: log odds of Half-half and Code over General, one for each task."""

    name: str
    half: tuple[float, ...]
    code: tuple[float, ...]
    centred: bool
    spread: Spread

    def effects(self) -> NDArray[np.float64]:
        return np.array([[0.0] * len(LEVELS), self.half, self.code])


NOTHING = (0.0,) * len(LEVELS)
SETTINGS = (
    Setting("no effect", NOTHING, NOTHING, True, SPREAD),
    Setting("mixed", (0.0, 0.5, 0.0, 0.7, 0.0, 0.8), (0.0, 1.0, 0.0, 0.7, 0.0, -0.6), True, SPREAD),
    # nothing is made exact: items and backbones take each arm as they come, draws differ more where more is code
    Setting(
        "as they come", (0.2,) * 6, (0.3,) * 6, False, Spread(**{**vars(SPREAD), "arm_backbone": 0.15, "dose": 0.3})
    ),
)


def design_of(draws: int) -> Design:
    return Design(
        shares=SHARES, families=FAMILIES, domains=DOMAINS, levels=LEVELS, items=30, cluster=3, draws=draws, seeds=1,
        untuned=True,
    )  # fmt: skip


def analysed(setting: Setting, draws: int, numbers: list[int]) -> pl.DataFrame:
    """The rows that the analysis gives for some studies, each with its truth: study, ..., truth or held."""
    frames, truths = [], []
    for number in numbers:
        rng = generator("validate", setting.name, draws, number)
        study = world(design_of(draws), setting.spread, setting.effects(), rng, centred=setting.centred)
        frames.append(scores(study, replies(study, rng), {f"study {number}": {}}, rng))
        truths.append(true_points(study).with_columns(reading=pl.lit(f"study {number}")))
    found = effects(
        pl.concat(frames),
        primary=PRIMARY,
        reading=f"study {numbers[0]}",
        confidence=0.95,
        margin=1.0,
        consistency=(0.8, 0.2),
    )
    rows = found.filter(pl.col("family").is_null() | pl.col("backbone").is_not_null())
    known = pl.concat(truths)
    tested = rows.filter(pl.col("kind").is_in([DIFFERENCE, TREND, BOOTSTRAP])).join(
        true_contrasts(known), on=["reading", *VIEW, *GROUP, "contrast"], how="left", nulls_equal=True
    )
    best = rows.filter(pl.col("kind") == BEST).join(
        true_best(known), on=["reading", *VIEW, *GROUP], how="left", nulls_equal=True
    )
    controls = rows.filter((pl.col("kind") == CONTROL) & pl.col("contrast").str.contains("outside"))
    return pl.concat([tested, best, controls], how="diagonal").with_columns(
        setting=pl.lit(setting.name), draws=pl.lit(draws)
    )


def true_points(study: World) -> pl.DataFrame:
    """True accuracy of every arm in every view and group: VIEW, GROUP, arm, points. Untuned: what it scored."""
    bare = 100 * study.untuned.mean(axis=-1)[:, None]
    whole = np.concatenate([truth(study), bare], axis=1)
    names = [list(FAMILIES), [*SHARES, UNTUNED], list(LEVELS)]
    place = [np.array(name)[axis.ravel()] for name, axis in zip(names, np.indices(whole.shape), strict=True)]
    rows = pl.DataFrame(dict(zip(("backbone", "arm", "task"), place, strict=True)) | {"points": whole.ravel()})
    rows = rows.with_columns(
        family=pl.col("backbone").replace_strict(FAMILIES), domain=pl.col("task").replace_strict(DOMAINS)
    )
    keys = [*VIEW, *GROUP, "arm"]
    per_backbone = averaged(by_view(rows), keys, ["points"])
    return averaged(by_group(per_backbone, families=False), keys, ["points"])


def true_contrasts(known: pl.DataFrame) -> pl.DataFrame:
    """The true value of every contrast: reading, VIEW, GROUP, contrast, truth. Trends by numpy's polyfit."""
    keys = ["reading", *VIEW, *GROUP]
    wide = known.pivot("arm", index=keys, values="points")
    pairs = [(arm, against) for against in ("General", UNTUNED) for arm in SHARES if arm != against]
    parts = [wide.select(*keys, contrast=pl.lit(f"{a} - {b}"), truth=pl.col(a) - pl.col(b)) for a, b in pairs]
    points = wide.select(list(SHARES)).to_numpy().T
    for name, degree in (("linear trend", 1), ("quadratic trend", 2)):
        slope = np.polyfit(list(SHARES.values()), points, degree)[0]
        parts.append(wide.select(*keys, contrast=pl.lit(name), truth=pl.Series(slope)))
    return pl.concat(parts)


def true_best(known: pl.DataFrame) -> pl.DataFrame:
    """The shares (in %) with the highest true accuracy: reading, VIEW, GROUP, bests."""
    tuned = known.filter(pl.col("arm") != UNTUNED).with_columns(percent=pl.col("arm").replace_strict(SHARES) * 100)
    keys = ["reading", *VIEW, *GROUP]
    highest = pl.col("points") >= pl.col("points").max() - SAME
    return tuned.sort(*keys, "percent").group_by(keys, maintain_order=True).agg(bests=pl.col("percent").filter(highest))


def counted(rows: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Every figure: setting, draws, figure, of, share (0 to 1), n, limits (a name of LIMITS, or none)."""
    for (setting, draws), part in rows.group_by("setting", "draws", maintain_order=True):
        for figure in (
            *intervals(part, str(setting)),
            *families(part, str(setting)),
            *bests(part),
            *others(part, str(setting)),
        ):
            yield {"setting": setting, "draws": draws, **figure}


def intervals(part: pl.DataFrame, setting: str) -> Iterator[dict[str, Any]]:
    """How often intervals hold the truth, and how often the primary test rejects where there is nothing."""
    pooled = part.filter(pl.col("family").is_null(), pl.col("kind").is_in([DIFFERENCE, TREND]))
    main = pooled.filter(pl.col("view") == "overall", pl.col("contrast") == MAIN)
    yield share("coverage", "primary interval", held(main), "coverage")
    if setting == "no effect":
        yield share("false positives", "primary test", main["p"].fill_null(1) < 0.05, "false positives")
    for view in ("overall", "domain", "task"):
        yield share("coverage", f"all intervals, {view}", held(pooled.filter(pl.col("view") == view)), None)


def held(rows: pl.DataFrame) -> pl.Series:
    """Whether each interval that there is holds the truth."""
    there = rows.drop_nulls("low")
    return (there["low"] <= there["truth"] + SAME) & (there["truth"] - SAME <= there["high"])


def families(part: pl.DataFrame, setting: str) -> Iterator[dict[str, Any]]:
    """Adjusted rejections by family of tests, pooled and by backbone."""
    tests = part.filter(pl.col("kind").is_in([DIFFERENCE, TREND]), pl.col("p_adjusted").is_not_null())
    tests = tests.filter((pl.col("view") != "overall") | (pl.col("contrast") != MAIN) | pl.col("family").is_not_null())
    against = (
        pl.when(pl.col("kind") == TREND).then(pl.lit("trends")).otherwise(pl.col("contrast").str.extract(" - (.*)$"))
    )
    family = pl.when(pl.col("view") == "domain").then("contrast").otherwise(against)
    group = pl.when(pl.col("family").is_null()).then(pl.lit("pooled")).otherwise(pl.lit("by backbone"))
    tests = tests.with_columns(against=family, group=group, rejected=pl.col("p_adjusted") < 0.05)
    false = pl.col("rejected") & (pl.col("truth").abs() < SAME)
    per = tests.group_by("group", "view", "against", *GROUP, "reading").agg(
        any=pl.col("rejected").any(), false=false.sum(), rejected=pl.col("rejected").sum(), any_false=false.any(),
        found=(pl.col("rejected") & (pl.col("truth").abs() > SAME)).sum(),
        there=(pl.col("truth").abs() > SAME).sum(), tests=pl.len(),
    )  # fmt: skip
    order = (
        per.select("group", "view", "against").unique().sort("group", "view", "against", descending=[True, True, False])
    )
    for group_name, view, against_name in order.iter_rows():
        rows = per.filter(pl.col("group") == group_name, pl.col("view") == view, pl.col("against") == against_name)
        name = f"{view}: {against_name}, {group_name}"
        if setting == "no effect":
            yield share("any false", name, rows["any"], "any false")
        if setting == "mixed" and view == "task":
            yield share("false discoveries", name, rows["false"] / rows["rejected"].clip(1), "false discoveries")
            yield share("found", name, rows["found"].sum() / rows["there"].sum(), None)
        elif setting == "mixed" and (rows["there"] < rows["tests"]).any():
            yield share("any false", name, rows["any_false"], "any false")


def bests(part: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """How often the confidence set holds each true best share, and how many shares it holds."""
    rows = part.filter(pl.col("kind") == BEST).with_columns(
        listed=pl.col("note")
        .str.extract(r"confidence set: ([^;]*)")
        .str.extract_all(r"[\d.]+")
        .cast(pl.List(pl.Float64))
    )
    for view, group in (("overall", True), ("domain", True), ("task", True), ("overall", False)):
        here = rows.filter(pl.col("view") == view, pl.col("family").is_null() == group, pl.col("listed").list.len() > 0)
        each = here.explode("bests").select(pl.col("bests").is_in("listed")).to_series()
        name = f"{view}, {'pooled' if group else 'by backbone'}"
        yield share("best held", name, each, "best held")
        yield share("shares in the set", name, here["listed"].list.len().mean(), None)


def others(part: pl.DataFrame, setting: str) -> Iterator[dict[str, Any]]:
    """What has no limit here: A/A contrasts outside, and the bootstrap, where new items have no effect."""
    for kind, name in ((BOOTSTRAP, "hierarchical bootstrap, overall"), (CONTROL, "A/A contrasts outside, overall")):
        rows = part.filter(pl.col("kind") == kind, pl.col("view") == "overall", pl.col("family").is_null())
        if rows.height and kind == CONTROL:
            yield share("outside", name, rows["estimate"].mean() / 100, None)
        elif rows.height and setting == "no effect":
            yield share("coverage", name, held(rows), None)


def share(figure: str, of: str, what: Any, limits: str | None) -> dict[str, Any]:
    many = isinstance(what, pl.Series)
    found = float(what.mean()) if many and len(what) else float("nan") if many else float(what)
    return {"figure": figure, "of": of, "share": found, "n": len(what) if many else None, "limits": limits}


def missed(figure: Mapping[str, Any]) -> bool:
    """Whether a figure lies outside its limits, or is not there at all."""
    if figure["limits"] is None:
        return False
    low, high = LIMITS[figure["limits"]]
    return not low <= figure["share"] <= high


def tables(figures: list[dict[str, Any]]) -> Iterator[str]:
    """The figures as lines of text: one row a figure, one column a number of draws."""
    draws = sorted({figure["draws"] for figure in figures})
    for setting in dict.fromkeys(figure["setting"] for figure in figures):
        yield f"\n{setting:<62}" + "".join(f"{n:>3} draws" for n in draws) + "   wanted"
        here = [figure for figure in figures if figure["setting"] == setting]
        for figure, of in dict.fromkeys((each["figure"], each["of"]) for each in here):
            cells = {each["draws"]: each for each in here if (each["figure"], each["of"]) == (figure, of)}
            limits = next(iter(cells.values()))["limits"]
            wanted = "{:.0%} to {:.0%}".format(*LIMITS[limits]) if limits else ""
            shown = "".join(f"{in_cell(cells.get(n)):>9}" for n in draws)
            yield f"  {figure + ': ' + of:<60}{shown}   {wanted}"


def in_cell(figure: Mapping[str, Any] | None) -> str:
    if figure is None:
        return ""
    number = f"{figure['share']:.2f}" if figure["figure"] == "shares in the set" else f"{100 * figure['share']:.1f}"
    return f"{number}{'!' if missed(figure) else ''}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--studies", type=int, default=1000, help="of each setting and number of draws")
    parser.add_argument("--draws", type=int, nargs="+", default=[3, 5, 10])
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    said = parser.parse_args()
    chunks = [list(range(at, min(at + CHUNK, said.studies))) for at in range(0, said.studies, CHUNK)]
    work = [(setting, draws, chunk) for setting in SETTINGS for draws in said.draws for chunk in chunks]
    begun, parts = time.monotonic(), []
    with ProcessPoolExecutor(said.processes, mp_context=get_context("spawn")) as pool:
        for done, rows in enumerate(pool.map(analysed, *zip(*work, strict=True)), 1):
            parts.append(rows)
            print(f"\r{done}/{len(work)} chunks", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    figures = list(counted(pl.concat(parts, how="diagonal")))
    minutes = (time.monotonic() - begun) / 60
    print(
        f"{datetime.now(UTC):%Y-%m-%d}, {said.studies:,} studies of each kind, in %; {minutes:.0f} min by "
        f"{said.processes} processes, {os.cpu_count()} cores, Python {platform.python_version()}; "
        f"a share near 5 % is known to {100 * (0.05 * 0.95 / said.studies) ** 0.5:.1f} points (standard error)"
    )
    print("\n".join(tables(figures)))
    wrong = [figure for figure in figures if missed(figure)]
    print(
        f"\n{len(wrong)} of {sum(figure['limits'] is not None for figure in figures)} figures outside their limits (!)"
    )
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
