"""Where a reply states its answer ("Answer: 18", "the answer is 18", a box), and where it goes on to the next question.

A sign is a place at which an answer may be announced, a statement an answer that was found after one. No sign is
looked at beyond the next, so that time is in proportion to the length.
"""

import re
from collections.abc import Sequence
from itertools import islice, pairwise
from typing import NamedTuple

from codedose.tasks.chosen import BARE_LINES, LIST_BLOCK, LIST_GOES_ON, first_answer, stated_answer
from codedose.tasks.plain import BOX, UNBOX
from codedose.tasks.task import Task

ANSWER = re.compile(r"answer\b")  # alone it is found far faster than among others
SIGN = re.compile(rf"answer\b|#{{4,}}|{BOX}")
CLAIM = re.compile(
    r"answer\b[^.\n:=]{0,60}?(?:\b(?:is|are|was|equals)\b(?! not\b)|\b(?:would|will|should|must) be\b|[:=])"
)
LONGEST_CLAIM = 90  # characters from "answer" to the end of "will be"
LINE_START = re.compile(r"[ >#*_•(\[-]{0,12}(?:\d{1,2}[.)] [*_]{0,3})?(?:(?:the|my|final|correct) ){0,2}")
LINE_SIGN = re.compile(r"answer(?: is)?[ *_]{0,3}[:=]")
LONGEST_START = 60  # characters of a line before "answer"
FLAT = re.compile(r"(?:the|my)(?: final| correct)? $")
FLAT_SIGN = re.compile(r"answer is\b")
NEXT_QUESTION = re.compile(
    r"\n(?:(?:question|q|problem|user|human|instruction|### ?\w{1,20})(?: ?\d{0,4}):|<\|\w{1,20}\|>)"
)
SENTENCE_END = re.compile(
    rf"[.!?](?=[\s\"')]|$)|\n|{UNBOX}|,? but (?=(?:it|that|this|he|she|really|in fact|actually)\b)"
)
LIST_END = re.compile(rf"\n|{UNBOX}|(?<!\d)[.!?](?= [A-Z])")
BOX_END = re.compile(UNBOX)

SPAN = 400  # characters after "Answer:" in which the answer must stand; lists may be longer
LIST_SPAN = 4_000
MOST_STATEMENTS = 40  # of a reply that states and states, the last ones count
LONGEST_BARE = 60  # characters of a reply that is nothing but an answer; a list may have more


class Sign(NamedTuple):
    """A sign that may announce an answer ("answer", "####", a box), and where the next sign begins."""

    start: int
    end: int
    following: int


class Statement(NamedTuple):
    """An answer that a reply states: after which kind of claim, and where the saying of it begins and ends."""

    answer: str
    kind: str  # line ("Answer: " at its start), flat ("the answer is"), other
    start: int
    end: int


def signs(reply: str) -> list[Sign]:
    """Every sign in the reply, in order."""
    pattern = SIGN if "####" in reply or BOX in reply else ANSWER
    places = [sign.span() for sign in pattern.finditer(reply.lower())]
    return [Sign(*place, following) for place, (following, _) in pairwise([*places, (len(reply), 0)])]


def claim_end(reply: str, sign: Sign) -> int | None:
    """Where the words end that announce an answer; None if the sign announces none."""
    if reply[sign.start] not in "aA":
        return sign.end
    if sign.start and (reply[sign.start - 1].isalnum() or reply[sign.start - 1] == "_"):
        return None
    words = CLAIM.match(reply[sign.start : min(sign.following, sign.start + LONGEST_CLAIM)].lower())
    return sign.start + words.end() if words else None


def kind_of(reply: str, start: int) -> str:
    """The kind of the claim that starts there."""
    before = reply[max(0, start - LONGEST_START) : start].lower()
    sign = reply[start : start + LONGEST_START].lower()
    _, newline, line = before.rpartition("\n")
    if (newline or len(before) == start) and LINE_SIGN.match(sign) and LINE_START.fullmatch(line):
        return "line"
    return "flat" if FLAT_SIGN.match(sign) and FLAT.search(before) else "other"


def statements(task: Task, reply: str, found: Sequence[Sign]) -> list[Statement]:
    """The answers stated after the last signs, in order; sayings without one answer are left out."""
    ends = ((sign, end) for sign in reversed(found) if (end := claim_end(reply, sign)) is not None)
    said = [statement(task, reply, sign, end) for sign, end in islice(ends, MOST_STATEMENTS)]
    return [each for each in reversed(said) if each]


def statement(task: Task, reply: str, sign: Sign, claim: int) -> Statement | None:
    start, end = saying(task, reply, claim)
    answer = stated_answer(task, reply[start:end])
    return Statement(answer, kind_of(reply, sign.start), start, end) if answer else None


def saying(task: Task, reply: str, start: int) -> tuple[int, int]:
    """Where the text of a stated answer begins and ends: the rest of its line, or the next lines if that is empty."""
    listed = task.answer_type == "items"
    limit = min(len(reply), start + (LIST_SPAN if listed else SPAN))
    while start < limit and not reply[start].isalnum() and reply[start] not in "-+$.([{<\"'":
        start += 1
    if listed:
        return start, end_of_list(reply, start, limit)
    found = SENTENCE_END.search(reply, start, limit)
    return start, found.start() if found else limit


def end_of_list(reply: str, start: int, limit: int) -> int:
    """The end of a list over several lines, or of the line."""
    if LIST_GOES_ON.match(reply, start, limit) and (block := LIST_BLOCK.match(reply, start, limit)):
        return block.end()
    if bare := BARE_LINES.match(reply, start, limit):
        return bare.end()
    found = LIST_END.search(reply, start, limit)
    return found.start() if found else limit


def own_part(task: Task, reply: str, found: Sequence[Sign]) -> str:
    """The reply up to where the model, having answered, goes on to ask itself the next question."""
    marks = [mark.start() for mark in NEXT_QUESTION.finditer(reply.lower())]
    if not marks:
        return reply
    if is_bare(task, reply[: marks[0]].strip()):
        return reply[: marks[0]].strip()
    asked = reply[: marks[-1]]
    for sign in islice(found, MOST_STATEMENTS):
        claim = claim_end(asked, sign) if sign.end <= len(asked) else None
        if claim is not None and (said := statement(task, asked, sign, claim)):
            return reply[: next((mark for mark in marks if mark >= said.end), len(reply))]
    return reply


def is_bare(task: Task, reply: str) -> bool:
    """Whether the reply is an answer and hardly a word more."""
    if "\n" in reply or first_answer(task, reply) is None:
        return False
    if task.answer_type == "items":
        return "," in reply and ":" not in reply
    return len(reply) <= LONGEST_BARE and len(reply.split()) <= (1 if task.answer_type == "letters" else 3)
