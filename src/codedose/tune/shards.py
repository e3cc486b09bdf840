"""Several processes of one training as torch knows them: a whole model in each, or of every tensor a part in each.

Parts are FSDP2's (torch.distributed.fsdp.fully_shard): weights, gradients and moments are split along their first
dimension; a block's weights are whole only while it computes.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from codedose.errors import MachineError
from codedose.tune.team import Round, rounds


class Again(Exception):
    """Memory ran out while the others waited for this process: begin again from the kept state, with less at once."""

    def __init__(self, micro_tokens: int, twice: bool) -> None:
        super().__init__(micro_tokens, twice)
        self.micro_tokens, self.twice = micro_tokens, twice


class Whole(torch.nn.Module):
    """A sharded model that can be asked for any work, not only its own forward: embeddings and head are whole then."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, work: Callable[..., Any], *given: Any) -> Any:
        return work(self.model, *given)


@dataclass(frozen=True)
class Several:
    """One of several processes that train one model (team.Team); `root` is None where each holds all of it."""

    rank: int
    processes: int
    device: torch.device
    root: Any | None  # a Whole, whose class fully_shard has made an FSDPModule too

    def rounds(self, lengths: Sequence[int], most: int, *, packed: bool) -> Iterator[Round]:
        return rounds(lengths, most, packed=packed, rank=self.rank, processes=self.processes)

    def do(self, model: Any, work: Callable[..., Any], *given: Any) -> Any:
        if self.root is None:
            return work(model, *given)
        told = self.root(work, *given)
        if not (isinstance(told, torch.Tensor) and told.requires_grad):
            self.root.reshard()  # what else the way back does
        return told

    def summed(self, loss: float, trained: Mapping[str, Any]) -> float:
        if self.root is None:  # FSDP2 has done so on the way back
            for weights in trained.values():
                if weights.grad is not None:
                    dist.all_reduce(weights.grad)
        total = torch.tensor(loss, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.item()

    def whole(self, tensor: Any) -> Any:
        return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor

    def part(self, tensor: Any, like: Any) -> Any:
        tensor = tensor.to(like.device)
        if not isinstance(like, DTensor):
            return tensor
        return distribute_tensor(tensor, like.device_mesh, like.placements, src_data_rank=None)

    def any(self, here: bool) -> bool:
        told = torch.tensor(int(here), device=self.device)
        dist.all_reduce(told, dist.ReduceOp.MAX)
        return bool(told)

    def trouble(self, here: Exception | None) -> Exception | None:
        if self.root is not None or not self.any(here is not None):
            return here  # sharded, the others stand in the middle of a step and cannot be asked
        return here or MemoryError("in another process of the same training")

    def take_less(self, model: Any, micro_tokens: int) -> None:
        if self.root is not None:
            raise Again(micro_tokens, bool(model.is_activation_checkpointing))


def sharded(model: Any, mesh: DeviceMesh) -> Whole:
    """`model` with the parts of this process in the place of its weights, on its device of `mesh`."""
    root = Whole(model)
    for block in blocks(model):
        fully_shard(block, mesh=mesh)
    fully_shard(root, mesh=mesh)
    for module in root.modules():
        if isinstance(module, FSDPModule):
            # The sum, not the mean; gloo knows no other way to ask for it.
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)
    return root


def blocks(model: Any) -> list[torch.nn.Module]:
    """The layers of a model, which are gathered one at a time. Raises MachineError where it has no list of them."""
    lists = [child for child in model.get_decoder().children() if isinstance(child, torch.nn.ModuleList)]
    if not lists:
        raise MachineError(f"{type(model).__name__} keeps its layers in no list, so it cannot be sharded; replicate it")
    return [block for each in lists for block in each]


def put_together(team: Several, model: Any, fresh: Any | None) -> None:
    """Put what was trained in shards into `fresh`, a whole model, in the first process; the others give their parts."""
    places = dict(fresh.named_parameters()) if fresh is not None else {}
    with torch.no_grad():
        for name, weights in model.named_parameters():
            if weights.requires_grad:
                trained = team.whole(weights.detach())
                if name in places:
                    places[name].copy_(trained)
