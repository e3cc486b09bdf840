"""What must run, in which order, within the slots of this machine; what fails is told, never hidden."""

import time
from collections.abc import Callable, Collection, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field

from codedose.runner.agenda import Agenda
from codedose.runner.failures import Patience
from codedose.runner.lease import Lacking, NotNow
from codedose.runner.perform import perform
from codedose.runner.step import HALF, Progress, Step, Where
from codedose.runner.store import Store
from codedose.runner.tries import NEVER, Failure, Tried, failure_of, next_try

Submit = Callable[[Store, Step, Progress], "Future[None]"]  # the whole interface of an engine
AGAIN = 2.0  # seconds until a step that another worker held is tried again
TOO_OFTEN = 5  # times that what a step needs was gone when it began
LOOK_AGAIN = 5.0  # seconds after which an engine is asked anew what it has
PATIENCE = Patience()


@dataclass(frozen=True)
class Slots:
    """What may be occupied at once."""

    cores: int
    gpus: int = 0


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

    def again(self, step: Step, failure: Failure) -> None:
        """A step failed, and will be tried again."""

    def ended(self, step: Step, failure: Failure | None) -> None:
        """A step is done, or failed."""


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


def run(
    store: Store,
    steps: Sequence[Step],
    *,
    slots: Slots | Callable[[], Slots],
    submit: Submit,
    tell: Teller,
    patience: Patience = PATIENCE,
) -> Outcome:
    """Perform what must run. A failed step blocks only what waits for it; the rest goes on.

    Several runs may work in one store: what another holds is put off, and found done or tried again later. So is a
    step with a transient failure; one that memory did not suffice for is tried at once, with less of what it is given.
    None holds a slot meanwhile. Where `slots` is a function it is asked again every few seconds: nodes of a cluster
    come and go.
    """
    outcome = Outcome()
    agenda = Agenda(steps, to_run(store, steps))
    named = {step.folder: step for step in steps}
    for need in agenda.unwanted(steps):  # freed now where a run was killed before it could
        store.release(need)
    tell.planned(list(agenda.left.values()))
    running: dict[Future[None], Step] = {}
    tried: dict[str, Tried] = {}
    put_off: dict[str, float] = {}  # by key, until when
    gone: dict[str, int] = {}  # by key, how often what it needs was gone
    while agenda or running:
        there = slots() if callable(slots) else slots
        for step in agenda.take(Room(there, running.values()), put_off):
            tell.started(step)
            running[submit(store, step, telling(tell, step))] = step
        for future in ended(running, put_off, LOOK_AGAIN if callable(slots) else None):
            step = running.pop(future)
            problem = future.exception()
            if isinstance(problem, NotNow) and gone.get(step.key, 0) < TOO_OFTEN:
                outcome.blocked += agenda.again(step)
                put_off[step.key] = time.monotonic() + AGAIN
                if isinstance(problem, Lacking) and problem.folder in named:
                    gone[step.key] = gone.get(step.key, 0) + 1
                    outcome.blocked += agenda.redo(named[problem.folder])
                continue
            failure, tried[step.key] = failure_of(step, problem, tried.get(step.key, NEVER))
            if failure and (again := next_try(failure, tried[step.key], patience)):
                smaller, tried[step.key], pause = again
                outcome.blocked += agenda.again(smaller)
                put_off[step.key] = time.monotonic() + pause
                tell.again(step, failure)
                continue
            tell.ended(step, failure)
            if failure:
                outcome.failed.append(failure)
                outcome.blocked += agenda.failed(step)
            else:
                outcome.performed.append(step)
                for need in agenda.done(step):
                    store.release(need)
    return outcome


def ended(
    running: Collection["Future[None]"], put_off: dict[str, float], most: float | None = None
) -> Iterable["Future[None]"]:
    """Wait, for so many seconds at `most`, until a step has ended or one that was put off may be tried again.

    Returns those that have ended.
    """
    pause = max(0.0, min(put_off.values()) - time.monotonic()) if put_off else most
    pause = pause if pause is None or most is None else min(pause, most)
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


class Room:
    """What is left of the slots beside the steps that run. A step that wants more than there is takes all.

    Two halves of a GPU share one; a whole GPU is free for sure only where every half might have one of its own,
    because which halves share one is the engine's to know.
    """

    def __init__(self, slots: Slots, busy: Iterable[Step] = ()) -> None:
        self.slots, self.cores, self.gpus, self.halves = slots, slots.cores, slots.gpus, 0
        for step in busy:
            self.take(step.where)

    def take(self, where: Where) -> None:
        self.cores -= min(where.cores, self.slots.cores)
        self.gpus -= min(int(where.gpus), self.slots.gpus)
        self.halves += where.gpus == HALF

    def holds(self, where: Where) -> bool:
        if min(where.cores, self.slots.cores) > self.cores:
            return False
        if where.gpus == HALF:
            return self.slots.gpus == 0 or self.halves < 2 * self.gpus
        wanted = min(int(where.gpus), self.slots.gpus)
        return wanted == 0 or wanted <= self.gpus - self.halves


def inline(store: Store, step: Step, progress: Progress) -> "Future[None]":
    """The engine that performs steps here and now, one after another."""
    future: Future[None] = Future()
    try:
        perform(store, step, progress)
        future.set_result(None)
    except Exception as problem:
        future.set_exception(problem)
    return future
