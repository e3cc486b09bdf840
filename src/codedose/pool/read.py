"""Records in the shapes people share conversations in -> one row a conversation, and what could not be read.

ShareGPT, OpenAI messages and Alpaca records flow in. Every record ends in `examples` or, with a
reason, in `drops`; DataError is for files that hold nothing to read.
"""

import hashlib
import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from codedose import tables
from codedose.errors import DataError
from codedose.pool import starter
from codedose.pool.records import Record, files_at, records

Message = dict[str, str]

ROLES = {
    "system": "system",
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "bing": "assistant",
    "bard": "assistant",
}
SHAPES = (
    "a record is {conversations: [{from, value}]} (ShareGPT), {messages: [{role, content}]} (OpenAI) "
    "or {instruction, input, output} (Alpaca)"
)


@dataclass(frozen=True)
class Reading:
    """What was read of a record: its turns, or the reason why there are none."""

    reference: str
    messages: list[Message]
    label: str | None
    problem: str


def read(path: str | Path, *, licence: str, name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The conversations of one source (tables.EXAMPLES), and the records that are none (tables.DROPS).

    `path` is a file, a folder of files, or builtin:starter; positions count on through a folder's
    files. Raises DataError that names the file, the place and the mend when a file is missing,
    empty, damaged, or holds no conversation at all.
    """
    files = starter.files() if str(path) == starter.NAME else files_at(Path(path))
    readings = [reading for file in files for reading in read_file(file)]
    examples = [
        {"conversation_id": reading.reference, "source": name, "licence": licence, "position": position}
        | measured(reading.messages)
        | {"lang": None, "stated_label": reading.label}
        for position, reading in enumerate(readings)
        if not reading.problem
    ]
    drops = [{"source": name, "reference": r.reference, "reason": r.problem} for r in readings if r.problem]
    return tables.EXAMPLES.frame(examples), tables.DROPS.frame(drops)


def read_file(file: Path) -> list[Reading]:
    """Every record of one file, in its order. Raises DataError when none of them is a conversation."""
    readings = [read_record(record) for record in records(file)]
    if not readings:
        raise DataError(f"{file}: is empty; {SHAPES}")
    if all(reading.problem for reading in readings):
        first = readings[0]
        raise DataError(
            f"{file}: none of its {len(readings)} records can be read as a conversation; "
            f"the first ({first.reference}): {first.problem}; {SHAPES}"
        )
    return readings


def read_record(record: Record) -> Reading:
    messages, problem = messages_of(record)
    return Reading(id_of(record.value) or record.place, messages, label_of(record.value), problem)


def detect(record: object) -> str | None:
    """The shape of a record: sharegpt, openai or alpaca; None when it has none of them."""
    if not isinstance(record, Mapping):
        return None
    if any(isinstance(record.get(key), list) for key in ("conversations", "items")):
        return "sharegpt"
    if isinstance(record.get("messages"), list):
        return "openai"
    if "instruction" in record and ("output" in record or "response" in record):
        return "alpaca"
    return None


def messages_of(record: Record) -> tuple[list[Message], str]:
    """The turns of a record with the roles system, user, assistant; or the reason why they cannot be had."""
    if record.problem:
        return [], record.problem
    shape, value = detect(record.value), record.value
    if shape is None or not isinstance(value, Mapping):
        return [], f"is in no known shape ({outline(value)})"
    if shape == "alpaca":
        return alpaca_turns(value)
    turns = next(value[key] for key in ("conversations", "items", "messages") if isinstance(value.get(key), list))
    return chat_turns(turns)


def outline(value: object) -> str:
    """What stands in a record of unknown shape, in few words and ASCII only."""
    if isinstance(value, Mapping):
        return f"its keys: {', '.join(ascii(key)[1:-1] for key in list(value)[:6])}"[:120]
    return f"it is a {type(value).__name__}"


def chat_turns(turns: Sequence[object]) -> tuple[list[Message], str]:
    """Turns given as {from, value} or {role, content}."""
    messages = []
    for turn in turns:
        if not isinstance(turn, Mapping):
            return [], "a turn is not a mapping of role and text"
        role = turn.get("from") or turn.get("role")
        if not isinstance(role, str) or role.lower() not in ROLES:
            return [], f"a turn has the role {ascii(role)[:40]}"
        content = text_of(turn["value"] if turn.get("value") is not None else turn.get("content"))
        if content is None:
            return [], "a turn is not text"
        messages.append({"role": ROLES[role.lower()], "content": content})
    return messages, ""


def alpaca_turns(record: Mapping[str, object]) -> tuple[list[Message], str]:
    """Instruction and input as the request, after the system message and the turns of the history."""
    history = record.get("history") or []
    if not isinstance(history, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in history):
        return [], "its history is not a list of pairs"
    request = [text_of(record["instruction"]), text_of(record.get("input") or "")]
    asked = None if None in request else "\n\n".join(part for part in request if part)
    replied = text_of(record["output"] if "output" in record else record["response"])
    said = [*(text for pair in history for text in map(text_of, pair)), asked, replied]
    system = text_of(record.get("system") or "")
    texts = [text for text in said if text is not None]
    if system is None or len(texts) < len(said):
        return [], "a turn is not text"
    opening = [{"role": "system", "content": system}] if system else []
    return opening + [{"role": ("user", "assistant")[i % 2], "content": text} for i, text in enumerate(texts)], ""


def text_of(value: object) -> str | None:
    """Text, also when given as a list of text parts; None when it is something else."""
    if isinstance(value, list) and value and all(isinstance(part, Mapping) for part in value):
        parts = [part.get("text") for part in value]
        return "\n".join(parts) if all(map(is_text, parts)) else None
    return value if isinstance(value, str) and is_text(value) else None


def is_text(value: object) -> bool:
    """Whether `value` is a string that can be written as UTF-8: no halves of surrogate pairs, no broken bytes."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def id_of(record: object) -> str | None:
    """The name that the source itself gives to a record, if it gives one."""
    value = record.get("id") if isinstance(record, Mapping) else None
    value = str(value) if isinstance(value, int) else value
    return value[:200] if isinstance(value, str) and value.strip() and is_text(value) else None


def label_of(record: object) -> str | None:
    """The class that the source itself gives to a record, where it is one of ours."""
    label = record.get("label") if isinstance(record, Mapping) else None
    return label if isinstance(label, str) and label in tables.LABELS else None


def measured(messages: Sequence[Message]) -> dict[str, object]:
    """The columns of an example that follow from its messages: id, messages, turns (requests), characters."""
    return {
        "example_id": example_id(messages),
        "messages": list(messages),
        "turns": sum(message["role"] == "user" for message in messages),
        "chars": sum(len(message["content"]) for message in messages),
    }


def example_id(messages: Sequence[Message]) -> str:
    """Sixteen hexadecimal digits: equal for conversations that differ only in line ends and trailing space."""
    said = [[message["role"], normalised(message["content"])] for message in messages]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:16]


def normalised(text: str) -> str:
    """Composed Unicode, one kind of line end, no space at the ends; indentation stays, since it is code."""
    lines = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).strip("\n")
