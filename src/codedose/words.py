"""Texts -> their words as 64-bit hashes, the same on every machine and whatever the case, punctuation and spacing.

Words are cut in blocks of bytes with numpy: no expression runs over the text and no loop over its words.
Near duplicates and leaks compare word n-grams made from these hashes.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

VERSION = 1  # of the hashes: changing what a word is, or its hash, makes it another number

BLOCK = 1 << 20  # characters cut at a time, so that the tables of a block stay in the processor's cache
SEPARATOR, LETTER, DIGIT, ALONE = 0, 1, 2, 3  # what a byte can be; ALONE starts a character that is a word by itself

LONGEST_FRACTION = 20  # digits after a decimal point that are looked at
LONGEST_WORD = 64  # bytes hashed side by side; longer ones are rare
AHEAD = b"\n" * 8  # room behind the last byte to look ahead
MASKS = np.array([(1 << 8 * length) - 1 for length in range(9)], np.uint64)

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Words:
    """The words (or n-grams) of several texts in one line: those of text i are hashes[offsets[i]:offsets[i + 1]]."""

    hashes: Hashes
    offsets: Places

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def of(self, text: int) -> Hashes:
        return self.hashes[self.offsets[text] : self.offsets[text + 1]]


def words(texts: Sequence[str]) -> Words:
    """The words of each text, lower-cased and cut at punctuation and space.

    An apostrophe inside a word is left out ("don't" is dont), each Chinese or Japanese character is a
    word, 1,000 is 1000, 5.00 is 5, and the words zero to ninety-nine are numerals.
    """
    pieces, counts = [], []
    for block in blocks(texts):
        found, per_text = cut(block)
        pieces.append(found)
        counts.append(per_text)
    offsets = np.concatenate([[0], *counts]).cumsum()
    return Words(np.concatenate([np.empty(0, np.uint64), *pieces]), offsets.astype(np.int64))


def ngrams(words: Words, n: int) -> Words:
    """Every run of n words of each text as one hash; a text of fewer than n words has none."""
    counts = np.maximum(np.diff(words.offsets) - n + 1, 0)
    offsets = np.concatenate([[0], counts.cumsum()]).astype(np.int64)
    if len(words.hashes) < n:
        return Words(np.empty(0, np.uint64), offsets)
    found = rolled(words.hashes, n)
    over = (words.offsets[1:-1, None] - np.arange(1, n)).ravel()  # runs that go on into the next text
    stays = np.ones(len(found), bool)
    stays[over[(over >= 0) & (over < len(found))]] = False
    return Words(found[stays], offsets)


def shingles(words: Words, n: int) -> Words:
    """As `ngrams`, but a text of fewer than n words has one, of all its words; a text without words has none."""
    lengths = np.diff(words.offsets)
    counts = np.maximum(lengths - n + 1, (lengths > 0).astype(np.int64))
    offsets = np.concatenate([[0], counts.cumsum()]).astype(np.int64)
    found = np.empty(offsets[-1], np.uint64)
    found[np.repeat(lengths >= n, counts)] = ngrams(words, n).hashes
    for short in range(1, n):
        texts = np.flatnonzero(lengths == short)
        if len(texts):
            own = words.hashes[words.offsets[texts][:, None] + np.arange(short)]
            found[offsets[texts]] = rolled(own.ravel(), short)[::short]
    return Words(found, offsets)


def rolled(hashes: Hashes, n: int) -> Hashes:
    """The hash of every n neighbours: a polynomial in them, then mixed so that it cannot be undone."""
    sums, width = hashes, 1
    parts: list[tuple[Hashes, int]] = []  # polynomials of 1, 2, 4, ... neighbours, those that n is made of
    while True:
        if n & width:
            parts.append((sums, width))
        if width * 2 > n:
            break
        sums = sums[:-width] * power(width) + sums[width:]
        width *= 2
    count = len(hashes) - n + 1
    total, done = parts[-1][0][:count].copy(), parts[-1][1]
    for part, width in reversed(parts[:-1]):
        total *= power(width)
        total += part[done : done + count]
        done += width
    return one_way(total)


def one_way(values: Hashes) -> Hashes:
    """Mixed and added to itself: without the sum, splitmix64 could be run backwards and neighbours compared."""
    return splitmix(values) + values


def splitmix(values: Hashes) -> Hashes:
    """splitmix64 (Steele, Lea, Flood 2014): each bit of the input changes half of the output."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    shifted = mixed >> np.uint64(30)
    mixed ^= shifted
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= np.right_shift(mixed, np.uint64(27), out=shifted)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= np.right_shift(mixed, np.uint64(31), out=shifted)
    return mixed


BASE = 0xD6E8FEB86659FD93  # of the polynomials; odd, so that nothing is lost modulo 2**64


def power(exponent: int) -> np.uint64:
    return np.uint64(pow(BASE, exponent, 1 << 64))


# ---- bytes -> words


def blocks(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts, about BLOCK characters of them at a time."""
    block: list[str] = []
    size = 0
    for text in texts:
        block.append(text)
        size += len(text)
        if size >= BLOCK:
            yield block
            block, size = [], 0
    if block:
        yield block


def cut(block: Sequence[str]) -> tuple[Hashes, Places]:
    """The hashes of all words in a block, and how many each of its texts has."""
    said = [text.lower().encode("utf-8", "surrogatepass") for text in block]
    text = bytearray(b"\n" + b"\n".join(said) + AHEAD)
    data, kinds = np.frombuffer(text, np.uint8), np.frombuffer(text.translate(KINDS.tobytes()), np.uint8)
    ends = 1 + np.cumsum([len(text) + 1 for text in said])  # after the line feed that closes each text
    mark_wide(data, kinds)
    gone = unwritten(data, kinds)
    if len(gone):
        ends -= np.searchsorted(gone, ends)
        stays = np.ones(len(data), bool)
        stays[gone] = False
        data, kinds = data[stays], kinds[stays]
    starts, stops = borders(data, kinds)
    found, starts = as_numerals(hashed(data, starts, stops), data, starts, stops)
    return found, np.diff(np.searchsorted(starts, ends), prepend=0)


def byte_kinds() -> Bytes:
    kinds = np.full(256, SEPARATOR, np.uint8)
    kinds[ord("a") : ord("z") + 1] = LETTER
    kinds[ord("0") : ord("9") + 1] = DIGIT
    kinds[0x80:] = LETTER
    return kinds


KINDS = byte_kinds()


def mark_wide(data: Bytes, kinds: Bytes) -> None:
    """Set the kinds of characters beyond ASCII that are no letters: signs separate, ideographs stand alone."""
    lead = np.flatnonzero(data >= 0xC2)
    if not len(lead):
        return
    first, second, third = data[lead], data[lead + 1], data[lead + 2]
    two_bytes = (first == 0xC2) & ~np.isin(second, (0xAA, 0xB5, 0xBA))  # Latin-1 signs but for letters
    symbols = (first == 0xE2) & (second < 0xB0)  # U+2000 to U+2BFF: punctuation, arrows, mathematics, boxes
    cjk_signs = (first == 0xE3) & (second == 0x80)
    full_width = (first == 0xEF) & ((second == 0xBC) | (second == 0xBD))
    written = full_width & (((third >= 0x90) & (third < 0x9A)) | (third >= 0xA1) & (third < 0xBB))
    emoji = (first == 0xF0) & (second == 0x9F)
    for places, width in ((two_bytes, 2), (symbols | cjk_signs | full_width & ~written, 3), (emoji, 4)):
        for step in range(width):
            kinds[lead[places] + step] = SEPARATOR
    kinds[lead[(first >= 0xE3) & (first <= 0xE9) & ~cjk_signs | written]] = ALONE
    kinds[lead[(first == 0xF0) & (second >= 0xA0)]] = ALONE


def unwritten(data: Bytes, kinds: Bytes) -> Places:
    """Where bytes stand that change how a word is written and not which it is. Decimal points become digits."""
    gone = [apostrophes(data, kinds), thousands(data, kinds), decimal_zeros(data, kinds)]
    return np.sort(np.concatenate(gone))  # each place once: they are different characters


def apostrophes(data: Bytes, kinds: Bytes) -> Places:
    """Inside a word ' and U+2019; and the space before a lone s or t, which was one."""
    straight = np.flatnonzero(data == ord("'"))
    straight = straight[(kinds[straight - 1] == LETTER) & (kinds[straight + 1] == LETTER)]
    curly = np.flatnonzero(data == 0xE2)
    curly = curly[(data[curly + 1] == 0x80) & (data[curly + 2] == 0x99)]
    curly = curly[(kinds[curly - 1] == LETTER) & (kinds[curly + 3] == LETTER)]
    lone = ((data[1:-1] == ord("s")) | (data[1:-1] == ord("t"))) & (kinds[2:] == SEPARATOR)
    spaces = np.flatnonzero(lone & (data[:-2] == ord(" ")))
    spaces = spaces[kinds[spaces - 1] == LETTER]
    return np.concatenate([straight, curly, curly + 1, curly + 2, spaces])


def thousands(data: Bytes, kinds: Bytes) -> Places:
    """Commas between a digit and exactly three more."""
    commas = np.flatnonzero(data == ord(","))
    commas = commas[(kinds[commas - 1] == DIGIT) & (kinds[commas + 1] == DIGIT)]
    threes = (kinds[commas + 2] == DIGIT) & (kinds[commas + 3] == DIGIT) & (kinds[commas + 4] != DIGIT)
    return np.compress(threes, commas)


def decimal_zeros(data: Bytes, kinds: Bytes) -> Places:
    """Zeros at the end of a decimal fraction, and its point when nothing else is left."""
    points = np.flatnonzero(data == ord("."))
    points = points[(kinds[points - 1] == DIGIT) & (kinds[points + 1] == DIGIT)]
    kinds[points] = DIGIT
    stops = points + 1
    for _ in range(LONGEST_FRACTION):
        stops += KINDS[data[stops]] == DIGIT
    ended = kinds[stops] != DIGIT  # else another point follows, or it is longer than any that is worth mending
    points, last = points[ended], stops[ended] - 1
    gone = [np.empty(0, np.int64)]
    for _ in range(LONGEST_FRACTION):
        zeros = (data[last] == ord("0")) & (last > points)
        gone.append(last[zeros])
        last = last - zeros
    return np.concatenate([points[last == points], *gone])


def borders(data: Bytes, kinds: Bytes) -> tuple[Places, Places]:
    """Where each word starts and where it has ended."""
    inside = kinds != SEPARATOR
    edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
    starts, stops = edges[::2], edges[1::2]
    alone = np.flatnonzero(kinds == ALONE)
    if not len(alone):
        return starts, stops
    after = alone + np.where(data[alone] == 0xF0, 4, 3)
    around = np.concatenate([alone, after[kinds[after] != ALONE]])
    cuts = around[inside[around] & inside[around - 1]]
    return merged(starts, cuts), merged(stops, cuts)


def merged(some: Places, others: Places) -> Places:
    return np.sort(np.concatenate([some, others]), kind="stable")


def hashed(data: Bytes, starts: Places, stops: Places) -> Hashes:
    """The hash of the bytes from each start to its stop, eight at a time; of a very long word by BLAKE2b."""
    eights = np.ndarray(len(data) - 7, "<u8", data, strides=(1,))
    lengths = stops - starts
    found = splitmix(eights[starts] & MASKS[np.minimum(lengths, 8)])
    going = np.flatnonzero(lengths > 8)
    for done in range(8, LONGEST_WORD, 8):
        part = eights[starts[going] + done] & MASKS[np.minimum(lengths[going] - done, 8)]
        found[going] = splitmix(found[going] * np.uint64(BASE) + part)
        going = going[lengths[going] > done + 8]
    for word in going.tolist():
        digest = hashlib.blake2b(data[starts[word] : stops[word]].tobytes(), digest_size=8).digest()
        found[word] = int.from_bytes(digest, "little")
    return found


# ---- numerals

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()  # fmt: skip
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()


def as_numerals(found: Hashes, data: Bytes, starts: Places, stops: Places) -> tuple[Hashes, Places]:
    """The words with zero to ninety-nine as numerals, and where each starts; "twenty-one" becomes one word."""
    rank = np.searchsorted(NUMBER_WORDS, found[maybe := np.flatnonzero(NUMBER_BITS[found >> np.uint64(48)])])
    sure = NUMBER_WORDS[np.minimum(rank, len(NUMBER_WORDS) - 1)] == found[maybe]
    places, values = maybe[sure], NUMBERS[rank[sure]]
    if not len(places):
        return found, starts
    joins = (np.diff(places) == 1) & (values[:-1] >= 20) & (values[1:] > 0) & (values[1:] < 10)
    left, right = places[:-1][joins], places[1:][joins]
    near = (starts[right] == stops[left] + 1) & np.isin(data[stops[left]], (ord(" "), ord("-")))
    units = np.flatnonzero(joins)[near] + 1
    values[units - 1] += values[units]
    found[places] = NUMERALS[values]
    return np.delete(found, places[units]), np.delete(starts, places[units])


def hashes_of(spelled: Sequence[str]) -> Hashes:
    """The hashes of single words."""
    data = np.frombuffer(b"".join(word.encode().ljust(16) for word in spelled) + AHEAD, np.uint8)
    starts = 16 * np.arange(len(spelled))
    return hashed(data, starts, starts + np.array([len(word) for word in spelled]))


NUMERALS = hashes_of([str(value) for value in range(100)])
SPELLED = hashes_of(ONES + TENS)
NUMBERS = np.array([*range(20), *range(20, 100, 10)])[np.argsort(SPELLED)]
NUMBER_WORDS = np.sort(SPELLED)
NUMBER_BITS = np.isin(np.arange(1 << 16, dtype=np.uint64), NUMBER_WORDS >> np.uint64(48))
