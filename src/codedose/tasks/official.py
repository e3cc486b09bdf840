"""Official items, read from local files as their authors left them: one JSON object per line, gzip or plain.

Each line holds id, question and answer, and may hold split and source. What leaves the set is told
with its reason; how a question or answer is rewritten stands in one function per task.
"""

import gzip
import json
import re
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from codedose.errors import DataError, StudyError
from codedose.keys import fingerprint
from codedose.tables import DROPS, ITEMS
from codedose.tasks.readings import normal
from codedose.tasks.task import Task
from codedose.tasks.twins import item_id_of

LONGEST_LINE = 1_000_000  # characters


@dataclass(frozen=True)
class Entry:
    """One line of a file of official items."""

    id: str
    question: str
    answer: str
    split: str
    source: str


class Unfit(Exception):
    """An official item that cannot be asked; the text is the reason."""


def official(task: Task, path: Path, *, count: int | None, seed_name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(items, drops): `count` official items (all if None), and what left the set with the reason.

    Of a file with splits the test split is taken. Which items are taken depends on their hash and the
    seed's name, never on their order in the file. A question is never taken twice. Raises DataError
    for a file that is not what it should be, StudyError for a count that it cannot give.
    """
    entries = read_entries(path)
    has_test = any(entry.split == "test" for entry in entries)
    kept: dict[str, dict[str, object]] = {}
    drops: list[dict[str, str]] = []
    for entry in entries:
        try:
            if has_test and entry.split != "test":
                raise Unfit("not in the test split")
            item = item_of(task, entry)
            if item["item_id"] in kept:
                raise Unfit("asks the same as an earlier item")
            kept[str(item["item_id"])] = item
        except Unfit as reason:
            drops.append({"source": entry.source, "reference": entry.id, "reason": str(reason)})
    line = sorted(kept, key=lambda item_id: fingerprint("official", seed_name, item_id))
    if count is not None and count > len(line):
        raise StudyError(
            f"{path}: has {len(line)} usable items of the task {task.name!r}, {count - len(line)} fewer than the "
            f"{count} asked for; ask for at most {len(line)}"
        )
    return ITEMS.frame([kept[item_id] for item_id in line[:count]]), DROPS.frame(drops)


def item_of(task: Task, entry: Entry) -> dict[str, object]:
    """The item of one entry; raises Unfit with the reason why there is none."""
    entry = CONVERSIONS.get(task.name, as_it_is)(entry)
    check_gold(task, entry)
    item_id = item_id_of(task, entry.question)
    return {
        "item_id": item_id,
        "task": task.name,
        "domain": task.domain,
        "origin": "official",
        "level": None,
        "cluster": cluster_of(task, entry.question) or item_id,
        "question": entry.question,
        "answer": entry.answer,
    }


def check_gold(task: Task, entry: Entry) -> None:
    """Raises Unfit for a gold of another type, and for one that the solver, if it can follow the question, refutes."""
    try:
        gold = normal(task, entry.answer)
    except DataError:
        raise Unfit(f"the answer is not of type {task.answer_type}: {entry.answer[:60]!r}") from None
    try:
        solved = normal(task, task.solve(entry.question)) if task.solve else gold
    except ValueError:
        return
    if solved != gold:
        raise Unfit(f"the gold is wrong: it says {gold!r}, the question's answer is {solved!r}")


def as_it_is(entry: Entry) -> Entry:
    return entry


def with_one_number(entry: Entry) -> Entry:
    """asdiv: one number with its unit in brackets; the unit goes."""
    found = re.fullmatch(r"\s*(-?\d[\d,]*(?:\.\d+)?(?:/\d+)?)\s*(?:\([^()]*\))?\s*", entry.answer)
    if not found:
        raise Unfit(f"the answer is not one number: {entry.answer[:60]!r}")
    return replace(entry, answer=found[1])


def with_its_option(entry: Entry) -> Entry:
    """prontoqa: the letter becomes what it stands for, and the list of options goes."""
    question, _, options = entry.question.partition("\nOptions:")
    meant = dict(re.findall(r"^([A-Z])\) (\w+)", options, re.MULTILINE))
    return replace(entry, question=question, answer=meant.get(entry.answer, entry.answer))


CONVERSIONS: dict[str, Callable[[Entry], Entry]] = {"asdiv": with_one_number, "prontoqa": with_its_option}


def story_of(question: str) -> str:
    """Everything before the closing question."""
    sentences = re.split(r"(?<=[.!?])\s+", question.strip())
    return " ".join(sentences[:-1]) or question


def body_of(question: str) -> str:
    """svamp: what stands before the question proper, with its numbers masked; variations share it."""
    body, _, _ = question.rpartition(", How")
    return template_of(body or story_of(question))


def template_of(question: str) -> str:
    return re.sub(r"\d[\d,.]*\d|\d", "#", question.casefold())


CLUSTERS: dict[str, Callable[[str], str]] = {
    "babi_deductive": story_of,
    "babi_inductive": story_of,
    "svamp": body_of,
    "gsm8k": template_of,
    "asdiv": template_of,
    "multiarith": template_of,
}


def cluster_of(task: Task, question: str) -> str | None:
    """The name of what the official item shares with others of its task; None where it shares nothing."""
    shared = CLUSTERS.get(task.name)
    return f"{task.name}-{fingerprint(shared(question))}" if shared else None


def read_entries(path: Path) -> list[Entry]:
    """Every line of the file; DataError names the file, the line, and the mend."""
    entries: list[Entry] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines_of(path), 1):
        if not line.strip():
            continue
        entry = entry_of(line, f"{path}: line {number}")
        if entry.id in seen:
            raise DataError(
                f"{path}: line {number}: the id {entry.id!r} stands already in line {seen[entry.id]}; rename one"
            )
        seen[entry.id] = number
        entries.append(entry)
    if not entries:
        raise DataError(f"{path}: holds no items; it should hold one JSON object per line: id, question, answer")
    return entries


def lines_of(path: Path) -> list[str]:
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file of official items") from None
    except (OSError, EOFError, zlib.error) as problem:
        raise DataError(f"{path}: cannot be read ({problem}); fetch it again") from problem
    except UnicodeDecodeError as problem:
        raise DataError(f"{path}: is not UTF-8 text ({problem}); save it as UTF-8") from problem
    return text.split("\n")


def entry_of(line: str, place: str) -> Entry:
    if len(line) > LONGEST_LINE:
        raise DataError(f"{place}: is longer than {LONGEST_LINE:,} characters; an item is one question")
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as problem:
        raise DataError(f"{place}: is not JSON ({problem}); mend or remove the line") from problem
    if not isinstance(fields, dict):
        raise DataError(f"{place}: is not a JSON object; write {{'id': ..., 'question': ..., 'answer': ...}}")
    for name in ("id", "question", "answer"):
        value = fields.get(name)
        if not isinstance(value, str | int | float) or isinstance(value, bool) or not str(value).strip():
            raise DataError(f"{place}: {name} is missing or empty; give it a text, or remove the line")
    split, source = (str(fields.get(name) or "") for name in ("split", "source"))
    return Entry(str(fields["id"]), str(fields["question"]), str(fields["answer"]), split, source)
