"""Runs of one backbone -> how much faster they train together (together.py) than one after another, tried out here."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from statistics import median
from typing import Any

from codedose.prompt import Encoded
from codedose.study import Tune
from codedose.tune import USUAL, optimiser_of, take_step
from codedose.tune.attend import within_documents
from codedose.tune.means import MICRO_TOKENS, Means
from codedose.tune.memory import checkpoint_layers, runs_out
from codedose.tune.state import Reached
from codedose.tune.together import Run, Underway, apart, begun, gradients, most_tokens, settle, sharing, wrap

WORTH = 1.1  # times as fast: with less the trial is not repaid
PASSES = 4  # the first of which is not timed


def faster(
    model: Any, runs: Sequence[Run], how: Tune, *, micro_tokens: int | None = None, means: Means = USUAL
) -> float:
    """How many times as fast the runs are together as one after another: the median of a few passes.

    Each takes in the runs' next steps in both ways, with adapters that are thrown away; `model`, a plain backbone,
    stays as it is and nothing is kept. 0.0 where the runs cannot go together (together.apart) or do not fit into
    memory together. Raises MachineError where not even one of them does.
    """
    if apart(model, runs, how):
        return 0.0
    most = micro_tokens or most_tokens(model)
    every = [first_steps(begun(model, run, how, most, means=means, is_new=True)) for run in runs]
    if means.checkpointing:
        checkpoint_layers(model)
    wrapped = wrap(model, how, runs[0].seed)
    try:
        timed = list(passes(model, every, how, means))
    except Exception as problem:
        if runs_out(problem):
            return 0.0
        raise
    finally:
        wrapped.unload()
    return median(one / other for one, other in timed[1:])


def first_steps(each: Underway) -> Underway:
    """The same run with as many steps as are tried, over again where it has fewer."""
    return replace(each, steps=(list(each.steps) * PASSES)[:PASSES])


def passes(model: Any, every: Sequence[Underway], how: Tune, means: Means) -> Iterator[tuple[float, float]]:
    """Seconds of each pass, one run after another as `train` takes its steps, and together."""
    trained = {name: weights for name, weights in model.named_parameters() if weights.requires_grad}
    step = partial(take_step, model, how=how, optimiser=optimiser_of(trained, how, means), trained=trained)
    step = partial(step, rate=how.learning_rate, packed=True, reached=Reached(micro_tokens=MICRO_TOKENS))
    for _ in range(PASSES):
        yield alone(model, step, [each.batch for each in every]), at_once(model, every, how)


def alone(model: Any, step: Callable[..., Any], batches: Sequence[Sequence[Encoded]]) -> float:
    began = time.monotonic()
    model.train()
    with within_documents(model, packed=True):
        for batch in batches:
            step(batch)
    return time.monotonic() - began


def at_once(model: Any, every: Sequence[Underway], how: Tune) -> float:
    began = time.monotonic()
    with sharing(model, every, how) as row:
        settle(every, gradients(model, every, how, row), how, began)
    return time.monotonic() - began
