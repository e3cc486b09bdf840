"""Many adapters of one backbone, trained in one process: the next step of every run taken in the same passes.

Runs share the products with the frozen matrices (shared.py) and nothing else: each has its own steps, loss, clipped
gradient and AdamW, and its state is kept where its own `train` looks for one. So `train` takes up what was done here,
finished or not, and a run that `train` began goes on here.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from codedose.errors import MachineError, StudyError
from codedose.prompt import Encoded
from codedose.study import Lora, Tune
from codedose.tune import KEPT_EVERY, USUAL, Progress, not_a_number, optimiser_of, state
from codedose.tune.attend import within_documents
from codedose.tune.layout import in_turn, laid_out, weights_of
from codedose.tune.lora import adapted
from codedose.tune.loss import packs, weighted_losses
from codedose.tune.means import MICRO_TOKENS, Means
from codedose.tune.memory import checkpoint_layers, peak, runs_out, shrink
from codedose.tune.order import planned, schedule
from codedose.tune.shared import Row, shared
from codedose.tune.state import Reached

CPU_TOKENS = 1024  # of a pass


@dataclass(frozen=True)
class Run:
    """One adapter's training, as `train` is told of it; `name` is what errors call the run."""

    name: str
    seed: int
    examples: Sequence[Encoded]
    kept: Path
    taken_in: Sequence[int] | None = None
    names: Sequence[str] | None = None


@dataclass(frozen=True)
class Underway:
    """A run on its way: the slots of its steps, its adapter's weights by name, their optimiser, how far it got."""

    run: Run
    steps: Sequence[Sequence[int]]
    trained: Mapping[str, Any]
    optimiser: Any
    reached: Reached

    @property
    def is_done(self) -> bool:
        return len(self.reached.rows) == len(self.steps)

    @property
    def number(self) -> int:
        """Of its next step, from 1."""
        return len(self.reached.rows) + 1

    @property
    def batch(self) -> list[Encoded]:
        return [self.run.examples[slot] for slot in self.steps[self.number - 1]]


def train_together(
    model: Any,
    runs: Sequence[Run],
    how: Tune,
    *,
    progress: Progress,
    micro_tokens: int | None = None,
    kept_every: float = KEPT_EVERY,
    means: Means = USUAL,
) -> dict[str, list[dict[str, Any]]]:
    """Train an adapter a run on `model`, a plain backbone that is frozen; each run's rows (of `train`) by its name.

    Every trajectory is that of the run alone but for rounding. The state of every run is kept in its folder every so
    many seconds, and at the end. `seconds` of a row are the run's share of the pass, by tokens. Raises StudyError
    for runs that cannot go together (`apart`); MachineError when not even one example fits into memory, and for a
    loss that is not a number: it names the run, and all states are kept as they were before that step.
    """
    if reason := apart(model, runs, how):
        raise StudyError(f"these runs cannot be trained together: {reason}; train them one after another")
    most = micro_tokens or most_tokens(model)
    every = [begun(model, run, how, most, means=means, is_new=False) for run in runs]
    if means.checkpointing:
        checkpoint_layers(model)
    with sharing(model, every, how) as row:
        last = time.monotonic()
        while left := [each for each in every if not each.is_done]:
            began = time.monotonic()
            losses = gradients_within_memory(model, left, how, row)
            if problem := not_numbers(left, losses):
                keep(every)
                raise MachineError(problem)
            done, of = max((each.number, len(each.steps)) for each in left)
            settle(left, losses, how, began)
            progress(done, of, f"{len(left)} runs, loss {sum(losses) / len(losses):.3f}")
            if time.monotonic() - last >= kept_every:
                keep(every)
                last = time.monotonic()
    keep(every)
    return {each.run.name: each.reached.rows for each in every}


def apart(model: Any, runs: Sequence[Run], how: Tune) -> str | None:
    """Why runs have to be trained one after another; None where they can go together."""
    import torch

    if how.lora is None:
        return "only adapters share a backbone, and tune.method is full"
    drops = [module for module in model.modules() if isinstance(module, torch.nn.Dropout) and module.p]
    if how.lora.dropout or drops or getattr(model.config, "attention_dropout", 0.0):
        return "dropout draws by the place in memory, so that a run would not be what it is alone"
    if len({run.name for run in runs}) < len(runs):
        return "two of them have the same name"
    model.eval()
    if not packs(model, [example for run in runs for example in run.examples], how):
        return f"the documents of {type(model).__name__} cannot stand in one row"
    return None


def most_tokens(model: Any) -> int:
    """The tokens of a pass. On a CPU longer rows leave its caches and lose what sharing wins."""
    return CPU_TOKENS if model.device.type == "cpu" else MICRO_TOKENS


def begun(model: Any, run: Run, how: Tune, micro_tokens: int, *, means: Means, is_new: bool) -> Underway:
    """A run with the adapter that it begins with alone or, unless `is_new`, as far as its kept state had got."""
    trained = adapter(model, how, run.seed)
    optimiser = optimiser_of(trained, how, means)
    kept = None if is_new else state.take_up(run.kept, trained, optimiser)
    reached = kept or Reached(micro_tokens=micro_tokens)
    reached.micro_tokens = min(reached.micro_tokens, micro_tokens)
    steps = planned(len(run.examples), how, seed=run.seed, taken_in=run.taken_in)
    return Underway(run, steps, trained, optimiser, reached)


def adapter(model: Any, how: Tune, seed: int) -> dict[str, Any]:
    """The weights of a seed's adapter by the names that they have in an adapted model; `model` is plain again."""
    wrapped = wrap(model, how, seed)
    found = {name: weights for name, weights in model.named_parameters() if weights.requires_grad}
    wrapped.unload()
    return found


def wrap(model: Any, how: Tune, seed: int) -> Any:
    return adapted(model, lora_of(how), seed=seed, backbone="", pure=how.precision == "bfloat16_pure")


def lora_of(how: Tune) -> Lora:
    if how.lora is None:
        raise StudyError("tune.method is full, but only adapters can share a backbone; choose tune.method: lora")
    return how.lora


@contextmanager
def sharing(model: Any, every: Sequence[Underway], how: Tune) -> Iterator[Row]:
    """While this lasts `model` trains the adapters that are told to it by the row that this yields."""
    lora, row = lora_of(how), Row()
    with within_documents(model, packed=True), shared(model, every[0].trained, lora.alpha / lora.rank, row):
        model.train()
        try:
            yield row
        finally:
            model.eval()


def gradients_within_memory(model: Any, left: Sequence[Underway], how: Tune, row: Row) -> list[float]:
    """`gradients` of the runs' next steps, with less at once where memory does not suffice."""
    while True:
        try:
            return gradients(model, left, how, row)
        except Exception as problem:
            if not runs_out(problem):
                raise
            whole = [example for each in left for example in each.batch]
            smaller = shrink(model, whole, most_at_once(left), problem)
            for each in left:
                each.optimiser.zero_grad(set_to_none=True)
                each.reached.micro_tokens = smaller


def most_at_once(left: Sequence[Underway]) -> int:
    return min(each.reached.micro_tokens for each in left)


def gradients(model: Any, left: Sequence[Underway], how: Tune, row: Row) -> list[float]:
    """Add to every adapter the gradients of its run's next step; the loss of each run's step."""
    pieces = [
        (place, example, weight)
        for place, each in enumerate(left)
        for example, weight in zip(each.batch, weights_of(each.batch, how.loss), strict=True)
    ]
    totals = [0.0] * len(left)
    for some in in_turn([len(example.tokens) for _, example, _ in pieces], most_at_once(left)):
        for place, loss in gradients_of_row(model, left, pieces[some], how, row):
            totals[place] += loss
    return totals


def gradients_of_row(
    model: Any, left: Sequence[Underway], pieces: Sequence[tuple[int, Encoded, float]], how: Tune, row: Row
) -> list[tuple[int, float]]:
    """The same for pieces (place in `left`, example, weight of its tokens); the losses of those places."""
    import torch

    whose, examples, weights = zip(*pieces, strict=True)
    apiece = {place: [e for other, e, _ in pieces if other == place] for place in dict.fromkeys(whose)}
    row.stretches = [(left[place].trained, sum(len(e.tokens) for e in some)) for place, some in apiece.items()]
    batch = laid_out(examples, weights, packed=True, device=model.device)
    loss, of_targets = weighted_losses(model, batch, how.precision)
    loss.backward()
    parts = of_targets.split([sum(e.loss_tokens for e in some) for some in apiece.values()])
    sums = torch.stack([part.sum() for part in parts]).tolist()  # one wait for the accelerator
    return list(zip(apiece, sums, strict=True))


def settle(left: Sequence[Underway], losses: Sequence[float], how: Tune, began: float) -> None:
    """One optimiser step of every run with the gradients that it has, and its row."""
    import torch

    norms = []
    for each in left:
        for group in each.optimiser.param_groups:
            group["lr"] = how.learning_rate * schedule(each.number, len(each.steps), how)
        norms.append(torch.nn.utils.clip_grad_norm_(list(each.trained.values()), how.clip))
        each.optimiser.step()
        each.optimiser.zero_grad(set_to_none=True)
    tokens = [sum(len(example.tokens) for example in each.batch) for each in left]
    for each, loss, norm, count in zip(left, losses, map(float, norms), tokens, strict=True):
        told = {
            "step": each.number,
            "loss": loss,
            "learning_rate": each.optimiser.param_groups[0]["lr"],
            "grad_norm": norm,
            "tokens": count,
            "loss_tokens": sum(example.loss_tokens for example in each.batch),
            "seconds": (time.monotonic() - began) * count / sum(tokens),
            "memory": peak(),
        }
        each.reached.rows.append(told)


def not_numbers(left: Sequence[Underway], losses: Sequence[float]) -> str | None:
    """What is wrong with the first loss that is not a number: its run, step and examples."""
    for each, loss in zip(left, losses, strict=True):
        if not math.isfinite(loss):
            slots, names = each.steps[each.number - 1], each.run.names
            said = not_a_number(each.number, loss, [names[slot] if names else str(slot) for slot in slots])
            return f"{each.run.name}: {said}"
    return None


def keep(every: Sequence[Underway]) -> None:
    for each in every:
        if each.reached.rows:
            each.run.kept.mkdir(parents=True, exist_ok=True)
            state.keep(each.run.kept, each.reached, each.trained, each.optimiser)
