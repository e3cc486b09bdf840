"""What counts as an answer of each other type in plain text, in the order in which it stands there.

Every function gives answers in their normal form: letters in lower case without anything between them, lists joined
by ", ", closed words as the vocabulary has them. Numbers have a file of their own.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

MOST_ITEMS = 200
MOST_LINES = 400  # of a reply, from its end, in which a list is looked for
LONGEST_ITEM = 5  # words

YES_NO = re.compile(r"(?:yes|yeah|yep|nope|no)(?!\w)")
BOTH = re.compile(r"yes ?(?:or|/|and|\|) ?no\b|no ?(?:or|/|\|) ?yes\b")
# "no" before one of these says how many, not which answer.
COUNTED = re.compile(
    r" (?:one|body|more|longer|other|further|flips?|turns?|coins?|change|changes|matter|need|way|reason|single|idea"
    r"|additional|effect|information|doubt|problem|such|difference|person)\b"
)
SAYS = re.compile(r"\b(?:is|be|say|answer|so|thus|hence|therefore),?$")


def yes_or_no(text: str) -> Iterator[str]:
    """yes and no where they answer; "no" as a determiner ("no one", "no coin") and "yes or no" do not."""
    lower = text.lower()
    done = 0  # up to where "yes or no" has been passed over
    for word in YES_NO.finditer(lower):
        start, end = word.span()
        if start < done or within_a_word(lower, start):
            continue
        if both := BOTH.match(lower, start):
            done = both.end()
        elif word[0][0] == "y" or is_answer(lower, start, end):
            denied = lower.endswith(("not ", "not a "), max(0, start - 6), start)
            yield "yes" if (word[0][0] == "y") != denied else "no"


def is_answer(lower: str, start: int, end: int) -> bool:
    """Whether this "no" stands alone: before a stop, at the start of a sentence, or after "is"."""
    if COUNTED.match(lower, end):
        return False
    if lower[end : end + 1] not in (" ", ""):
        return True
    before = lower[max(0, start - 12) : start].rstrip(" \"'(<*")
    return end == len(lower) or before[-1:] in ("", ".", "!", "?", ":", "=", "\n") or bool(SAYS.search(before))


TRUE_FALSE = re.compile(
    r"(?P<negation>(?:not|n't|never|cannot|nor) (?:(?:necessarily|really|actually|entirely|completely|quite|be|an?|the"
    r"|stated|directly|definitely|always|strictly|case|that|it|this|is) ){0,6})(?P<denied>true|false|untrue)\b"
    r"|true ?(?:or|/|and|\||nor) ?false\b|false ?(?:or|/|nor) ?true\b|(?P<word>true|false|untrue)\b"
)


def true_or_false(text: str) -> Iterator[str]:
    """True and False; "not true" is False, "true or false" is neither."""
    lower = text.lower()
    if "true" not in lower and "false" not in lower:  # most texts, and far faster than the pattern
        return
    for found in TRUE_FALSE.finditer(lower):
        word = found["denied"] or found["word"]
        if word and not (found["word"] and within_a_word(lower, found.start())):
            denied = found["denied"] and (found[0].startswith("n't") or not within_a_word(lower, found.start()))
            yield str((word == "true") != bool(denied))


def within_a_word(text: str, place: int) -> bool:
    return place > 0 and (text[place - 1].isalnum() or text[place - 1] == "_")


@lru_cache(maxsize=64)
def closed(forms: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    return re.compile(rf"(?:{longest_first})(?![\w-])")


NOT_THIS = re.compile(r"(?:\bnot (?:an? |the |his |her )?|[\w-]|\bgreat )$")


def listed_words(text: str, vocabulary: Mapping[str, str]) -> Iterator[str]:
    """The words of a closed vocabulary, without those said not to be the answer ("not white")."""
    lower = text.lower()
    for found in closed(tuple(vocabulary)).finditer(lower):
        start = found.start()
        if not NOT_THIS.search(lower[max(0, start - 9) : start]):
            yield vocabulary[found[0]]


APART = re.compile(r"(?<![A-Za-z'])[A-Za-z](?:(?: ?[,.+|&_-] ?| )(?:and )?[A-Za-z](?![A-Za-z'])){1,60}")
QUOTED = re.compile(r"\"([A-Za-z]{1,60})[.,]?\"|'([A-Za-z]{1,60})[.,]?'")
QUOTED_LETTER = re.compile(r"\"([A-Za-z])\"|'([A-Za-z])'")
NOT_QUOTED = re.compile(r"\b(?:not|isn't) [\"'][A-Za-z]{1,60}[.,]?[\"']")
CLOSING = re.compile(r"(?:\b(?:is|are|get|gives|form|forms|makes|string)|[:=]) <?([A-Za-z]{1,60})>?(?=[.!]?(?:\n|$))")
ENDING = re.compile(CLOSING.pattern.replace(r"(?:\n|$)", r"(?:\s|$)"))  # of any sentence, not only of a line
NOT_LETTERS = frozenset(
    "the string letters letter is word words are a an so result joined concatenated answer final therefore".split()
)
# A word that one of these or no further word follows may be the letters; another is the beginning of a sentence.
FOLLOWS = re.compile(r" ?(->|:)| ([^\W\d_]+)")
AFTER_LETTERS = frozenset("as because by for from if is since that when where which i the they joins joined".split())


def first_letters_in(text: str) -> str | None:
    """The letters that a stated answer gives: quoted, spelled apart ("y-a-j-o"), closing a sentence, or as its first
    word."""
    text = NOT_QUOTED.sub(" ", text.rpartition("=")[2])
    if len(QUOTED_LETTER.findall(text[:2000])) > 1:
        text = QUOTED_LETTER.sub(lambda letter: letter[1] or letter[2], text)
    if quoted := QUOTED.search(text):
        return (quoted[1] or quoted[2]).lower()
    if apart := APART.search(text):
        return re.sub(r"\band\b|[^a-z]", "", apart[0].lower())
    if (closing := ENDING.search(text)) and closing[1].lower() not in NOT_LETTERS:
        return closing[1].lower()
    return first_word(text[:2000])


def first_word(text: str) -> str | None:
    """The only word; or the first that may be letters: not one that leads to them, nor a sentence's beginning."""
    words = list(re.finditer(r"[^\W\d_]+", text))
    if len(words) == 1:  # "an" and "so" are letters that two words end in
        return words[0][0].lower()
    for word in words:
        follows = FOLLOWS.match(text, word.end())
        if word[0].lower() not in NOT_LETTERS:
            return word[0].lower() if not follows or (follows[2] or "").lower() in AFTER_LETTERS else None
    return None


def letters(text: str) -> Iterator[str]:
    """Letters offered as an answer somewhere in running text: quoted, spelled apart, or closing a sentence."""
    found = [(word.start(), (word[1] or word[2]).lower()) for word in QUOTED.finditer(text)]
    found += [(word.start(), re.sub(r"\band\b|[^a-z]", "", word[0].lower())) for word in APART.finditer(text)]
    found += [(word.start(), word[1].lower()) for word in CLOSING.finditer(text)]
    last_line = text.rpartition("\n")[2].strip(" .\"'")
    if last_line.isalpha():
        found.append((len(text), last_line.lower()))
    yield from (word for _, word in sorted(found))


MARK = r"(?:\(?\d{1,3}[.):]|[-*•+])"
MARKER = re.compile(rf"^ ?{MARK}(?: |(?=[A-Za-z]))", re.MULTILINE)
BETWEEN = re.compile(r" ?(?:,|;|->|=>|\||\n) ?| > ")
ASIDE = re.compile(r"\([^()]{0,200}\)")
LEADING = re.compile(r"^(?:(?:and|then|&|an?|the) )+", re.IGNORECASE)


def list_in(text: str) -> list[str]:
    """The items of a list written in `text`, in order: with commas, arrows, numbers, bullets or brackets."""
    text = text.strip(" .\n")
    if "\n" not in text and re.match(r"\(?1[.)] ", text):
        text = re.sub(r"(?:^| )\(?\d{1,3}[.)] ", "\n", text)
    text = MARKER.sub("\n", text)
    text = text if text.startswith("(") else ASIDE.sub("", text)
    parts = [part for part in BETWEEN.split(text.strip("[](){}<>\"' \n\ue000\ue001")) if part.strip()]
    # Only the last comma may be an "and": "cup, box and pen".
    *first, last = parts or [""]
    items = [item_of(part) for part in [*first, *re.split(r" and | & ", last)][:MOST_ITEMS]]
    return [item for item in items if item]


def item_of(part: str) -> str:
    part = LEADING.sub("", part.strip(" .:$\"'[](){}<>*-!\n"))
    part = re.sub(r"^\(?\d{1,2}[.)] ", "", LEADING.sub("", part.strip(" \"'")))
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
