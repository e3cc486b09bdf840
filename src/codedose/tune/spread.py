"""One training done by several processes of this machine, started here: one GPU each, or gloo on CPUs.

Each makes the model itself (rank.py) and holds all of it, or a part of every tensor (shards.py). They meet at a file,
not at a port. What one of them has to say comes back here; when one fails or this process ends, all end.
"""

import multiprocessing
import signal
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from codedose.errors import Killed, MachineError
from codedose.prompt import Encoded
from codedose.study import Tune
from codedose.tune import USUAL, Hear, Progress, unheard
from codedose.tune.means import Means
from codedose.tune.rank import Make, Word, Work, serve

Tell = Mapping[str, Callable[..., None]]  # who is told what is said on the way, by its kind

MOMENT = 2.0  # seconds after a failure in which others may say that they failed first
GRAVEST = ("died", "refused", "again", "failed")  # what brought the others down, before what it brought down


def train_apart(
    make: Make,
    examples: Sequence[Encoded],
    how: Tune,
    *,
    processes: int,
    sharded: bool,
    progress: Progress,
    hear: Hear = unheard,
    means: Means = USUAL,
    **settings: Any,
) -> list[dict[str, Any]]:
    """tune.train, whose other `settings` are taken too, in several processes; the same rows.

    What was trained is kept by what `make` gave the first of them. `make` is called in every process, so it must be a
    function of a module, or a partial of one. Where `sharded`, no device ever holds the whole model: one process after
    the other makes it on the CPU, and the first does so once more to keep what was trained; too little memory then
    begins again from the kept state, with less at once. Raises what tune.train raises, MachineError where there are
    too few GPUs, where a process is killed, and for states in 8 bits in shards; RuntimeError with the words of any
    other failure.
    """
    refuse_too_few_gpus(processes)
    if sharded and means.states != "whole":
        raise MachineError("optimiser states in 8 bits cannot be sharded; keep them whole, or replicate the model")
    work = Work(make, examples, how, processes, sharded, means, settings)
    while True:
        kind, *said = attempt(work, {"progress": progress, "row": hear})
        if kind != "again":
            rows: list[dict[str, Any]] = said[0]
            return rows
        less = {**work.settings, "micro_tokens": said[0]}
        work = replace(work, settings=less, means=replace(work.means, checkpointing=said[1]))


def refuse_too_few_gpus(processes: int) -> None:
    import torch

    if 0 < (there := torch.cuda.device_count()) < processes:
        raise MachineError(
            f"{processes} processes of one training need a GPU each, and {there} are to be seen here; ask for fewer"
        )


def attempt(work: Work, tell: Tell) -> Word:
    """Start the processes, hear them out, end them: ("done", rows), or ("again", tokens, twice) to begin anew."""
    with tempfile.TemporaryDirectory(prefix="codedose-") as folder:
        ranks: list[Rank] = []
        try:
            with uninterrupted():
                for rank in range(work.processes):
                    ranks.append(Rank(rank, work, Path(folder) / "meeting"))
            return verdict(heard(ranks, tell))
        finally:
            for each in ranks:
                each.stop()


class Rank:
    """One of the processes, seen from here."""

    def __init__(self, rank: int, work: Work, meeting: Path) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs, rank, work, meeting))
        self.process.start()
        theirs.close()

    def word(self) -> Word:
        """The next thing that it says; what becomes of a process that says nothing is said for it."""
        try:
            said: Word = self.pipe.recv()
            return said
        except (EOFError, OSError):
            self.process.join(5)
            return ("died", self.process.exitcode)

    def stop(self) -> None:
        """Close the pipe, on which a process ends that has not ended yet; kill one that does not."""
        self.pipe.close()
        self.process.join(5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until all are started, and never reaches them: they end with this process."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def heard(ranks: Sequence[Rank], tell: Tell) -> list[Word]:
    """The last word of every process; of those that speak within a moment, once one has failed."""
    last: dict[Rank, Word] = {}
    patience = None
    while left := [rank for rank in ranks if rank not in last]:
        ready = wait([rank.pipe for rank in left], patience)
        if not ready:
            break
        for rank in left:
            if rank.pipe not in ready:
                continue
            kind, *said = word = rank.word()
            if kind in tell:
                tell[kind](*said)
                continue
            last[rank] = word
            patience = patience if kind == "done" else MOMENT
    return [last[rank] for rank in ranks if rank in last]


def verdict(words: Sequence[Word]) -> Word:
    """What the last words of all processes come to. Raises what one of them failed with."""
    worst = min(words, key=lambda word: (*GRAVEST, "done").index(word[0]))
    kind, *said = worst
    if kind == "died":
        raise (Killed if said[0] == -signal.SIGKILL else MachineError)(death(said[0]))
    if kind == "refused":
        raise said[0]
    if kind == "failed":
        raise RuntimeError(said[0])
    return worst if kind == "again" else words[0]


def death(code: int | None) -> str:
    """Why a process ended without a word."""
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        hint = " (often the system's answer to too little memory)" if name == "SIGKILL" else ""
        return f"one of the processes of a training was killed by {name}{hint}; run the same again to go on"
    return f"one of the processes of a training ended by itself with exit code {code}; run the same again to go on"
