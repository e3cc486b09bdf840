"""The local engine: steps in child processes that outlive a step and die with their parent."""

import ctypes
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from codedose.errors import CodedoseError
from codedose.runner.failures import StepFailed, class_of, death, is_killed, reason_of
from codedose.runner.lease import NotNow
from codedose.runner.perform import perform
from codedose.runner.secrets import confined, scrub, secret_values, withheld
from codedose.runner.step import HALF, Progress, Step, Where
from codedose.runner.store import Store

TAIL = 12  # lines of a log that a failure repeats
READ = 100_000  # bytes at a log's end in which they are looked for
DIE_WITH_PARENT = 1  # Linux: prctl(PR_SET_PDEATHSIG)
# A process that failed so serves no other step: memory it still holds, or a broken context of a GPU, would fail it too.
SPOILS = ("memory", "bug")


class Worker:
    """One child process: it performs the steps it is sent, one at a time."""

    def __init__(self, where: Where, gpus: tuple[str, ...], secrets: tuple[str, ...] = ()) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.where, self.gpus, self.busy = where, gpus, False
        self.hidden = withheld(secrets, os.environ)
        self.process = context.Process(target=serve, args=(theirs, where.cores, gpus, os.getpid()))
        with uninterrupted(), confined(secrets):
            self.process.start()
        theirs.close()

    def do(self, store: Store, step: Step, progress: Progress, future: "Future[None]") -> None:
        """Send a step and wait for its end; runs in a thread of the parent."""
        problem: Exception | None = None
        try:
            self.pipe.send((store, step))
            while (message := self.pipe.recv())[0] == "progress":
                progress(*message[1:])
            problem = judged(message, store, step)
            if spoils(message):
                self.end()
        except (EOFError, OSError):
            self.process.join(5)
            problem = mourned(self.process.exitcode, store, step)
        except Exception as trouble:  # a step that cannot be sent, news that cannot be told: nobody waits for ever
            self.end()
            problem = trouble
        self.busy = False
        if problem:
            future.set_exception(problem)
        else:
            future.set_result(None)

    def end(self) -> None:
        """End the process at once."""
        self.process.kill()
        self.process.join(5)

    def stop(self) -> None:
        """End the process: an idle one by closing its pipe; a step that a busy one was doing leaves only a draft."""
        self.pipe.close()
        if self.busy:
            self.process.terminate()
        self.process.join(2)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until this is over: a child that was told only half of what to do would say so in a traceback.

    Both are needed: the child inherits the blocked signal, as it should, since its parent ends it; and another thread
    of this process may still receive the signal, whose handler Python then runs here.
    """
    waiting: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, frame: waiting.append(number))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        signal.signal(signal.SIGINT, handler)
        if waiting:
            signal.raise_signal(signal.SIGINT)


class Children:
    """An engine of child processes; a process that served a step serves the next one of its kind.

    Use it as a context: its processes end with it. Start it from the main thread, because Linux
    ends a child when the thread that started it ends.
    """

    def __init__(self, gpus: int = 0) -> None:
        self.gpus = gpus
        self.workers: list[Worker] = []

    def __enter__(self) -> "Children":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.workers:
            worker.stop()

    def submit(self, store: Store, step: Step, progress: Progress) -> "Future[None]":
        """Perform `step` in a child process; the future ends with it, or with StepFailed."""
        future: Future[None] = Future()
        worker = self.worker_for(step.where, step.secrets)
        worker.busy = True
        threading.Thread(target=worker.do, args=(store, step, progress, future), daemon=True).start()
        return future

    def worker_for(self, where: Where, secrets: tuple[str, ...] = ()) -> Worker:
        """An idle process of this kind that sees just these secrets, or a new one in the place of other idle ones."""
        idle = [worker for worker in self.workers if not worker.busy]
        hidden = withheld(secrets, os.environ)
        for worker in idle:
            if worker.where == where and worker.hidden == hidden and worker.process.is_alive():
                return worker
        for worker in idle:
            if where.worker or where.gpus or not worker.process.is_alive():
                worker.stop()
                self.workers.remove(worker)
        taken = [(gpu, worker.where.gpus) for worker in self.workers for gpu in worker.gpus]
        self.workers.append(Worker(where, chosen(visible(self.gpus), taken, where.gpus), secrets))
        return self.workers[-1]


def chosen(gpus: Sequence[str], taken: Sequence[tuple[str, float]], wanted: float) -> tuple[str, ...]:
    """Which GPUs a step gets: free ones, or for a half the other half of one that is half taken, else of a free one."""
    free = [gpu for gpu in gpus if gpu not in dict(taken)]
    if wanted != HALF:
        return tuple(free[: int(wanted)])
    shared = [gpu for gpu in gpus if [part for name, part in taken if name == gpu] == [HALF]]
    return tuple([*shared, *free][:1])


def visible(gpus: int) -> list[str]:
    """The names of the first `gpus` GPUs: those that CUDA_VISIBLE_DEVICES leaves to us, or 0, 1, 2 and so on."""
    left = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")]
    return ([name for name in left if name not in ("", "-1")] or [str(number) for number in range(gpus)])[:gpus]


def serve(pipe: Connection, cores: int, gpus: tuple[str, ...], parent: int) -> None:
    """The life of a child process: perform steps until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to hear
    die_with(parent)
    for name in ("OMP_NUM_THREADS", "POLARS_MAX_THREADS"):
        os.environ[name] = str(cores)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["TQDM_DISABLE"] = "1"
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    while True:
        try:
            store, step = pipe.recv()
        except EOFError:
            return
        pipe.send(attempt(store, step, lambda *news: pipe.send(("progress", *news))))


def attempt(store: Store, step: Step, progress: Progress) -> tuple[Any, ...]:
    """Perform a step with its output in a log of its own; what to tell the parent.

    That it is done, or cannot be done now; or that it failed: why, the class of its failure, and whether a process of
    its own was killed.
    """
    log, secrets = store.log(step.folder), secret_values(os.environ)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as file:
            os.dup2(file.fileno(), sys.stdout.fileno())
            os.dup2(file.fileno(), sys.stderr.fileno())
        perform(store, step, progress)
        return ("done",)
    except NotNow as problem:
        return ("not now", problem)
    except Exception as problem:
        explains_itself = isinstance(problem, CodedoseError) or class_of(problem) == "configuration"
        with suppress(OSError):  # a full disk has no room for the log either
            told = reason_of(problem, secrets) if explains_itself else traceback.format_exc().rstrip()
            print(told, file=sys.stderr, flush=True)
        return ("failed", reason_of(problem, secrets), class_of(problem), is_killed(problem))
    finally:
        with suppress(OSError):  # as above
            sys.stdout.flush()
            sys.stderr.flush()
            scrub(log, secrets)
        with suppress(Exception):  # what the step came to is told in any case
            store.keep_log(step.folder)


def judged(word: tuple[Any, ...], store: Store, step: Step) -> Exception | None:
    """What a child's last word on its step is to be raised as; None where it is done."""
    if word[0] == "failed":
        reason, kind, killed = word[1:]
        return StepFailed(reason, tail(store, step, but=reason), kind, killed)
    problem: Exception | None = word[1] if word[0] == "not now" else None
    return problem


def spoils(word: tuple[Any, ...]) -> bool:
    """Whether a child whose last word this is serves no other step."""
    return word[0] == "failed" and word[2] in SPOILS


def mourned(code: int | None, store: Store, step: Step) -> StepFailed:
    """The failure of a step whose child ended without a word, with the log that it could not finish itself."""
    ended = death(code)
    scrub(store.log(step.folder), secret_values(os.environ))
    with suppress(Exception):  # why it ended is told in any case
        store.keep_log(step.folder)
    return StepFailed(ended.reason, tail(store, step), ended.kind, ended.killed)


def tail(store: Store, step: Step, but: str = "") -> list[str]:
    """The last lines of a step's log, without terminal control characters and without those of its reason `but`."""
    try:
        with store.log(step.folder).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - READ))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return []
    told = {shown(line) for line in but.splitlines()}
    return [line for line in map(shown, lines) if line not in told][-TAIL:]


def shown(line: str) -> str:
    return "".join(c for c in line if c.isprintable())[:500]


def die_with(parent: int) -> None:
    """Ask Linux to end this process when its parent dies, however it dies; elsewhere the closed pipe ends it."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)
