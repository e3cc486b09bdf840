"""A store behind an fsspec URL: S3, GCS and others. Attempts write apart; the record, created exclusively, picks one.

tune/llama-code-d1-3f9c0a12b4de.json                        the record, which names the attempt that stands
tune/llama-code-d1-3f9c0a12b4de/20261125T201500-9f3c1a2b/   that attempt's files, and what lost attempts left
tune/llama-code-d1-3f9c0a12b4de.trashed                     a record in the trash
"""

import os
import re
import shutil
import tempfile
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from codedose.cache import cache_folder
from codedose.errors import DataError, StudyError
from codedose.keys import file_digest, fingerprint
from codedose.runner.lease import Lacking
from codedose.runner.objects import Objects
from codedose.runner.record import RECORD, Record, parsed, split, written
from codedose.runner.scratch import Scratch
from codedose.runner.step import Step
from codedose.runner.store import LOGS, NOTES, SCRATCH, Store

TRASHED = ".trashed"
STEP = re.compile(r"[^/]+/[^/]+-[0-9a-f]{12}\.json")  # the name of a record, and of no other note
AT_ONCE = 16  # steps that are fetched side by side
ABANDONED = timedelta(days=1)  # files of an attempt that no record and no lease names are deleted after this


class Remote(Store):
    """A folder behind a URL. `patience` is how long, in seconds, a request is tried again while the store is away."""

    def __init__(self, url: str, patience: float = 600.0) -> None:
        self.url, self.patience = url.rstrip("/"), patience
        self.root = cache_folder() / "stores" / fingerprint(self.url)
        self.brought: set[str] = set()  # folders whose records were fetched as part of another's past

    def __reduce__(self) -> tuple[type["Remote"], tuple[str, float]]:
        if self.url.startswith("memory://"):
            raise StudyError(
                f"{self}: a store in memory is seen by its own process alone; name a folder, or a URL such as "
                "s3://bucket/folder"
            )
        return Remote, (self.url, self.patience)

    @cached_property
    def at(self) -> Objects:
        return Objects(self.url, self.patience)

    # Small notes

    def read(self, name: str) -> bytes | None:
        return self.at.read(name)

    def write(self, name: str, data: bytes) -> None:
        self.at.write(name, data)

    def create(self, name: str, data: bytes) -> bool:
        return self.at.create(name, data)

    def remove(self, name: str) -> None:
        self.at.delete([name])

    def names(self, under: str) -> list[str]:
        return sorted(name for name in self.at.sizes(under) if name.endswith(".json"))

    # Steps

    def prepare(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self.at.write("studies/.probe", b"codedose\n")
        except (OSError, ValueError) as problem:
            raise StudyError(
                f"the store {self} cannot be written ({problem}); check its name and your credentials, or name another "
                "place with --store"
            ) from problem

    def finished(self) -> frozenset[str]:
        found = (name for kind in self.kinds() for name in self.at.here(kind))
        return frozenset(name.removesuffix(".json") for name in found if STEP.fullmatch(name))

    def kinds(self) -> list[str]:
        return [kind for kind in self.at.folders("") if kind not in NOTES]

    def record_bytes(self, folder: str) -> bytes | None:
        return self.at.read(f"{folder}.json")

    def records_bytes(self, folders: Iterable[str]) -> dict[str, bytes]:
        found = self.at.read_many([f"{folder}.json" for folder in dict.fromkeys(folders)])
        return {name.removesuffix(".json"): data for name, data in found.items()}

    def is_done(self, step: Step) -> bool:
        return self.at.exists(f"{step.folder}.json")

    def holds_part(self, folder: str, record: Record) -> bool:
        """Whether the perishable part is there: its first file, which goes before all others when it is freed."""
        heavy = split(record)[1]
        return not heavy or self.at.exists(f"{self.attempt_of(folder, record)}/{min(heavy)}")

    def attempt_of(self, folder: str, record: Record) -> str:
        """The place of the attempt that a record names, which a stranger may have written."""
        attempt = str(record["attempt"])
        if not attempt.replace("-", "").isalnum():
            raise DataError(f"{self}/{folder}.json: {attempt[:80]!r} is not the name of an attempt")
        return f"{folder}/{attempt}"

    def here(self, folder: str, *, part: bool = False) -> Path:
        return self.all_here([folder], [folder] if part else [])[0]

    def all_here(self, folders: Sequence[str], parts: Collection[str] = ()) -> list[Path]:
        """Side by side: a report rests on thousands of steps, and each answer of a store takes its time."""
        data = self.records_bytes(folders)
        if lacking := [folder for folder in folders if folder not in data]:
            raise Lacking(lacking[0])
        with ThreadPoolExecutor(AT_ONCE) as threads:
            needs = list(threads.map(lambda folder: self.bring_step(folder, data[folder], part=folder in parts), data))
        self.fetch_records([need for each in needs for need in each])
        return [self.root / folder for folder in folders]

    def bring_step(self, folder: str, data: bytes, *, part: bool) -> list[str]:
        """Bring a step's files here, then its record, which says whose they are; the folders of what it needed."""
        record = parsed(data, f"{self}/{folder}")
        always, heavy = split(record)
        if part and heavy and not self.holds_part(folder, record):
            raise Lacking(folder)
        self.fetch(folder, record, {**always, **(heavy if part else {})})
        keep(self.root / folder / RECORD, data)
        needs: list[str] = record["needs"]
        return needs

    def fetch(self, folder: str, record: Record, files: Mapping[str, Mapping[str, Any]]) -> None:
        """Bring those files here that are not here yet, or belong to another attempt; each appears whole."""
        place, attempt = self.root / folder, self.attempt_of(folder, record)
        ours = attempt_in(place) == record["attempt"]
        for name, known in files.items():
            path = inside(place, name)
            if ours and path.is_file() and path.stat().st_size == known["size"]:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=path.parent, prefix=".get-") as draft:
                got = Path(draft) / "file"
                self.bring(f"{attempt}/{name}", got, folder, known)
                os.replace(got, path)

    def bring(self, name: str, got: Path, folder: str, known: Mapping[str, Any]) -> None:
        """Fetch an object into a file; DataError where it is not what the record says."""
        if not self.at.get(name, got, known["size"]):
            if self.record_bytes(folder) is None:
                raise Lacking(folder)
            raise DataError(f"{self}/{name}: is missing; 'codedose verify --set-aside' has its step done again")
        if file_digest(got) != known["sha256"]:
            raise DataError(
                f"{self}/{name}: is not what was written (SHA-256); 'codedose verify --set-aside' has its step done "
                "again"
            )

    def fetch_records(self, folders: Sequence[str]) -> None:
        """Bring the records of steps here, and of all that they rest on, generation by generation, each once."""
        known: set[str] = set()
        while left := [each for each in dict.fromkeys(folders) if each not in known and not self.is_brought(each)]:
            known.update(left)
            found = self.records_bytes(left)
            for folder, data in found.items():
                keep(self.root / folder / RECORD, data)
                self.brought.add(folder)
            folders = [need for folder, data in found.items() for need in parsed(data, f"{self}/{folder}")["needs"]]

    def is_brought(self, folder: str) -> bool:
        return folder in self.brought and (self.root / folder / RECORD).is_file()

    @contextmanager
    def draft(self, folder: str, attempt: str) -> Iterator[Path]:
        place = self.root / folder
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent, prefix=".draft-", ignore_cleanup_errors=True) as draft:
            yield Path(draft)

    @contextmanager
    def scratch(self, folder: str) -> Iterator[Path]:
        kept = Scratch(self.at, f"{SCRATCH}/{folder}", self.root / SCRATCH / folder)
        kept.bring()
        with kept.sending():
            yield kept.folder

    @contextmanager
    def shared(self, name: str) -> Iterator[Path]:
        kept = Scratch(self.at, name, self.root / name)
        kept.bring()
        with kept.sending(in_the_end=True):
            yield kept.folder

    def commit(self, folder: str, draft: Path, record: Record) -> bool:
        place = self.attempt_of(folder, record)
        self.at.put(draft, place)
        data = written(record)
        while not self.at.create(f"{folder}.json", data):
            found = self.record_bytes(folder)
            if found is None:  # it went into the trash between the two
                continue
            standing = parsed(found, f"{self}/{folder}")
            if standing["perishable"] is None or self.holds_part(folder, standing):
                self.at.delete(list(self.at.sizes(place)))
                return False
            self.at.write(f"{folder}.json", data)  # its part was freed: this attempt takes its place
            self.at.delete(list(self.at.sizes(self.attempt_of(folder, standing))))
        self.at.delete(list(self.at.sizes(f"{SCRATCH}/{folder}")))
        shutil.rmtree(self.root / SCRATCH / folder, ignore_errors=True)
        self.adopt(folder, draft, data)
        return True

    def adopt(self, folder: str, draft: Path, data: bytes) -> None:
        """Keep what was made here as the copy of this machine."""
        (draft / RECORD).write_bytes(data)
        with suppress(OSError):  # another process fetches it just now: then its copy stands
            shutil.rmtree(self.root / folder, ignore_errors=True)
            os.replace(draft, self.root / folder)

    def release(self, step: Step) -> int:
        if not step.perishable or step.kept:
            return 0
        shutil.rmtree(self.root / step.folder / step.perishable, ignore_errors=True)
        data = self.record_bytes(step.folder)
        if data is None:
            return 0
        record = parsed(data, f"{self}/{step.folder}")
        place, heavy = self.attempt_of(step.folder, record), split(record)[1]
        sizes = self.at.sizes(f"{place}/{step.perishable}")
        first = [name for name in sizes if heavy and name == f"{place}/{min(heavy)}"]
        self.at.delete(first)  # apart: if this ends here, the part counts as freed, and the next run frees the rest
        self.at.delete([name for name in sizes if name not in first])
        return sum(sizes.values())

    def keep_log(self, folder: str) -> None:
        with suppress(FileNotFoundError):
            self.at.write(f"{LOGS}/{folder}.log", self.log(folder).read_bytes())

    # What nobody needs

    def unfinished(self) -> list[str]:
        return sorted({"/".join(name.split("/")[1:3]) for name in self.at.sizes(SCRATCH)})

    def delete(self, folder: str) -> int:
        self.at.delete([f"{folder}.json", f"{folder}{TRASHED}"])  # first, so that nobody takes the rest for whole
        sizes = {**self.at.sizes(folder), **self.at.sizes(f"{SCRATCH}/{folder}")}
        self.at.delete([*sizes, f"{LOGS}/{folder}.log"])
        shutil.rmtree(self.root / folder, ignore_errors=True)
        return sum(sizes.values())

    def set_aside(self, folder: str, when: datetime) -> None:
        stamp = when.astimezone(UTC).isoformat(timespec="seconds").encode()
        self.at.write(f"{folder}{TRASHED}", stamp + b"\n" + (self.record_bytes(folder) or b""))
        self.at.delete([f"{folder}.json"])

    def trashed(self, folder: str) -> bytes | None:
        data = self.at.read(f"{folder}{TRASHED}")
        return None if data is None else data.partition(b"\n")[2]

    def take_out(self, folder: str, record: bytes | None) -> None:
        if record:
            self.at.create(f"{folder}.json", record)
        self.at.delete([f"{folder}{TRASHED}"])

    def trash(self) -> dict[str, datetime]:
        names = [name for kind in self.kinds() for name in in_trash(self.at.here(kind))]
        found = {}
        for name, data in self.at.read_many(names).items():
            with suppress(ValueError):
                found[name.removesuffix(TRASHED)] = datetime.fromisoformat(data.partition(b"\n")[0].decode())
        return found

    def empty(self, now: datetime, kept: timedelta | None = None) -> int:
        freed = super().empty(now) if kept is None else super().empty(now, kept)
        return freed + sum(self.lost_attempts(now)) + sum(self.lost_scratch())

    def lost_scratch(self) -> Iterator[int]:
        """Delete what a step was killed with between its record and the end of its scratch; the bytes of each."""
        busy = {each.folder for each in self.leases()}
        for folder in self.unfinished():
            if folder not in busy and self.at.exists(f"{folder}.json"):
                sizes = self.at.sizes(f"{SCRATCH}/{folder}")
                self.at.delete(list(sizes))
                yield sum(sizes.values())

    def lost_attempts(self, now: datetime) -> Iterator[int]:
        """Delete the files of attempts that no record names, begun a day ago or more; the bytes of each."""
        alive = {each.attempt for each in self.leases()}
        for kind in self.kinds():
            for folder in self.at.folders(kind):
                attempts = {place.rpartition("/")[2]: place for place in self.at.folders(folder)}
                if len(attempts) > 1 or not self.at.exists(f"{folder}.json"):
                    data = self.record_bytes(folder)
                    named = {parsed(data, f"{self}/{folder}")["attempt"]} if data else set()
                    trashed = self.at.exists(f"{folder}{TRASHED}")
                    for attempt, place in attempts.items():
                        if attempt not in named | alive and not trashed and is_old(attempt, now):
                            sizes = self.at.sizes(place)
                            self.at.delete(list(sizes))
                            yield sum(sizes.values())

    def sizes(self, folder: str, record: Record) -> dict[str, int]:
        place = f"{self.attempt_of(folder, record)}/"
        return {name.removeprefix(place): size for name, size in self.at.sizes(place[:-1]).items()}

    def digest(self, folder: str, record: Record, name: str) -> str:
        return self.at.digest(f"{self.attempt_of(folder, record)}/{name}")


def in_trash(names: Sequence[str]) -> list[str]:
    """The marks of the trash, without those of steps that are done: a move there or back was cut short between two."""
    there = set(names)
    return [name for name in names if name.endswith(TRASHED) and f"{name.removesuffix(TRASHED)}.json" not in there]


def is_old(attempt: str, now: datetime) -> bool:
    """Whether an attempt began longer ago than any that is still at work without a lease; its name says when."""
    with suppress(ValueError):
        return now - datetime.strptime(attempt.partition("-")[0], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) > ABANDONED
    return False


def attempt_in(place: Path) -> str | None:
    """The attempt whose files this machine holds of a step."""
    try:
        return str(parsed((place / RECORD).read_bytes(), str(place))["attempt"])
    except (OSError, DataError):
        return None


def keep(path: Path, data: bytes) -> None:
    """Write a small file whole, beside its place first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}-{os.getpid()}-{threading.get_ident()}")
    draft.write_bytes(data)
    os.replace(draft, path)


def inside(folder: Path, name: str) -> Path:
    """The file of a record in its folder; DataError for a name that leads out of it."""
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{folder.name}: its record names {name[:80]!r}, which lies outside the step")
    return path
