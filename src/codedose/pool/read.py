"""Sources -> readings: each record of a source as a conversation, as joined into one, or with the reason why not.

A stream from end to end: memory holds a record, a block of its file, and the conversation being joined.
"""

import hashlib
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from codedose import tables
from codedose.errors import DataError
from codedose.files.columnar import kind_of, rows_of
from codedose.files.records import Record, json_records
from codedose.files.unpack import first_bytes, open_text
from codedose.pool.catalogue import Catalogue, look_up
from codedose.pool.join import Run, split_id
from codedose.pool.layout import Layout
from codedose.pool.shapes import COLUMNS, SHAPES, detect, id_of, turns_of
from codedose.pool.shapes import Message as Message
from codedose.study import Source


@dataclass(frozen=True)
class Reading:
    """What was read of a record: its turns, or the reason why there are none."""

    source: str  # as the user wrote it
    licence: str
    reference: str  # the record's own id (the base id after joining), or its place in the source
    position: int  # of the (first) record, from 0, counting on through the source's files
    format: str  # as it was detected, such as "ShareGPT, JSON array, gz"
    messages: list[Message]
    label: str | None  # the source's own class, where it is one of ours
    problem: str
    joined: int = 0  # how many further records were joined into this one


def read(source: Source, *, folder: Path, join: bool) -> Iterator[Reading]:
    """Every record of a source, in its order: records = readings + what they say was joined.

    `folder` is where relative paths start; with `join` the chunks of ShareGPT's conversations are put
    together (see join.py). Raises DataError that names the file, the place and the mend when a file is
    missing, absurd, or holds no conversation at all; StudyError and MachineError as `look_up` does.
    """
    found = look_up(source, folder=folder)
    readings = read_all(source, found)
    return joined(readings) if join else readings


def read_all(source: Source, found: Catalogue) -> Iterator[Reading]:
    """The readings of the files of a source, one by one."""
    position = 0
    for name, file in found.files:
        first, problem, whole = position, "", 0
        for reading in read_file(source, file, found.layout, position):
            position += 1
            whole += not reading.problem
            problem = problem or f"({reading.reference}): {reading.problem}"
            is_place = reading.reference.startswith(("line ", "record ")) and len(found.files) > 1
            yield replace(reading, reference=f"{name}, {reading.reference}") if is_place else reading
        if position == first and not file_has_columns(file):
            raise DataError(f"{file}: is empty; {SHAPES}")
        if position > first and not whole:
            records = f"its {position - first} records" if position > first + 1 else "its records"
            raise DataError(f"{file}: none of {records} can be read as a conversation; the first {problem}; {SHAPES}")
    if not position:
        raise DataError(f"{source.path}: holds no record; {SHAPES}")


def file_has_columns(file: Path) -> bool:
    """Whether an empty file is at least a whole table: data sets in many files may hold some without rows."""
    return bool(kind_of(first_bytes(file)))


def read_file(source: Source, file: Path, layout: Layout | None, position: int) -> Iterator[Reading]:
    """The readings of one file, the first of them at `position` of its source."""
    kind = kind_of(first_bytes(file))
    if kind:
        container, packing = kind, ""
        records = rows_of(file, kind, layout.names if layout else COLUMNS)
    else:
        text = open_text(file)
        packing = text.packing
        container, records = json_records(text)
    for number, record in enumerate(records, position):
        yield read_record(source, record, layout, number, [container, packing])


def read_record(
    source: Source, record: Record, layout: Layout | None, position: int, container: Sequence[str]
) -> Reading:
    """What a record says, known by its shape or, where there is one, by its layout."""
    value = layout.rearranged(record.value) if layout else record.value
    messages, problem = ([], record.problem) if record.problem else turns_of(value)
    shape = "" if record.problem else detect(value) or "no known shape"
    return Reading(
        source=source.path,
        licence=source.licence,
        reference=id_of(value) or record.place,
        position=position,
        format=", ".join(filter(None, [shape, *container])),
        messages=messages,
        label=label_of(value),
        problem=problem,
    )


def label_of(record: object) -> str | None:
    """The class that the source itself gives to a record, where it is one of ours."""
    label = record.get("label") if isinstance(record, dict) else None
    return label if isinstance(label, str) and label in tables.LABELS else None


def joined(readings: Iterable[Reading]) -> Iterator[Reading]:
    """The readings, with chunks of one conversation put together; what is not ShareGPT or has a problem stays."""
    run, first = None, None
    for reading in readings:
        chunk = split_id(reading.reference) if is_chunk(reading) else None
        if run and first and chunk and alike(first, reading) and run.goes_on_with(*chunk, reading.messages):
            run.add(chunk[1], reading.messages)
            continue
        if run and first:
            yield told(first, run)
        run, first = (Run(*chunk, list(reading.messages)), reading) if chunk else (None, None)
        if not chunk:
            yield reading
    if run and first:
        yield told(first, run)


def is_chunk(reading: Reading) -> bool:
    return not reading.problem and reading.format.startswith("ShareGPT")


def alike(one: Reading, other: Reading) -> bool:
    return (one.format, one.label) == (other.format, other.label)


def told(first: Reading, run: Run) -> Reading:
    return replace(first, reference=run.reference, messages=run.messages, joined=run.chunks - 1)


# ---- what makes two conversations the same


def measured(messages: Sequence[Message]) -> dict[str, object]:
    """The columns of an example that follow from its messages: id, messages, turns (requests), characters."""
    return {
        "example_id": example_id(messages),
        "messages": list(messages),
        "turns": sum(message["role"] == "user" for message in messages),
        "chars": sum(len(message["content"]) for message in messages),
    }


def example_id(messages: Sequence[Message]) -> str:
    """Sixteen hexadecimal digits: equal for conversations that differ only in line ends and trailing space."""
    digest = hashlib.sha256()
    for message in messages:
        text = normalised(message["content"]).encode()
        digest.update(f"{message['role']} {len(text)}\n".encode())
        digest.update(text)
    return digest.hexdigest()[:16]


def normalised(text: str) -> str:
    """Composed Unicode, one kind of line end, no blanks at the ends of lines, no blank lines around.

    Indentation stays, since it is code. Each rule is asked for first: most texts need none.
    """
    if not text.isascii() and not unicodedata.is_normalized("NFC", text):
        text = unicodedata.normalize("NFC", text)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if " \n" in text or ("\t" in text and "\t\n" in text):
        text = "\n".join(line.rstrip(" \t") for line in text.split("\n"))
    return text.rstrip(" \t\n").lstrip("\n")
