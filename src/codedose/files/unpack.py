"""Files -> their text in blocks, unpacked: plain, gz or zst, known by their first bytes.

What can be unpacked of a damaged file comes, and what is wrong is said at the end (`Text.damage`).
DataError is for a file that cannot be opened, is of a kind that is never read, or is a bomb.
"""

import codecs
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import zstandard

from codedose.errors import DataError

BLOCK = 1 << 17  # bytes; larger ones make files with many broken records slow, and whole ones no faster
# Compressed bytes unpacked at a time. Small, since what a bite held is lost when it is damaged, and 4 KB of zst
# hold up to 128 MB of text: read in larger bites, a bomb would go off before it is measured.
BITE = 4096
LARGEST_RATIO = 50  # text compresses 3 to 10 times; only repetition made on purpose reaches this
LARGEST_BOMB = 100_000_000  # bytes, below which even an absurd ratio does no harm
UTF8_MARK = b"\xef\xbb\xbf"
GZ, ZST = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
REFUSED = {
    b"PK\x03\x04": "is a zip archive; unpack it and name what it holds",
    b"PK\x05\x06": "is an empty zip archive; name a file with data",
    b"BZh": "is packed with bzip2; unpack it, or pack it as gz or zst",
    b"\xfd7zXZ": "is packed with xz; unpack it, or pack it as gz or zst",
    b"7z\xbc\xaf": "is a 7z archive; unpack it and name what it holds",
    b"Rar!": "is a rar archive; unpack it and name what it holds",
    b"\x80\x02": "is a pickle, which could run code and is never loaded; write it as JSON lines",
    b"\x80\x03": "is a pickle, which could run code and is never loaded; write it as JSON lines",
    b"\x80\x04": "is a pickle, which could run code and is never loaded; write it as JSON lines",
    b"\x80\x05": "is a pickle, which could run code and is never loaded; write it as JSON lines",
    b"SQLite": "is a database; write what it holds as JSON lines",
    b"version https://git-lfs": "is only a pointer to a file in git LFS; fetch the file itself ('git lfs pull')",
}


@dataclass
class Text:
    """The text of one file, to be read once. `damage` says, after the last block, what kept the rest from coming."""

    file: Path
    packing: str  # "", gz or zst
    head: str  # the first block in which anything stands, from there on
    blocks: Iterator[str]
    damage: str = ""


class Frame(Protocol):
    """What unpacks one frame, or gzip member."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


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


def first_bytes(file: Path) -> bytes:
    """The first 32 bytes. Raises DataError for kinds of files that are never read."""
    with opened(file) as stream:
        start = stream.read(32)
    refuse(file, start)
    return start


def refuse(file: Path, start: bytes) -> None:
    for sign, reason in REFUSED.items():
        if start.startswith(sign):
            raise DataError(f"{file}: {reason}")


def open_text(file: Path) -> Text:
    """The file's text. Raises DataError for binary data. Bytes that are not UTF-8 come as lone surrogates."""
    start = first_bytes(file)
    packing = "gz" if start.startswith(GZ) else "zst" if start.startswith(ZST) else ""
    text = Text(file, packing, "", iter(()))
    plain = unpacked(text)
    head = first_block(plain)
    refuse(file, head)
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and b"\0" in head:
        raise DataError(f"{file}: is text in UTF-16; write it as UTF-8")
    if b"\0" in head:
        raise DataError(f"{file}: is binary data, not JSON, JSON lines (plain, gz, zst), Parquet or Arrow")
    text.blocks = decoded(head, plain)
    text.head = next(text.blocks, "")
    return text


def first_block(blocks: Iterator[bytes]) -> bytes:
    """The first block in which anything stands, from there on; nothing when all is blank."""
    for block in blocks:
        if text := block.removeprefix(UTF8_MARK).lstrip(b" \t\r"):
            return text
    return b""


def decoded(head: bytes, blocks: Iterator[bytes]) -> Iterator[str]:
    # surrogateescape: one bad byte costs the record it stands in, not the file
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    yield decoder.decode(head)
    yield from map(decoder.decode, blocks)
    yield decoder.decode(b"", final=True)


def unpacked(text: Text) -> Iterator[bytes]:
    """The content in blocks; what is wrong with its packing goes to `text.damage`. Raises DataError for a bomb."""
    total = 0
    with opened(text.file) as raw:
        most = max(LARGEST_BOMB, LARGEST_RATIO * text.file.stat().st_size)
        blocks = pieces(raw, text.packing)
        try:
            for block in blocks:
                total += len(block)
                if text.packing and total > most:
                    raise DataError(
                        f"{text.file}: unpacks to more than {LARGEST_RATIO} times its size; unpack it yourself"
                    )
                yield block
        except (EOFError, zlib.error, zstandard.ZstdError) as problem:
            text.damage = f"its compressed data is damaged or cut off after {total:,} bytes of text ({problem})"


def pieces(raw: BinaryIO, packing: str) -> Iterator[bytes]:
    if packing == "gz":
        # 31: zlib's word for "with a gzip header"
        return gathered(frames(raw, lambda: zlib.decompressobj(31), GZ))
    if packing == "zst":
        return gathered(frames(raw, lambda: zstandard.ZstdDecompressor().decompressobj(), b""))
    return blocks_of(raw, BLOCK)


def blocks_of(raw: BinaryIO, size: int) -> Iterator[bytes]:
    while block := raw.read(size):
        yield block


def gathered(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Larger blocks from small ones; when the parts end in an error, what came before it comes first."""
    held: list[bytes] = []
    size = 0
    try:
        for part in parts:
            held.append(part)
            size += len(part)
            if size >= BLOCK:
                yield b"".join(held)
                held, size = [], 0
    except (EOFError, zlib.error, zstandard.ZstdError):
        if held:
            yield b"".join(held)
        raise
    if held:
        yield b"".join(held)


def frames(raw: BinaryIO, start: Callable[[], Frame], sign: bytes) -> Iterator[bytes]:
    """The text of a file of one or more frames (gzip members), each begun by `start`. Raises EOFError when cut off."""
    frame = start()
    for bite in blocks_of(raw, BITE):
        left = bite
        while left:
            if frame.eof:
                left = left.lstrip(b"\0") if sign else left  # gzip files may be padded with zeros
                if not left:
                    break
                frame = start()
            yield frame.decompress(left)
            left = frame.unused_data if frame.eof else b""
    if not frame.eof:
        raise EOFError("the end is missing")
