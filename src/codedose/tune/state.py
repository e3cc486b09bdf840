"""A training on its way -> one file, and back: a killed run goes on where it was, to the last bit.

The file is safetensors with the rows of the log in its header; it appears whole or not at all.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from codedose.tune.team import ALONE, Team

FILE = "state.safetensors"
WEIGHT = "weight"
CODES = "qmap"  # what 8 bits stand for, in bitsandbytes one tensor for all weights: a file holds it for each


@dataclass
class Reached:
    """How far a training has got: the rows of its log, one a step, and how many tokens a micro-batch may hold."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    micro_tokens: int = 0


def keep(folder: Path, reached: Reached, trained: Mapping[str, Any], optimiser: Any, team: Team = ALONE) -> None:
    """Keep what is needed to go on: trained weights, the optimiser's states by their names, and how far it got.

    Tensors are kept whole, so that another number of processes can go on; the first of them writes.
    """
    from safetensors.torch import save_file

    tensors = {}
    for name, tensor in of_training(trained, optimiser):
        whole = team.whole(tensor)
        if team.rank == 0:
            tensors[name] = whole.cpu().contiguous()
    if team.rank:
        return
    said = {"rows": json.dumps(reached.rows), "micro_tokens": str(reached.micro_tokens)}
    draft = folder / f".{FILE}.{os.getpid()}"
    save_file(tensors, draft, metadata=said)
    os.replace(draft, folder / FILE)


def of_training(trained: Mapping[str, Any], optimiser: Any) -> Iterator[tuple[str, Any]]:
    """What a training changes, by the names that the file has."""
    import torch

    for name, weights in trained.items():
        yield f"{WEIGHT}/{name}", weights.detach()
        for kind, value in optimiser.state[weights].items():
            if kind != "step" and torch.is_tensor(value):
                yield f"{kind}/{name}", value.clone() if kind.startswith(CODES) else value


def take_up(folder: Path, trained: Mapping[str, Any], optimiser: Any, team: Team = ALONE) -> Reached | None:
    """Put kept weights and states back in place; how far the training had got, or None where nothing is kept."""
    import torch
    from safetensors import safe_open

    if not (folder / FILE).is_file():
        return None
    with safe_open(folder / FILE, "pt") as file, torch.no_grad():
        said = file.metadata()
        rows = json.loads(said["rows"])
        is_plain = isinstance(optimiser, torch.optim.AdamW)
        for name, weights in trained.items():
            weights.copy_(team.part(file.get_tensor(f"{WEIGHT}/{name}"), weights))
            step = torch.tensor(float(len(rows)), device=weights.device) if is_plain else len(rows)
            optimiser.state[weights] = {"step": step}
        for key in file.keys():  # noqa: SIM118 - not a mapping
            kind, _, name = key.partition("/")
            if kind != WEIGHT:
                optimiser.state[trained[name]][kind] = team.part(file.get_tensor(key), trained[name])
    return Reached(rows, int(said["micro_tokens"]))
