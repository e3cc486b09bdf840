"""One benchmark as a value: where its questions come from, how to ask them, what an answer is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Literal

AnswerType = Literal["number", "letters", "items", "yes_no", "true_false", "word", "pattern"]

LEVELS = (1, 2, 3, 4)

# Of open answers (numbers, letters, lists) none is the answer of more than one in twenty items of a set.
MOST_COMMON = 0.05


@dataclass(frozen=True)
class Problem:
    """One generated question. `cluster` names what it shares with others (a story frame), if anything;
    `worked` holds the steps of a worked solution, such as "12 + 5 = 17"."""

    question: str
    answer: str
    cluster: str | None = None
    worked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Task:
    """One benchmark.

    `source` says where the task comes from and whether the reference study (arXiv 2405.20535) names it.
    `classes` holds, for each of the four levels, the answers among which generated items are balanced;
    an empty tuple means that answers are open. `vocabulary` maps the written forms of a closed
    vocabulary to its words ("mice" to "mouse"). `pattern` is what an answer of the type "pattern" looks
    like (RE2 syntax), with one group that holds it. `solve` answers a question from its text alone and
    shares no code with `generate`; it raises ValueError for a text that it cannot follow.

    A task of one's own has no `generate` but a file of `items` (JSON lines with id, question, answer),
    and perhaps its longest reply in tokens.
    """

    name: str
    domain: str
    source: str
    instruction: str
    answer_format: str
    answer_type: AnswerType
    generate: Callable[[Random, int], Problem] | None = None
    classes: tuple[tuple[str, ...], ...] = ((), (), (), ())
    vocabulary: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    solve: Callable[[str], str] | None = None
    pattern: str = ""
    items: Path | None = None
    max_new_tokens: int | None = None


def prompt_of(task: Task, question: str) -> str:
    """What is asked: the instruction, the answer format and, last because small models heed it most, the question."""
    return asked(question, **words_of(task))


def words_of(task: Task) -> dict[str, str]:
    """The words before a task's questions."""
    return {"instruction": task.instruction, "answer_format": task.answer_format}


def asked(question: str, *, instruction: str, answer_format: str) -> str:
    return f"{instruction} {answer_format}".strip() + f"\n\n{question}"


def chance(task: Task, level: int) -> float:
    """The largest accuracy (0 to 1) that one constant answer can reach on a large generated set."""
    classes = task.classes[level - 1]
    return 1 / len(classes) if classes else MOST_COMMON
