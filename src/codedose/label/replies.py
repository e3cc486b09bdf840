"""What an endpoint has answered, in a folder: every reply that was paid for is there before the next one is asked.

`labels.jsonl` holds one line per labelled text, `unreadable.jsonl` one per reply that was none of the
classes; removing the latter asks those texts again. Lines are only ever appended, each in one write, so a
kill leaves at most one torn line, which counts as never written.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from codedose.errors import DataError
from codedose.tables import LABELS

LABELLED, UNREADABLE, LOCK = "labels.jsonl", "unreadable.jsonl", "lock"


@dataclass(frozen=True)
class Paid:
    """One reply: the key of the text it is about, its label or (unreadable) its beginning, its tokens.

    `counted` says whether the endpoint counted the tokens itself; otherwise they are an estimate.
    """

    key: str
    label: str | None
    said: str | None
    tokens_in: int
    tokens_out: int
    counted: bool


@dataclass
class Replies:
    """The replies in a folder: `labels` by key, `unreadable` by key, and all of them as `paid`."""

    folder: Path
    labels: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, list[str]] = field(default_factory=dict)
    paid: list[Paid] = field(default_factory=list)

    def keep(self, reply: Paid) -> None:
        """Write one reply, then know it."""
        append(self.folder / (LABELLED if reply.label else UNREADABLE), reply)
        self.know(reply)

    def know(self, reply: Paid) -> None:
        self.paid.append(reply)
        if reply.label:
            self.labels.setdefault(reply.key, reply.label)
        else:
            self.unreadable.setdefault(reply.key, []).append(str(reply.said))


def load(folder: Path) -> Replies:
    """The replies in a folder; none when there is no such folder. Torn and foreign lines are left out."""
    replies = Replies(folder)
    for name in (LABELLED, UNREADABLE):
        for reply in read(folder / name):
            replies.know(reply)
    return replies


@contextmanager
def opened(folder: Path) -> Iterator[Replies]:
    """The replies in a folder, for one writer at a time: another one waits until this one is done."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("a")
    except OSError as problem:
        raise DataError(f"{folder}: cannot keep replies there ({problem.strerror})") from problem
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released with the file, also by a kill
        yield load(folder)


def read(file: Path) -> Iterator[Paid]:
    try:
        lines = file.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    except OSError as problem:
        raise DataError(f"{file}: cannot be read ({problem.strerror})") from problem
    for line in lines:
        reply = parsed(line)
        if reply is not None and (reply.label is not None) == (file.name == LABELLED):
            yield reply


def parsed(line: bytes) -> Paid | None:
    """The reply on a line; None for one that is torn, damaged or something else."""
    try:
        reply = Paid(**json.loads(line))
    except (TypeError, ValueError, RecursionError):
        return None
    tokens = (reply.tokens_in, reply.tokens_out)
    sound = isinstance(reply.key, str) and all(type(count) is int and count >= 0 for count in tokens)
    return reply if sound and (reply.label is None or reply.label in LABELS) else None


def append(file: Path, reply: Paid) -> None:
    """One line more, in one write; begun on a line of its own where a kill has torn the last one."""
    line = json.dumps(vars(reply), sort_keys=True).encode() + b"\n"
    try:
        place = os.open(file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            size = os.fstat(place).st_size
            if size and os.pread(place, 1, size - 1) != b"\n":
                line = b"\n" + line
            if os.write(place, line) != len(line):
                raise OSError(28, "No space left on device")
        finally:
            os.close(place)
    except OSError as problem:
        raise DataError(f"{file}: a reply cannot be written ({problem.strerror}); make room and run again") from problem
