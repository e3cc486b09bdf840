"""What a store behind a URL is asked, through fsspec: each request is tried again while the store is away."""

import hashlib
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TypeVar

from codedose.errors import MachineError, StudyError

T = TypeVar("T")
FIRST, MOST = 0.25, 15.0  # seconds between two tries: doubled each time, up to
BLOCK = 8 * 2**20  # bytes read at once
ONE_AT_A_TIME = threading.RLock()  # fsspec's memory looks, then writes, and its readers share one position
S3 = ("s3", "s3a")
IMPATIENT = {"config_kwargs": {"connect_timeout": 5, "read_timeout": 30, "retries": {"total_max_attempts": 2}}}
ANSWER = 60.0  # seconds for a request: without a limit a server that accepts and is silent is waited for for ever
RATE = 1e6  # bytes a second that a large file is given at least
LASTING = (FileNotFoundError, FileExistsError, PermissionError, IsADirectoryError, NotADirectoryError)
LASTING_NAMES = ("NoSuchBucket", "ParamValidationError")
UNKNOWN = ("NoCredentialsError", "PartialCredentialsError")


class Objects:
    """The objects below a URL, by names relative to it."""

    def __init__(self, url: str, patience: float) -> None:
        self.url, self.patience = url, patience
        self.scheme = url.partition("://")[0]
        self.by_process: dict[int, tuple[Any, str]] = {}

    @property
    def opened(self) -> tuple[Any, str]:
        """The file system, and the store's place in it; one a process, since none outlives a fork."""
        own = os.getpid()
        if own not in self.by_process:
            self.by_process = {own: self.open()}
        return self.by_process[own]

    def open(self) -> tuple[Any, str]:
        import fsspec

        options = IMPATIENT if self.scheme in S3 else {}
        try:
            fs, place = fsspec.core.url_to_fs(self.url, use_listings_cache=False, **options)
        except ImportError as problem:
            raise MachineError(
                f"{self.url}: {problem}; s3:// comes with pip install 'codedose[s3]', gs:// with 'codedose[gcs]'"
            ) from None
        except ValueError as problem:
            raise StudyError(f"{self.url}: {problem}; name a folder, or a URL such as s3://bucket/folder") from None
        return fs, place.rstrip("/")

    def at(self, name: str) -> str:
        return f"{self.opened[1]}/{name}" if name else self.opened[1]

    def asked(self, call: Callable[..., T], *args: Any, **named: Any) -> T:
        """What `call` returns, asked again with growing pauses while the store is away; MachineError after `patience`.

        Errors that asking again would not change are raised as they are.
        """
        end, pause = time.monotonic() + self.patience, FIRST
        while True:
            try:
                with ONE_AT_A_TIME if self.scheme == "memory" else nullcontext():
                    return call(*args, **named)
            except Exception as problem:
                if type(problem).__name__ in UNKNOWN:
                    raise MachineError(
                        f"{self.url}: {problem}; set the credentials of the store in the environment, "
                        "such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
                    ) from None
                if is_lasting(problem):
                    raise
                if time.monotonic() + pause > end:
                    raise MachineError(
                        f"{self.url}: did not answer for {self.patience:,.0f} s ({type(problem).__name__}: "
                        f"{str(problem)[:300]}); the same command goes on once it does"
                    ) from problem
            time.sleep(pause)
            pause = min(2 * pause, MOST)

    def within(self, size: float = 0) -> dict[str, float]:
        """How long a request about that many bytes may take, for the file systems that can be told."""
        return {"timeout": ANSWER + size / RATE} if getattr(self.opened[0], "async_impl", False) else {}

    def at_once(self) -> dict[str, int]:
        """What keeps s3fs from asking how large a small object is before it reads it: twice the requests."""
        return {"max_concurrency": 1} if self.scheme in S3 else {}

    def read(self, name: str) -> bytes | None:
        try:
            found: bytes = self.asked(self.opened[0].cat_file, self.at(name), **self.at_once(), **self.within())
        except (FileNotFoundError, IsADirectoryError):
            return None
        return found

    def read_many(self, names: Sequence[str]) -> dict[str, bytes]:
        """The objects that are there, fetched side by side."""
        if not names:
            return {}
        paths = {self.at(name): name for name in names}
        named = {"on_error": "return", **self.at_once(), **self.within(len(paths) * 1e5)}
        found = self.asked(self.opened[0].cat, list(paths), **named)
        told = {}
        for path, data in found.items():
            if isinstance(data, bytes):
                told[paths[path]] = data
            elif not isinstance(data, FileNotFoundError) and (again := self.read(paths[path])) is not None:
                told[paths[path]] = again
        return told

    def write(self, name: str, data: bytes) -> None:
        self.asked(self.opened[0].pipe_file, self.at(name), data, **self.within(len(data)))

    def create(self, name: str, data: bytes) -> bool:
        """Create an object; False where it is there already with other bytes.

        A create whose answer was lost finds itself: equal bytes are its own, since what is created here names its
        attempt. Some servers refuse with a bare 412 or 409, which only a look at the object explains.
        """
        return self.asked(self.created, name, data)

    def created(self, name: str, data: bytes) -> bool:
        try:
            self.opened[0].pipe_file(self.at(name), data, mode="create", **self.within(len(data)))
        except PermissionError:
            raise
        except OSError as problem:
            found = self.read(name)
            if found is None:
                raise ConnectionError(f"{self.at(name)}: could not be created ({problem})") from problem
            return found == data
        return True

    def exists(self, name: str) -> bool:
        try:
            return bool(self.asked(self.opened[0].info, self.at(name), **self.within())["type"] == "file")
        except FileNotFoundError:
            return False

    def here(self, folder: str) -> list[str]:
        """The names of the objects in a folder, not below its folders."""
        return [f"{folder}/{name}" for name, kind in self.listed(folder) if kind == "file"]

    def folders(self, folder: str) -> list[str]:
        start = f"{folder}/" if folder else ""
        return [f"{start}{name}" for name, kind in self.listed(folder) if kind == "directory"]

    def listed(self, folder: str) -> list[tuple[str, str]]:
        try:
            found = self.asked(self.opened[0].ls, self.at(folder), detail=True, refresh=True, **self.within(1e8))
        except FileNotFoundError:
            return []
        return sorted((entry["name"].rstrip("/").rpartition("/")[2], entry["type"]) for entry in found)

    def sizes(self, under: str) -> dict[str, int]:
        """All objects below a folder with their sizes in bytes."""
        start = self.at(under)
        found = self.asked(self.opened[0].find, start, detail=True, **self.within(1e8))
        cut = len(self.at("x")) - 1
        return {
            path[cut:]: int(entry["size"])
            for path, entry in found.items()
            if path.startswith(f"{start}/") and entry["type"] == "file"
        }

    def put(self, folder: Path, place: str) -> None:
        """Send all files of a folder."""
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            self.send(path, f"{place}/{path.relative_to(folder).as_posix()}")

    def send(self, path: Path, name: str) -> None:
        self.asked(self.opened[0].put_file, str(path), self.at(name), **self.within(path.stat().st_size))

    def get(self, name: str, path: Path, size: int = 0) -> bool:
        """Fetch an object of `size` bytes into a file; False where there is none."""
        try:
            self.asked(self.opened[0].get_file, self.at(name), str(path), **self.within(size))
        except FileNotFoundError:
            return False
        return True

    def digest(self, name: str) -> str:
        """SHA-256 of an object's bytes, in hexadecimal."""

        def read() -> str:
            told = hashlib.sha256()
            with self.opened[0].open(self.at(name), "rb") as file:
                while block := file.read(BLOCK):
                    told.update(block)
            return told.hexdigest()

        return self.asked(read)

    def delete(self, names: Sequence[str]) -> None:
        """Delete objects; those that are gone already are no error."""
        there = [self.at(name) for name in names]
        if there:
            self.asked(self.remove, there)

    def remove(self, paths: list[str]) -> None:
        for path in paths if self.scheme not in S3 else []:
            try:
                self.opened[0].rm_file(path)
            except FileNotFoundError:
                continue
        if self.scheme in S3:  # where deleting what is gone is no error: a thousand in one request
            self.opened[0].rm(paths)


def is_lasting(problem: Exception) -> bool:
    """Whether asking again would bring the same: the answer is no, or the request is wrong."""
    if isinstance(problem, LASTING) or type(problem).__name__ in LASTING_NAMES:
        return True
    return isinstance(problem, ValueError | TypeError | KeyError | AttributeError | MemoryError)
