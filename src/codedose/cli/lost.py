"""What a run could not do flows in; the study without it, which knows what failed behind every lost cell, flows out."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from codedose.plan import Planner, failed_cells
from codedose.runner.schedule import Outcome
from codedose.runner.step import Step
from codedose.runner.tries import Failure

TOGETHER = "together"


def without_failed(planner: Planner, outcome: Outcome) -> Planner:
    """The same study without the cells and the losses that failed, for a partial report that names them."""
    failed = [*(failure.step for failure in outcome.failed), *outcome.blocked]
    if not failed:
        return planner
    why = behind(planner.steps, outcome.failed, {step.key for step in failed})
    return replace(planner, without=failed_cells(failed), unmeasured=failed_cells(failed, ("loss",)), why=why)


def each_alone(planner: Planner, outcome: Outcome) -> Planner | None:
    """The study whose adapters train alone, where training them together failed, which no cell needs; else None.

    What failed by itself is left out of it.
    """
    steps = [failure.step for failure in outcome.failed]
    if not any(step.kind == TOGETHER for step in steps):
        return None
    means = replace(planner.means, together="never")
    return replace(planner, means=means, without=failed_cells(steps), unmeasured=failed_cells(steps, ("loss",)))


def behind(
    steps: Iterable[Step], failures: Iterable[Failure], undone: Collection[str]
) -> dict[str, list[dict[str, Any]]]:
    """By cell the failures that cost it: those of its own steps, or of the steps that these wait for.

    `steps` hold each step after those it waits for; `undone` are the keys of those that failed or never started.
    """
    own = {failure.step.key: failure for failure in failures}
    blamed: dict[str, dict[str, None]] = {}  # keys in order
    found: dict[str, dict[str, None]] = {}
    for step in steps:
        if step.key not in undone:
            continue
        before = {key: None for need in step.waits_for for key in blamed.get(need.key, {})}
        blamed[step.key] = {step.key: None} if step.key in own else before
        for cell in failed_cells([step]):
            found[cell] = {**found.get(cell, {}), **blamed[step.key]}
    return {cell: [told(own[key]) for key in keys] for cell, keys in found.items()}


def told(failure: Failure) -> dict[str, Any]:
    """A failure as plain values, with what it asked where it was one of asking."""
    step = failure.step
    return {
        "step": f"{step.kind} {step.label}",
        "task": step.settings["task"] if step.kind == "generate" else None,
        "class": failure.kind,
        "tries": failure.tries,
        "reason": failure.reason,
    }
