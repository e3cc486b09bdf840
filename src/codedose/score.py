"""completions and items -> scores: one verdict per reply and reading."""

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from codedose.errors import DataError, StudyError
from codedose.tables import COMPLETIONS, ITEMS, READINGS, SCORES, check, whole_signs
from codedose.tasks import TASKS, task_named
from codedose.tasks.official import cluster_of
from codedose.tasks.programs import in_code
from codedose.tasks.readings import forced, normal, strict_and_lenient, verdict
from codedose.tasks.task import Task
from codedose.tasks.twins import item_id_of

CELL = ("cell", "backbone", "family", "scale", "arm", "share", "measured_dose", "draw", "seed")
VERDICT = {"reading": pl.String, "read": pl.String, "outcome": pl.String, "in_code": pl.Boolean}
FINISHES = ("stop", "length")


def score(
    completions: pl.DataFrame, items: pl.DataFrame, *, cell: Mapping[str, object], tasks: Sequence[Task] = TASKS
) -> pl.DataFrame:
    """One row (tables.SCORES) per completion and reading, in the completions' order.

    `cell` gives the columns that are the same for every reply: CELL; `tasks` holds those of the items. Raises
    DataError for an item that is unknown or stands there twice, and for a reply to the same item and sample that does.
    """
    completions, items = check(completions, COMPLETIONS), check(items, ITEMS)
    refuse_repeated(items, ["item_id"], "item")
    refuse_repeated(completions, ["item_id", "sample"], "reply to one item and sample")
    refuse_strangers(completions, items, str(cell["cell"]))
    asked = {item["item_id"]: item for item in items.iter_rows(named=True)}
    rows = []
    for reply in completions.iter_rows(named=True):
        item = asked[reply["item_id"]]
        given = {name: item[name] for name in ("task", "domain", "origin", "level", "item_id", "cluster")}
        told = {**cell, **given, "sample": reply["sample"], "in_code": in_code(reply["text"])}
        for reading, _, outcome in judge(task_named(item["task"], tasks), {**reply, "answer": item["answer"]}):
            rows.append({**told, "reading": reading, "outcome": outcome})
    return SCORES.frame(rows)


def read_replies(path: Path) -> pl.DataFrame:
    """The rows of a JSONL (also .gz) or Parquet file of replies; DataError names the file and, in JSONL, the line."""
    try:
        if path.name.endswith(".parquet"):
            return pl.read_parquet(path)
        with (gzip.open if path.name.endswith(".gz") else open)(path, "rt", encoding="utf-8") as file:
            rows = [row_in(line, f"{path}: line {number}") for number, line in enumerate(file, 1) if line.strip()]
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (OSError, EOFError, UnicodeDecodeError, pl.exceptions.PolarsError) as problem:
        raise DataError(f"{path}: is neither JSON lines nor Parquet ({problem})") from problem
    if not rows:
        raise DataError(f"{path}: holds no replies; give one JSON object a line")
    names = list(dict.fromkeys(name for row in rows for name in row))
    return pl.DataFrame(
        [whole_signs({name: row.get(name) for name in names}) for row in rows], infer_schema_length=None, strict=False
    )


def row_in(line: str, place: str) -> dict[str, object]:
    """One JSON line as a row; `place` is how the error calls it."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as problem:
        raise DataError(f"{place}: is not JSON ({problem})") from None
    if not isinstance(row, dict):
        raise DataError(f"{place}: is not a JSON object with task, question, answer and text")
    return row


def score_replies(replies: pl.DataFrame, *, tasks: Sequence[Task] = TASKS) -> pl.DataFrame:
    """`replies` with the columns reading, read, outcome and in_code, one row per reply and reading.

    Needs the columns task, question, answer and text; forced_text and finish are used where they
    are there. Without a forced_text column there is no forced reading. Raises DataError for a missing
    column, an empty field and a finish other than stop and length, with the number of the row.
    """
    refuse_lacking(replies)
    readings = [reading for reading in READINGS if reading != "forced" or "forced_text" in replies.columns]
    verdicts = []
    for number, reply in enumerate(replies.iter_rows(named=True)):
        refuse_gaps(reply, number + 1)
        code = in_code(reply["text"])
        for reading, found, outcome in judged(reply, number + 1, tasks):
            if reading in readings:
                verdicts.append({"row": number, "reading": reading, "read": found, "outcome": outcome, "in_code": code})
    schema = {"row": pl.UInt32, **VERDICT}
    told = pl.DataFrame(verdicts, schema=schema)
    return pl.concat([replies[told["row"]], told.drop("row")], how="horizontal")


def score_in_cell(
    replies: pl.DataFrame, *, cell: Mapping[str, object], tasks: Sequence[Task] = TASKS
) -> tuple[pl.DataFrame, int]:
    """(scores, left out): tables.SCORES of replies that were asked outside a study, and how many replies ask the same
    as an earlier one of the same log and sample, since an item counts once.

    `cell` gives CELL. The items are named by their questions, as everywhere, so that cells pair over them; without a
    forced_text column there is no forced reading. Raises DataError where two logs hold a reply to one item.
    """
    scored = score_replies(named_items(replies, tasks), tasks=tasks)
    keys = ["item_id", "sample", "reading"]
    once = scored.unique(["log", *keys], keep="first", maintain_order=True)
    refuse_repeated(once, keys, "item, sample and reading (give the logs of one run)")
    columns = [pl.lit(cell[name]).alias(name) for name in CELL]
    whole = once.with_columns(*columns, level=pl.lit(None, pl.Int64))
    typed = whole.select(pl.col(name).cast(wanted) for name, wanted in SCORES.columns.items())
    return check(typed, SCORES), (scored.height - once.height) // scored["reading"].n_unique()


def judged(reply: Mapping[str, object], number: int, tasks: Sequence[Task]) -> list[tuple[str, str | None, str]]:
    """What judge says of a row; an unknown task and a gold of another type are named with the row."""
    try:
        return list(judge(known_task(str(reply["task"]), number, tasks), reply))
    except DataError as problem:
        raise DataError(f"row {number}: {str(problem).removeprefix(f'row {number}: ')}") from None


def known_task(name: str, number: int, tasks: Sequence[Task]) -> Task:
    try:
        return task_named(name, tasks)
    except StudyError as problem:
        raise DataError(f"row {number}: {problem}") from None


def named_items(replies: pl.DataFrame, tasks: Sequence[Task]) -> pl.DataFrame:
    """`replies` with the columns of their items, and sample and log where they lack them."""
    refuse_lacking(replies)
    rows = []
    for number, reply in enumerate(replies.iter_rows(named=True), 1):
        refuse_gaps(reply, number)
        task = known_task(reply["task"], number, tasks)
        item_id = item_id_of(task, reply["question"])
        cluster = cluster_of(task, reply["question"]) or item_id
        origin = "own" if task.items else "official"
        rows.append({"item_id": item_id, "domain": task.domain, "cluster": cluster, "origin": origin})
    schema = dict.fromkeys(("item_id", "domain", "cluster", "origin"), pl.String)
    named = pl.concat([replies.drop(schema, strict=False), pl.DataFrame(rows, schema=schema)], how="horizontal")
    missing = {"sample": pl.lit(0, pl.Int64), "log": pl.lit("")}
    return named.with_columns(**{name: value for name, value in missing.items() if name not in replies.columns})


def judge(task: Task, reply: Mapping[str, object]) -> Iterator[tuple[str, str | None, str]]:
    """(reading, what it reads, outcome) of one reply with text, answer, and perhaps forced_text and finish."""
    gold = normal(task, str(reply["answer"]))
    cut = reply.get("finish") == "length"
    strict, lenient = strict_and_lenient(task, str(reply["text"]), cut=cut)
    then = forced(task, str(reply.get("forced_text") or ""))
    for reading, found in zip(READINGS, (strict, lenient, then), strict=True):
        yield reading, found, verdict(found, gold, cut=cut and reading != "forced")


def refuse_repeated(frame: pl.DataFrame, names: list[str], what: str) -> None:
    repeated = frame.filter(frame.select(names).is_duplicated()).select(names).unique(maintain_order=True)
    if repeated.height:
        raise DataError(f"{repeated.height} {what} stand(s) there more than once, first {repeated.row(0)}")


def refuse_strangers(completions: pl.DataFrame, items: pl.DataFrame, cell: str) -> None:
    unknown = completions.join(items, on="item_id", how="anti")
    if unknown.height:
        raise DataError(
            f"{unknown.height} completions answer items that are not in the items table, first "
            f"{unknown['item_id'][0]!r}; score them with the items that were asked"
        )
    others = completions.filter(pl.col("cell") != cell)
    if others.height:
        raise DataError(f"{others.height} completions are of the cell {others['cell'][0]!r}, not {cell!r}")


def refuse_lacking(replies: pl.DataFrame) -> None:
    taken = [name for name in VERDICT if name in replies.columns]
    if taken:
        raise DataError(f"the replies have the column(s) {', '.join(taken)} of verdicts; give the replies alone")
    missing = [name for name in ("task", "question", "answer", "text") if name not in replies.columns]
    if missing:
        raise DataError(f"the replies lack the column(s) {', '.join(missing)}; they have {replies.columns}")


def refuse_gaps(reply: Mapping[str, object], number: int) -> None:
    for name in ("task", "question", "answer", "text"):
        if not isinstance(reply[name], str) or (name != "text" and not str(reply[name]).strip()):
            raise DataError(f"row {number}: {name} is empty or not text; give it, or leave the row out")
    finish = reply.get("finish") or "stop"
    if finish not in FINISHES:
        raise DataError(f"row {number}: finish is {finish!r}; it should be one of {', '.join(FINISHES)}, or empty")
