"""What must run, in which order, within the slots of this machine; what fails is told, never hidden."""

import os
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field

from codedose.runner.lease import Lacking, NotNow
from codedose.runner.perform import perform
from codedose.runner.secrets import redact, secret_values
from codedose.runner.step import Progress, Step
from codedose.runner.store import Store

Submit = Callable[[Store, Step, Progress], "Future[None]"]  # the whole interface of an engine
AGAIN = 2.0  # seconds until a step that another worker held is tried again
TOO_OFTEN = 5  # times that what a step needs was gone when it began


@dataclass(frozen=True)
class Slots:
    """What may be occupied at once."""

    cores: int
    gpus: int = 0


@dataclass(frozen=True)
class Failure:
    """A step that could not be done, and the last lines it logged."""

    step: Step
    reason: str
    log: tuple[str, ...] = ()


@dataclass
class Outcome:
    """What a run did."""

    performed: list[Step] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    blocked: list[Step] = field(default_factory=list)  # never started: they wait for a failed one

    def add(self, later: "Outcome") -> None:
        """Take in what a later run of the same store did; a step that failed in both is told once."""
        known = {failure.step.key for failure in self.failed}
        self.performed += later.performed
        self.failed += [failure for failure in later.failed if failure.step.key not in known]
        self.blocked += later.blocked


class Teller:
    """Hears what happens; a command line draws it. Silent by itself."""

    def planned(self, steps: Sequence[Step]) -> None:
        """These steps will run."""

    def started(self, step: Step) -> None:
        """A step has begun."""

    def moved(self, step: Step, done: int, of: int, note: str) -> None:
        """A step has got further."""

    def ended(self, step: Step, failure: Failure | None) -> None:
        """A step is done, or failed."""


class StepFailed(Exception):
    """Raised by an engine for a step that failed in its own process."""

    def __init__(self, reason: str, log: Sequence[str]) -> None:
        super().__init__(reason)
        self.log = tuple(log)


def to_run(store: Store, steps: Sequence[Step]) -> list[Step]:
    """The steps that must run so that every last step is done, in an order that respects needs.

    A step runs when it is not done and something that runs needs it, or when something that runs
    consumes a part of it that was freed. `steps` hold each step after those it waits for.
    """
    done = store.finished()
    users: dict[str, list[Step]] = {step.key: [] for step in steps}
    for step in steps:
        for need in step.waits_for:
            users[need.key].append(step)
    running: set[str] = set()
    for step in reversed(steps):
        waiting = [user for user in users[step.key] if user.key in running]
        wanted = bool(waiting) or not users[step.key]
        there = step.folder in done
        if there and step.perishable and any(step in user.consumes for user in waiting):
            there = store.is_whole(step)
        if wanted and not there:
            running.add(step.key)
    return [step for step in steps if step.key in running]


def run(store: Store, steps: Sequence[Step], *, slots: Slots, submit: Submit, tell: Teller) -> Outcome:
    """Perform what must run. A failed step blocks only what waits for it; the rest goes on.

    Several runs may work in one store: what another holds is put off, and found done or tried again later.
    """
    outcome = Outcome()
    left = {step.key: step for step in to_run(store, steps)}
    named = {step.folder: step for step in steps}
    for step in steps:  # freed now where a run was killed before it could
        free(store, step, list(left.values()))
    tell.planned(list(left.values()))
    running: dict[Future[None], Step] = {}
    broken: set[str] = set()
    put_off: dict[str, float] = {}  # by key, until when
    gone: dict[str, int] = {}  # by key, how often what it needs was gone
    while left or running:
        for step in ready(left, running.values(), broken, slots, set(put_off)):
            del left[step.key]
            tell.started(step)
            running[submit(store, step, telling(tell, step))] = step
        outcome.blocked += take_blocked(left, broken)
        if not left and not running:
            break
        for future in ended(running, put_off):
            step = running.pop(future)
            problem = future.exception()
            if isinstance(problem, NotNow) and gone.get(step.key, 0) < TOO_OFTEN:
                left[step.key] = step
                put_off[step.key] = time.monotonic() + AGAIN
                if isinstance(problem, Lacking) and problem.folder in named:
                    gone[step.key] = gone.get(step.key, 0) + 1
                    need = named[problem.folder]
                    if need not in running.values():
                        left = {need.key: need, **left}
                continue
            failure = failure_of(step, problem)
            tell.ended(step, failure)
            if failure:
                outcome.failed.append(failure)
                broken.add(step.key)
            else:
                outcome.performed.append(step)
                failed = [failure.step for failure in outcome.failed]  # they will want it when they are tried again
                free(store, step, [*left.values(), *running.values(), *failed, *outcome.blocked])
    return outcome


def ended(running: Collection["Future[None]"], put_off: dict[str, float]) -> Iterable["Future[None]"]:
    """Wait until a step has ended, or one that was put off may be tried again; those that have ended."""
    pause = max(0.0, min(put_off.values()) - time.monotonic()) if put_off else None
    if running:
        over = wait(running, timeout=pause, return_when=FIRST_COMPLETED).done
    else:
        time.sleep(pause or 0.0)
        over = set()
    for key in [key for key, until in put_off.items() if until <= time.monotonic()]:
        del put_off[key]
    return over


def telling(tell: Teller, step: Step) -> Progress:
    return lambda done, of, note: tell.moved(step, done, of, note)


def ready(
    left: dict[str, Step], running: Iterable[Step], broken: set[str], slots: Slots, put_off: Collection[str] = ()
) -> list[Step]:
    """Steps whose needs are met and which fit into the free slots, in the plan's order."""
    busy = list(running)
    cores = slots.cores - sum(min(step.where.cores, slots.cores) for step in busy)
    gpus = slots.gpus - sum(min(step.where.gpus, slots.gpus) for step in busy)
    waiting = set(left) | broken | {step.key for step in busy}
    chosen = []
    for step in left.values():
        if step.key in put_off or any(need.key in waiting for need in step.waits_for):
            continue
        wants_cores, wants_gpus = min(step.where.cores, slots.cores), min(step.where.gpus, slots.gpus)
        if wants_cores <= cores and wants_gpus <= gpus:
            chosen.append(step)
            cores, gpus = cores - wants_cores, gpus - wants_gpus
    return chosen


def take_blocked(left: dict[str, Step], broken: set[str]) -> list[Step]:
    """Remove and return the steps that wait for a broken one; they count as broken from then on."""
    blocked = []
    for step in list(left.values()):
        if any(need.key in broken for need in step.waits_for):
            broken.add(step.key)
            blocked.append(left.pop(step.key))
    return blocked


def failure_of(step: Step, problem: BaseException | None) -> Failure | None:
    if problem is None:
        return None
    if not isinstance(problem, Exception):
        raise problem
    reason = redact(str(problem) or type(problem).__name__, secret_values(os.environ))
    return Failure(step, reason, getattr(problem, "log", ()))


def free(store: Store, step: Step, left: Sequence[Step]) -> None:
    """Free the perishable parts that `step` was the last to consume."""
    for need in step.consumes:
        if need.perishable and not any(need in other.consumes for other in left):
            store.release(need)


def inline(store: Store, step: Step, progress: Progress) -> "Future[None]":
    """The engine that performs steps here and now, one after another."""
    future: Future[None] = Future()
    try:
        perform(store, step, progress)
        future.set_result(None)
    except Exception as problem:
        future.set_exception(problem)
    return future
