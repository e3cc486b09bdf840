"""Entries of official items -> the items asked. What leaves the set is told with its reason.

How the files are read stands in sources.py and releases.py; how a question or answer is rewritten for a task stands
here, in one function per task.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl

from codedose.errors import DataError, StudyError
from codedose.keys import fingerprint
from codedose.tables import DROPS, ITEMS
from codedose.tasks.overlaps import asked_elsewhere
from codedose.tasks.readings import normal
from codedose.tasks.releases import Entry
from codedose.tasks.sources import read_entries
from codedose.tasks.task import Task
from codedose.tasks.twins import item_id_of


class Unfit(Exception):
    """An official item that cannot be asked; the text is the reason."""


def official(task: Task, path: Path | str, *, count: int | None, seed_name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(items, drops): `count` official items (all if None), and what left the set with the reason.

    `path` is a file, a folder, or a hub dataset with its commit (sources.py). Of a file with splits the test split
    is taken. Which items are taken depends on their hash and the seed's name, never on their order in the file. A
    question is never taken twice, and one that is also an item of another task belongs to one of them (overlaps.py).
    Raises DataError for a file that is not what it should be, StudyError for a count that it cannot give.
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
            drops.append({"source": entry.source or str(path), "reference": entry.id, "reason": str(reason)})
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
    if other := asked_elsewhere(task.name, entry.question):
        raise Unfit(f"is also an item of {other}, which keeps it")
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


def with_final_answer(entry: Entry) -> Entry:
    """gsm8k: of a worked solution what stands after its last "####"."""
    _, sign, final = entry.answer.rpartition("####")
    return replace(entry, answer=final.strip().replace(",", "")) if sign else entry


CONVERSIONS: dict[str, Callable[[Entry], Entry]] = {
    "asdiv": with_one_number, "prontoqa": with_its_option, "gsm8k": with_final_answer,
}  # fmt: skip


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
