"""Reading an answer from a reply: strict, lenient and forced, and what comes of it.

strict  the stated answer line ("Answer: 18") only, where nothing else that the reply states contradicts it
lenient the last stated answer in any wording, else the last thing of the answer's type
forced  the first thing of the answer's type in what the model wrote after "Therefore, the answer is"
        (the second stage of zero-shot chain of thought, Kojima et al. 2022, arXiv 2205.11916)
"""

import re
from collections.abc import Sequence

from codedose.errors import DataError
from codedose.tables import READINGS
from codedose.tasks.chosen import LIST_GOES_ON, first_answer, first_candidate, last_answer
from codedose.tasks.numerals import SCALES, numbers
from codedose.tasks.plain import plain
from codedose.tasks.statements import Statement, own_part, signs, statements
from codedose.tasks.task import Task

SECOND_THOUGHT = re.compile(
    r"\b(?:wait|actually|correction|correcting|sorry|mistake|oops|hmm|let me (?:re|check|correct)"
    r"|but (?=(?:it|that|this|he|she|really|in fact|actually)\b))"
)
PLACEHOLDER = re.compile(
    r"[<\[][^<>\[\]\n,]{0,40}\b(?:your|answer|number|letters|items|word|colou?r|animal|insert|here)\b[^<>\[\]\n,]{0,40}[>\]]"
)
FORCED_SPAN = 4_000  # characters of a continuation, which is meant to be a few tokens
# A number may go on after these; after another word or a closing sign it is whole.
NUMBER_GOES_ON = re.compile(r"(?:\d[.,]?|[-+/=x×^$€£¥₹(]| \*|\b(?:and|or|to|point))\Z")
PART_OF_SCALE = re.compile(r"\d ([a-z]+)\Z")
WORD_GOES_ON = re.compile(r"[^\s.!)\]}*\"'`]\Z")


def read(task: Task, text: str, reading: str, *, cut: bool = False) -> str | None:
    """The answer in normal form, or None. For forced, `text` is the forced continuation.

    `cut` says that the reply stopped at its token limit: then only a stated answer counts, and not
    one that stands at the very end, where it may itself be cut in two.
    """
    if reading not in READINGS:
        raise ValueError(f"there is no reading {reading!r}; known: {', '.join(READINGS)}")
    if reading == "forced":
        return forced(task, text)
    strict, lenient = strict_and_lenient(task, text, cut=cut)
    return strict if reading == "strict" else lenient


def forced(task: Task, text: str) -> str | None:
    """The first answer of a continuation of "the answer is"."""
    return first_candidate(task, plain(without_placeholders(task, text[:FORCED_SPAN])))


def strict_and_lenient(task: Task, text: str, *, cut: bool) -> tuple[str | None, str | None]:
    """What a reply says under both readings, which look at the same statements."""
    whole = plain(without_placeholders(task, text))
    found = signs(whole)
    reply = own_part(task, whole, found)
    said = statements(task, reply, [sign for sign in found if sign.end <= len(reply)])
    if cut and said and not whole[said[-1].end :].strip(" .") and may_go_on(task, text, reply[said[-1].start :]):
        said = without_the_cut_one(said)
    last = last_said(task, reply, said)
    return agreed(reply, said, last), last or (None if cut else last_answer(task, reply))


def last_said(task: Task, reply: str, said: Sequence[Statement]) -> str | None:
    """The last stated answer; if it is taken back ("wait", "actually"), what comes after that."""
    if not said:
        return None
    rest = reply[said[-1].end :]
    if again := SECOND_THOUGHT.search(rest.lower()):
        return last_answer(task, rest[again.end() :]) or said[-1].answer
    return said[-1].answer


def agreed(reply: str, said: Sequence[Statement], last: str | None) -> str | None:
    """The answer of the answer line, unless the reply states or takes back to another: in a further line, after the
    last line, or flatly before the first ("the answer is 17. Answer: 18") without a second thought in between."""
    lines = [place for place, statement in enumerate(said) if statement.kind == "line"]
    if not lines:
        return None
    first = said[lines[0]]
    before = [
        statement
        for statement in said[: lines[0]]
        if statement.kind == "flat" and not SECOND_THOUGHT.search(reply[statement.end : first.start].lower())
    ]
    counted = [*before, *(said[place] for place in lines), *said[lines[-1] :]]
    return last if {statement.answer for statement in counted} == {last} else None


def without_the_cut_one(said: list[Statement]) -> list[Statement]:
    """The statements before one that was cut, if it was about to repeat them; else the reply has not yet answered."""
    *earlier, last = said
    return earlier if earlier and earlier[-1].answer.startswith(last.answer) else []


def may_go_on(task: Task, text: str, said: str) -> bool:
    """Whether a reply that was cut here may have been cut within `said`, its last answer."""
    match task.answer_type:
        case "yes_no" | "true_false":
            return False
        case "number" if next(numbers(said), None):
            part = PART_OF_SCALE.search(said.lower())
            scale = part is not None and any(name.startswith(part[1]) for name in SCALES)
            return bool(NUMBER_GOES_ON.search(text[-9:])) or (scale and not text[-1:].isspace())
        case "items" if LIST_GOES_ON.match(said):
            return not text.endswith("\n\n")
    return bool(WORD_GOES_ON.search(text[-1:]))


def without_placeholders(task: Task, text: str) -> str:
    """A reply that repeats the format ("Answer: <number>") has not answered."""
    for placeholder in re.findall(r"<[^<>]+>", task.answer_format):
        text = text.replace(placeholder, " ")
    return PLACEHOLDER.sub(" ", text)


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
    """A gold answer in normal form; DataError if it is not of the task's type.

    GSM8K's own golds hold the worked solution: what follows its #### is the answer.
    """
    said = plain(answer.rpartition("####")[2])
    found = first_answer(task, said)
    if found is None or (task.answer_type == "number" and len(set(numbers(f"is {said}"))) > 1):
        several = "" if found is None else "; it holds several numbers"
        raise DataError(
            f"{answer!r} is no answer of the task {task.name!r}, whose answers are of type {task.answer_type}{several}"
        )
    return found
