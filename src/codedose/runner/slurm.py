"""The Slurm engine: each step is one job, over submitit. The store alone says what is done; jobs hold no state."""

import math
import pickle
import threading
import time
from concurrent.futures import Future
from types import TracebackType
from typing import Any

from codedose.errors import MachineError
from codedose.runner.children import visible
from codedose.runner.errand import Errand, Word, words, worker_for
from codedose.runner.failures import StepFailed
from codedose.runner.ray import absolute, judge
from codedose.runner.step import Progress, Step, Where
from codedose.runner.store import LOGS, Store

ROOM = 4  # GB beside what a step's cost says: Python, torch and a step's tables
LONGEST = 7 * 24 * 60  # minutes; a queue's own bound holds where it is lower
TICK = 5.0  # seconds between two looks at a job
FOLDER = "slurm"  # among the logs of the store: what jobs are sent and what they say


class Jobs:
    """An engine of jobs; the queue decides where and when. `cluster` is submitit's word."""

    def __init__(self, cluster: str = "slurm", tick: float = TICK) -> None:
        self.cluster, self.tick = cluster, tick
        self.jobs: dict[str, Any] = {}

    def __enter__(self) -> "Jobs":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for job in self.jobs.values():
            job.cancel(check=False)

    def submit(self, store: Store, step: Step, progress: Progress) -> "Future[None]":
        """Perform `step` in a job; the future ends with it, or with StepFailed. Its lease says how far it is."""
        future: Future[None] = Future()
        threading.Thread(target=self.follow, args=(absolute(store), step, future), daemon=True).start()
        return future

    def follow(self, store: Store, step: Step, future: "Future[None]") -> None:
        try:
            judge(self.last_word(store, step))
        except Exception as problem:
            future.set_exception(problem)
        else:
            future.set_result(None)

    def last_word(self, store: Store, step: Step) -> Word:
        job = executor(store, step, self.cluster).submit(
            alone, Errand(pickle.dumps((store, step)), step.where, step.secrets)
        )
        self.jobs[step.key] = job
        while not job.done():
            time.sleep(self.tick)
        del self.jobs[step.key]
        try:
            word: Word = job.result()
            return word
        except Exception as problem:
            told = f"its job {job.job_id} was lost ({type(problem).__name__}: {problem})"
            raise StepFailed(told, kind="transient") from problem


def executor(store: Store, step: Step, cluster: str) -> Any:
    """What submits a job of the step's size."""
    try:
        import submitit
    except ImportError:
        raise MachineError("--engine slurm: submitit is not installed: pip install 'codedose[slurm]'") from None
    made = submitit.AutoExecutor(folder=store.root / LOGS / FOLDER, cluster=cluster)
    made.update_parameters(name=step.kind, timeout_min=LONGEST, **sizes(step.where))
    return made


def sizes(where: Where) -> dict[str, int]:
    """A step's size as submitit has it. Slurm shares out whole GPUs, so half a GPU is one."""
    memory = {"mem_gb": math.ceil(where.memory / 1e9) + ROOM} if where.memory else {}
    return {"cpus_per_task": where.cores, "gpus_per_node": math.ceil(where.gpus), **memory}


def alone(errand: Errand) -> Word:
    """In a job: have its one step done in a child process; how it ended."""
    worker = worker_for(errand.where, tuple(visible(math.ceil(errand.where.gpus))), errand.secrets)
    try:
        return list(words(worker, errand))[-1]
    finally:
        worker.stop()
