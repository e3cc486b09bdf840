"""Tasks of one's own: a task file and its items -> a Task and a table, and a Task as plain values that can travel.

Steps run in processes of their own, so what they need of such a task goes there as values.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import BeforeValidator, Field, model_validator

from codedose.errors import DataError, StudyError
from codedose.keys import fingerprint
from codedose.stated import file_text, stated
from codedose.study import Count, Name, Strict
from codedose.tables import ITEMS
from codedose.tasks import TASKS
from codedose.tasks.pattern import compiled
from codedose.tasks.readings import normal
from codedose.tasks.sources import read_entries
from codedose.tasks.task import Task

KIND, MEND = "task", "; docs/task.md has an example of one"
Word = Annotated[str, Field(min_length=1, max_length=60, pattern=r"^\w(?:.*\w)?$")]
Text = Annotated[str, Field(max_length=4_000)]


def as_mapping(given: object) -> object:
    """A list of words as a mapping of each to itself; anything else as it is."""
    if isinstance(given, list) and all(isinstance(word, str) for word in given):
        return {word: word for word in given}
    return given


class TaskFile(Strict):
    """A task of one's own, as its file states it."""

    name: Name
    domain: Name = Field(description="symbolic, logical, arithmetic, or a domain of your own")
    source: Annotated[str, Field(min_length=1)] = Field(description="where its questions come from")
    instruction: Annotated[Text, Field(min_length=1)]
    answer_format: Text = Field(description="one sentence that asks for a line 'Answer: ...'")
    answer: Literal["number", "letters", "items", "yes_no", "true_false", "word", "pattern"]
    vocabulary: Annotated[dict[Word, Word] | None, BeforeValidator(as_mapping)] = Field(
        default=None, description="where answer is word: the words, or a mapping of written forms to words"
    )
    pattern: str | None = Field(default=None, description="where answer is pattern: what an answer looks like")
    items: Annotated[str, Field(min_length=1)] = Field(
        description="JSON lines with id, question and answer; relative to the task file"
    )
    max_new_tokens: Count

    @model_validator(mode="after")
    def says_what_an_answer_is(self) -> "TaskFile":
        if (self.answer == "word") != bool(self.vocabulary):
            raise ValueError("vocabulary must list the words where answer is word, and be left out elsewhere")
        if (self.answer == "pattern") != (self.pattern is not None):
            raise ValueError("pattern must say what an answer looks like where answer is pattern, and else be left out")
        if self.pattern is not None:
            try:
                compiled(self.pattern)
            except ValueError as problem:
                raise ValueError(f"pattern {problem}") from problem
        return self


def read_task(path: Path) -> Task:
    """The task in a YAML file. StudyError: file, line, what is wrong, what would be right."""
    told = stated(file_text(path, KIND, MEND), str(path), TaskFile, KIND, MEND)
    task = Task(
        name=told.name,
        domain=told.domain,
        source=told.source,
        instruction=told.instruction,
        answer_format=told.answer_format,
        answer_type=told.answer,
        vocabulary=MappingProxyType({form.lower(): word.lower() for form, word in (told.vocabulary or {}).items()}),
        pattern=told.pattern or "",
        items=path.parent / told.items,
        max_new_tokens=told.max_new_tokens,
    )
    refuse_unfit(task, str(path))
    return task


def refuse_unfit(task: Task, place: str) -> None:
    """StudyError for a task that cannot be one's own; `place` is how the error calls it."""
    if task.name in (built_in.name for built_in in TASKS):
        raise StudyError(f"{place}: {task.name!r} is the name of a built-in task; give yours another")
    if task.items is None:
        raise StudyError(f"{place}: the task {task.name!r} has no items file; name one")
    if task.answer_type == "pattern":
        try:
            compiled(task.pattern)
        except ValueError as problem:
            raise StudyError(f"{place}: the pattern of {task.name!r} {problem}") from problem


def own_items(path: Path, *, task: str, domain: str, count: int | None, seed_name: str) -> pl.DataFrame:
    """`count` items of one's own (all if None) from a file; which, belongs to their hashes and the seed's name.

    Raises DataError for a file that is not what it should be, or that asks one question twice; StudyError for a
    count that it cannot give.
    """
    kept: dict[str, dict[str, object]] = {}
    for entry in read_entries(path):
        item_id = f"{task}-{fingerprint(entry.question)}"
        if item_id in kept:
            raise DataError(f"{path}: the item {entry.id!r} asks the same as an earlier one; remove one of them")
        known = {"item_id": item_id, "cluster": item_id, "task": task, "domain": domain, "origin": "own"}
        kept[item_id] = {**known, "level": None, "question": entry.question, "answer": entry.answer}
    if count is not None and count > len(kept):
        raise StudyError(
            f"{path}: has {len(kept)} items, fewer than the {count} asked for; ask for at most {len(kept)}"
        )
    line = sorted(kept, key=lambda item_id: fingerprint("own", seed_name, item_id))
    return ITEMS.frame([kept[item_id] for item_id in line[:count]])


def refuse_unreadable(task: Task, items: pl.DataFrame, *, count: int) -> None:
    """What asking `count` of all its items would meet: StudyError for too few, DataError for a gold of another type."""
    if count > len(items):
        raise StudyError(
            f"{task.items}: has {len(items)} items of the task {task.name!r}, {count - len(items)} fewer than the "
            f"{count} asked for; ask for at most {len(items)}"
        )
    for question, answer in items.select("question", "answer").iter_rows():
        try:
            normal(task, answer)
        except DataError as problem:
            raise DataError(f"{task.items}: {problem}, in {question[:60]!r}; mend it, or the task's answer") from None


def values_of(task: Task) -> dict[str, Any]:
    """What reading replies to a task of one's own needs to know of it, as plain values."""
    return {
        "name": task.name,
        "answer_format": task.answer_format,
        "answer_type": task.answer_type,
        "vocabulary": dict(task.vocabulary),
        "pattern": task.pattern,
    }


def task_of(values: Mapping[str, Any]) -> Task:
    """The task of such values; what only asking it would need is empty."""
    task = Task(domain="", source="", instruction="", **values)
    return replace(task, vocabulary=MappingProxyType(task.vocabulary))
