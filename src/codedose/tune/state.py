"""A training on its way -> one file, and back: a killed run goes on where it was, to the last bit.

The file is safetensors with the rows of the log in its header; it appears whole or not at all.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILE = "state.safetensors"
WEIGHT = "weight"
CODES = "qmap"  # what 8 bits stand for, in bitsandbytes one tensor for all weights: a file holds it for each


@dataclass
class Reached:
    """How far a training has got: the rows of its log, one a step, and how many tokens a micro-batch may hold."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    micro_tokens: int = 0


def keep(folder: Path, reached: Reached, trained: Mapping[str, Any], optimiser: Any) -> None:
    """Keep what is needed to go on: trained weights, the optimiser's states by their names, and how far it got."""
    import torch
    from safetensors.torch import save_file

    tensors = {f"{WEIGHT}/{name}": weights.detach() for name, weights in trained.items()}
    for name, weights in trained.items():
        for kind, value in optimiser.state[weights].items():
            if kind != "step" and torch.is_tensor(value):
                tensors[f"{kind}/{name}"] = value.clone() if kind.startswith(CODES) else value
    said = {"rows": json.dumps(reached.rows), "micro_tokens": str(reached.micro_tokens)}
    draft = folder / f".{FILE}.{os.getpid()}"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, draft, metadata=said)
    os.replace(draft, folder / FILE)


def take_up(folder: Path, trained: Mapping[str, Any], optimiser: Any) -> Reached | None:
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
            weights.copy_(file.get_tensor(f"{WEIGHT}/{name}"))
            optimiser.state[weights] = {"step": torch.tensor(float(len(rows))) if is_plain else len(rows)}
        for key in file.keys():  # noqa: SIM118 - not a mapping
            kind, _, name = key.partition("/")
            if kind != WEIGHT:
                optimiser.state[trained[name]][kind] = file.get_tensor(key).to(trained[name].device)
    return Reached(rows, int(said["micro_tokens"]))
