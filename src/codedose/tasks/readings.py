"""Reading an answer from a reply: strict, lenient and forced, and what comes of it.

strict  the stated answer line ("Answer: 18") only
lenient the last stated answer in any wording, else the last thing of the answer's type
forced  the first thing of the answer's type in what the model wrote after "Therefore, the answer is"
        (the second stage of zero-shot chain of thought, Kojima et al. 2022, arXiv 2205.11916)
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from codedose.errors import DataError
from codedose.tables import READINGS
from codedose.tasks.answers import (
    first_letters_in,
    letters,
    list_in,
    listed_words,
    lists,
    numbers,
    spelled,
    true_or_false,
    yes_or_no,
)
from codedose.tasks.plain import BOX, UNBOX, plain
from codedose.tasks.task import Task

ANSWER_LINE = re.compile(
    r"^[ >#*_•(\[-]{0,12}(?:(?:the|my|final|correct) ){0,2}answer(?: is)?[ *_]{0,3}[:=]", re.MULTILINE | re.IGNORECASE
)
STATED = re.compile(
    r"\banswer\b[^.\n:=]{0,60}?(?:\b(?:is|are|was|equals)\b(?! not\b)|\b(?:would|will|should|must) be\b|[:=])"
    rf"|####|{BOX}",
    re.IGNORECASE,
)
SECOND_THOUGHT = re.compile(
    r"\b(?:wait|actually|correction|correcting|sorry|mistake|oops|hmm|let me (?:re|check|correct))", re.IGNORECASE
)
NEXT_QUESTION = re.compile(
    r"\n(?:(?:Question|Q|Problem|User|Human|Instruction|### ?\w{1,20})(?: ?\d{0,4}):|<\|\w{1,20}\|>)", re.IGNORECASE
)
ASIDE = re.compile(r"\([^()]{0,200}\)")
LED_IN = re.compile(r"^[^\n]*(?:\b(?:is|are|be)\b:?|:) ?(?=[^\n])", re.IGNORECASE)
LIST_END = re.compile(rf"\n|{UNBOX}")
LIST_GOES_ON = re.compile(r"[^\n]{0,200}\n(?:\(?\d{1,3}[.):]|[-*•+]) ?\S|(?:\(?1[.):]|[-*•+]) ")
HEDGED = re.compile(r"\d ?(?:or|and|to|;|,|\+|\*|x|×|-|/ ) ?[-$€£]?\d", re.IGNORECASE)
SENTENCE_END = re.compile(rf"[.!?](?=[\s\"')]|$)|\n|{UNBOX}")


SPAN = 400  # characters after "Answer:" in which the answer must stand; lists may be longer
LIST_SPAN = 4_000
TAIL = 1_000  # characters in which the last answer is looked for first
MOST_STATEMENTS = 40  # of a reply that states and states, the last ones count


@dataclass(frozen=True)
class Statement:
    """An answer that a reply states, and the place where the saying of it ends."""

    answer: str
    end: int


def read(task: Task, text: str, reading: str, *, cut: bool = False) -> str | None:
    """The answer in normal form, or None. For forced, `text` is the forced continuation.

    `cut` says that the reply stopped at its token limit: then only a stated answer counts, and not
    one that stands at the very end, where it may itself be cut in two.
    """
    reply = plain(without_placeholders(task, text))
    if reading == "forced":
        return first_answer(task, reply)
    whole, reply = reply, own_part(task, reply)
    said = statements(task, reply, ANSWER_LINE if reading == "strict" else STATED)
    if cut and said and said[-1].end == len(whole) and may_go_on(task, text):
        said = said[:-1]
    if reading == "strict":
        return agreed(task, reply, said)
    if reading == "lenient":
        return last_said(task, reply, said) or (None if cut else last_answer(task, reply))
    raise ValueError(f"there is no reading {reading!r}; known: {', '.join(READINGS)}")


def outcome(task: Task, *, text: str, forced_text: str | None, finish: str, answer: str, reading: str) -> str:
    """right, wrong, no_answer or truncated, against the gold `answer`.

    Raises DataError if `answer` is not of the task's type.
    """
    cut = finish == "length" and reading != "forced"
    found = read(task, (forced_text or "") if reading == "forced" else text, reading, cut=cut)
    return verdict(found, normal(task, answer), cut=cut)


def verdict(found: str | None, gold: str, *, cut: bool) -> str:
    if found is None:
        return "truncated" if cut else "no_answer"
    return "right" if found == gold else "wrong"


def normal(task: Task, answer: str) -> str:
    """A gold answer in normal form; DataError if it is not of the task's type."""
    found = first_answer(task, plain(answer))
    if found is None:
        raise DataError(
            f"{answer!r} is no answer of the task {task.name!r}, whose answers are of type {task.answer_type}"
        )
    return found


def without_placeholders(task: Task, text: str) -> str:
    """A reply that repeats the format ("Answer: <number>") has not answered."""
    for placeholder in re.findall(r"<[^<>]+>", task.answer_format):
        text = text.replace(placeholder, " ")
    return text


def own_part(task: Task, reply: str) -> str:
    """The reply up to where the model, having answered, goes on to ask itself the next question."""
    marks = [found.start() for found in NEXT_QUESTION.finditer(reply)]
    if not marks:
        return reply
    said = statements(task, reply[: marks[-1]], STATED, first=True)
    return reply[: next((mark for mark in marks if said and mark >= said[0].end), len(reply))]


def agreed(task: Task, reply: str, said: list[Statement]) -> str | None:
    """The one answer of all answer lines, unless something else is stated, or it is taken back, after the last."""
    if not said:
        return None
    later = statements(task, reply[said[-1].end :], STATED)
    answers = {statement.answer for statement in [*said, *later]}
    return said[-1].answer if answers == {last_said(task, reply, said)} else None


def last_said(task: Task, reply: str, said: list[Statement]) -> str | None:
    """The last stated answer; if it is taken back ("wait", "actually"), what comes after that."""
    if not said:
        return None
    rest = reply[said[-1].end :]
    if again := SECOND_THOUGHT.search(rest):
        return last_answer(task, rest[again.end() :]) or said[-1].answer
    return said[-1].answer


def may_go_on(task: Task, text: str) -> bool:
    """Whether a reply that was cut here may have been cut within its answer."""
    return task.answer_type not in ("yes_no", "true_false") and bool(re.search(r"[^\s.!)\]}*\"'`]$", text[-1:]))


def statements(task: Task, reply: str, pattern: re.Pattern[str], *, first: bool = False) -> list[Statement]:
    """The answers stated after each `pattern`, in order; sayings without one answer are left out."""
    found = list(pattern.finditer(reply))
    found = found[:MOST_STATEMENTS] if first else found[-MOST_STATEMENTS:]
    said = []
    for match in found:
        start, end = saying(task, reply, match.end())
        if answer := stated_answer(task, reply[start:end]):
            said.append(Statement(answer, end))
    return said


def saying(task: Task, reply: str, start: int) -> tuple[int, int]:
    """Where the text of a stated answer begins and ends: the rest of its line, or the next lines if that is empty."""
    listed = task.answer_type == "items"
    limit = min(len(reply), start + (LIST_SPAN if listed else SPAN))
    while start < limit and not reply[start].isalnum() and reply[start] not in "-+$.([{<\"'":
        start += 1
    stop = LIST_END if listed else SENTENCE_END
    found = stop.search(reply, start, limit)
    if listed and found and found[0] == "\n" and not LIST_GOES_ON.match(reply, start):
        return start, found.start()
    if listed:
        found = re.compile(rf"\n\n|{UNBOX}").search(reply, start, limit)
    return start, found.start() if found else limit


def stated_answer(task: Task, said: str) -> str | None:
    """The answer that a saying gives; None if it gives none, or hedges between two ("5 or 6")."""
    if task.answer_type == "letters":
        return first_letters_in(said)
    if task.answer_type == "items":
        return ", ".join(list_in(LED_IN.sub("", said))) or None
    if task.answer_type != "number":
        found = list(answers(task, said))
        return found[0] if len(set(found)) == 1 else None
    result = ASIDE.sub("", said).rpartition("=")[2]
    result = result if next(numbers(result), None) else said
    found = list(numbers(result)) or list(spelled(result))
    return None if not found or (len(set(found)) > 1 and HEDGED.search(result)) else found[0]


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


def last_answer(task: Task, text: str) -> str | None:
    """The last thing of the task's answer type; looked for at the end first, which is where it nearly always is."""
    end = text[-TAIL:].partition(" ")[2] if len(text) > TAIL else ""
    return next((found[-1] for part in (end, text) if part and (found := list(answers(task, part)))), None)


def first_answer(task: Task, text: str) -> str | None:
    """The first thing of the task's answer type, in a text that is meant to be an answer."""
    repeated = ANSWER_LINE.match(text)
    text = text[repeated.end() if repeated else 0 :].replace(BOX, " ").replace(UNBOX, " ").strip()
    line = text.partition("\n")[0]
    if task.answer_type == "letters":
        return first_letters_in(line)
    if task.answer_type == "items":
        parts = [text] if LIST_GOES_ON.match(text) else [line, text]
        return next((", ".join(items) for part in parts if (items := list_in(LED_IN.sub("", part)))), None)
    text = f"is {text}"  # it goes on from "the answer is", so "18. Then" is no list number and "no longer" no answer
    found = next(answers(task, text), None)
    return next(spelled(text), None) if found is None and task.answer_type == "number" else found


FENCE = re.compile(r"^ {0,3}(?:```|~~~)[ \t]*([\w+#.-]{0,20})", re.MULTILINE)
LANGUAGES = frozenset("python py python3 java javascript js typescript ts c cpp c++ c# cs go rust ruby php sql".split())
CODE_LINE = re.compile(
    r"""^[ \t]{0,40}(?:
        (?:def|class)[ ]\w{1,60}[ ]?[(:]  |  (?:from[ ][\w.]{1,60}[ ])?import[ ]\w  |  [#]include\b
      | return\b[^\n]{0,200}[;)\]\w]$  |  (?:for|while|if|elif)[ ][^\n]{1,200}:$
      | (?:public|private|static)[ ]\w{1,60}[ (]  |  (?:let|var|const)[ ]\w{1,60}[ ]?=  |  function[ ]\w{1,60}\(
      | [a-z_]\w{0,40}(?:\[[^\]\n]{1,40}\])?[ ]?[-+*/]?=[ ]?[^=\n]{1,200};?$   # total = 3 * 5
      | [a-zA-Z_][\w.]{0,60}\([^()\n]{0,100}\);?$                          # print(total)
    )""",
    re.MULTILINE | re.VERBOSE,
)
# "x = 18" may stand in any worked solution: among such lines one must be more.
CODE_WORD = re.compile(
    r"(?:def|class|from|import|print|return|for|while|public|private|static|let|var|const|function)\b|[#]include|.*[);]$"
)


def in_code(text: str) -> bool:
    """Whether the reply answers by writing a program: a fenced block in a programming language,
    or at least two lines that read as code. Nothing is executed."""
    if any(fence[1].lower() in LANGUAGES for fence in FENCE.finditer(text)):
        return True
    lines = [line[0].strip() for line in islice(CODE_LINE.finditer(text), 200)]
    return len(lines) > 1 and any(CODE_WORD.match(line) for line in lines)
