"""One of several processes of a training: it makes the model, trains it with the others, and says how that went."""

import os
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from codedose.errors import CodedoseError, OutOfMemory
from codedose.prompt import Encoded
from codedose.study import Tune
from codedose.tune import train
from codedose.tune.means import Means
from codedose.tune.memory import runs_out

# A device as torch names it -> the model on it, ready to be trained, and what keeps it once it is trained.
Make = Callable[[str], tuple[Any, Callable[[], None]]]
Word = tuple[Any, ...]  # what a process says: its kind first

MENDS = "shard the model over more processes, choose tune.method: lora, or a smaller backbone"
PATIENCE = timedelta(hours=1)  # how long one waits for another, which may be writing a large state


@dataclass(frozen=True)
class Work:
    """What every process is told."""

    make: Make
    examples: Sequence[Encoded]
    how: Tune
    processes: int
    sharded: bool
    means: Means
    settings: Mapping[str, Any]  # others of tune.train


def serve(pipe: Connection, rank: int, work: Work, meeting: Path) -> None:
    """The life of one process. After a failure it waits for its end: that it left would be news to the others."""
    threading.Thread(target=end_with, args=(pipe,), daemon=True).start()
    try:
        with among(rank, work.processes, meeting) as device:
            pipe.send(("done", trained(work, rank, device, pipe)))
    except Exception as problem:
        pipe.send(last_word(problem, rank))
        threading.Event().wait()


def end_with(pipe: Connection) -> None:
    """Nothing is ever sent this way: what is received is the end of the process that started this one."""
    try:
        pipe.recv()
    except (EOFError, OSError):
        os._exit(1)


def last_word(problem: Exception, rank: int) -> Word:
    from codedose.tune.shards import Again

    if isinstance(problem, Again):
        return ("again", problem.micro_tokens, problem.twice)
    if isinstance(problem, CodedoseError | OSError):  # a full disk is told by its number
        return ("refused", problem)
    traceback.print_exception(problem, file=sys.stderr)
    if runs_out(problem):
        return ("refused", OutOfMemory(f"out of memory in process {rank} of a training ({problem}); {MENDS}"))
    return ("failed", f"process {rank} of a training failed: {type(problem).__name__}: {problem}")


@contextmanager
def among(rank: int, processes: int, meeting: Path) -> Iterator[Any]:
    """A group of processes while this lasts; the device of this one. One that fails does not leave it."""
    import torch
    import torch.distributed as dist

    on_gpus = torch.cuda.is_available()
    device = torch.device("cuda", rank) if on_gpus else torch.device("cpu")
    if on_gpus:
        torch.cuda.set_device(device)
    else:
        torch.set_num_threads(max(1, torch.get_num_threads() // processes))
        stay_here()
    dist.init_process_group(
        "nccl" if on_gpus else "gloo",
        store=dist.FileStore(str(meeting), processes),  # type: ignore[attr-defined]  # it is there, only not in __all__
        rank=rank,
        world_size=processes,
        timeout=PATIENCE,
        device_id=device if on_gpus else None,
    )
    yield device
    dist.destroy_process_group()


def trained(work: Work, rank: int, device: Any, pipe: Connection) -> list[dict[str, Any]] | None:
    """Make the model, train it with the others and keep it; the rows, in the first process."""
    from codedose.tune.shards import put_together

    model, keep, team = made(work, rank, device)
    rows = train(
        model,
        work.examples,
        work.how,
        progress=partial(say, pipe, rank, "progress"),
        hear=partial(say, pipe, rank, "row"),
        means=work.means,
        team=team,
        **work.settings,
    )
    if work.sharded:
        fresh, keep = work.make("cpu") if rank == 0 else (None, keep)
        put_together(team, model, fresh)
    if rank:
        return None
    keep()
    return rows


def say(pipe: Connection, rank: int, kind: str, *news: Any) -> None:
    """All know the same; the first one tells it."""
    if rank == 0:
        pipe.send((kind, *news))


def made(work: Work, rank: int, device: Any) -> tuple[Any, Callable[[], None], Any]:
    """The model of this process, what keeps it, and its team.

    Where it is sharded, one process after the other makes it: the machine need not hold it whole more than once.
    """
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh

    from codedose.tune.shards import Several, sharded

    if not work.sharded:
        model, keep = work.make(str(device))
        return model, keep, Several(rank, work.processes, device, None)
    mesh = init_device_mesh(device.type, (work.processes,))
    for turn in range(work.processes):
        if turn == rank:
            model, keep = work.make("cpu")
            root = sharded(model, mesh)
        dist.barrier()
    return model, keep, Several(rank, work.processes, device, root)


def stay_here() -> None:
    """All are on this machine: gloo need not ask what the machine's name resolves to."""
    for _, name in socket.if_nameindex():
        if name.startswith("lo"):
            os.environ["GLOO_SOCKET_IFNAME"] = name
