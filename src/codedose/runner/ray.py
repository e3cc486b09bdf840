"""The Ray engine: each step is one task of Ray Core, wherever a node has room for it. No state is in Ray.

The store alone says what is done. A driver that dies leaves nothing behind: Ray ends its tasks, the same command goes
on. Ray tries nothing again by itself. What goes wrong comes back as words; what a lost node loses is StepFailed.
"""

import pickle
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any
from uuid import uuid4

from codedose.errors import MachineError
from codedose.runner.cluster import Cluster, joined, started
from codedose.runner.disk import Disk
from codedose.runner.errand import Errand, Word, carried_out
from codedose.runner.failures import StepFailed, class_of
from codedose.runner.schedule import Slots
from codedose.runner.step import Progress, Step, Where
from codedose.runner.store import Store

TICK = 1.0  # seconds after which a step that has not begun is looked at again
FRESH = 2.0  # seconds for which a list of nodes is good

Nodes = Sequence[Mapping[str, Any]]  # as ray.nodes() has them


class Rays:
    """An engine over a Ray cluster: that at `address`, or one on this machine while this lasts.

    A step takes as many `cores` at most. `gpus` are in use at once, by default all that the nodes have at the time.
    `patience` is how many seconds a step waits for a node that is large enough, where none is.
    """

    def __init__(self, address: str | None, *, cores: int, gpus: int | None, patience: float) -> None:
        self.address, self.here, self.gpus, self.patience = address, Slots(cores, gpus or 0), gpus, patience
        self.seen: tuple[float, Nodes] = (0.0, ())
        self.known = self.here
        self.marks: dict[str, Path] = {}
        self.lock, self.over = threading.Lock(), threading.Event()
        self.followers: list[threading.Thread] = []

    def __enter__(self) -> "Rays":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.over.set()
        for thread in self.followers:  # Ray may not go away while it is asked
            thread.join(5)
        for mark in self.marks.values():
            mark.unlink(missing_ok=True)
        if "cluster" in self.__dict__:
            self.cluster.leave()

    @cached_property
    def cluster(self) -> Cluster:
        """The cluster, from the first time that it is needed: a run with nothing to do starts none."""
        return joined(self.address) if self.address else started(self.here.cores, self.here.gpus)

    @cached_property
    def task(self) -> Any:
        import ray

        return ray.remote(max_retries=0, max_calls=0, num_returns="streaming")(carried_out)

    def nodes(self) -> Nodes:
        """The nodes that live, at most a moment ago."""
        with self.lock:
            if time.monotonic() - self.seen[0] > FRESH:
                self.seen = (time.monotonic(), self.cluster.nodes())
            return self.seen[1]

    def slots(self) -> Slots:
        """What all nodes have, or what they had while there is none; the GPUs that were asked for, where they were."""
        if self.address is None:
            return self.here
        there = together(self.nodes()) or self.known
        self.known = Slots(max(there.cores, self.here.cores), there.gpus if self.gpus is None else self.gpus)
        return self.known

    def submit(self, store: Store, step: Step, progress: Progress) -> "Future[None]":
        """Perform `step` on some node; the future ends with it, or with StepFailed."""
        future: Future[None] = Future()
        self.cluster  # noqa: B018 - Ray is started and asked from the main thread first
        thread = threading.Thread(target=self.follow, args=(absolute(store), step, progress, future), daemon=True)
        self.followers = [thread, *filter(threading.Thread.is_alive, self.followers)]
        thread.start()
        return future

    def follow(self, store: Store, step: Step, progress: Progress, future: "Future[None]") -> None:
        try:
            judge(self.last_word(store, step, progress))
        except Exception as problem:
            future.set_exception(problem)
        else:
            future.set_result(None)

    def last_word(self, store: Store, step: Step, progress: Progress) -> Word:
        """Send a step and hear it out: how it ended. Where no node is large enough, Ray is to know of it all the same:
        that is what has a cluster grow.
        """
        errand = Errand(pickle.dumps((store, step)), step.where, step.secrets, self.mark(store))
        stream = self.task.options(**demands(step.where), name=step.folder).remote(errand)
        for word in self.heard(stream, step.where):
            if word[0] == "progress":
                progress(*word[1:])
            elif word[0] != "began":
                return word
        return ("raised", StepFailed("its process on the cluster ended without a word", kind="transient"))

    def heard(self, stream: Any, where: Where) -> Iterator[Word]:
        """What a step says, while there is a node that can do it. Raises StepFailed where it is lost."""
        import ray

        began = False
        try:
            while not self.over.is_set():
                if not ray.wait([stream], timeout=TICK)[0]:
                    if not began:
                        self.await_node(where)
                    continue
                word: Word = ray.get(next(stream))
                began = True
                yield word
        except StopIteration:
            return
        except ray.exceptions.RayError as problem:
            raise loss(problem) from problem
        except MachineError:
            ray.cancel(stream)  # it waits in Ray's line; nobody may do it later, when a node comes after all
            raise

    def await_node(self, where: Where) -> None:
        """Wait until some node is large enough. Raises MachineError after the engine's patience."""
        end = time.monotonic() + self.patience
        while (lacking := shortage(where, self.nodes())) and not self.over.wait(TICK):
            if time.monotonic() > end:
                raise MachineError(lacking)

    def mark(self, store: Store) -> Path | None:
        """A file in a store on a disk by which other hosts know it, where the cluster has any."""
        if not isinstance(store, Disk) or len({node["NodeManagerAddress"] for node in self.nodes()}) < 2:
            return None
        with self.lock:
            if store.url not in self.marks:
                self.marks[store.url] = store.root / f".seen-{uuid4().hex}"
                self.marks[store.url].touch()
            return self.marks[store.url]


def absolute(store: Store) -> Store:
    """The store as every process of this machine knows it, wherever it was started."""
    return Disk(store.root.absolute()) if isinstance(store, Disk) else store


def judge(word: Word) -> None:
    """Raise what a step's last word stands for, where it is not done."""
    if word[0] == "raised":
        raise word[1]


def demands(where: Where) -> dict[str, float]:
    """What Ray is asked for a step."""
    asked = {"num_cpus": where.cores, "num_gpus": where.gpus, "memory": where.memory}
    return {name: amount for name, amount in asked.items() if amount}


def shortage(where: Where, nodes: Nodes) -> str | None:
    """What keeps a step from every node, whatever else they do, as a sentence: Ray itself waits for ever in silence."""
    wanted = {"CPU": where.cores, "GPU": where.gpus, "memory": where.memory}
    if any(all(node["Resources"].get(name, 0) >= amount for name, amount in wanted.items()) for node in nodes):
        return None
    have = "; ".join(sorted({in_words(node["Resources"]) for node in nodes})) or "no node at all"
    return (
        f"no node of the cluster has {in_words(wanted)} at once (it has {have}): add such a node and wait for it with "
        "--wait-for-nodes SECONDS, or ask for less (--cores, --processes, a smaller backbone)"
    )


def in_words(resources: Mapping[str, float]) -> str:
    """Cores, GPUs and memory in words."""
    cores, gpus, memory = (resources.get(name, 0) for name in ("CPU", "GPU", "memory"))
    core, gpu = (name + "s" * (number != 1) for name, number in (("core", cores), ("GPU", gpus)))
    parts = [
        f"{cores:g} {core}",
        *([f"{gpus:g} {gpu}"] if gpus else []),
        *([f"{memory / 1e9:.1f} GB"] if memory else []),
    ]
    return ", ".join(parts)


def together(nodes: Nodes) -> Slots | None:
    """The slots of all nodes; None where there is none."""
    cores, gpus = (int(sum(node["Resources"].get(name, 0) for node in nodes)) for name in ("CPU", "GPU"))
    return Slots(max(cores, 1), gpus) if nodes else None


def loss(problem: Exception) -> StepFailed:
    """What Ray says of a step that it lost."""
    first = next((line.strip() for line in str(problem).splitlines() if line.strip()), "")
    if "No module named" in str(problem):
        told = f"codedose is not installed on a node ({first}): install the same version on all nodes"
        return StepFailed(told, kind="configuration")
    told = f"the node or the process that did it was lost ({type(problem).__name__}: {first})"
    return StepFailed(told, kind=class_of(problem))
