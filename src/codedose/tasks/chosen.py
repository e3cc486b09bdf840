"""Which of the answers in a text counts: the first, the last, or the one that a sentence states."""

import re
from collections.abc import Iterator
from itertools import islice

from codedose.tasks.answers import (
    ASIDE,
    MARK,
    first_letters_in,
    letters,
    list_in,
    listed_words,
    lists,
    true_or_false,
    yes_or_no,
)
from codedose.tasks.numerals import NUMBER, joined, numbers, spelled, values
from codedose.tasks.pattern import LONGEST_TEXT, matches
from codedose.tasks.plain import BOX, UNBOX
from codedose.tasks.task import Task

DIGIT = re.compile(r"\d")
TAILS = (1_000, 20_000)  # characters from the end in which the last answer is looked for, first nearby
CUT_WORD = re.compile(r"^[\w.,/'-]{1,80}")
LED_IN = re.compile(r"^[^\n]*(?:\b(?:is|are|be)\b:?|:) ?(?=[^\n])", re.IGNORECASE)
LIST_BLOCK = re.compile(
    rf"(?:[^\n]{{0,200}}(?:\n|(?<=:)\n\n))?(?:{MARK} ?[^\n]{{1,200}}(?:\n\n?(?={MARK} ?\S)|(?=\n|$)|$))+"
)
LIST_GOES_ON = re.compile(r"[^\n]{0,200}(?:\n|(?<=:)\n\n)(?:\(?\d{1,3}[.):]|[-*•+]) ?\S|(?:\(?1[.):]|[-*•+]) ")
BARE_LINES = re.compile(r"(?:[^\n,;:.!?|()]{1,60}\n)+[^\n,;:.!?|()]{1,60}(?=\n\n|\n?$)")
LIST_STOP = re.compile(r"(?<!\d)[.!?](?= [A-Z])")
HYPHENED = re.compile(r"(?<![A-Za-z])[A-Za-z](?:-[A-Za-z](?![A-Za-z])){1,60}")
HEDGED = re.compile(r"\d ?(?:or|and|to|;|,|\+|\*|x|×|-|/ ) ?[-$€£]?\d", re.IGNORECASE)
OPERATION = re.compile(r"\d ?[-+*x×] ?[$(]?\d")
REPEATED = re.compile(
    r"[ >#*_•(\[-]{0,12}(?:\d{1,2}[.)] [*_]{0,3})?(?:(?:the|my|final|correct) ){0,2}answer(?: is)?[ *_]{0,3}[:=]",
    re.IGNORECASE,
)


def answers(task: Task, text: str) -> Iterator[str]:
    """Everything of the task's answer type in running text, in order; of lists only the last."""
    match task.answer_type:
        case "number":
            return numbers(text)
        case "letters":
            return letters(text)
        case "items":
            return lists(text)
        case "yes_no":
            return yes_or_no(text)
        case "true_false":
            return true_or_false(text)
        case "word":
            return listed_words(text, task.vocabulary)
        case "pattern":
            return matches(task.pattern, text)


def first_answer(task: Task, text: str) -> str | None:
    """The first thing of the task's answer type, in a text that is meant to be an answer."""
    text = text.lstrip(": \n")
    repeated = REPEATED.match(text)
    text = text[repeated.end() if repeated else 0 :].replace(BOX, " ").replace(UNBOX, " ").strip()
    if task.answer_type == "letters":
        return first_letters_in(text.partition("\n")[0])
    if task.answer_type == "items":
        return first_list(text)
    if task.answer_type == "pattern":
        return next(matches(task.pattern, text[:LONGEST_TEXT]), None)
    # It goes on from "the answer is", so "18. Then" is no list number and "no longer" no answer.
    text = f"is {joined(text)}"
    found = next(answers(task, text), None)
    return next(spelled(text), None) if found is None and task.answer_type == "number" else found


def first_candidate(task: Task, text: str) -> str | None:
    """The first answer as the published scorer takes it from the second stage (kojima-takeshi188/zero_shot_cot).

    It reads no number words and leaves hyphens between letters, so that "n-a-e-y" is not "naey". Of number words those
    below a hundred are read all the same, since small models answer with them; longer ones are no candidates.
    """
    found = first_answer(task, text)
    if (
        task.answer_type == "letters"
        and (apart := HYPHENED.search(text))
        and apart[0].replace("-", "").lower() == found
    ):
        return apart[0].lower()
    in_words = task.answer_type == "number" and next(numbers(f"is {joined(text)}"), None) is None
    return None if in_words and found and len(found) > 2 else found


def first_list(text: str) -> str | None:
    line = text.partition("\n")[0]
    parts = [text] if LIST_GOES_ON.match(text) else [LIST_STOP.split(line, maxsplit=1)[0], text]
    if bare := BARE_LINES.match(text):
        parts = [bare[0]]
    return next((", ".join(items) for part in parts if (items := list_in(LED_IN.sub("", part)))), None)


def last_answer(task: Task, text: str) -> str | None:
    """The last thing of the task's answer type; nearly always it is near the end."""
    for size in TAILS:
        part = text if len(text) <= size else CUT_WORD.sub("", text[-size:])
        if part and (found := last_in(task, part)) is not None:
            return found
        if part is text:
            return None
    return None


def last_in(task: Task, text: str) -> str | None:
    if task.answer_type != "number":
        found = list(answers(task, text))
        return found[-1] if found else None
    if not DIGIT.search(text):
        return None
    signs = [sign for sign in NUMBER.finditer(text) if not sign["other"]]
    return next((given[-1] for sign in reversed(signs) if (given := list(values(sign)))), None)


def stated_answer(task: Task, said: str) -> str | None:
    """The answer that a saying gives; None if it gives none, or hedges between two ("5 or 6")."""
    if task.answer_type == "letters":
        return first_letters_in(said)
    if task.answer_type == "items":
        return ", ".join(list_in(LED_IN.sub("", said))) or None
    if task.answer_type == "number":
        return stated_number(said)
    found = set(answers(task, ASIDE.sub("", said))) or set(answers(task, said))
    return found.pop() if len(found) == 1 else None


def stated_number(said: str) -> str | None:
    """The number of a saying; of an equation the side that is worked out ("9 * 2 = 18", "18 = 9 * 2")."""
    without = ASIDE.sub("", said)
    sides = (without if next(numbers(without), None) else said).split("=")
    worked_out = [side for side in sides if len(set(islice(numbers(side), 2))) == 1 and not OPERATION.search(side)]
    result = joined(worked_out[-1] if worked_out else sides[-1])
    found = list(numbers(result)) or list(spelled(result))
    return None if not found or (len(set(found)) > 1 and HEDGED.search(result)) else found[0]
