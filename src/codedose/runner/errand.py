"""What happens on a node of a Ray cluster: a Ray worker has each step done by a child process of its own.

It is the child of the local engine. It knows nothing of Ray, its threads and GPUs are set before anything heavy is
imported, it gives back all memory when it ends, and it dies with the Ray worker, which dies with its node.
"""

import os
import pickle
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codedose.runner.children import Worker, die_with, judged, mourned, spoils
from codedose.runner.failures import StepFailed
from codedose.runner.record import versions
from codedose.runner.secrets import withheld
from codedose.runner.step import Step, Where
from codedose.runner.store import Store

Word = tuple[Any, ...]  # ("began", host), ("progress", done, of, note), and at the end ("done",) or ("raised", why)
EVERY = 1.0  # seconds between two words on how far a step is: each is a message to the driver
LIGHT = 4e9  # bytes: a child that needs more is not kept for the next step, as Ray does not count what it holds

kept: list[Worker] = []  # of this Ray worker: the child of its last step, where it may serve the next


@dataclass(frozen=True)
class Errand:
    """A step on its way: as bytes, since the Ray worker need not import what only its child does."""

    parcel: bytes  # (store, step), pickled
    where: Where
    secrets: tuple[str, ...] = ()  # what it needs secrets for: these are the node's own, and none is sent
    mark: Path | None = None  # a file in a store on a disk, for nodes that may not see it
    version: str = field(default_factory=lambda: versions()["codedose"])


def carried_out(errand: Errand) -> Iterator[Word]:
    """Have a step done, and say how it goes; the last word is how it ended."""
    if unfit := unfitness(errand):
        yield ("raised", StepFailed(unfit, kind="configuration"))
        return
    die_with(os.getppid())
    yield ("began", socket.gethostname())
    worker = worker_for(errand.where, gpus_given(), errand.secrets)
    try:
        yield from words(worker, errand)
    finally:
        if worker.busy or not is_light(errand.where):
            worker.stop()
        else:
            kept.append(worker)


def unfitness(errand: Errand) -> str | None:
    """Why this node cannot do a step, as a sentence."""
    host = socket.gethostname()
    if errand.version != (own := versions()["codedose"]):
        return f"the node {host} has codedose {own}, the run has {errand.version}: install the same on all nodes"
    if errand.mark and not errand.mark.exists():
        return (
            f"the node {host} does not see the store {errand.mark.parent}: "
            "put it on a disk that all nodes share, or name a URL with --store"
        )
    return None


def words(worker: Worker, errand: Errand) -> Iterator[Word]:
    """What a child says of its step; a child that dies is spoken for, and one that failed badly serves no other."""
    worker.busy, told = True, 0.0
    try:
        worker.pipe.send_bytes(errand.parcel)
        while (word := worker.pipe.recv())[0] == "progress":
            if time.monotonic() - told >= EVERY:
                told = time.monotonic()
                yield word
        worker.busy = spoils(word)
        problem = judged(word, *opened(errand)) if word[0] != "done" else None
        yield ("raised", problem) if problem else word
    except (EOFError, OSError):
        worker.process.join(5)
        yield ("raised", lost(worker.process.exitcode, errand))


def lost(code: int | None, errand: Errand) -> StepFailed:
    """The failure of a step whose child ended without a word; where this node cannot read the step, that is why."""
    try:
        store, step = opened(errand)
    except Exception as problem:  # whatever a module that is missing here, or another one, may raise
        told = f"the node {socket.gethostname()} cannot read the step ({problem}): install the same on all nodes"
        return StepFailed(told, kind="configuration")
    return mourned(code, store, step)


def opened(errand: Errand) -> tuple[Store, Step]:
    store, step = pickle.loads(errand.parcel)  # noqa: S301 - the driver's own
    return store, step


def worker_for(where: Where, gpus: tuple[str, ...], secrets: tuple[str, ...]) -> Worker:
    """The child that is kept here, where it is of this kind, sees just these secrets and lives; else a new one."""
    asked = (where, gpus, withheld(secrets, os.environ))
    while kept:
        worker = kept.pop()
        if (worker.where, worker.gpus, worker.hidden) == asked and worker.process.is_alive():
            return worker
        worker.stop()
    with nameless():
        return Worker(where, gpus, secrets)


def is_light(where: Where) -> bool:
    return where.gpus == 0 and where.memory < LIGHT


@contextmanager
def nameless() -> Iterator[None]:
    """The main module without its file: a new child would run it again, and here it is Ray's own worker."""
    main = sys.modules["__main__"].__dict__
    taken: dict[str, Any] = {name: main.pop(name) for name in ("__file__", "__spec__") if name in main}
    main["__spec__"] = None
    try:
        yield
    finally:
        main.update(taken)


def gpus_given() -> tuple[str, ...]:
    """The GPUs that Ray gave this step; two halves of one have the same."""
    import ray

    given: Sequence[Any] = ray.get_runtime_context().get_accelerator_ids().get("GPU", [])
    return tuple(map(str, given))
