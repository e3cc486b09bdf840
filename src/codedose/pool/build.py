"""Sources -> the pool: read as a stream, cleaned batch by batch, each conversation once.

One pass reads and cleans; batches go to processes side by side and wait on disk, so that memory holds
only an index of them: ids, lengths and MinHash signatures. Then the index says which conversations
repeat others, and a second pass writes those that stay.
"""

import multiprocessing
import os
import shutil
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from codedose import tables
from codedose.errors import DataError, MachineError
from codedose.pool.clean import apply_rules, sound_texts
from codedose.pool.near import candidates, repeats, signatures
from codedose.pool.read import Message, Reading, measured, read
from codedose.study import Cleaning, Source

BATCH = 4_000_000  # characters: about thirty batches for the ShareGPT prefix of 125 MB
AHEAD = 2  # batches that each further process has or waits with
FEW = 3  # batches; a pool of so few is cleaned here, since starting processes takes longer
DUPLICATE = "exact duplicate of another conversation"
NEAR_DUPLICATE = "near duplicate of another conversation"

Progress = Callable[[int, int, str], None]
Drop = dict[str, object]
Work = tuple[Sequence[Reading], Path, Cleaning]


@dataclass(frozen=True)
class Cleaned:
    """What one batch became. `index` has a row for each conversation kept so far, in the order of its part's rows."""

    index: pl.DataFrame
    drops: list[Drop]
    repairs: list[dict[str, object]]
    signatures: NDArray[np.uint32]


def build(
    sources: Sequence[Source],
    clean: Cleaning,
    *,
    out: Path,
    folder: Path = Path(),
    processes: int = 1,
    progress: Progress = lambda done, of, note: None,
) -> None:
    """Write examples, drops, repairs and sources (see tables.py) as Parquet files into the folder `out`.

    `folder` is where relative paths start. For each source, records = examples + drops + records joined
    into another one; the order of the sources and of their records changes nothing but the rows' order
    and positions, and the number of processes nothing at all. Raises DataError when a source cannot be
    read, or nothing is left.
    """
    parts, is_new = out / "parts", not out.exists()
    parts.mkdir(parents=True)
    try:
        found: Counter[tuple[str, str, str, str]] = Counter()
        readings = chain.from_iterable(counted(source, clean, folder, found) for source in sources)
        numbered = enumerate(batches(readings))
        work = ((batch, parts / f"{number:06d}.arrow", clean) for number, batch in numbered)
        done = [each for number, each in enumerate(side_by_side(work, processes), 1) if told(progress, number)]
        index = indexed([each.index for each in done])
        leaving = repeated(index, np.concatenate([each.signatures for each in done]), parts, clean.near_duplicates)
        drops = pl.concat([tables.DROPS.frame([drop for each in done for drop in each.drops]), left(index, leaving)])
        if index.height == len(leaving):
            raise DataError(f"the pool is empty: {reasons(drops)}; add a source, or let more in")
        write_examples(parts, index, leaving, out / "examples.parquet")
    finally:
        shutil.rmtree(parts, ignore_errors=True)
        if is_new and not any(out.iterdir()):
            out.rmdir()
    repairs = tables.REPAIRS.frame([repair for each in done for repair in each.repairs])
    tables.write(drops.sort(drops.columns), out / "drops.parquet", tables.DROPS)
    tables.write(repairs.sort(repairs.columns), out / "repairs.parquet", tables.REPAIRS)
    tables.write(census(found), out / "sources.parquet", tables.SOURCES)


def told(progress: Progress, number: int) -> bool:
    progress(number, number + 1, "batches of conversations")
    return True


def reasons(drops: pl.DataFrame) -> str:
    """How many conversations left for which reason, the most frequent first."""
    counts = drops.group_by("reason").len().sort(pl.col("len"), "reason", descending=[True, False])
    return "; ".join(f"{count} {reason}" for reason, count in counts.head(8).iter_rows())


# ---- the first pass


def counted(
    source: Source, clean: Cleaning, folder: Path, found: "Counter[tuple[str, str, str, str]]"
) -> Iterator[Reading]:
    """The readings of a source; `found` counts what they are on the way."""
    for reading in read(source, folder=folder, join=clean.chunks == "join"):
        kind = (reading.source, reading.licence, reading.format)
        found[*kind, "unread" if reading.problem else "conversations"] += 1
        found[*kind, "joined"] += reading.joined
        yield reading


def census(found: "Counter[tuple[str, str, str, str]]") -> pl.DataFrame:
    """tables.SOURCES from the counts."""
    rows = []
    for source, licence, shape in sorted({key[:3] for key in found}):
        counts = {what: found[source, licence, shape, what] for what in ("conversations", "joined", "unread")}
        rows.append({"source": source, "licence": licence, "format": shape, "records": sum(counts.values())} | counts)
    return tables.SOURCES.frame(rows)


def batches(readings: Iterable[Reading]) -> Iterator[list[Reading]]:
    """Readings in their order, gathered until they hold about BATCH characters."""
    batch: list[Reading] = []
    size = 0
    for reading in readings:
        batch.append(reading)
        size += 500 + sum(len(message["content"]) for message in reading.messages)
        if size > BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def side_by_side(work: Iterator[Work], processes: int) -> Iterator[Cleaned]:
    """What `clean_batch` makes of each piece of work, in its order, in as many processes as are given.

    This process is one of them: it cleans whenever the others have enough to do.
    """
    first = list(islice(work, FEW))
    if processes == 1 or len(first) < FEW:
        yield from (clean_batch(*each) for each in chain(first, work))
        return
    others, context = processes - 1, multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(others, mp_context=context, initializer=end_with_parent) as pool:
        waiting: deque[Future[Cleaned]] = deque()
        try:
            for each in chain(first, work):
                is_enough = sum(not one.done() for one in waiting) >= AHEAD * others
                waiting.append(cleaned_here(each) if is_enough else pool.submit(clean_batch, *each))
                while waiting and waiting[0].done():
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool:
            raise MachineError("a process that cleans conversations was killed; is there enough memory?") from None


def cleaned_here(work: Work) -> "Future[Cleaned]":
    done: Future[Cleaned] = Future()
    done.set_result(clean_batch(*work))
    return done


def end_with_parent() -> None:
    """In a child: leave when the parent is gone, however it went."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def clean_batch(batch: Sequence[Reading], part: Path, clean: Cleaning) -> Cleaned:
    """Clean a batch of readings and write what stays to the file `part` (tables.EXAMPLES)."""
    kept, contents, drops, repairs = [], [], [], []
    sound = sound_texts([message["content"] for reading in batch for message in reading.messages], clean)
    for reading in batch:
        name: Drop = {"source": reading.source, "reference": reading.reference}
        if reading.problem:
            drops.append(name | {"reason": reading.problem})
            continue
        cleaned = apply_rules(reading.messages, clean, sound)
        if cleaned.reason:
            drops.append(name | {"reason": cleaned.reason})
            continue
        kept.append(row_of(reading, cleaned.messages, cleaned.lang))
        contents.append("\n".join(message["content"] for message in cleaned.messages))
        repairs += [name | {"rule": rule, "count": count} for rule, count in cleaned.repairs.items()]
    examples = tables.EXAMPLES.frame(kept)
    examples.write_ipc(part)
    signed = signatures(contents) if clean.near_duplicates else np.zeros((len(contents), 0), np.uint32)
    return Cleaned(index_of(examples, contents), drops, repairs, signed)


def row_of(reading: Reading, messages: Sequence[Message], lang: str | None) -> dict[str, object]:
    known = {"source": reading.source, "licence": reading.licence, "position": reading.position}
    return measured(messages) | known | {
        "conversation_id": reading.reference,
        "lang": lang,
        "stated_label": reading.label,
    }  # fmt: skip


def texts(examples: pl.DataFrame) -> list[str]:
    """Each conversation as one text: its messages, a line apart."""
    content = pl.element().struct.field("content")
    return examples.select(pl.col("messages").list.eval(content).list.join("\n")).to_series().to_list()


def index_of(examples: pl.DataFrame, contents: Sequence[str]) -> pl.DataFrame:
    """What decides which of several alike stays. `text` breaks ties between those that differ in white space only."""
    known = examples.select("example_id", "source", "conversation_id", "position", "stated_label", "chars")
    return known.with_columns(text=pl.Series([text[:200] for text in contents], dtype=pl.String))


# ---- which stay


def indexed(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The index of the whole pool, with each row's part and place in it."""
    return pl.concat(
        part.with_columns(part=pl.lit(number, pl.Int64), place=pl.int_range(part.height, dtype=pl.Int64))
        for number, part in enumerate(parts)
    ).with_row_index("row")


def repeated(index: pl.DataFrame, signed: NDArray[np.uint32], parts: Path, threshold: float | None) -> dict[int, str]:
    """The rows that leave because they repeat another one, with the reason."""
    line = index.sort("example_id", "stated_label", "text", "source", "conversation_id", "position", nulls_last=True)
    exact = line.filter(~line["example_id"].is_first_distinct())["row"].to_list()
    leaving = dict.fromkeys(exact, DUPLICATE)
    if threshold is None:
        return leaving
    rows = index.filter(~pl.col("row").is_in(exact))
    # One that states its label goes before one that does not, then the longer; then the id decides.
    preferred = rows.with_row_index("at").sort(
        pl.col("stated_label").is_null(), pl.col("chars"), "example_id", descending=[False, True, False]
    )
    pairs = candidates(signed[rows["row"].to_numpy()], threshold)
    fetch = partial(texts_at, rows, parts)
    for at in repeats(pairs, fetch, preferred["at"].to_list(), threshold):
        leaving[rows["row"][at]] = NEAR_DUPLICATE
    return leaving


def texts_at(rows: pl.DataFrame, parts: Path, wanted: Sequence[int]) -> list[str]:
    """The texts of the conversations at these places of `rows`, read from their parts."""
    asked = rows.select("part", "place")[list(wanted)].with_row_index("order")
    found: dict[int, str] = {}
    for (number,), group in asked.group_by("part", maintain_order=True):
        frame = pl.read_ipc(parts / f"{number:06d}.arrow", columns=["messages"])
        found |= dict(zip(group["order"], texts(frame[group["place"].to_list()]), strict=True))
    return [found[order] for order in range(len(wanted))]


def left(index: pl.DataFrame, leaving: dict[int, str]) -> pl.DataFrame:
    """tables.DROPS of the rows that leave."""
    gone = index.filter(pl.col("row").is_in(list(leaving)))
    reasons = pl.Series([leaving[row] for row in gone["row"]], dtype=pl.String)
    return gone.select("source", reference="conversation_id").with_columns(reason=reasons)


# ---- the second pass


def write_examples(parts: Path, index: pl.DataFrame, leaving: dict[int, str], path: Path) -> None:
    """The rows that stay, in the order of their sources, one row group for each part."""
    import pyarrow.parquet as pq

    stays = ~index["row"].is_in(list(leaving))
    with pq.ParquetWriter(path, tables.EXAMPLES.frame([]).to_arrow().schema, compression="zstd") as writer:
        for (number,), rows in index.with_columns(stays=stays).group_by("part", maintain_order=True):
            frame = pl.read_ipc(parts / f"{number:06d}.arrow")
            kept = tables.check(frame.filter(rows["stays"]), tables.EXAMPLES)
            if kept.height:
                writer.write_table(kept.to_arrow())


def leave_out(out: Path, leaks: pl.DataFrame) -> None:
    """Take the examples that contain benchmark items (tables.LEAKS) out of the pool that `build` wrote to `out`."""
    import pyarrow.parquet as pq

    if leaks.is_empty():
        return
    path, draft = out / "examples.parquet", out / "examples.draft"
    named = leaks.group_by("example_id").agg(pl.col("task").unique().sort().str.join(", "))
    gone = []
    with pq.ParquetWriter(draft, tables.EXAMPLES.frame([]).to_arrow().schema, compression="zstd") as writer:
        for batch in tables.batches(path, tables.EXAMPLES):
            writer.write_table(batch.join(named, on="example_id", how="anti", maintain_order="left").to_arrow())
            gone.append(batch.join(named, on="example_id", maintain_order="left"))
    os.replace(draft, path)
    reason = pl.lit("contains benchmark items of ") + pl.col("task")
    dropped = pl.concat(gone).select("source", reference="conversation_id", reason=reason)
    drops = pl.concat([tables.read(out / "drops.parquet", tables.DROPS), dropped])
    tables.write(drops.sort(drops.columns), out / "drops.parquet", tables.DROPS)
