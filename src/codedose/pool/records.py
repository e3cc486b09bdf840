"""Files -> records, whatever holds them: JSON, JSON lines (plain, gz, zst) or Parquet, known by their first bytes.

What a record means is not known here. A record that cannot be parsed keeps its place and says why;
DataError is for a file that is damaged or absurd as a whole.
"""

import gzip
import itertools
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import polars as pl
import zstandard

from codedose.errors import DataError

SUFFIXES = (".json", ".jsonl", ".parquet", ".gz", ".zst")
BLOCK = 1 << 20
LONGEST_LINE = 20_000_000  # bytes; the longest conversation of ShareGPT has under 3 million
LARGEST_RATIO = 50  # text compresses 3 to 10 times; only repetition made on purpose reaches this
LARGEST_BOMB = 1_000_000_000  # bytes, below which even an absurd ratio does no harm


@dataclass(frozen=True)
class Record:
    """One record of a file: where it stands, and its value or the reason why it has none."""

    place: str
    value: object = None
    problem: str = ""


def files_at(path: Path) -> list[Path]:
    """The file itself, or the data files directly in a folder, by name."""
    try:
        if not path.is_dir():
            return [path]
        files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and file.is_file())
    except OSError as problem:
        raise DataError(f"{path}: cannot be read ({problem.strerror or problem})") from problem
    if not files:
        raise DataError(f"{path}: this folder holds no file that ends in {', '.join(SUFFIXES)}")
    return files


def records(file: Path) -> Iterator[Record]:
    """The records of one file, whatever its kind. Raises DataError when the file is damaged as a whole."""
    with opened(file) as stream:
        start = stream.read(4)
    if start == b"PAR1":
        return parquet_records(file)
    blocks = text_blocks(file)
    head = first_text(blocks)
    if b"\0" in head:
        raise DataError(f"{file}: is binary data, not JSON, JSON lines (plain, gz, zst) or Parquet")
    text = itertools.chain([head], blocks)
    return array_records(file, text) if head.lstrip()[:1] == b"[" else line_records(file, text)


def first_text(blocks: Iterator[bytes]) -> bytes:
    """The first block in which anything stands, from there on; nothing when all is blank."""
    for block in blocks:
        if text := block.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r"):
            return text
    return b""


@contextmanager
def opened(file: Path) -> Iterator[BinaryIO]:
    """The file's bytes; DataError names what keeps them from being read."""
    try:
        with file.open("rb") as stream:
            yield stream
    except FileNotFoundError:
        raise DataError(f"{file}: there is no such file") from None
    except OSError as problem:
        raise DataError(f"{file}: cannot be read ({problem.strerror or problem})") from problem


def text_blocks(file: Path) -> Iterator[bytes]:
    """The file's content in blocks, decompressed. What it is compressed with is read from its first bytes."""
    with opened(file) as raw:
        start = raw.read(4)
        raw.seek(0)
        blocks = raw_blocks(raw, BLOCK)
        if start[:2] == b"\x1f\x8b":
            blocks = raw_blocks(gzip.GzipFile(fileobj=raw), BLOCK)
        elif start == b"\x28\xb5\x2f\xfd":
            blocks = unpacked(raw)
        most, total = max(LARGEST_BOMB, LARGEST_RATIO * file.stat().st_size), 0
        try:
            for block in blocks:
                total += len(block)
                if total > most:
                    raise DataError(f"{file}: unpacks to more than {LARGEST_RATIO} times its size; unpack it yourself")
                yield block
        except (EOFError, zlib.error, gzip.BadGzipFile, zstandard.ZstdError) as problem:
            raise DataError(
                f"{file}: its compressed data is damaged after {total:,} bytes of text ({problem}); fetch it again"
            ) from problem


def raw_blocks(stream: BinaryIO | gzip.GzipFile, size: int) -> Iterator[bytes]:
    while block := stream.read(size):
        yield block


def unpacked(raw: BinaryIO) -> Iterator[bytes]:
    """The text of a zst file of one or more frames. Raises EOFError when the last is cut off."""
    frame = zstandard.ZstdDecompressor().decompressobj()
    # 4 KB of zst hold at most 128 MB of text: read in larger bites, a bomb would go off before it is measured
    for block in raw_blocks(raw, 4096):
        while block:
            if frame.eof:
                frame = zstandard.ZstdDecompressor().decompressobj()
            yield frame.decompress(block)
            block = frame.unused_data if frame.eof else b""
    if not frame.eof:
        raise EOFError("its last frame is cut off")


def parquet_records(file: Path) -> Iterator[Record]:
    """Each row of a Parquet file; nested columns come as lists and mappings."""
    try:
        frame = pl.read_parquet(file, glob=False)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as problem:
        raise DataError(f"{file}: is a damaged Parquet file ({problem}); fetch it again") from problem
    for number, row in enumerate(frame.iter_rows(named=True), 1):
        yield Record(f"record {number}", row)


def array_records(file: Path, blocks: Iterator[bytes]) -> Iterator[Record]:
    """Each element of one JSON array."""
    data = b"".join(blocks)
    try:
        # surrogateescape: one bad byte costs the record it stands in (see is_text), not the file
        values = json.loads(data.decode("utf-8", "surrogateescape"))
    except json.JSONDecodeError as problem:
        if problem.msg == "Extra data":  # the array ends before the file does: it is only the first line
            yield from line_records(file, iter([data]))
            return
        raise DataError(
            f"{file}: is not valid JSON at line {problem.lineno}, column {problem.colno} ({problem.msg}); "
            "is the file whole? Write the records one a line to keep those that are"
        ) from None
    except (ValueError, RecursionError) as problem:
        raise DataError(f"{file}: holds JSON that cannot be read ({problem})") from None
    for number, value in enumerate(values, 1):
        yield Record(f"record {number}", value)


def line_records(file: Path, blocks: Iterator[bytes]) -> Iterator[Record]:
    """Each line that is not blank."""
    for number, line in enumerate(lines(file, blocks), 1):
        if not line.strip():
            continue
        try:
            yield Record(f"line {number}", json.loads(line.decode("utf-8", "surrogateescape")))
        except (ValueError, RecursionError):
            yield Record(f"line {number}", problem="the line is not one JSON record")


def lines(file: Path, blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The lines of the blocks, without their ends. Raises DataError for one that no conversation can fill."""
    rest, number = b"", 1
    for block in blocks:
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            yield checked(line, file, number)
            number += 1
        checked(rest, file, number)
    yield rest


def checked(line: bytes, file: Path, number: int) -> bytes:
    if len(line) > LONGEST_LINE:
        raise DataError(f"{file}: line {number} is longer than {LONGEST_LINE:,} bytes; take it out")
    return line
