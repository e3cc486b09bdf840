"""How a training is done on the machine at hand. None of it is part of what is trained, and no key knows it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

States = Literal["whole", "8bit"]
Together = Literal["measured", "never", "always"]
MICRO_TOKENS = 4096  # of a micro-batch; layout only
FEWEST_TOKENS = 1024  # of one, before layers are computed twice
TRACKERS = ("tensorboard", "wandb", "mlflow", "trackio")


@dataclass(frozen=True)
class Means:
    """What a person says beside the study: how trainings use memory, and who hears of them.

    `checkpointing`: layers are computed twice instead of kept (gradient checkpointing). `states`: the optimiser's, in
    the precision of the weights, or in 8 bits with a scale for every 256 (Dettmers et al., 2021, arXiv 2110.02861):
    a quarter of their memory, and a little noise, which the report mentions. `processes` share one training; where
    `sharded` each holds a part of every tensor, else all of it. `together`: adapters of one backbone are trained in
    the same passes where that was measured to be faster, on a GPU, or never, or always where it can be. `report_to`:
    trackers; what they write themselves lies in `folder`, under the name of the `project`. `micro_tokens`: the most
    tokens of a micro-batch; None: as many as usual.
    """

    checkpointing: bool = False
    states: States = "whole"
    processes: int = 1
    sharded: bool = False
    together: Together = "measured"
    report_to: tuple[str, ...] = ()
    project: str = "codedose"
    folder: str = "trackers"
    micro_tokens: int | None = None


def with_less(said: Mapping[str, Any]) -> dict[str, Any] | None:
    """Means as plain values, with half the tokens at once, or with layers computed twice; None where both are done."""
    most = said["micro_tokens"] or MICRO_TOKENS
    if most > FEWEST_TOKENS:
        return {**said, "micro_tokens": most // 2}
    return None if said["checkpointing"] else {**said, "checkpointing": True}


def adamw(groups: list[dict[str, Any]], *, learning_rate: float, betas: tuple[float, float], states: States) -> Any:
    """AdamW (Loshchilov & Hutter, 2019, arXiv 1711.05101) over groups of weights, its states whole or in 8 bits.

    Raises MachineError where bitsandbytes, which does the latter, is not installed.
    """
    import torch

    from codedose.errors import MachineError

    if states == "whole":
        return torch.optim.AdamW(groups, lr=learning_rate, betas=betas, fused=True)
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError as problem:
        raise MachineError(
            f"optimiser states in 8 bits need bitsandbytes ({problem}): pip install 'codedose[8bit]'"
        ) from problem
    return AdamW8bit(groups, lr=learning_rate, betas=betas)
