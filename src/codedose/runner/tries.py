"""The end of a step's try flows in; its failure, and whether, when and how it is tried again, flow out."""

import os
from dataclasses import dataclass, replace

from codedose.runner.failures import Class, Patience, StepFailed, class_of, is_killed, mend_of, reason_of
from codedose.runner.secrets import secret_values
from codedose.runner.step import Step


@dataclass(frozen=True)
class Failure:
    """A step that could not be done: why, the last lines it logged, the class of its last failure, all its tries."""

    step: Step
    reason: str
    log: tuple[str, ...] = ()
    kind: Class = "bug"
    tries: int = 1

    @property
    def mend(self) -> str:
        """What a person can do about it, in one sentence."""
        return mend_of(self.kind, self.step.too_large)


@dataclass(frozen=True)
class Tried:
    """What became of a step's tries so far."""

    tries: int = 0
    pauses: int = 0  # after so many of them
    killed: bool = False


NEVER = Tried()


def failure_of(step: Step, problem: BaseException | None, tried: Tried) -> tuple[Failure | None, Tried]:
    """The failure that a try ended with, None where there was none, and all tries with this one.

    Raises what ends a program.
    """
    tries = tried.tries + 1
    if problem is None:
        return None, replace(tried, tries=tries)
    if not isinstance(problem, Exception):
        raise problem
    killed = is_killed(problem)
    kind = "memory" if killed and tried.killed else class_of(problem)  # killed once is bad luck
    log = problem.log if isinstance(problem, StepFailed) else ()
    reason = reason_of(problem, secret_values(os.environ))
    failure = Failure(step, reason, log, kind, tries)
    return failure, replace(tried, tries=tries, killed=tried.killed or killed)


def next_try(failure: Failure, tried: Tried, patience: Patience) -> tuple[Step, Tried, float] | None:
    """A failed step as it is tried again, and after how many seconds; None where trying again is of no use."""
    step, pauses = failure.step, tried.pauses + 1
    if failure.kind == "transient" and pauses < patience.tries:
        return step, replace(tried, pauses=pauses), patience.pause(step.key, pauses)
    if failure.kind == "memory" and step.smaller and (less := step.smaller(step.given)) is not None:
        return replace(step, given=less), tried, 0.0
    return None
