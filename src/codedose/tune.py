"""Draws and a backbone -> a checkpoint: full tuning with the same optimisation for every arm.

The order of slots, the number of steps and the schedule depend on the study and the seed, never on
the arm. How a step is cut into micro-batches is layout only: the loss is normalised over the step.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from codedose.errors import DataError, MachineError
from codedose.keys import seed_for
from codedose.prompt import Encoded
from codedose.study import Tune

PADDED_TOKENS = 1024  # of a micro-batch, padding included; layout only

Progress = Callable[[int, int, str], None]


def train(
    model: Any,
    examples: Sequence[Encoded],
    how: Tune,
    *,
    seed: int,
    progress: Progress,
    taken_in: Sequence[int] | None = None,
) -> list[dict[str, Any]]:
    """Tune `model` in place; one row per optimiser step (tables.TRAINING without its cell).

    `examples` stand in the order of their slots; `taken_in` names the step of an epoch that takes each in, where
    the draw says so (steps of equal tokens), else steps hold `how.step_size` examples. Raises MachineError when
    the loss is not a number, naming the step and its slots; DataError when examples do not fill the steps.
    """
    import torch

    torch.manual_seed(seed_for("tune", seed))
    planned = order(len(examples), how, seed=seed) if taken_in is None else order_of_steps(taken_in, how, seed=seed)
    steps = list(planned)
    optimiser = torch.optim.AdamW(groups(model, how.weight_decay), lr=how.learning_rate, betas=how.betas, fused=True)
    model.train()
    rows = []
    for number, slots in enumerate(steps, 1):
        began = time.monotonic()
        rate = how.learning_rate * schedule(number, len(steps), how)
        for group in optimiser.param_groups:
            group["lr"] = rate
        batch = [examples[slot] for slot in slots]
        loss = gradients(model, batch, how)
        if not math.isfinite(loss):
            raise MachineError(f"the loss of step {number} is {loss}, not a number; its batch held the slots {slots}")
        norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), how.clip))
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        rows.append(
            {
                "step": number,
                "loss": loss,
                "learning_rate": rate,
                "grad_norm": norm,
                "tokens": sum(len(example.tokens) for example in batch),
                "loss_tokens": sum(example.loss_tokens for example in batch),
                "seconds": time.monotonic() - began,
            }
        )
        progress(number, len(steps), f"loss {loss:.3f}")
    model.eval()
    return rows


def refuse_short_context(model: Any, max_length: int) -> None:
    """MachineError when examples may be longer than the positions the backbone knows."""
    context = getattr(model.config, "max_position_embeddings", None)
    if context and max_length > context:
        raise MachineError(
            f"tune.max_length is {max_length}, but the backbone's context holds {context} tokens; lower it"
        )


def order(count: int, how: Tune, *, seed: int) -> Iterator[list[int]]:
    """The slots of each step: every epoch a fresh order, the same for all arms and draws of a seed."""
    if count % how.step_size:
        raise DataError(f"{count} examples do not fill steps of {how.step_size}")
    for epoch in range(how.epochs):
        shuffled = np.random.default_rng(seed_for("order", seed, epoch)).permutation(count).tolist()
        for start in range(0, count, how.step_size):
            yield shuffled[start : start + how.step_size]


def order_of_steps(taken_in: Sequence[int], how: Tune, *, seed: int) -> Iterator[list[int]]:
    """The slots of each step where the draw names its steps: every epoch the same steps in a fresh order."""
    slots: dict[int, list[int]] = {step: [] for step in sorted(set(taken_in))}
    for slot, step in enumerate(taken_in):
        slots[step].append(slot)
    for epoch in range(how.epochs):
        for place in np.random.default_rng(seed_for("order", seed, epoch)).permutation(len(slots)).tolist():
            yield list(slots.values())[place]


def schedule(step: int, steps: int, how: Tune) -> float:
    """The factor on the learning rate in `step` (from 1): linear warm-up, then as the schedule says."""
    warm = round(how.warmup * steps)
    if step <= warm:
        return step / warm
    done = (step - 1 - warm) / max(1, steps - warm)
    return {"constant": 1.0, "linear": 1 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done))}[how.schedule]


def groups(model: Any, weight_decay: float) -> list[dict[str, Any]]:
    """Parameters with and without decay: vectors (norms, biases) have none, as is usual."""
    kept = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return [
        {"params": [parameter for parameter in kept if parameter.ndim >= 2], "weight_decay": weight_decay},
        {"params": [parameter for parameter in kept if parameter.ndim < 2], "weight_decay": 0.0},
    ]


def gradients(model: Any, batch: Sequence[Encoded], how: Tune) -> float:
    """Add the gradients of one step's loss; returns the loss, in nats per token or per example's token."""
    weights = loss_weights(batch, how.loss)
    total = 0.0
    for members in micro_batches([len(example.tokens) for example in batch]):
        loss = weighted_loss(model, [batch[m] for m in members], [weights[m] for m in members], how.precision)
        loss.backward()
        total += loss.item()
    return total


def loss_weights(batch: Sequence[Encoded], kind: str) -> list[float]:
    """What one loss-bearing token of each example weighs in the step's loss."""
    if kind == "token_mean":
        return [1 / sum(example.loss_tokens for example in batch)] * len(batch)
    return [1 / (len(batch) * example.loss_tokens) for example in batch]


def micro_batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Places in a step, shortest first, gathered while their padded size stays small."""
    gathered: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: (lengths[place], place)):
        if gathered and lengths[place] * (len(gathered) + 1) > PADDED_TOKENS:
            yield gathered
            gathered = []
        gathered.append(place)
    if gathered:
        yield gathered


def weighted_loss(model: Any, batch: Sequence[Encoded], weights: Sequence[float], precision: str) -> Any:
    """The weighted sum of next-token losses over the loss-bearing tokens of right-padded rows.

    No attention mask is needed: under causal attention nothing looks right into the padding. The
    vocabulary head runs at loss-bearing positions only, where half of a small model's work lies.
    """
    import torch

    device = next(model.parameters()).device
    width = max(len(example.tokens) for example in batch)
    tokens = torch.zeros(len(batch), width, dtype=torch.long)
    scale = torch.zeros(len(batch), width)
    for row, (example, weight) in enumerate(zip(batch, weights, strict=True)):
        tokens[row, : len(example.tokens)] = torch.tensor(example.tokens)
        # Place t predicts token t + 1.
        scale[row, : len(example.tokens) - 1] = torch.tensor(example.loss[1:], dtype=torch.float) * weight
    tokens, scale = tokens.to(device), scale.to(device)
    at = scale[:, :-1] > 0
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16_mixed"):
        hidden = model.get_decoder()(input_ids=tokens, use_cache=False).last_hidden_state
        logits = model.get_output_embeddings()(hidden[:, :-1][at])
    losses = torch.nn.functional.cross_entropy(logits.float(), tokens[:, 1:][at], reduction="none")
    return (losses * scale[:, :-1][at]).sum()
