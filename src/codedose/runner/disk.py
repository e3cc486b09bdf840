"""A store on a disk, local or shared by several machines: a step's folder appears whole, by one rename."""

import errno
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from codedose.errors import StudyError
from codedose.keys import file_digest
from codedose.runner.lease import Lacking
from codedose.runner.record import RECORD, Record, written
from codedose.runner.step import Step
from codedose.runner.store import LOGS, NOTES, SCRATCH, Store
from codedose.runner.trees import GONE, flush, listed, out_of_sight, remove_tree, size_of, sync, write_durably

DRAFT = ".draft-"
TRASHED = "trashed.json"  # a record in the trash: its modification time says since when
OLD = 3600.0  # seconds after which a half-written note is nobody's
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)  # of file systems that know none


class Disk(Store):
    """A folder of this machine, or of a file system that several share."""

    def __init__(self, path: str | Path) -> None:
        self.url, self.root = str(path), Path(path)

    def __reduce__(self) -> tuple[type["Disk"], tuple[str]]:
        return Disk, (self.url,)

    def own(self, name: str) -> Path:
        """The path of a name in this store, for writing and deleting; StudyError where a link leads out of it.

        A store may itself be a link: what counts is what lies in it, which a stranger may have sent.
        """
        path = self.root
        for part in PurePosixPath(name).parts:
            path = path / part
            if part in ("..", "/") or path.is_symlink():
                raise StudyError(
                    f"{path}: is a link, or leads out of the store {self}; nothing is written or deleted through it. "
                    "Remove it, or make the whole store a link"
                )
        return path

    # Small notes

    def read(self, name: str) -> bytes | None:
        try:
            return (self.root / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, name: str, data: bytes) -> None:
        draft = self.aside(name, data)
        try:
            os.replace(draft, self.own(name))
        finally:
            with suppress(OSError):  # the note has its name, or its own error; the half is swept away later
                draft.unlink()

    def create(self, name: str, data: bytes) -> bool:
        draft = self.aside(name, data)  # whole before it has its name: nobody reads half of it
        try:
            os.link(draft, self.own(name))
        except FileExistsError:
            return False
        except OSError as problem:
            if problem.errno not in NO_LINKS:
                raise
            return self.create_in_place(name, data)
        finally:
            with suppress(OSError):  # the note has its name, or its own error; the half is swept away later
                draft.unlink()
        return True

    def create_in_place(self, name: str, data: bytes) -> bool:
        """`create` on a file system without links: a reader may see half of it for a moment, but one writer wins."""
        try:
            with (self.root / name).open("xb") as file:
                file.write(data)
        except FileExistsError:
            return False
        return True

    def aside(self, name: str, data: bytes) -> Path:
        place = self.own(name)
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = place.parent / f"{DRAFT}{place.name[-100:]}-{secrets.token_hex(4)}"
        try:
            with draft.open("wb") as file:
                file.write(data)
        except OSError:  # a full disk
            draft.unlink(missing_ok=True)
            raise
        return draft

    def remove(self, name: str) -> None:
        self.own(name).unlink(missing_ok=True)

    def names(self, under: str) -> list[str]:
        found = (self.root / under).rglob("*.json")
        return sorted(path.relative_to(self.root).as_posix() for path in found if not path.name.startswith("."))

    # Steps

    def prepare(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self.aside("probe", b"").unlink()
        except OSError as problem:
            raise StudyError(
                f"the store {self} cannot be written ({problem.strerror}); name another place with --store PATH"
            ) from problem
        self.sweep()

    def sweep(self) -> None:
        """Remove drafts and scratch that nobody is at any more, half-written notes, and what was on its way out."""
        # before the leases: an attempt has its lease before its draft
        drafts = [path for kind in self.kinds() for path in (self.root / kind).glob(f"{DRAFT}*")]
        kept = [folder for folder in self.unfinished() if self.is_sound(self.root / folder)]
        leases = self.leases()
        alive, busy = {each.attempt for each in leases}, {each.folder for each in leases}
        for draft in drafts:
            if not any(draft.name.endswith(attempt) for attempt in alive):
                remove_tree(draft)
        for folder in kept:  # of a step that was killed between its commit and the end of its scratch
            if folder not in busy:
                remove_tree(self.root / SCRATCH / folder)
        for gone in self.root.glob(f"*/{GONE}*"):
            remove_tree(gone)
        for pattern in (f"{DRAFT}*", f"studies/{DRAFT}*", f"leases/*/{DRAFT}*"):
            for half in self.root.glob(pattern):
                with suppress(FileNotFoundError):
                    if time.time() - half.lstat().st_mtime > OLD:
                        half.unlink()

    def finished(self) -> frozenset[str]:
        return frozenset(f"{kind}/{name}" for kind, name in self.folders() if self.has(f"{kind}/{name}/{RECORD}"))

    def folders(self) -> Iterator[tuple[str, str]]:
        """The kind and the name of each step's folder, finished or in the trash."""
        for kind in self.kinds():
            for name in listed(self.root / kind):
                if not name.startswith("."):
                    yield kind, name

    def kinds(self) -> list[str]:
        return [kind for kind in listed(self.root) if kind not in NOTES and not kind.startswith(".")]

    def has(self, name: str) -> bool:
        return os.path.isfile(f"{self.root}/{name}")  # a Path each would cost more than the question

    def is_done(self, step: Step) -> bool:
        return self.has(f"{step.folder}/{RECORD}")

    def record_bytes(self, folder: str) -> bytes | None:
        return self.read(f"{folder}/{RECORD}")

    def holds_part(self, folder: str, record: Record) -> bool:
        return (self.root / folder / str(record["perishable"])).is_dir()

    def is_whole(self, step: Step) -> bool:
        whole = step.perishable is None or (self.root / step.folder / step.perishable).is_dir()
        return whole and self.is_done(step)

    def here(self, folder: str, *, part: bool = False) -> Path:
        if not self.has(f"{folder}/{RECORD}") or (part and not self.has_part(folder)):
            raise Lacking(folder)
        return self.root / folder

    @contextmanager
    def draft(self, folder: str, attempt: str) -> Iterator[Path]:
        place = self.own(folder)
        draft = place.parent / f"{DRAFT}{place.name}-{attempt}"
        draft.mkdir(parents=True)
        try:
            yield draft
        finally:
            remove_tree(draft)

    @contextmanager
    def scratch(self, folder: str) -> Iterator[Path]:
        yield self.own(f"{SCRATCH}/{folder}")

    @contextmanager
    def shared(self, name: str) -> Iterator[Path]:
        yield self.root / name

    def commit(self, folder: str, draft: Path, record: Record) -> bool:
        flush(draft)
        write_durably(draft / RECORD, written(record))
        place = self.own(folder)
        if place.exists() and not self.make_way(folder):
            return False
        try:
            os.replace(draft, place)
        except OSError as problem:
            if problem.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return False  # another attempt came first
        sync(place.parent)
        remove_tree(self.own(f"{SCRATCH}/{folder}"))
        return True

    def make_way(self, folder: str) -> bool:
        """Move a folder that is not done, or not whole, out of the way; False where it is both and stays."""
        place = self.own(folder)
        if self.is_sound(place):
            return False
        gone = out_of_sight(place)
        if gone and self.is_sound(gone):  # it was another attempt's, come between our look and our move
            with suppress(OSError):
                os.replace(gone, place)
            return False
        remove_tree(gone)
        return True

    def is_sound(self, place: Path) -> bool:
        """Whether a folder has a record, and its perishable part if it has one."""
        try:
            part = json.loads((place / RECORD).read_bytes()).get("perishable")
        except (OSError, ValueError, AttributeError):
            return False
        return part is None or (place / part).is_dir()

    def release(self, step: Step) -> int:
        part = self.root / step.folder / str(step.perishable)
        if not step.perishable or step.kept or not part.is_dir():
            return 0
        part = self.own(f"{step.folder}/{step.perishable}")
        size = size_of(part)
        remove_tree(out_of_sight(part, part.parent.parent))
        return size

    def log(self, folder: str) -> Path:
        return self.own(f"{LOGS}/{folder}.log")

    def keep_log(self, folder: str) -> None:
        """It is written where it stays."""

    # What nobody needs

    def unfinished(self) -> list[str]:
        scratch = self.root / SCRATCH
        return [f"{kind}/{name}" for kind in listed(scratch) for name in listed(scratch / kind)]

    def delete(self, folder: str) -> int:
        places = (self.own(folder), self.own(f"{SCRATCH}/{folder}"))
        size = sum(size_of(place) for place in places)
        for place in places:
            remove_tree(out_of_sight(place))
        self.own(f"{LOGS}/{folder}.log").unlink(missing_ok=True)
        return size

    def set_aside(self, folder: str, when: datetime) -> None:
        place = self.own(folder)
        if not self.has(f"{folder}/{RECORD}"):  # only something in scratch: a mark of its own
            place.mkdir(parents=True, exist_ok=True)
            (place / TRASHED).touch()
        else:
            os.replace(place / RECORD, place / TRASHED)
        os.utime(place / TRASHED, (when.timestamp(), when.timestamp()))

    def trashed(self, folder: str) -> bytes | None:
        return self.read(f"{folder}/{TRASHED}")

    def take_out(self, folder: str, record: bytes | None) -> None:
        if record:  # else the next commit makes way for itself
            os.replace(self.own(f"{folder}/{TRASHED}"), self.root / folder / RECORD)

    def trash(self) -> dict[str, datetime]:
        found = {}
        for kind, name in self.folders():
            with suppress(FileNotFoundError, NotADirectoryError):
                since = os.stat(f"{self.root}/{kind}/{name}/{TRASHED}").st_mtime
                found[f"{kind}/{name}"] = datetime.fromtimestamp(since, UTC)
        return found

    def sizes(self, folder: str, record: Record) -> dict[str, int]:
        paths = {name: self.root / folder / name for name in record["files"]}
        return {name: path.stat().st_size for name, path in paths.items() if path.is_file()}

    def digest(self, folder: str, record: Record, name: str) -> str:
        return file_digest(self.root / folder / name)
