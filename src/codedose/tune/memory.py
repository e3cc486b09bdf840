"""What a training takes of memory, and what is done when there is too little: less at once, never another step."""

import resource
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from codedose.errors import OutOfMemory
from codedose.prompt import Encoded


def peak() -> int:
    """The most bytes held so far: by tensors on the GPU where there is one, else by this process."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def runs_out(problem: Exception) -> bool:
    """Whether an exception says that memory did not suffice: torch has a class for GPUs, and only words for CPUs."""
    import torch

    return isinstance(problem, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(problem)


def shrink(model: Any, batch: Sequence[Encoded], micro_tokens: int, problem: Exception) -> int:
    """Half the tokens of a micro-batch; where one example is all there is, layers are computed twice instead of kept.

    Raises OutOfMemory where that is done already.
    """
    longest = max(len(example.tokens) for example in batch)
    if micro_tokens > longest:
        warnings.warn(f"out of memory with {micro_tokens} tokens at once: going on with half as many", stacklevel=2)
        return max(longest, min(micro_tokens, sum(len(example.tokens) for example in batch)) // 2)
    if model.is_activation_checkpointing:
        raise OutOfMemory(
            f"out of memory with one example of {longest} tokens at once ({problem}); "
            "lower tune.max_length, choose tune.method: lora, or a smaller backbone"
        ) from problem
    warnings.warn("out of memory with one example at once: going on with gradient checkpointing", stacklevel=2)
    checkpoint_layers(model)
    return micro_tokens


def checkpoint_layers(model: Any) -> None:
    """Keep only what goes into a layer, and compute the layer again on the way back (gradient checkpointing)."""
    model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
