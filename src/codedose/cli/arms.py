"""The stages that make the arms, on plain files: pool and mix (labels.py has label).

What an option decides is said in its help, with its default: a study file has none.
"""

import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from codedose.cli.show import AsJson, Out, plain, say
from codedose.errors import StudyError

if TYPE_CHECKING:
    import polars as pl

    from codedose.study import Mix, Strict

Section = TypeVar("Section", bound="Strict")


def pool(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE...", help="files, folders, dataset_info.json#name, hub ids, builtin:starter"),
    ],
    out: Out,
    licence: Annotated[str, typer.Option(help="the licence of the sources, as they state it")] = "not stated",
    revision: Annotated[str | None, typer.Option(help="the sources are hub datasets at this 40-digit commit")] = None,
    chunks: Annotated[str, typer.Option(help="join or keep: ShareGPT chunks of one conversation")] = "join",
    longest: Annotated[int, typer.Option(help="characters; longer conversations are cut at a turn")] = 100_000,
    language: Annotated[list[str] | None, typer.Option(help="keep this one, such as en (repeatable) [all]")] = None,
    refusals: Annotated[str, typer.Option(help="drop or keep: replies that only refuse")] = "drop",
    markup: Annotated[str, typer.Option(help="mend or keep: HTML and markdown escapes outside code")] = "mend",
    personal_data: Annotated[str, typer.Option(help="mask or keep: e-mail, phone numbers, keys")] = "mask",
    near_duplicates: Annotated[float, typer.Option(help="Jaccard of word 5-grams; 1: only exact ones leave")] = 0.8,
    leaks: Annotated[str, typer.Option(help="drop or keep: conversations that contain benchmark items")] = "drop",
    items: Annotated[list[Path] | None, typer.Option(help="further items to look for: items.parquet")] = None,
    cores: Annotated[int | None, typer.Option(min=1, help="processes [all cores]")] = None,
    json: AsJson = False,
) -> None:
    """Sources -> examples.parquet, with what left, what was mended and what leaked in tables beside it."""
    import polars as pl

    from codedose import tables
    from codedose.cli.studies import available_cores
    from codedose.pool.build import build, leave_out
    from codedose.pool.catalogue import look_up
    from codedose.pool.leaks import find
    from codedose.study import Cleaning, Source

    if leaks not in ("drop", "keep"):
        raise StudyError(f"--leaks {leaks}: is neither drop nor keep")
    rules = validated(
        Cleaning,
        chunks=chunks,
        longest=longest,
        languages=tuple(language) if language else None,
        refusals=refusals,
        markup=markup,
        personal_data=personal_data,
        near_duplicates=None if near_duplicates == 1 else near_duplicates,
    )
    asked = [tables.read(path, tables.ITEMS) for path in items or []]
    named = [Source(path=source, revision=revision, licence=licence) for source in sources]
    build(named, rules, out=out, processes=cores or available_cores())
    examples = tables.batches(out / "examples.parquet", tables.EXAMPLES)
    found = find(examples, pl.concat(asked) if asked else None, known=True)
    tables.write(found, out / "leaks.parquet", tables.LEAKS)
    if leaks == "drop":
        leave_out(out, found)
    for source in named:
        for name in look_up(source, folder=Path()).left_out:
            print(f"{plain(source.path)}: {plain(name)} was not read: it is not for training", file=sys.stderr)
    tell_pool(out, json)


def tell_pool(out: Path, json: bool) -> None:
    """What was read, what left and why, and what was mended."""
    import polars as pl

    from codedose import tables

    sources = tables.read(out / "sources.parquet", tables.SOURCES)
    drops = tables.read(out / "drops.parquet", tables.DROPS)
    repairs = tables.read(out / "repairs.parquet", tables.REPAIRS)
    leaks = tables.read(out / "leaks.parquet", tables.LEAKS)
    kept = sum(batch.height for batch in tables.batches(out / "examples.parquet", tables.EXAMPLES))
    reasons = drops.group_by("reason").len().sort("len", "reason", descending=[True, False])
    mended = repairs.group_by("rule").agg(pl.len(), pl.col("count").sum()).sort("len", "rule", descending=[True, False])
    by_task = leaks.group_by("task").agg(pl.col("example_id").n_unique()).sort("task")
    if json:
        counts = dict(sources.select(pl.col("records", "joined").sum()).row(0, named=True))
        told = {**counts, "kept": kept, "dropped": dict(reasons.rows()), "leaks": dict(by_task.rows())}
        say({"sources": sources.to_dicts(), **told, "repairs": mended.to_dicts()}, json, [])
        return
    columns = ("source", "format", "licence", "records", "conversations", "joined", "unread")
    say(None, json, sources.select(columns).rows(), columns)
    rows = [("records", sources["records"].sum()), ("joined to an earlier one", sources["joined"].sum())]
    rows += [*reasons.rows(), ("kept", kept)]
    say(None, json, rows, ("what became of them", "count"))
    if mended.height:
        say(None, json, mended.rows(), ("what was mended", "conversations", "places"))
    if by_task.height:
        say(None, json, by_task.rows(), ("items found in conversations, of", "conversations"))


def mix(
    examples: Annotated[Path, typer.Argument(metavar="EXAMPLES", help="examples.parquet")],
    labels: Annotated[Path, typer.Argument(metavar="LABELS", help="labels.parquet")],
    arm: Annotated[list[str], typer.Option(help="NAME=SHARE, once an arm; the first is the baseline")],
    budget: Annotated[int, typer.Option(min=1, help="size of each arm, in the unit of --match-on")],
    math: Annotated[int, typer.Option(min=0, help="of these, math")],
    draws: Annotated[int, typer.Option(min=1, help="independent draws")],
    out: Out,
    match_on: Annotated[str, typer.Option(help="examples, tokens or loss_tokens")] = "examples",
    tokenizer: Annotated[str | None, typer.Option(help="counts tokens: builtin:smollm2-135m or a folder")] = None,
    template: Annotated[str, typer.Option(help="for counting: chatml, vicuna, alpaca or own")] = "chatml",
    max_length: Annotated[int, typer.Option(min=1, help="tokens of a conversation that are trained on")] = 2048,
    redraw: Annotated[bool, typer.Option("--redraw", help="draw none that is longer")] = False,
    step_size: Annotated[int | None, typer.Option(min=1, help="what a training step takes in, same unit")] = None,
    design: Annotated[str, typer.Option(help="fixed, or additive: coding on top of the budget")] = "fixed",
    stratify: Annotated[list[str] | None, typer.Option(help="reply_length or turns (repeatable) [nothing]")] = None,
    held_out: Annotated[int, typer.Option(min=0, help="examples of each label to keep out, to measure loss on")] = 0,
    control: Annotated[list[str] | None, typer.Option(help="NAME=CONTROL, makes an arm a negative control")] = None,
    repeat: Annotated[list[str] | None, typer.Option(help="NAME:LABEL=TIMES, such as Code:coding=4")] = None,
    leaks: Annotated[Path | None, typer.Option(help="leaks.parquet, counted in the balance table")] = None,
    form: Annotated[str | None, typer.Option("--as", help="also as files for trl, axolotl or llama-factory")] = None,
    json: AsJson = False,
) -> None:
    """Examples and labels -> draws.parquet and balance.parquet: the arms, and what differs between them."""
    from codedose import tables
    from codedose.balance import balance
    from codedose.held_out import set_aside
    from codedose.mix.export import TOOLS, export
    from codedose.study import Mix

    if form not in (None, *TOOLS):
        raise StudyError(f"--as {form}: arms are written for {', '.join(TOOLS)}")
    settings = validated(
        Mix,
        match_on=match_on,
        tokenizer=tokenizer,
        design=design,
        budget=budget,
        math=math,
        stratify=tuple(stratify or ()),
        held_out=held_out,
        draws=draws,
        arms=tuple(named_arms(arm, control or [], repeat or [])),
    )
    pooled, labelled = tables.read(examples, tables.EXAMPLES), tables.read(labels, tables.LABELLED)
    together = pooled.join(labelled.select("example_id", "label"), on="example_id")
    kept, told = set_aside(together, held_out, needed=[label for label in tables.LABELS if label != "math" or math])
    left = together.join(kept, on="example_id", how="anti")
    made, notes = drawn(left, settings, step_size, counter_of(tokenizer, template, max_length, redraw=redraw))
    compared = balance(
        made,
        labelled,
        baseline=settings.arms[0].name,
        examples=pooled,
        leaks=tables.read(leaks, tables.LEAKS) if leaks else None,
        shares={each.name: each.share for each in settings.arms},
    )
    out.mkdir(parents=True, exist_ok=True)
    tables.write(made, out / "draws.parquet", tables.DRAWS)
    tables.write(compared, out / "balance.parquet", tables.BALANCE)
    if held_out:
        tables.write(kept, out / "held_out.parquet", tables.HELD_OUT)
    written = export(made, out / form, tool=form) if form else []
    tell_mix(compared, [each.name for each in settings.arms], [*told, *notes], written, json)


def drawn(
    together: "pl.DataFrame", settings: "Mix", step_size: int | None, count: "Callable[[Any], tuple[int, int]] | None"
) -> tuple["pl.DataFrame", list[str]]:
    """Every draw of all arms, and what making them had to say, each sentence once."""
    import polars as pl

    from codedose.mix import draw

    how = settings.model_dump(exclude={"arms", "draws", "tokenizer", "held_out"})
    made = [
        draw(together, arms=settings.arms, step_size=step_size, draw=number, count=count, **how)
        for number in range(settings.draws)
    ]
    return pl.concat([each.draws for each in made]), list(dict.fromkeys(note for each in made for note in each.notes))


def named_arms(arms: Sequence[str], controls: Sequence[str], repeats: Sequence[str]) -> list[dict[str, object]]:
    """The arms of the options as a study would hold them; StudyError shows the form of one that is wrong."""
    found = {name: {"name": name, "share": share} for name, share in map(named_share, arms)}
    known: dict[str, str] = dict(pair(text, "--control", "AA=other_draw", found) for text in controls)
    factors: dict[str, dict[str, int]] = {}
    for text in repeats:
        left, times = pair(text, "--repeat", "Code:coding=4", None)
        name, _, label = left.rpartition(":")
        if name not in found or not times.isdecimal():
            raise StudyError(f"--repeat {text}: is not NAME:LABEL=TIMES of one of the arms, such as Code:coding=4")
        factors.setdefault(name, {})[label] = int(times)
    return [one | {"control": known.get(name), "repeat": factors.get(name)} for name, one in found.items()]


def named_share(text: str) -> tuple[str, float]:
    """`NAME=SHARE` as a pair; StudyError that shows the form."""
    name, _, share = text.rpartition("=")
    try:
        number = float(share)
    except ValueError:
        number = -1
    if not name or not 0 <= number <= 1:
        raise StudyError(f"--arm {text}: is not NAME=SHARE with a share between 0 and 1, such as --arm Code=1")
    return name, number


def pair(text: str, option: str, form: str, known: Collection[str] | None) -> tuple[str, str]:
    """`NAME=VALUE` as a pair; StudyError that shows the form."""
    name, sign, value = text.rpartition("=")
    if not sign or (known is not None and name not in known):
        raise StudyError(f"{option} {text}: must name one of the arms, such as {option} {form}")
    return name, value


def counter_of(
    tokenizer: str | None, template: str, max_length: int, *, redraw: bool
) -> "Callable[[Any], tuple[int, int]] | None":
    from codedose.prompt import TEMPLATES
    from codedose.stages import counter

    if tokenizer is None and redraw:
        raise StudyError("--redraw: needs --tokenizer, the backbone that counts tokens")
    if tokenizer is None:
        return None
    if template not in (*TEMPLATES, "own"):
        raise StudyError(f"--template {template}: must be {', '.join(TEMPLATES)} or own")
    model = {"model": tokenizer, "revision": None}
    over_long = "redraw" if redraw else "cut"
    return counter(model, template=template, system=None, max_length=max_length, over_long=over_long)


def validated(section: type[Section], **settings: object) -> Section:
    """The options as a section of a study would hold them; StudyError names the option that is wrong."""
    from pydantic import ValidationError

    try:
        return section.model_validate(settings)
    except ValidationError as problem:
        first = problem.errors()[0]
        option = str(first["loc"][0]).replace("_", "-").removesuffix("s") if first["loc"] else "arm"
        message = first["msg"].replace("Input should", "should").removeprefix("Value error, ")
        raise StudyError(f"--{option} {first['input']}: {message}") from None


def tell_mix(
    compared: "pl.DataFrame", arms: Sequence[str], notes: Sequence[str], written: Sequence[Path], json: bool
) -> None:
    """The balance table: means over draws, and the SMD of the draw where it is furthest from 0."""
    import polars as pl

    from codedose.balance import is_large

    if json:
        say({"balance": compared.to_dicts(), "notes": notes, "files": [str(path) for path in written]}, json, [])
        return
    furthest = pl.col("smd").sort_by(pl.col("smd").abs(), descending=True, nulls_last=True).first()
    found = compared.group_by("quantity", "arm").agg(pl.col("mean").mean(), furthest)
    means = {(quantity, arm): (mean, smd) for quantity, arm, mean, smd in found.iter_rows()}
    rows = []
    for quantity in sorted({quantity for quantity, _ in means}):
        cells: list[object] = [quantity]
        for name in arms:
            mean, smd = means.get((quantity, name), (None, None))
            cells += [mean, "" if smd is None else f"{smd:+.2f}{'*' if is_large(quantity, smd) else ''}"]
        rows.append(cells)
    say(None, json, rows, ("quantity", *(head for name in arms for head in (name, "SMD"))))
    print("SMD: standardised mean difference from the first arm, in the draw where it is largest; * beyond 0.1")
    for note in notes:
        print(f"note: {plain(note)}")
    for path in written:
        print(f"wrote {path}")


COMMANDS: tuple[Any, ...] = (pool, mix)
