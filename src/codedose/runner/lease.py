"""Leases: who is at work on which step, so that two workers seldom do the same. Where that fails, no harm is done."""

import json
import os
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from codedose.runner.step import Progress

if TYPE_CHECKING:
    from codedose.runner.store import Store

BEAT = 15.0  # seconds between two signs of life
LIFE = 60.0  # seconds without one after which a lease is nobody's: four beats; clocks may differ by less


class NotNow(Exception):
    """A step that cannot be done at this moment, through no fault of its own; `folder` says of which step."""

    def __init__(self, folder: str) -> None:
        super().__init__(folder)
        self.folder = folder


class Leased(NotNow):
    """Another worker is at this step."""


class Lacking(NotNow):
    """What this step needs is not there any more: it was freed, or lost, since the plan was made."""


@dataclass(frozen=True)
class Lease:
    """Who is at a step: the attempt, its machine and process, its last sign of life (UTC), and how far it got."""

    folder: str
    attempt: str
    host: str
    space: str  # of process numbers: two containers may share a name
    pid: int
    born: str  # when the process began, for a number that was given again
    since: str
    beat: str
    done: int = 0
    of: int = 0
    note: str = ""

    @property
    def is_alive(self) -> bool:
        """Whether its holder may still be at work. A process of this machine is looked up, others by their beat."""
        if (self.host, self.space) == (host(), space()) and self.born and birth(self.pid) != self.born:
            return False
        return (datetime.now(UTC) - datetime.fromisoformat(self.beat)).total_seconds() < LIFE


def place_of(folder: str) -> str:
    return f"leases/{folder}.json"


def read(data: bytes | None) -> Lease | None:
    """A lease from its bytes; None for none, and for half of one: then nobody holds the step."""
    with suppress(ValueError, TypeError):
        lease = Lease(**json.loads(data or b""))
        datetime.fromisoformat(lease.beat)
        return lease
    return None


@contextmanager
def held(store: "Store", folder: str, attempt: str) -> "Iterator[Holding]":
    """The lease on a step, with its heartbeats, for as long as the context lasts; raises Leased where it is taken."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    lease = Lease(folder, attempt, host(), space(), os.getpid(), birth(os.getpid()), now, now)
    if not store.create(place_of(folder), written(lease)):
        other = read(store.read(place_of(folder)))
        if other is not None and other.is_alive:
            raise Leased(folder)
        store.write(place_of(folder), written(lease))  # two may take over at once: two attempts then, and one wins
    holding = Holding(store, lease)
    holding.start()
    try:
        yield holding
    finally:
        holding.stop()


def written(lease: Lease) -> bytes:
    return json.dumps(asdict(lease)).encode()


class Holding:
    """A lease in this process's hands: a thread gives signs of life, with the latest progress."""

    def __init__(self, store: "Store", lease: Lease) -> None:
        self.store, self.lease = store, lease
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.beating, daemon=True)

    def telling(self, progress: Progress) -> Progress:
        """`progress`, which the next sign of life repeats."""

        def tell(done: int, of: int, note: str) -> None:
            self.lease = replace(self.lease, done=done, of=of, note=note[:200])
            progress(done, of, note)

        return tell

    def start(self) -> None:
        self.thread.start()

    def beating(self) -> None:
        while not self.over.wait(BEAT):
            beat = datetime.now(UTC).isoformat(timespec="milliseconds")
            self.lease = replace(self.lease, beat=beat)
            with suppress(Exception):  # a sign of life that cannot be given is the next one's to give
                if self.is_ours():
                    self.store.write(place_of(self.lease.folder), written(self.lease))

    def is_ours(self) -> bool:
        now = read(self.store.read(place_of(self.lease.folder)))
        return now is None or now.attempt == self.lease.attempt

    def stop(self) -> None:
        self.over.set()
        self.thread.join()
        with suppress(Exception):  # a lease that cannot be given back ends by itself
            if self.is_ours():
                self.store.remove(place_of(self.lease.folder))


@lru_cache(maxsize=1)
def host() -> str:
    return platform.node()


@lru_cache(maxsize=1)
def space() -> str:
    with suppress(OSError):
        return os.readlink("/proc/self/ns/pid") + Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return ""


def birth(pid: int) -> str:
    """When a process of this machine began, in ticks since the machine did; "" where it has ended or is not known."""
    with suppress(OSError, IndexError):
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return state[19] if state[0] != "Z" else ""
    return ""
