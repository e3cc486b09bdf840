"""Parquet and Arrow files -> records, batch by batch; only the columns asked for are read.

pyarrow does not end the process on damaged files (checked with flipped bytes, tests/test_read.py), as long as
a batch is validated before anything else is asked of it.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from codedose.errors import DataError
from codedose.files.records import Record

ROWS = 256  # taken at a time: the longest conversation of ShareGPT has 3 MB
BUFFER = 1 << 20  # bytes of a column read at a time, so that a row group need not fit into memory
LARGEST_RATIO = 50
LARGEST_BOMB = 1_000_000_000  # bytes of values, below which even an absurd ratio does no harm
ROW_COST = 64  # bytes that a row counts for at least, so that endless empty rows have an end too
PARQUET, ARROW_FILE, ARROW_STREAM = b"PAR1", b"ARROW1", b"\xff\xff\xff\xff"


def kind_of(start: bytes) -> str:
    """Parquet, Arrow or Arrow stream by a file's first bytes; "" for anything else."""
    if start.startswith(PARQUET):
        return "Parquet"
    if start.startswith(ARROW_FILE):
        return "Arrow"
    return "Arrow stream" if start.startswith(ARROW_STREAM) else ""


def rows_of(file: Path, kind: str, known: Sequence[str]) -> Iterator[Record]:
    """The rows of a file with those of the columns `known` that it has; nested columns come as lists and mappings.

    What cannot be read of it is one record with a problem. Raises DataError when the file as a whole
    is damaged, a bomb, or has none of the columns.
    """
    import pyarrow as pa

    number = 0
    most = max(LARGEST_BOMB, LARGEST_RATIO * file.stat().st_size)
    try:
        batches = {"Parquet": parquet_batches, "Arrow": arrow_batches, "Arrow stream": stream_batches}[kind]
        for batch in batches(file, known):
            if isinstance(batch, str):
                number += 1
                yield Record(f"record {number}", problem=batch)
                continue
            most -= ROW_COST * batch.num_rows + (0 if breakage(batch) else batch.nbytes)
            if most < 0:
                raise DataError(f"{file}: unpacks to more than {LARGEST_RATIO} times its size; write it as JSON lines")
            for value in values(batch):
                number += 1
                place = f"record {number}"
                yield Record(place, problem=value) if isinstance(value, str) else Record(place, value)
    except (pa.ArrowException, OSError, ValueError, MemoryError) as problem:
        raise DataError(f"{file}: is a damaged {kind} file ({sentence(problem)}); fetch it again") from problem


def parquet_batches(file: Path, known: Sequence[str]) -> Iterator[Any]:
    """Batches of rows; in the place of what is damaged, a sentence."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pa.OSFile(str(file)) as raw, pq.ParquetFile(raw, buffer_size=BUFFER, pre_buffer=False) as table:
        columns = chosen(file, table.schema_arrow.names, known)
        for group in range(table.num_row_groups):
            rows = table.metadata.row_group(group).num_rows
            found = table.iter_batches(ROWS, row_groups=[group], columns=columns, use_threads=False)
            yield from up_to_damage(found.__next__, lambda left: f"{left:,} rows of a damaged row group are lost", rows)


def arrow_batches(file: Path, known: Sequence[str]) -> Iterator[Any]:
    """Batches of rows of an IPC file; in the place of a damaged one, a sentence."""
    import pyarrow as pa
    from pyarrow import ipc

    with pa.OSFile(str(file)) as raw:
        names = ipc.open_file(raw).schema.names
        fields = [names.index(name) for name in chosen(file, names, known)]
        table = ipc.open_file(raw, options=ipc.IpcReadOptions(included_fields=fields, use_threads=False))
        for number in range(table.num_record_batches):
            try:
                batch = table.get_batch(number)
            except (pa.ArrowException, OSError, ValueError, MemoryError) as problem:
                yield f"a damaged batch of rows is lost ({sentence(problem)})"
                continue
            yield from (batch.slice(start, ROWS) for start in range(0, batch.num_rows, ROWS))


def stream_batches(file: Path, known: Sequence[str]) -> Iterator[Any]:
    """Batches of rows of an IPC stream, as `datasets` writes its .arrow files; a damaged one ends it."""
    import pyarrow as pa
    from pyarrow import ipc

    with pa.OSFile(str(file)) as raw:
        names = ipc.open_stream(raw).schema.names
        fields = [names.index(name) for name in chosen(file, names, known)]
        raw.seek(0)
        table = ipc.open_stream(raw, options=ipc.IpcReadOptions(included_fields=fields, use_threads=False))
        found = up_to_damage(table.read_next_batch, lambda left: "the rest of the file is damaged or cut off, and lost")
        for batch in found:
            if isinstance(batch, str):
                yield batch
            else:
                yield from (batch.slice(start, ROWS) for start in range(0, batch.num_rows, ROWS))


def up_to_damage(step: Callable[[], Any], words: Callable[[int], str], rows: int = 0) -> Iterator[Any]:
    """What `step` gives until it has no more; where it fails, `words` of how many of the `rows` are left."""
    import pyarrow as pa

    while True:
        try:
            batch = step()
        except StopIteration:
            return
        except (pa.ArrowException, OSError, ValueError, MemoryError) as problem:
            yield f"{words(rows)} ({sentence(problem)})"
            return
        rows -= batch.num_rows
        yield batch


def chosen(file: Path, names: Sequence[str], known: Sequence[str]) -> list[str]:
    """The columns to read, each once. Raises DataError when there are none."""
    found = [name for name in dict.fromkeys(names) if name in known]
    if not found:
        has = ", ".join(ascii(name)[1:-1] for name in names[:6])[:120]
        raise DataError(f"{file}: has none of the columns {', '.join(known)} (its columns: {has})")
    return found


def breakage(batch: Any) -> str:
    """What is wrong inside a batch, such as text that is not UTF-8; "" where nothing is.

    Until this is known nothing else may be asked of a batch: damaged offsets lead anywhere in memory.
    """
    import pyarrow as pa

    try:
        batch.validate(full=True)
    except (pa.ArrowException, ValueError, MemoryError) as problem:
        return f"its values are broken ({sentence(problem)})"
    return ""


def values(batch: Any) -> Iterator[dict[str, Any] | str]:
    """Each row as a mapping; a row whose values are broken as a sentence."""
    problem = breakage(batch)
    if not problem:
        try:
            yield from batch.to_pylist()
            return
        except (ValueError, OverflowError, KeyError, MemoryError) as strange:  # such as a time zone nobody knows
            problem = f"its values cannot be read ({sentence(strange)})"
    if batch.num_rows == 1:
        yield problem
        return
    for row in range(batch.num_rows):
        yield from values(batch.slice(row, 1))


def sentence(problem: BaseException) -> str:
    """What a library says, short and in ASCII, on one line."""
    return ascii(" ".join(str(problem).split()))[1:-1][:120] or type(problem).__name__
