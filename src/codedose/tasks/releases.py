"""Records of the public releases -> entries: question, answer and id as the uniform items have them.

One small function a shape, known by its keys and not by the file's name. The same question gets the same words from
every release of it, so that an item has one name everywhere.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from codedose.errors import DataError

Record = Mapping[str, Any]

LONGEST = 100_000  # characters of a question or an answer; the longest official one has 3,000


@dataclass(frozen=True)
class Entry:
    """One official item as a file tells it."""

    id: str
    question: str
    answer: str
    split: str
    source: str
    place: str  # in its file


def question_and_answer(record: Record) -> tuple[object, object]:
    """GSM8K, coin flip and last letters, and the uniform items: question, answer; perhaps id, split, source."""
    return record["question"], record["answer"]


def final_answer(record: Record) -> tuple[object, object]:
    """MultiArith on the hub: question, final_ans."""
    return record["question"], record["final_ans"]


def equations(record: Record) -> tuple[object, object]:
    """MultiArith.json: iIndex, sQuestion, lEquations, lSolutions."""
    solutions = record["lSolutions"]
    return record["sQuestion"], solutions[0] if isinstance(solutions, list) and len(solutions) == 1 else solutions


def body_and_question(record: Record) -> tuple[object, object]:
    """SVAMP: ID, Body, Question, Equation, Answer, Type. A body without an end mark gets a comma."""
    body, question = text_of(record["Body"]), text_of(record["Question"])
    return f"{body}{'' if body.endswith(('.', '!', '?', ',')) else ','} {question}", record["Answer"]


def problem(record: Record) -> tuple[object, object]:
    """ASDiv: body, question, answer, as elements of its XML or columns of its table."""
    return f"{text_of(record['body'])} {text_of(record['question'])}", record["answer"]


def kinship(record: Record) -> tuple[object, object]:
    """CLUTRR: story with names in brackets, query (whose, who), target_text. The release has no question of its own."""
    people = re.findall(r"\w+", text_of(record["query"]))
    if len(people) != 2:
        raise DataError(f"query should name two people, not {text_of(record['query'])[:60]!r}")
    story = re.sub(r"[\[\]]", "", text_of(record["story"]))
    return f"{story} How is {people[1]} related to {people[0]}?", record["target_text"]


def context_and_question(record: Record) -> tuple[object, object]:
    """PrOntoQA in the selection of Logic-LM: context, question, options ("A) True"), answer ("A")."""
    options = record["options"] if isinstance(record["options"], list) else []
    meant = dict(pair for option in options for pair in re.findall(r"^([A-Z])\) (\w+)$", text_of(option)[:100]))
    answer = text_of(record["answer"])
    return f"{text_of(record['context'])}\n{text_of(record['question'])}", meant.get(answer, answer)


# The keys by which a shape is known, the most particular first.
SHAPES: tuple[tuple[frozenset[str], Callable[[Record], tuple[object, object]]], ...] = (
    (frozenset({"context", "question", "options", "answer"}), context_and_question),
    (frozenset({"Body", "Question", "Answer"}), body_and_question),
    (frozenset({"body", "question", "answer"}), problem),
    (frozenset({"story", "query", "target_text"}), kinship),
    (frozenset({"sQuestion", "lSolutions"}), equations),
    (frozenset({"question", "final_ans"}), final_answer),
    (frozenset({"question", "answer"}), question_and_answer),
)
NAMES = ("id", "ID", "iIndex")
COLUMNS = tuple(dict.fromkeys([key for keys, _ in SHAPES for key in sorted(keys)] + [*NAMES, "split", "task_split"]))
KNOWN = (
    "known are the uniform items (id, question, answer) and the releases of GSM8K, SVAMP, ASDiv, MultiArith, "
    "coin flip, last letters, bAbI, CLUTRR and PrOntoQA"
)


def entry_of(value: object, place: str) -> Entry:
    """The entry that a record tells. DataError, without the file's name, says what it lacks."""
    if not isinstance(value, Mapping):
        raise DataError(f"{place}: is not a JSON object; write {{'id': ..., 'question': ..., 'answer': ...}}")
    record = {key: part for key, part in value.items() if isinstance(key, str)}
    read = next((read for keys, read in SHAPES if keys <= record.keys()), None)
    if read is None:
        if lacking := {"question", "answer"} - record.keys() if "id" in record else set():
            raise DataError(f"{place}: {sorted(lacking)[0]} is missing or empty; give it a text, or remove the line")
        has = ascii(", ".join(list(record)[:8]))[1:-1][:120]
        raise DataError(f"{place}: has the fields {has or 'none'}, which no known release has; {KNOWN}")
    try:
        question, answer = read(record)
    except DataError as what:
        raise DataError(f"{place}: {what}") from None
    name = next((record[name] for name in NAMES if name in record), place)
    split = record.get("split") or record.get("task_split") or ""
    told = {"question": question, "answer": answer, "id": name}
    checked = {key: checked_text(key, part, place) for key, part in told.items()}
    source = record.get("source")
    return Entry(**checked, split=str(split), source=source if isinstance(source, str) else "", place=place)


def checked_text(name: str, value: object, place: str) -> str:
    """The value as text that can be asked; DataError where it is missing, absurdly long, or not Unicode."""
    text = text_of(value)
    if not text:
        raise DataError(f"{place}: {name} is missing or empty; give it a text, or remove the line")
    if len(text) > LONGEST:
        raise DataError(f"{place}: {name} is longer than {LONGEST:,} characters; an item is one question")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DataError(f"{place}: {name} is not UTF-8 text; save the file as UTF-8") from None
    return text


def text_of(value: object) -> str:
    """Text as it is, without blanks around it; whole numbers without ".0"; nothing for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value).strip()


# ---- bAbI, whose files are no records


def babi_entries(lines: Iterator[str]) -> Iterator[Entry]:
    """bAbI's own text: numbered lines, a story from each line 1 on; a question line is question, answer, supports.

    Each question is asked with the story so far. Raises DataError that names the line.
    """
    story: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        count, _, rest = line.rstrip("\r\n").partition(" ")
        if not count.isascii() or not count.isdigit() or not rest.strip():
            raise DataError(f"line {number}: does not begin with its number in the story, as bAbI's lines do")
        if len(count) > 6 or len(story) > LONGEST:
            raise DataError(f"line {number}: belongs to a story that is absurdly long")
        if int(count) == 1:
            story = []
        question, tab, answer = rest.partition("\t")
        if not tab:
            story.append(rest.strip())
            continue
        asked = {"id": f"line {number}", "question": " ".join([*story, question.strip()])}
        yield entry_of({**asked, "answer": answer.partition("\t")[0]}, f"line {number}")
