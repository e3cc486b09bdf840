"""What an engine is: two functions, one that loads a model and one that writes replies to a batch of prompts."""

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from codedose.errors import MachineError
from codedose.generate.row import Rules, Written

AUTO, TRANSFORMERS, VLLM = "auto", "transformers", "vllm"


@dataclass(frozen=True)
class Sampling:
    """How tokens are drawn where replies are not greedy."""

    temperature: float
    top_p: float


@dataclass(frozen=True)
class Loaded:
    """A model as its engine holds it, its tokenizer, and the most tokens that its context holds (None: no bound).

    `adapter` is what an engine that does not merge adapters is to put on the model.
    """

    model: Any
    tokenizer: Any
    context: int | None
    adapter: Any = None


class Generate(Protocol):
    """Replies to one batch of prompts (token ids), in their order. `seeds`, one a prompt, decide what is sampled."""

    def __call__(
        self,
        loaded: Loaded,
        prompts: Sequence[Sequence[int]],
        rules: Rules,
        *,
        sampling: Sampling | None,
        seeds: Sequence[int],
    ) -> list[Written]: ...


@dataclass(frozen=True)
class Engine:
    load: Callable[[Path, str, Path | None], Loaded]  # a folder, the dtype, and an adapter to put on it
    generate: Generate


def resolved(name: str, *, gpus: int) -> str:
    """The engine that `auto` means on a machine: vLLM where it is installed and has a GPU, else transformers."""
    if name != AUTO:
        return name
    return VLLM if gpus and importlib.util.find_spec(VLLM) else TRANSFORMERS


def engine(name: str) -> Engine:
    """The engine of that name. MachineError where its package is not installed."""
    if name == TRANSFORMERS:
        from codedose.generate import own

        return Engine(own.load, own.generate)
    if importlib.util.find_spec(VLLM) is None:
        raise MachineError("generate.engine is vllm, which is not installed: pip install 'codedose[vllm]', or say auto")
    from codedose.generate import served

    return Engine(served.load, served.generate)
