"""Draws and a backbone -> a checkpoint, with the same optimisation for every arm.

Which slots a step takes in, how many steps there are and how fast they learn follow from the study and the seed, never
from the arm (order.py). How a step is laid out in memory changes nothing but speed (layout.py): its loss is normalised
over the whole step. What is trained is the model itself, or adapters in it (lora.py), by one process or several
(team.py, spread.py).

order      which slots each step takes in, and how fast it learns
ready      a backbone's folder -> the model as it is tuned; lora: its adapters
layout     a step's examples -> micro-batches; attend: documents that see only themselves; loss: of a micro-batch
memory     less at once where it runs out; state: a training on its way as a file, and back
means      what a person says of how it is done; tracking: who hears of it
team       what several processes share out; shards, rank, spread: those processes
together   many adapters in the same passes; shared: a layer under them; faster: whether that pays here
forecast   what a training will take, from a few of its steps
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from codedose.errors import MachineError
from codedose.keys import seed_for
from codedose.prompt import Encoded
from codedose.study import Tune
from codedose.tune import state
from codedose.tune.attend import within_documents
from codedose.tune.layout import laid_out, weights_of
from codedose.tune.loss import packs, weighted_loss
from codedose.tune.means import MICRO_TOKENS, Means, adamw
from codedose.tune.memory import checkpoint_layers, peak, runs_out, shrink
from codedose.tune.order import planned, schedule
from codedose.tune.state import Reached
from codedose.tune.team import ALONE, Team

__all__ = ["gradients", "train"]

KEPT_EVERY = 300.0  # seconds between two states kept on the way

USUAL = Means()

Progress = Callable[[int, int, str], None]
Hear = Callable[[dict[str, Any]], None]


def unheard(row: dict[str, Any]) -> None:
    """Nobody listens."""


def train(
    model: Any,
    examples: Sequence[Encoded],
    how: Tune,
    *,
    seed: int,
    progress: Progress,
    taken_in: Sequence[int] | None = None,
    names: Sequence[str] | None = None,
    packed: bool | None = None,
    micro_tokens: int = MICRO_TOKENS,
    kept: Path | None = None,
    kept_every: float = KEPT_EVERY,
    means: Means = USUAL,
    hear: Hear = unheard,
    team: Team = ALONE,
) -> list[dict[str, Any]]:
    """Tune what in `model` is trainable, in place; one row per optimiser step (tables.TRAINING without its cell).

    `examples` stand in the order of their slots, `names` are what errors call them; `taken_in` is that of
    order.planned. `packed` is found out where it is None. `hear` is told every row, also those of before. `kept` is a
    folder in which a state is kept every so many seconds, and from which a killed run of the same work goes on; `team`
    are the processes that share the training. Raises MachineError for a loss that is not a number, naming the step and
    its examples, and when not even one example fits into memory; DataError when examples do not fill the steps.
    """
    steps = planned(len(examples), how, seed=seed, taken_in=taken_in)
    model.eval()
    packed = team.do(model, packs, list(examples), how) if packed is None else packed
    trained = {name: weights for name, weights in model.named_parameters() if weights.requires_grad}
    optimiser = optimiser_of(trained, how, means)
    if means.checkpointing:
        checkpoint_layers(model)
    reached = (state.take_up(kept, trained, optimiser, team) if kept else None) or Reached(micro_tokens=micro_tokens)
    reached.micro_tokens = min(reached.micro_tokens, micro_tokens)
    for row in reached.rows:
        hear(row)
    model.train()
    with within_documents(model, packed=packed):
        last = time.monotonic()
        for number, slots in enumerate(steps[len(reached.rows) :], len(reached.rows) + 1):
            torch_seed(seed_for("dropout", seed, number, *([team.rank] if team.rank else [])))
            rate = how.learning_rate * schedule(number, len(steps), how)
            batch = [examples[slot] for slot in slots]
            row = take_step(model, batch, how, optimiser, trained, rate=rate, packed=packed, reached=reached, team=team)
            if not math.isfinite(row["loss"]):
                raise MachineError(not_a_number(number, row["loss"], [names[s] if names else str(s) for s in slots]))
            reached.rows.append({"step": number, **row})
            hear(reached.rows[-1])
            progress(number, len(steps), f"loss {row['loss']:.3f}")
            if kept and team.any(time.monotonic() - last >= kept_every):
                state.keep(kept, reached, trained, optimiser, team)
                last = time.monotonic()
    model.eval()
    return reached.rows


def torch_seed(seed: int) -> None:
    """Dropout of a step is decided by its name, so that a run that goes on draws what it would have drawn."""
    import torch

    torch.manual_seed(seed)


def not_a_number(step: int, loss: float, names: Sequence[str]) -> str:
    return (
        f"the loss of step {step} is {loss}, not a number; its batch held the examples {', '.join(names)}: "
        "look at them, lower tune.learning_rate, or choose the precision float32"
    )


def take_step(
    model: Any,
    batch: Sequence[Encoded],
    how: Tune,
    optimiser: Any,
    trained: Mapping[str, Any],
    *,
    rate: float,
    packed: bool,
    reached: Reached,
    team: Team = ALONE,
) -> dict[str, Any]:
    """One optimiser step; its row of the log. Weights stay as they are where the loss is not a number."""
    import torch

    began = time.monotonic()
    for group in optimiser.param_groups:
        group["lr"] = rate
    loss = team.summed(gradients_within_memory(model, batch, how, packed=packed, reached=reached, team=team), trained)
    norm = float(team.whole(torch.nn.utils.clip_grad_norm_(list(trained.values()), how.clip)))
    if math.isfinite(loss):
        optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return {
        "loss": loss,
        "learning_rate": rate,
        "grad_norm": norm,
        "tokens": sum(len(example.tokens) for example in batch),
        "loss_tokens": sum(example.loss_tokens for example in batch),
        "seconds": time.monotonic() - began,
        "memory": peak(),
    }


def gradients_within_memory(
    model: Any, batch: Sequence[Encoded], how: Tune, *, packed: bool, reached: Reached, team: Team = ALONE
) -> float:
    """`gradients`, with micro-batches half as large where memory does not suffice. The step stays the same."""
    while True:
        loss, trouble = 0.0, None
        try:
            loss = gradients(model, batch, how, packed=packed, most=reached.micro_tokens, team=team)
        except Exception as problem:
            if not runs_out(problem):
                raise
            trouble = problem
        trouble = team.trouble(trouble)
        if trouble is None:
            return loss
        model.zero_grad(set_to_none=True)
        reached.micro_tokens = shrink(model, batch, reached.micro_tokens, trouble)
        team.take_less(model, reached.micro_tokens)


def gradients(
    model: Any, batch: Sequence[Encoded], how: Tune, *, packed: bool, most: int = MICRO_TOKENS, team: Team = ALONE
) -> float:
    """Add the gradients of one step's loss; returns the loss, in nats per loss-bearing token (study.Tune.loss).

    Where a team computes them, those of this process's examples.
    """
    weights = weights_of(batch, how.loss)
    device, total = next(model.parameters()).device, 0.0
    for members, factor in team.rounds([len(example.tokens) for example in batch], most, packed=packed):
        some = laid_out(
            [batch[m] for m in members], [weights[m] * factor for m in members], packed=packed, device=device
        )
        loss = team.do(model, weighted_loss, some, how.precision)
        loss.backward()
        total += loss.item()
    return total


def optimiser_of(trained: Mapping[str, Any], how: Tune, means: Means = USUAL) -> Any:
    """What changes the weights. Vectors (norms, biases) do not decay, as is usual."""
    matrices = [weights for weights in trained.values() if weights.ndim >= 2]
    vectors = [weights for weights in trained.values() if weights.ndim < 2]
    groups = [{"params": matrices, "weight_decay": how.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return adamw(groups, learning_rate=how.learning_rate, betas=how.betas, states=means.states)
