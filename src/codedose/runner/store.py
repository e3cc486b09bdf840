"""The store: one folder per finished step. Its record, created exclusively and last, is the only truth of done."""

import json
import secrets
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from codedose.errors import DataError
from codedose.runner import lease
from codedose.runner.lease import Lease
from codedose.runner.record import Record, parsed, refuse_outside, split
from codedose.runner.step import Step

SCRATCH = "scratch"  # what unfinished steps keep for their next try
LOGS = "logs"
NOTES = ("leases", "studies", SCRATCH, LOGS)  # beside the folders of steps
KEPT = timedelta(days=7)  # what no study needs waits this long in the trash


@dataclass(frozen=True)
class Trouble:
    """What `verify` found wrong with a finished step: which file, and how."""

    folder: str
    file: str
    what: str


class Store(ABC):
    """Finished steps, on a disk or behind a URL; a backend says how files and small notes are kept there.

    `url` names it on every machine; `root` is the folder of this machine in which its steps lie: the store itself on
    a disk, else copies of what was fetched. Names of notes and folders are relative and use /.
    """

    url: str
    root: Path

    def __str__(self) -> str:
        return self.url

    def is_done(self, step: Step) -> bool:
        """Whether the step's record is there."""
        return self.record_bytes(step.folder) is not None

    def is_whole(self, step: Step) -> bool:
        """Whether the step is done and its perishable part has not been freed."""
        return self.is_done(step) and (step.perishable is None or self.has_part(step.folder))

    def record(self, folder: str) -> Record:
        """What was recorded when the step was done; DataError where it was not, or the record cannot be read."""
        data = self.record_bytes(folder)
        if data is None:
            raise DataError(f"{self}/{folder}: is not done")
        return parsed(data, f"{self}/{folder}")

    def records(self, folders: Iterable[str]) -> dict[str, Record]:
        """The records of those of these steps that are done."""
        found = self.records_bytes(folders)
        return {folder: parsed(data, f"{self}/{folder}") for folder, data in found.items()}

    def records_bytes(self, folders: Iterable[str]) -> dict[str, bytes]:
        """The records, as they were written, of those of these steps that are done."""
        found = {folder: self.record_bytes(folder) for folder in folders}
        return {folder: data for folder, data in found.items() if data is not None}

    # Small notes: leases, studies

    @abstractmethod
    def read(self, name: str) -> bytes | None:
        """The bytes of a note; None where there is none."""

    @abstractmethod
    def write(self, name: str, data: bytes) -> None:
        """Write a note, whole or not at all, in the place of an older one."""

    @abstractmethod
    def create(self, name: str, data: bytes) -> bool:
        """Write a note that nobody has written yet; False where somebody has. Of many at once exactly one wins."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a note, if it is there."""

    @abstractmethod
    def names(self, under: str) -> list[str]:
        """The notes below a folder, sorted."""

    # Steps

    @abstractmethod
    def prepare(self) -> None:
        """Make the store ready to be written, or raise StudyError; sweep away what killed attempts left."""

    @abstractmethod
    def finished(self) -> frozenset[str]:
        """The folders of all finished steps."""

    @abstractmethod
    def record_bytes(self, folder: str) -> bytes | None:
        """The record of a step as it was written; None where the step is not done."""

    def has_part(self, folder: str) -> bool:
        """Whether the perishable part of a finished step is there."""
        record = self.record(folder)
        return record.get("perishable") is not None and self.holds_part(folder, record)

    @abstractmethod
    def holds_part(self, folder: str, record: Record) -> bool:
        """Whether the perishable part is there of the attempt that a record names."""

    @abstractmethod
    def here(self, folder: str, *, part: bool = False) -> Path:
        """A folder of this machine with a finished step's files, beside the records of all that it rests on.

        With its perishable part where `part` says so. Raises Lacking where the step, or that part, is not there, and
        DataError for files that are not what the record says.
        """

    def all_here(self, folders: Sequence[str], parts: Collection[str] = ()) -> list[Path]:
        """`here` of each folder, in their order, with the perishable part of those that `parts` names."""
        return [self.here(folder, part=folder in parts) for folder in folders]

    @abstractmethod
    def draft(self, folder: str, attempt: str) -> AbstractContextManager[Path]:
        """An empty folder for an attempt to write in; gone afterwards, unless it was committed."""

    @abstractmethod
    def scratch(self, folder: str) -> AbstractContextManager[Path]:
        """A folder of this machine with what earlier attempts at a step have kept, and which outlives this one."""

    @abstractmethod
    def shared(self, name: str) -> AbstractContextManager[Path]:
        """A folder of this machine to which many steps add, and which outlives them all."""

    @abstractmethod
    def commit(self, folder: str, draft: Path, record: Record) -> bool:
        """Make a draft the step's result, its record last; False where another attempt came first, which stands.

        A result whose perishable part was freed is replaced.
        """

    @abstractmethod
    def release(self, step: Step) -> int:
        """Free a finished step's perishable part; returns the bytes freed."""

    @abstractmethod
    def keep_log(self, folder: str) -> None:
        """Keep what was written to `log(folder)` where the store is."""

    def log(self, folder: str) -> Path:
        """The file of this machine in which an attempt at a step writes what it says."""
        return self.root / LOGS / f"{folder}.log"

    # Who is at work, and on what

    def leases(self) -> list[Lease]:
        """Those who hold a step and have lately given a sign of life."""
        found = (lease.read(self.read(name)) for name in self.names("leases"))
        return [each for each in found if each is not None and each.is_alive]

    def remember(self, study: str, steps: Sequence[Step]) -> None:
        """Note which folders a study reaches, in its order, so that `gc` and `status` know."""
        self.note_study(study, list(dict.fromkeys(step.folder for step in steps)))

    def note_study(self, study: str, folders: Sequence[str]) -> None:
        data = (json.dumps(list(folders), indent=1) + "\n").encode()
        if self.read(f"studies/{study}.json") != data:
            self.write(f"studies/{study}.json", data)

    def studies(self) -> dict[str, list[str]]:
        """By study the folders that it reaches, the report last. DataError for a note that cannot be read."""
        found = {}
        for name in self.names("studies"):
            try:
                folders = [str(folder) for folder in json.loads(self.read(name) or b"")]
                refuse_outside((), folders)
                found[Path(name).stem] = folders
            except (ValueError, TypeError):
                raise DataError(
                    f"{self}/{name}: cannot be read; run its study again, or remove that file if it is no longer wanted"
                ) from None
        return found

    def reached(self) -> set[str]:
        """The folders that the remembered studies reach."""
        return {folder for folders in self.studies().values() for folder in folders}

    # What nobody needs

    @abstractmethod
    def unfinished(self) -> list[str]:
        """The folders of unfinished steps for which something is kept in scratch."""

    @abstractmethod
    def delete(self, folder: str) -> int:
        """Delete a step's files, whatever is there, and what it kept in scratch; returns the bytes freed."""

    @abstractmethod
    def set_aside(self, folder: str, when: datetime) -> None:
        """Put a finished step into the trash: it is no longer done, and its files stay."""

    def bring_back(self, folder: str) -> bool:
        """Take a step out of the trash; False where it is not in it, or its files are not what was written."""
        data = self.trashed(folder)
        if data is None:
            return False
        sound = self.is_intact(folder, data)
        self.take_out(folder, data if sound else None)
        return sound

    @abstractmethod
    def trashed(self, folder: str) -> bytes | None:
        """The record of a step in the trash, empty for one that was not finished; None where it is not in it."""

    @abstractmethod
    def take_out(self, folder: str, record: bytes | None) -> None:
        """Take a step out of the trash: done again with its `record`, not done without one."""

    @abstractmethod
    def trash(self) -> dict[str, datetime]:
        """What is in the trash, since when."""

    def unreached(self) -> list[str]:
        """Finished steps, and unfinished ones that have kept something, that no remembered study reaches."""
        return sorted({*self.finished(), *self.unfinished()} - self.reached() - set(self.trash()))

    def discard(self, folders: Iterable[str], now: datetime) -> None:
        """Put steps that nobody is at into the trash."""
        busy = {each.folder for each in self.leases()}
        for folder in folders:
            if folder not in busy:
                self.set_aside(folder, now)

    def empty(self, now: datetime, kept: timedelta = KEPT) -> int:
        """Delete what has been in the trash for as long as `kept`, unless a study reaches it again; the bytes freed."""
        wanted = self.reached()
        due = [folder for folder, since in self.trash().items() if now - since >= kept and folder not in wanted]
        return sum(self.delete(folder) for folder in due)

    # Whether it is sound

    @abstractmethod
    def sizes(self, folder: str, record: Record) -> Mapping[str, int]:
        """The files of a step's record that are there, with their sizes in bytes."""

    @abstractmethod
    def digest(self, folder: str, record: Record, name: str) -> str:
        """SHA-256 of a file of a step, in hexadecimal."""

    def troubles(
        self, folder: str, record: Record, files: Mapping[str, Mapping[str, Any]], *, contents: bool
    ) -> Iterator[Trouble]:
        """What is wrong with these files of a step's record: missing, of another size, of another SHA-256."""
        sizes = self.sizes(folder, record)
        for name, known in files.items():
            if name not in sizes:
                yield Trouble(folder, name, "is missing")
            elif sizes[name] != known["size"]:
                yield Trouble(folder, name, f"has {sizes[name]:,} bytes instead of {known['size']:,}")
            elif contents and self.digest(folder, record, name) != known["sha256"]:
                yield Trouble(folder, name, "has other contents than when it was written (SHA-256)")

    def checked(self, folder: str, record: Record, *, contents: bool) -> list[Trouble]:
        always, part = split(record)
        there = part if part and self.holds_part(folder, record) else {}
        return list(self.troubles(folder, record, {**always, **there}, contents=contents))

    def is_intact(self, folder: str, record: bytes) -> bool:
        """Whether a step's files are what its record says."""
        try:
            return not self.checked(folder, parsed(record, f"{self}/{folder}"), contents=True)
        except DataError:
            return False

    def verify(self, folders: Collection[str] | None = None, *, contents: bool = True) -> list[Trouble]:
        """Check the files of finished steps against their records: sizes, and contents where asked.

        A perishable part may be gone as a whole, since it may have been freed; in part it may not.
        """
        found: list[Trouble] = []
        for folder in sorted(self.finished() if folders is None else folders):
            try:
                found += self.checked(folder, self.record(folder), contents=contents)
            except DataError as problem:
                found.append(Trouble(folder, "", str(problem)))
        return found


def new_attempt() -> str:
    """A name for an attempt that no other has, and that begins with when it was made."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
