"""Stores to test, of every kind: on a disk, in memory, and on an S3 server of this machine; and steps to put there."""

import hashlib
import importlib.util
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import fsspec
import pytest
from loopback import BUCKET, CREDENTIALS, HOST, served

from codedose.runner import lease
from codedose.runner.place import open_store
from codedose.runner.step import Step
from codedose.runner.store import Store

KINDS = ("disk", "memory", "s3")
PART = "checkpoint"
WITHOUT = [name for name in ("s3fs", "moto") if importlib.util.find_spec(name) is None]
CONNECTED: list[dict[str, str]] = []
Act = Callable[[], object]


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    if WITHOUT:
        pytest.skip(f"needs {' and '.join(WITHOUT)}: pip install -e '.[dev]'")
    with served() as port:
        yield port


@contextmanager
def s3_at(port: int, **more: str) -> Iterator[None]:
    """S3 means the server at a port of this machine, for as long as the context lasts."""
    told = {**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://{HOST}:{port}", **more}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in told.items():
            patch.setenv(name, value)
        if CONNECTED and CONNECTED[-1] != told:  # its connections are made once a process, as the environment then was
            fsspec.get_filesystem_class("s3").clear_instance_cache()
        CONNECTED[:] = [told]
        yield


@dataclass(frozen=True)
class Place:
    """A store, and ways to it that are not codedose's."""

    url: str
    folder: Path  # of this machine, for its copies

    def machine(self, name: str = "here") -> Store:
        """The store as a machine with copies of its own sees it."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CODEDOSE_CACHE", str(self.folder / name))
            return open_store(self.url)

    @property
    def bare(self) -> tuple[Any, str]:
        return fsspec.core.url_to_fs(self.url, use_listings_cache=False)

    def files(self, under: str = "") -> dict[str, int]:
        """What lies there, with sizes in bytes."""
        fs, root = self.bare
        found = fs.find(f"{root}/{under}".rstrip("/"), detail=True)
        return {path.removeprefix(f"{root}/"): entry["size"] for path, entry in found.items()}

    def the(self, folder: str, file: str) -> str:
        """Where a file of a step lies: where attempts lie apart and there are several, that of the one that stands."""
        names = [name for name in self.files(folder) if name.endswith(f"/{file}")]
        if len(names) > 1:
            attempt = self.machine().record(folder)["attempt"]
            names = [name for name in names if f"/{attempt}/" in name]
        (found,) = names
        return found

    def read(self, name: str) -> bytes:
        fs, root = self.bare
        return bytes(fs.cat_file(f"{root}/{name}"))

    def write(self, name: str, data: bytes) -> None:
        fs, root = self.bare
        fs.makedirs(f"{root}/{name}".rpartition("/")[0], exist_ok=True)
        fs.pipe_file(f"{root}/{name}", data)

    def remove(self, name: str) -> None:
        fs, root = self.bare
        fs.rm_file(f"{root}/{name}")


@contextmanager
def placed(kind: str, folder: Path, port: Callable[[], int]) -> Iterator[Place]:
    """A new store of a kind; `port` is where S3 is served."""
    name = secrets.token_hex(6)
    if kind != "s3":
        yield Place(str(folder / f"store-{name}") if kind == "disk" else f"memory://{name}", folder / name)
    else:
        with s3_at(port()):
            yield Place(f"s3://{BUCKET}/{name}", folder / name)


@pytest.fixture(params=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with placed(request.param, tmp_path, lambda: request.getfixturevalue("s3_port")) as place:
        place.machine().prepare()
        yield place


# Steps

ACTS: dict[str, Act] = {}  # by name of a step, what happens while it is at work


def write(inputs: list[Path], out: Path, *, progress: Any, name: str) -> None:
    """Two files and a part, whose contents follow from those of the inputs."""
    progress(1, 2, name)
    ACTS.get(name, lambda: None)()
    (out / PART).mkdir()
    for file, data in contents(name, inputs).items():
        (out / file).write_bytes(data)


def contents(name: str, inputs: list[Path], seen: list[bytes] | None = None) -> dict[str, bytes]:
    seen = [(folder / "a.txt").read_bytes() for folder in inputs] if seen is None else seen
    digest = hashlib.sha256(b"".join([name.encode(), *seen])).hexdigest().encode()
    return {"a.txt": digest, "b.bin": digest * 9, f"{PART}/weights.bin": digest * 3, f"{PART}/zeal.bin": digest[:7]}


def toy(name: str, *needs: Step, **more: Any) -> Step:
    return Step("toy", name, write, 1, {"name": name}, needs, **more)


def tell_nobody(done: int, of: int, note: str) -> None:
    """Progress that nobody hears."""


@contextmanager
def while_at(step: Step, act: Act) -> Iterator[None]:
    """`act` is done, once, while a step is at work."""

    def once() -> None:
        del ACTS[step.label]
        act()

    ACTS[step.label] = once
    try:
        yield
    finally:
        ACTS.pop(step.label, None)


def age(store: Store, by: timedelta = timedelta(hours=1)) -> None:
    """All leases as they are when their holders have been silent for a while, on machines that nobody can ask."""
    for name in store.names("leases"):
        held = lease.read(store.read(name))
        if held is not None:
            beat = (datetime.now(UTC) - by).isoformat()
            store.write(name, lease.written(replace(held, host="elsewhere", beat=beat)))


def drafted(store: Store, step: Step, attempt: str, files: dict[str, bytes], folder: Path) -> dict[str, Any]:
    """An attempt's files in a folder, and its record."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    told = {name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()}
    record = {"kind": step.kind, "label": step.label, "key": step.key, "needs": [], "files": told}
    return {**record, "perishable": step.perishable, "attempt": attempt}


def sha256s(folder: Path) -> dict[str, str]:
    """Of each file in a folder, its record left out."""
    files = [path for path in folder.rglob("*") if path.is_file() and path != folder / "record.json"]
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
