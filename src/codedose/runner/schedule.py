"""What must run, in which order, within the slots of this machine; what fails is told, never hidden."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path

from codedose.runner.step import Progress, Step
from codedose.runner.store import is_done, is_whole, perform, release

Submit = Callable[[Path, Step, Progress], "Future[None]"]  # the whole interface of an engine


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


def to_run(root: Path, steps: Sequence[Step]) -> list[Step]:
    """The steps that must run so that every last step is done, in an order that respects needs.

    A step runs when it is not done and something that runs needs it, or when something that runs
    consumes a part of it that was freed. `steps` hold each step after those it waits for.
    """
    users: dict[str, list[Step]] = {step.key: [] for step in steps}
    for step in steps:
        for need in step.waits_for:
            users[need.key].append(step)
    running: set[str] = set()
    for step in reversed(steps):
        waiting = [user for user in users[step.key] if user.key in running]
        consumed = any(step in user.consumes for user in waiting)
        wanted = bool(waiting) or not users[step.key]
        if wanted and not (is_whole(root, step) if consumed else is_done(root, step)):
            running.add(step.key)
    return [step for step in steps if step.key in running]


def run(root: Path, steps: Sequence[Step], *, slots: Slots, submit: Submit, tell: Teller) -> Outcome:
    """Perform what must run. A failed step blocks only what waits for it; the rest goes on."""
    outcome = Outcome()
    left = {step.key: step for step in to_run(root, steps)}
    for step in steps:  # freed now where a run was killed before it could
        free(root, step, list(left.values()))
    tell.planned(list(left.values()))
    running: dict[Future[None], Step] = {}
    broken: set[str] = set()
    while left or running:
        for step in ready(left, running.values(), broken, slots):
            del left[step.key]
            tell.started(step)
            running[submit(root, step, telling(tell, step))] = step
        outcome.blocked += take_blocked(left, broken)
        if not running:
            continue
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            step = running.pop(future)
            failure = failure_of(step, future)
            tell.ended(step, failure)
            if failure:
                outcome.failed.append(failure)
                broken.add(step.key)
            else:
                outcome.performed.append(step)
                failed = [failure.step for failure in outcome.failed]  # they will want it when they are tried again
                free(root, step, [*left.values(), *running.values(), *failed, *outcome.blocked])
    return outcome


def telling(tell: Teller, step: Step) -> Progress:
    return lambda done, of, note: tell.moved(step, done, of, note)


def ready(left: dict[str, Step], running: Iterable[Step], broken: set[str], slots: Slots) -> list[Step]:
    """Steps whose needs are met and which fit into the free slots, in the plan's order."""
    busy = list(running)
    cores = slots.cores - sum(min(step.where.cores, slots.cores) for step in busy)
    gpus = slots.gpus - sum(min(step.where.gpus, slots.gpus) for step in busy)
    waiting = set(left) | broken | {step.key for step in busy}
    chosen = []
    for step in left.values():
        if any(need.key in waiting for need in step.waits_for):
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


def failure_of(step: Step, future: "Future[None]") -> Failure | None:
    problem = future.exception()
    if problem is None:
        return None
    if not isinstance(problem, Exception):
        raise problem
    return Failure(step, str(problem) or type(problem).__name__, getattr(problem, "log", ()))


def free(root: Path, step: Step, left: Sequence[Step]) -> None:
    """Free the perishable parts that `step` was the last to consume."""
    for need in step.consumes:
        if need.perishable and not any(need in other.consumes for other in left):
            release(root, need)


def inline(root: Path, step: Step, progress: Progress) -> "Future[None]":
    """The engine that performs steps here and now, one after another."""
    future: Future[None] = Future()
    try:
        perform(root, step, progress)
        future.set_result(None)
    except Exception as problem:
        future.set_exception(problem)
    return future
