"""What counts as an answer of each type in plain text, in the order in which it stands there.

Every function gives answers in their normal form: numbers as exact fractions ("18", "1/2"), letters
in lower case without anything between them, lists joined by ", ", closed words as the vocabulary has them.
"""

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import lru_cache

MOST_DIGITS = 40  # longer runs are no answers, and Python's int() has a limit of its own
MOST_ITEMS = 200
MOST_LINES = 400  # of a reply, from its end, in which a list is looked for
LONGEST_ITEM = 5  # words

MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}"
NUMBER = re.compile(
    rf"""(?=[-\d.$€£¥₹(JFMASONDPQEnmspqe])(?<![A-Za-z0-9_])(?:  # the signs that one of these can begin with
        (?P<other>\d{{1,4}}[/-]\d{{1,2}}[/-]\d{{1,4}}(?!\d)  # a date
          | \d{{1,2}}:\d\d(?!\d)                             # a time
          | {MONTH}\.?\ \d{{1,2}}(?:st|nd|rd|th)?(?!\d)(?:,?\ \d{{4}}(?!\d))?
          | \d{{1,2}}\ {MONTH}(?:,?\ \d{{4}}(?!\d))?
          | \d+(?:st|nd|rd|th)\b                             # a place in line
          | (?i:step|part|question|example)\ \#?\d+\b
          | (?m:^)\(?\d{{1,2}}[.)]\ (?=\S))                  # a list number
        | (?P<sign>(?<![\d)\]])(?<![\d)\]]\ )(?:-|(?i:negative|minus)\ ))?(?:[$€£¥₹]\ ?)?(?P<inner>-)?
          (?:(?:(?P<whole>\d{{1,9}})\ )?(?P<top>\d{{1,9}})\ ?/\ ?(?P<bottom>\d{{1,9}})(?![\d/])
            | (?P<digits>\d[\d,]*(?:\.\d+)?|\.\d+)
              (?:[eE](?P<exponent>[+-]?\d+)(?!\w)|\ ?[*x×]\ ?10\^\{{?(?P<power>-?\d+)\}}?)?))""",
    re.VERBOSE,
)

UNITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen".split()
UNITS += ["seventeen", "eighteen", "nineteen"]
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
SPELLED = re.compile(
    rf"\b(?:(?P<tens>{'|'.join(TENS)})(?:[- ](?P<ones>{'|'.join(UNITS[1:10])}))?|(?P<unit>{'|'.join(UNITS)}))\b"
    r"(?! (?:hundred|thousand|million|half|third|quarter|and))(?!-)"
)


def numbers(text: str) -> Iterator[str]:
    """The numbers in `text` as exact fractions; dates, times, ordinals and list numbers are none."""
    for found in NUMBER.finditer(text):
        if not found["other"]:
            yield from values(found)


def values(found: re.Match[str]) -> Iterator[str]:
    """One number, or several where commas part them ("1,2,3"); none where it has too many digits or divides by zero."""
    minus = -1 if found["sign"] or found["inner"] else 1
    if found["top"]:
        if int(found["bottom"]):
            yield str(minus * (int(found["whole"] or 0) + Fraction(int(found["top"]), int(found["bottom"]))))
        return
    digits = found["digits"].rstrip(",")
    if len(digits) > 4 * MOST_DIGITS:
        return
    power = found["exponent"] or found["power"] or "0"
    if len(power) > 3 or abs(int(power)) > MOST_DIGITS:
        return
    thousands = re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", digits)
    parts = [digits.replace(",", "")] if thousands else digits.split(",")
    for place, part in enumerate(parts):
        if part and len(part) <= MOST_DIGITS:
            yield str((minus if place == 0 else 1) * Fraction(part) * Fraction(10) ** int(power))


def spelled(text: str) -> Iterator[str]:
    """Numbers from zero to ninety-nine that are written as words."""
    for found in SPELLED.finditer(text.lower()):
        tens = 20 + 10 * TENS.index(found["tens"]) if found["tens"] else 0
        ones = found["unit"] or found["ones"]
        yield str(tens + (UNITS.index(ones) if ones else 0))


YES_NO = re.compile(
    r"\b(?:(?P<echo>yes ?(?:or|/|and|\|) ?no|no ?(?:or|/|\|) ?yes)"
    r"|(?P<negated>not (?:a )?)?(?P<word>yes|yeah|yep|no|nope))\b",
    re.IGNORECASE,
)
# "no" before one of these says how many, not which answer.
COUNTED = re.compile(
    r" (?:one|body|more|longer|other|further|flips?|turns?|coins?|change|changes|matter|need|way|reason|single|idea"
    r"|additional|effect|information|doubt|problem|such|difference|person)\b",
    re.IGNORECASE,
)


def yes_or_no(text: str) -> Iterator[str]:
    """yes and no where they answer; "no" as a determiner ("no one", "no coin") and "yes or no" do not."""
    for word in YES_NO.finditer(text):
        if word["echo"]:
            continue
        says_yes = word["word"].lower() in ("yes", "yeah", "yep")
        if says_yes or is_answer(text, word):
            yield "yes" if says_yes != bool(word["negated"]) else "no"


def is_answer(text: str, no: re.Match[str]) -> bool:
    """Whether this "no" stands alone: before a stop, at the start of a sentence, or after "is"."""
    if COUNTED.match(text, no.end()):
        return False
    before = text[max(0, no.start() - 12) : no.start()].rstrip(" \"'(<*")
    after = text[no.end() : no.end() + 1]
    return (
        not after
        or after not in " "
        or before[-1:] in ("", ".", "!", "?", ":", "=", "\n")
        or bool(re.search(r"\b(?:is|be|say|answer|so|thus|hence|therefore),?$", before, re.IGNORECASE))
    )


TRUE_FALSE = re.compile(
    r"(?P<echo>\btrue ?(?:or|/|and|\|) ?false\b|\bfalse ?(?:or|/|\|) ?true\b)"
    r"|(?P<negated>(?:\bnot|n't|\bnever|\bcannot|\bnor) (?:(?:necessarily|really|actually|entirely|completely|quite|be"
    r"|an?|the|stated|directly|definitely|always|strictly) ){0,2})?\b(?P<word>true|false|untrue)\b",
    re.IGNORECASE,
)  # fmt: skip


def true_or_false(text: str) -> Iterator[str]:
    """True and False; "not true" is False, "true or false" is neither."""
    for word in TRUE_FALSE.finditer(text):
        if not word["echo"]:
            yield str((word["word"].lower() == "true") != bool(word["negated"]))


@lru_cache(maxsize=64)
def closed(forms: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    return re.compile(
        rf"(?P<negated>\bnot (?:an? |the |his |her )?)?(?<![\w-])(?<!great )(?P<word>{longest_first})(?![\w-])",
        re.IGNORECASE,
    )


def listed_words(text: str, vocabulary: Mapping[str, str]) -> Iterator[str]:
    """The words of a closed vocabulary, without those said not to be the answer ("not white")."""
    for found in closed(tuple(vocabulary)).finditer(text):
        if not found["negated"]:
            yield vocabulary[found["word"].lower()]


APART = re.compile(r"(?<![A-Za-z'])[A-Za-z](?:(?: ?[,.+|&_-] ?| )(?:and )?[A-Za-z](?![A-Za-z'])){1,60}")
QUOTED = re.compile(r"\"([A-Za-z]{1,60})[.,]?\"|'([A-Za-z]{1,60})[.,]?'")
CLOSING = re.compile(r"(?:\b(?:is|are|get|gives|form|forms|makes|string)|[:=]) <?([A-Za-z]{1,60})>?(?=[.!]?(?:\n|$))")
NOT_LETTERS = frozenset(
    "the string letters letter is word words are a an so result joined concatenated answer final therefore".split()
)


def first_letters_in(text: str) -> str | None:
    """The letters that a stated answer gives: quoted, spelled apart ("y-a-j-o"), or as its first word."""
    text = text.rpartition("=")[2]
    if quoted := QUOTED.search(text):
        return (quoted[1] or quoted[2]).lower()
    if apart := APART.search(text):
        return re.sub(r"\band\b|[^a-z]", "", apart[0].lower())
    words = [word.lower() for word in re.findall(r"[^\W\d_]+", text[:2000])]
    return next((word for word in words if word not in NOT_LETTERS), None)


def letters(text: str) -> Iterator[str]:
    """Letters offered as an answer somewhere in running text: quoted, spelled apart, or closing a sentence."""
    found = [(word.start(), (word[1] or word[2]).lower()) for word in QUOTED.finditer(text)]
    found += [(word.start(), re.sub(r"\band\b|[^a-z]", "", word[0].lower())) for word in APART.finditer(text)]
    found += [(word.start(), word[1].lower()) for word in CLOSING.finditer(text)]
    last_line = text.rpartition("\n")[2].strip(" .\"'")
    if last_line.isalpha():
        found.append((len(text), last_line.lower()))
    yield from (word for _, word in sorted(found))


MARKER = re.compile(r"^ ?(?:\(?\d{1,3}[.):]|[-*•+])(?: |(?=[A-Za-z]))", re.MULTILINE)
BETWEEN = re.compile(r" ?(?:,|;|->|=>|\||\n) ?")


def list_in(text: str) -> list[str]:
    """The items of a list written in `text`, in order: with commas, arrows, numbers, bullets or brackets."""
    text = text.strip(" .\n")
    if "\n" not in text and re.match(r"\(?1[.)] ", text):
        text = re.sub(r"(?:^| )\(?\d{1,3}[.)] ", "\n", text)
    text = MARKER.sub("\n", text)
    parts = [part for part in BETWEEN.split(text.strip("[](){}<>\"' \n\ue000\ue001")) if part.strip()]
    if len(parts) == 1:
        parts = re.split(r" and | & ", parts[0])
    items = [item_of(part) for part in parts[:MOST_ITEMS]]
    return [item for item in items if item]


def item_of(part: str) -> str:
    part = re.sub(r"^(?:and|&) ", "", part.strip(" .:$\"'[](){}<>*-!\n"), flags=re.IGNORECASE)
    part = re.sub(r"^(?:an?|the) ", "", part.strip(" \"'"), flags=re.IGNORECASE)
    part = re.sub(r"^\(?\d{1,2}[.)] ", "", part)
    return part.strip(" \"'").casefold()


INTRODUCED = re.compile(r"^.*(?:\b(?:is|are|be|becomes|get|reversed|order|list)\b:?|:) ?(?=\S)", re.IGNORECASE)


def lists(text: str) -> Iterator[str]:
    """The last list in running text: a block of numbered or bulleted lines, or a line of short parts."""
    lines = text.split("\n")[-MOST_LINES:]
    end = len(lines)
    while end:
        start = end - 1
        while start > 0 and MARKER.match(lines[start]) and MARKER.match(lines[start - 1]):
            start -= 1
        block = "\n".join(lines[start:end])
        found = list_in(INTRODUCED.sub("", block) if start == end - 1 else block)
        if len(found) > 1 and all(item.count(" ") < LONGEST_ITEM for item in found):
            yield ", ".join(found)
            return
        end = start
