"""One frozen backbone under many adapters: the documents of each stand together in a packed row and see only theirs.

A layer's product with its frozen matrix, and the one back, is made once over the whole row; those with the low-rank
matrices are added to it stretch by stretch. As in S-LoRA (Sheng et al., 2023, arXiv 2311.03285), here for training.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

DOWN, UP = "lora_A.default.weight", "lora_B.default.weight"  # as peft names them in a layer


@dataclass
class Row:
    """What stands in the row at present: adapters (weights by name) and how many tokens each, one behind the other."""

    stretches: Sequence[tuple[Mapping[str, Any], int]] = ()


@contextmanager
def shared(model: Any, named: Collection[str], scaling: float, row: Row) -> Iterator[None]:
    """While this lasts the linear layers of `model` add to each stretch of `row` what its adapter makes of it.

    `named` are the names of an adapter's weights in a model adapted by lora.adapted. `model` is plain, or adapted:
    then its own adapter rests.
    """
    layers = {name: layer for name, layer in model.named_modules() if f"{name}.{DOWN}" in named}
    for name, layer in layers.items():
        layer.forward = forward(layer, name, scaling, row)
    try:
        yield
    finally:
        for layer in layers.values():
            del layer.forward  # that of its class is found again


def forward(layer: Any, name: str, scaling: float, row: Row) -> Any:
    """What such a layer computes: 1 x width x size, in the precision of the autocast around it, if any."""
    import torch

    def compute(states: Any) -> Any:
        device = states.device.type
        kind = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else layer.weight.dtype
        lengths = [length for _, length in row.stretches]
        both = [adapter[f"{name}.{half}"].to(kind) for adapter, _ in row.stretches for half in (DOWN, UP)]
        bias = None if layer.bias is None else layer.bias.to(kind)
        return product()(states[0].to(kind), layer.weight.to(kind), bias, scaling, lengths, *both)[None]

    return compute


@lru_cache(maxsize=1)
def product() -> Any:
    """x W' + b + scaling x A' B' in one function of autograd, A and B those of each stretch, W and b frozen.

    Results are added up where they stand, so nothing of the size of a layer's output is made twice.
    """
    import torch

    class Product(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, states: Any, weight: Any, bias: Any, scaling: float, lengths: Any, *both: Any) -> Any:
            told: Any = torch.nn.functional.linear(states, weight, bias)
            lows = []
            parts = zip(states.split(lengths), told.split(lengths), both[::2], both[1::2], strict=True)
            for part, into, down, up in parts:
                lows.append(part @ down.T)
                into.addmm_(lows[-1], up.T, alpha=scaling)
            ctx.save_for_backward(states, weight, *lows, *both)
            ctx.scaling, ctx.lengths = scaling, lengths
            return told

        @staticmethod
        def backward(ctx: Any, pull: Any) -> Any:
            states, weight, *rest = ctx.saved_tensors
            count = len(ctx.lengths)
            lows, downs, ups = rest[:count], rest[count::2], rest[count + 1 :: 2]
            of_states, of_both = pull @ weight, []
            parts = zip(
                pull.split(ctx.lengths),
                of_states.split(ctx.lengths),
                states.split(ctx.lengths),
                lows,
                downs,
                ups,
                strict=True,
            )
            for back, into, part, low, down, up in parts:
                of_low = (back @ up).mul_(ctx.scaling)
                into.addmm_(of_low, down)
                of_both += [of_low.T @ part, (back.T @ low).mul_(ctx.scaling)]
            return of_states, None, None, None, None, *of_both

    return Product.apply
