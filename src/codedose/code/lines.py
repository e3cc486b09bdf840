"""Text outside fences -> where code stands in it: runs of lines that look like code and not like prose.

People paste code without fences. A line is judged by its bytes alone (how it starts, how it ends, how many
signs it holds), for all lines of many texts at once. One such line proves little, a run of them is code.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

LONGEST = 400  # bytes; a longer line is a paragraph, whatever it starts with
DENSE = 0.1  # signs per byte from which a line reads as code
CHUNK = 1 << 21  # characters judged at once: bounds the memory, and stays near the cache
DEEPEST = 64  # bytes of indentation that are looked through

# The first four bytes of a line of code: by what its end or its signs must be beside.
ALONE = (
    "#inc|#def|#!/b|#!/u|</di|</bo|</ht|</he|</ul|</li|</ta|</td|</tr|</sp|</sc|</fo|<!DO|<?ph|<?xm|<div|<htm|<spa|cons"
)
WITH_COLON = "def |clas|for |if (|whil|elif|else|try:|exce|with|asyn"
WITH_END = (
    "publ|priv|prot|stat|fina|abst|expo|pack|func|fn |fun |void|int |char|floa|doub|long|bool|auto|let |var |"
    "retu|usin|name|impo|incl|stru|enum|swit|case|brea|cont|else|for(|for |if (|if(|whil|try |catc|thro|new |"
    "await|elif|fore|echo|prin|cout|cin |std:|Syst|this|self|dele|goto|type"
)
WITH_SIGN = "def |impo|let |var |func|asyn|expo|retu|prin|echo|@app|elif"
QUERY = "SELE|FROM|WHER|INSE|UPDA|CREA|ALTE|DELE|JOIN|LEFT|INNE|GROU|ORDE|DROP|VALU"


def bytes_of(signs: bytes) -> Flags:
    """A table that says of each byte whether it is one of `signs`."""
    found = np.zeros(256, np.bool_)
    found[list(signs)] = True
    return found


def starts_of(words: str) -> NDArray[np.uint32]:
    """The first four bytes of each word as one number."""
    return np.array(
        sorted({int.from_bytes(word.encode()[:4].ljust(4), "little") for word in words.split("|")}), np.uint32
    )


BLANK = bytes_of(b" \t\r")
SIGN = bytes_of(b"(){}[]=<>;&@")
HARD = (b"{", b";", b'"', b"'", b"_", b"</")  # what an equation does not hold
CLOSES = bytes_of(b"{};")
OPENS = bytes_of(b"{}[](),:;>\\+&|=")
COMMENT = bytes_of(b"#/*-<}")
PROSE = bytes_of(b".?!")
BULLET = bytes_of(b"*|")
UPPER = bytes_of(bytes(range(65, 91)))
LATEX = re.compile(rb"\\[a-zA-Z]{2}|\$\$")
STARTS = {name: starts_of(words) for name, words in (("alone", ALONE), ("colon", WITH_COLON), ("end", WITH_END))} | {
    "sign": starts_of(WITH_SIGN),
    "query": starts_of(QUERY),
}


@dataclass(frozen=True)
class Judged:
    """Lines of a buffer, one entry each: where it is, whether it is code, and whether code may go on through it."""

    start: Ints
    end: Ints
    code: Flags
    through: Flags


def judge(buffer: Bytes) -> Judged:
    """Every line of `buffer` (UTF-8 that ends with a line feed) judged by its bytes."""
    end = np.flatnonzero(buffer == 10)
    start = np.concatenate([[0], end[:-1] + 1])
    first, last = trimmed(buffer, start, end)
    length = last + 1 - first
    signs = np.add.reduceat(SIGN[buffer], start, dtype=np.int32)
    fits = (length > 1) & (length <= LONGEST)
    final, indent = buffer[last], first - start
    code = np.zeros(len(start), np.bool_)
    shouted = UPPER[buffer[first]] & UPPER[buffer[np.minimum(first + 1, last)]]
    likely = np.flatnonzero((length <= LONGEST) & ((signs > 0) | CLOSES[final] | (final == ord(":")) | shouted))
    code[likely] = looks_like_code(buffer, first[likely], last[likely], signs[likely])
    short = fits & ~PROSE[final] & ((indent >= 2) | OPENS[final] | (signs >= 2))
    through = (length <= 1) | short | (fits & COMMENT[buffer[first]])
    return Judged(start, end + 1, code, through & (buffer[first] != 0))


def looks_like_code(buffer: Bytes, first: Ints, last: Ints, signs: NDArray[np.int32]) -> Flags:
    """Which lines are hardly ever prose: each from its `first` to its `last` byte, with so many signs."""
    final, length = buffer[last], last + 1 - first
    four = head_of(buffer, first)
    begins = {name: np.isin(four, words) for name, words in STARTS.items()}
    closes = CLOSES[final]
    found: Flags = (
        (begins["alone"] & (signs > 0))
        | (begins["colon"] & (final == ord(":")) & (length < 120))
        | (begins["end"] & closes)
        | (begins["sign"] & (signs >= 2))
        | (begins["query"] & (length < 160))
        | (closes & (signs >= 3))
        | ((final == ord("}")) & (length == 1))
        | is_dense(buffer, first, last, ~closes & (signs >= 4) & (signs > DENSE * length) & ~PROSE[final])
    ) & ~BULLET[buffer[first]]
    return found


def is_dense(buffer: Bytes, first: Ints, last: Ints, asked: Flags) -> Flags:
    """Which of the lines asked about hold a sign that mathematics has no use for, and no command of LaTeX."""
    found = asked.copy()
    for number in np.flatnonzero(asked).tolist():
        line = buffer[first[number] : last[number] + 1].tobytes()
        found[number] = any(sign in line for sign in HARD) and not LATEX.search(line)
    return found


def head_of(buffer: Bytes, first: Ints) -> NDArray[np.uint32]:
    """The four bytes at each place, spaces after the buffer's end."""
    padded = np.concatenate([buffer, np.full(4, 32, np.uint8)])
    one, two, three, four = (padded[first + place].astype(np.uint32) for place in range(4))
    return (one | two << 8 | three << 16 | four << 24).astype(np.uint32)


def trimmed(buffer: Bytes, start: Ints, end: Ints) -> tuple[Ints, Ints]:
    """The first and the last byte of each line that is not blank; an empty line has its last before its first."""
    first, last = start.copy(), end - 1
    for place, step in ((first, 1), (last, -1)):
        left = np.arange(len(start))
        for _ in range(DEEPEST):
            left = left[(first[left] <= last[left]) & BLANK[buffer[place[left]]]]
            if not len(left):
                break
            place[left] += step
    return first, last


def runs(lines: Judged) -> tuple[Ints, Ints]:
    """Where code starts and ends in the buffer: from the first to the last line of code of each run of two or more,
    with only lines between them that code goes on through."""
    code = np.flatnonzero(lines.code)
    if len(code) < 2:
        return code[:0], code[:0]
    breaks = np.cumsum(~(lines.code | lines.through))
    new = np.concatenate([[True], breaks[code[1:]] != breaks[code[:-1]]])
    opening = np.flatnonzero(new)
    size = np.diff([*opening, len(code)])
    opening, size = opening[size >= 2], size[size >= 2]
    return lines.start[code[opening]], lines.end[code[opening + size - 1]]


def chunks(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Ranges of texts of about CHUNK characters each, at least one text in each."""
    start = size = 0
    for number, text in enumerate(texts):
        size += len(text)
        if size >= CHUNK:
            yield start, number + 1
            start, size = number + 1, 0
    if start < len(texts):
        yield start, len(texts)


def code_characters(texts: Sequence[str]) -> Ints:
    """How many characters of each text stand in runs of lines that look like code."""
    found = [counted(texts[start:end]) for start, end in chunks(texts)]
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def counted(texts: Sequence[str]) -> Ints:
    # A line of one NUL after each text: prose, so that no run goes on from one text into the next.
    parts = [text.encode() for text in texts]
    buffer = np.frombuffer(b"\n\0\n".join([*parts, b""]), np.uint8)
    after = np.cumsum([len(part) + 3 for part in parts])
    start, end = runs(judge(buffer))
    end = np.minimum(end, after[np.searchsorted(after, start, side="right")] - 3)
    size = [np.count_nonzero(buffer[begin:stop] & 0xC0 != 0x80) for begin, stop in zip(start, end, strict=True)]
    owner = np.searchsorted(after, start, side="right")
    return np.bincount(owner, weights=size, minlength=len(texts)).astype(np.int64)
