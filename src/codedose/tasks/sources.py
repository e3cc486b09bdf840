"""What names official items -> their entries: a local file, a folder, or a hub dataset at a pinned commit.

    items.jsonl.gz                                  JSON, JSON lines, Parquet, Arrow, CSV, XML or bAbI's text
    owner/name@COMMIT                               a hub dataset: its test split
    owner/name@COMMIT#main/test.parquet             a file or folder inside it

How a file is packed and written is known by its content. Nothing is executed, everything is bounded: see
files/unpack.py, and the limits here.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from xml.parsers import expat

from codedose.errors import DataError, MachineError
from codedose.files.columnar import kind_of, rows_of
from codedose.files.folders import inside, of_split
from codedose.files.hub import HUB_PATH, pinned, snapshot, to_fetch
from codedose.files.records import json_records
from codedose.files.unpack import Text, first_bytes, open_text
from codedose.tasks.releases import COLUMNS, KNOWN, LONGEST, Entry, babi_entries, entry_of

SUFFIXES = (".json", ".jsonl", ".ndjson", ".parquet", ".arrow", ".csv", ".xml", ".txt", ".gz", ".zst")
ON_HUB = re.compile(r"(?P<name>[^@#]+)@(?P<revision>[^@#]*)(?:#(?P<inside>.*))?")
LONGEST_LINE = 1_000_000  # characters, where a file is read line by line
LARGEST_XML = 100_000_000  # characters; ASDiv has 1.2 million
DEEPEST = 50  # elements inside each other


def read_entries(named: Path | str) -> list[Entry]:
    """Every entry of what is named, in its order. DataError names the file, the place, and the mend."""
    files = located(str(named))
    found: list[Entry] = []
    seen: dict[str, str] = {}
    for file in files:
        for entry in entries_in(file):
            own = entry.id != entry.place  # else the place is its name, which every file has
            name = entry.id if own or len(files) == 1 else f"{file.name}, {entry.place}"
            if name in seen:
                raise DataError(f"{file}: {entry.place}: the id {name!r} stands already in {seen[name]}; rename one")
            seen[name] = entry.place
            found.append(replace(entry, id=name))
    if not found:
        raise DataError(f"{named}: holds no items; it should hold one JSON object per line: id, question, answer")
    return found


def is_on_hub(named: str) -> bool:
    """Whether a name is that of a hub dataset with its commit: what it holds is known from the name alone."""
    found = ON_HUB.fullmatch(named)
    return bool(found and HUB_PATH.fullmatch(found["name"]) and found["name"].count("/") == 1)


def located(named: str) -> list[Path]:
    """The files that a name stands for. Raises DataError, or as `snapshot` does for a hub dataset."""
    path = Path(named)
    try:
        if path.is_dir():
            return test_files(path)
        path.stat()
        return [path]
    except (FileNotFoundError, NotADirectoryError):
        if is_on_hub(named):
            return on_hub(named)
        also = "; a hub dataset is named owner/name@COMMIT" if HUB_PATH.fullmatch(named) else ""
        raise DataError(f"{named}: there is no such file of official items{also}") from None
    except (OSError, ValueError) as problem:  # a name too long for the disk, or with a zero in it
        raise DataError(f"{ascii(named)[1:-1][:200]}: cannot be read ({problem}); name a file") from problem


def on_hub(named: str) -> list[Path]:
    found = ON_HUB.fullmatch(named)
    name, under = (found["name"], (found["inside"] or "").strip("/")) if found else ("", "")
    commit = pinned(name, found["revision"] if found else None)
    if not HUB_PATH.fullmatch(f"{name}/{under}".rstrip("/")):
        raise DataError(f"{named}: after # there should stand the path of a file or folder inside the dataset")
    place = snapshot(name, commit, under, SUFFIXES) / under
    try:
        return test_files(place) if place.is_dir() else [place.resolve(strict=True)]
    except (DataError, OSError) as problem:
        raise MachineError(f"{named}: {problem}; {to_fetch(name, commit)}") from problem


def test_files(folder: Path) -> list[Path]:
    """The files of the test split below a folder, or its only file."""
    names = inside(folder, SUFFIXES)
    if not names:
        raise DataError(f"{folder}: this folder holds no file that ends in {', '.join(SUFFIXES)}")
    return [folder / name for name in (names if len(names) == 1 else of_split(names, "test")[0])]


# ---- one file


def entries_in(file: Path) -> Iterator[Entry]:
    """The entries of one file; DataError that names it."""
    try:
        yield from columns_in(file) if kind_of(first_bytes(file)) else text_in(open_text(file))
    except DataError as problem:
        named = str(problem).startswith(f"{file}: ")
        raise problem if named else DataError(f"{file}: {problem}") from None


def columns_in(file: Path) -> Iterator[Entry]:
    for record in rows_of(file, kind_of(first_bytes(file)), COLUMNS):
        if record.problem:
            raise DataError(f"{record.place}: {record.problem}")
        yield entry_of(record.value, record.place)


def text_in(text: Text) -> Iterator[Entry]:
    """The entries of a text: XML, JSON, bAbI's numbered lines or CSV, by how it begins."""
    start = text.head.lstrip()
    if start.startswith("<"):
        return xml_entries(text)
    if start.startswith(("{", "[")) or not start:
        return json_entries(text)
    if re.match(r"1 [^\n]+\n", start):
        return whole(text, babi_entries(lines_of(text)))
    header = start.partition("\n")[0]
    if any(name in COLUMNS for name in re.split(r"[\",\r]+", header)[:100]) and "," in header:
        return whole(text, csv_entries(text))
    return json_entries(text)


def json_entries(text: Text) -> Iterator[Entry]:
    """JSON lines, an array, or one object with the items in "examples"."""
    _, records = json_records(text)
    for record in records:
        if record.problem:
            raise DataError(f"{record.place}: is not JSON ({record.problem}); mend or remove it")
        held = record.value.get("examples") if isinstance(record.value, dict) else None
        if isinstance(held, list):
            yield from (entry_of(value, f"record {number}") for number, value in enumerate(held, 1))
        else:
            yield entry_of(record.value, record.place)


def lines_of(text: Text) -> Iterator[str]:
    """The lines of a text with their ends. Raises DataError for one that is absurdly long."""
    held, number = "", 0
    for block in chain([text.head], text.blocks):
        *lines, held = (held + block).split("\n")
        for line in lines:
            number += 1
            yield f"{line}\n"
        if len(held) > LONGEST_LINE:
            raise DataError(f"line {number + 1}: is longer than {LONGEST_LINE:,} characters; an item is one question")
    if held:
        yield held


def csv_entries(text: Text) -> Iterator[Entry]:
    """The rows of a table with a header, as the hub release of CLUTRR."""
    try:
        for number, row in enumerate(csv.DictReader(lines_of(text), strict=True), 1):
            if None in row or None in row.values():
                raise DataError(f"record {number}: has another number of fields than the header")
            yield entry_of({key: part for key, part in row.items() if key}, f"record {number}")
    except csv.Error as problem:
        raise DataError(f"is no CSV table that can be read ({problem}); {KNOWN}") from problem


def whole(text: Text, entries: Iterator[Entry]) -> Iterator[Entry]:
    """The entries, and a DataError after them when the text was cut off or damaged."""
    yield from entries
    if text.damage:
        raise DataError(f"{text.damage}; fetch it again")


def xml_entries(text: Text) -> Iterator[Entry]:
    """The <Problem> elements of ASDiv's XML. A document type, and with it every entity, is refused."""
    reader = Problems()
    size = 0
    try:
        for block in chain([text.head], text.blocks):
            size += len(block)
            if size > LARGEST_XML:
                raise DataError(f"is longer than {LARGEST_XML:,} characters of XML; a file of items is not")
            reader.feed(block)
            yield from reader.taken()
        if text.damage:
            raise DataError(f"{text.damage}; fetch it again")
        reader.end()
    except expat.ExpatError as problem:
        raise DataError(f"line {problem.lineno}: is not XML ({problem}); fetch it again") from problem


class Problems:
    """Reads <Problem ID="..."> elements with their <Body>, <Question> and <Answer>, one after the other."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate("utf-8")
        self.parser.StartDoctypeDeclHandler = self.refuse
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.finish
        self.parser.CharacterDataHandler = self.add
        self.depth, self.field, self.record = 0, "", dict[str, str]()
        self.ready: list[Entry] = []

    def feed(self, block: str) -> None:
        self.parser.Parse(block.encode("utf-8", "surrogateescape"), False)

    def end(self) -> None:
        self.parser.Parse(b"", True)

    def taken(self) -> list[Entry]:
        ready, self.ready = self.ready, []
        return ready

    def refuse(self, *_: object) -> None:
        raise DataError("declares a document type, which could hide entities that explode; take that line out")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise DataError(f"has elements more than {DEEPEST} deep inside each other")
        if name == "Problem":
            self.record = {"id": attributes.get("ID", "")}
        self.field = name.lower() if name in ("Body", "Question", "Answer") else ""

    def add(self, text: str) -> None:
        if self.field:
            self.record[self.field] = self.record.get(self.field, "") + text
            if len(self.record[self.field]) > LONGEST:
                raise DataError(f"{self.field} is longer than {LONGEST:,} characters; an item is one question")

    def finish(self, name: str) -> None:
        self.depth, self.field = self.depth - 1, ""
        if name == "Problem":
            place = f"line {self.parser.CurrentLineNumber}"
            record = {key: " ".join(part.split()) for key, part in self.record.items()}
            self.ready.append(entry_of({"body": "", **record, **({} if record["id"] else {"id": place})}, place))
