"""Conversations -> the numbers that the classifier weighs: hashed words of the opening, and sixteen facts about it.

Read are the start and the end of the first request, the starts of the next three requests and of the first
three replies, so a long conversation costs no more than a short one. The hash is our own arithmetic on bytes:
the same on every machine and for every version of every library.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from codedose.code.lines import bytes_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Hashes = NDArray[np.uint64]

BITS = 16  # 65,536 places; 17 bits were no better on the hand labels
HEAD, TAIL, REPLY, LATER = 500, 250, 400, 200  # characters read of each part
OPENING = 3  # replies in which a fence counts: code that comes later is not what the conversation began about
LATER_REQUESTS, LATER_REPLIES = 3, 2

# An odd factor has an inverse modulo 2^64, so the hash of any stretch follows from two sums over the whole text.
FACTOR = 0x9E3779B97F4A7C15
INVERSE = pow(FACTOR, -1, 1 << 64)

WORD = bytes_of(b"abcdefghijklmnopqrstuvwxyz0123456789_" + bytes(range(128, 256)))
MARK = bytes_of(bytes(range(33, 127))) & ~WORD  # capitals are lower case before this is asked
LOWER = np.arange(256, dtype=np.uint8) + 32 * bytes_of(bytes(range(65, 91))).astype(np.uint8)
STEM = 4  # bytes; words longer than 5 also count by their start
PAIR = 6  # bytes of two signs of a script without spaces

CODELIKE = (
    r"(?m)[{};][ \t\r]*$|^[ \t]*(?:(?:def|import|from|class|function|const|let|var|public|#include|SELECT|return)\b"
    r"|<\w|\$ )|=>|\(\)|</"
)
FORMULA = r"\\\(|\$\$|\\frac|\d ?[-+*/^=×] ?\d|\b[xy] ?[=+^]"
FACTS = 16


@dataclass(frozen=True)
class Part:
    """Which grams of which text share one block: `salt` keeps the words of requests and of replies apart."""

    text: str
    gram: str
    salt: int


def parts(texts: Sequence[str], grams: Sequence[str], salt: int) -> tuple[Part, ...]:
    return tuple(Part(text, gram, salt) for text in texts for gram in grams)


# Each block has the length 1 times its weight, so a long text weighs no more than a short one.
BLOCKS = (
    (parts(("head", "tail"), ("word", "stem", "pair"), 1), 1.0),
    (parts(("head", "tail"), ("bigram",), 2), 0.5),
    (parts(("reply",), ("word", "stem", "pair"), 3), 0.8),
    (parts(("reply",), ("bigram",), 4), 0.56),
    (parts(("later",), ("word", "stem", "pair"), 1), 0.5),
    (parts(("later",), ("bigram",), 2), 0.25),
    (parts(("later_replies",), ("word", "stem"), 3), 0.2),
)


@dataclass(frozen=True)
class Features:
    """`row`, `place` and `value` of every hashed feature, sorted by row, and the `facts` (rows x FACTS)."""

    row: Ints
    place: Ints
    value: Floats
    facts: Floats


def features(messages: pl.Series) -> Features:
    """What the classifier reads of each conversation (a list of {role, content})."""
    read = excerpts(messages)
    grams = {name: grams_of(read[name].to_list()) for name in ("head", "tail", "reply", "later", "later_replies")}
    blocks = [block(grams, members, weight) for members, weight in BLOCKS]
    row, place, value = (np.concatenate(column) for column in zip(*blocks, strict=True))
    order = np.argsort(row, kind="stable")
    return Features(row[order], place[order], value[order], facts(read))


def excerpts(messages: pl.Series) -> pl.DataFrame:
    """The parts that are read of each conversation, "" where there is none, and what is counted over all replies."""
    said = {
        role: pl.col("messages").list.eval(
            pl.element().struct.field("content").filter(pl.element().struct.field("role") == role)
        )
        for role in ("user", "assistant")
    }
    request, reply = (said[role].list.get(0, null_on_oob=True).fill_null("") for role in ("user", "assistant"))
    fenced = said["assistant"].list.head(OPENING).list.eval(pl.element().str.contains("```", literal=True))
    return pl.DataFrame({"messages": messages}).select(
        head=request.str.slice(0, HEAD),
        tail=request.str.slice(HEAD).str.tail(TAIL),
        reply=reply.str.slice(0, REPLY),
        later=starts(said["user"], LATER_REQUESTS),
        later_replies=starts(said["assistant"], LATER_REPLIES),
        request_fenced=request.str.contains("```", literal=True),
        reply_fenced=fenced.list.first().fill_null(False),
        fenced_replies=fenced.list.sum().fill_null(0),
        short=request.str.len_chars() < 25,
        long=request.str.len_chars() > HEAD,
    )


def starts(texts: pl.Expr, number: int) -> pl.Expr:
    """The starts of the texts after the first, at most so many."""
    return texts.list.slice(1, number).list.eval(pl.element().str.slice(0, LATER)).list.join("\n").fill_null("")


def facts(read: pl.DataFrame) -> Floats:
    """The facts of each conversation, in a fixed order, all of about the size 1."""
    head, reply = pl.col("head"), pl.col("reply")
    request = pl.concat_str(head, "tail", separator="\n")
    found = (
        pl.col("request_fenced"),
        pl.col("reply_fenced"),
        pl.col("fenced_replies") > 0,
        pl.col("fenced_replies") / OPENING,
        reply.str.len_bytes() > 0,
        request.str.count_matches(CODELIKE).clip(upper_bound=6) / 3,
        reply.str.count_matches(CODELIKE).clip(upper_bound=6) / 3,
        reply.str.contains("`", literal=True),
        head.str.contains("`", literal=True),
        dense(head, "[0-9]") * 5,
        dense(head, r"[-+=*/^%]") * 10,
        dense(head, r"[{}()\[\];<>_=$\\]") * 5,
        dense(reply, r"[{}()\[\];<>_=$]") * 5,
        reply.str.contains(FORMULA),
        pl.col("short"),
        pl.col("long"),
    )
    return (
        read.select(fact.cast(pl.Float64).alias(str(n)) for n, fact in enumerate(found)).to_numpy().reshape(-1, FACTS)
    )


def dense(text: pl.Expr, signs: str) -> pl.Expr:
    """How many of its characters are such signs, as a share."""
    return text.str.count_matches(signs) / text.str.len_chars().clip(lower_bound=20)


def block(
    grams: dict[str, dict[str, tuple[Ints, Hashes]]], members: Sequence[Part], weight: float
) -> tuple[Ints, Ints, Floats]:
    """Row, place and value of one block: each feature of a conversation once, together of the length `weight`."""
    keys = []
    for part in members:
        row, found = grams[part.text][part.gram]
        keys.append(
            row << BITS | (mixed(found + np.uint64(part.salt * 1_000_003)) >> np.uint64(64 - BITS)).astype(np.int64)
        )
    key = np.unique(np.concatenate(keys))
    row, place = key >> BITS, key & ((1 << BITS) - 1)
    return row, place, weight / np.sqrt(np.bincount(row)[row])


def grams_of(texts: Sequence[str]) -> dict[str, tuple[Ints, Hashes]]:
    """The words (and marks), pairs of neighbours, starts of long words and pairs of signs beyond ASCII of each text:
    for each kind the row it stands in and its hash."""
    encoded = [text.encode() for text in texts]
    buffer = LOWER[np.frombuffer(b"\0".join([*encoded, b"", b"\0" * PAIR]), np.uint8)]
    begins = np.cumsum([0, *(len(text) + 1 for text in encoded)])[:-1]
    sums, inverse = sums_of(buffer)
    start, end = tokens(buffer)
    row = np.searchsorted(begins, start, side="right") - 1
    word = (sums[end] - sums[start]) * inverse[start]
    same, long = row[1:] == row[:-1], end - start > STEM + 1
    stem, pair = start[long], doubled(buffer)
    return {
        "word": (row, mixed(word)),
        "bigram": (row[1:][same], mixed(mixed(word[:-1]) * np.uint64(3) + word[1:])[same]),
        "stem": (row[long], mixed((sums[stem + STEM] - sums[stem]) * inverse[stem] + np.uint64(77))),
        "pair": (
            np.searchsorted(begins, pair, side="right") - 1,
            mixed((sums[pair + PAIR] - sums[pair]) * inverse[pair] + np.uint64(99)),
        ),
    }


def sums_of(buffer: NDArray[np.uint8]) -> tuple[Hashes, Hashes]:
    """Prefix sums of byte times power of the factor, and the inverse powers, modulo 2^64."""
    powers, inverse = np.full((2, len(buffer)), [[FACTOR], [INVERSE]], np.uint64)
    powers[0] = inverse[0] = 1
    terms = (buffer.astype(np.uint64) + np.uint64(1)) * np.cumprod(powers)
    return np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms)]), np.cumprod(inverse)


def tokens(buffer: NDArray[np.uint8]) -> tuple[Ints, Ints]:
    """Start and end of every word and of every single mark."""
    word, mark = WORD[buffer] & ~wide(buffer), MARK[buffer]
    before, after = np.concatenate([[False], word[:-1]]), np.concatenate([word[1:], [False]])
    return np.flatnonzero(mark | (word & ~before)), np.flatnonzero(mark | (word & ~after)) + 1


def wide(buffer: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Bytes of letters that UTF-8 writes in three or four: scripts without spaces (pairs stand for their words) and
    typographic marks, so that a word in ASCII between them is a word."""
    lead = buffer >= 0xE0
    found = lead.copy()
    for after in (1, 2):
        found[after:] |= lead[:-after]
    found[3:] |= buffer[:-3] >= 0xF0
    return found


def doubled(buffer: NDArray[np.uint8]) -> Ints:
    """Where a letter beyond ASCII starts that is followed by at least PAIR - 1 bytes beyond ASCII."""
    beyond = np.cumsum(buffer >= 128)
    lead = np.flatnonzero(buffer[:-PAIR] >= 0xC0)
    return lead[beyond[lead + PAIR - 1] - beyond[lead] == PAIR - 1]


def mixed(hashes: Hashes) -> Hashes:
    """Every bit of the result depends on every bit (constants of David Stafford's variant 13 of MurmurHash3)."""
    hashes = (hashes ^ hashes >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    hashes = (hashes ^ hashes >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return hashes ^ hashes >> np.uint64(31)
