"""LoRA (Hu et al., 2021, arXiv 2106.09685) by peft: low-rank adapters on a frozen backbone, and their files."""

from pathlib import Path
from typing import Any

from codedose.errors import MachineError
from codedose.keys import seed_for
from codedose.study import Lora

ATTENTION = "self_attn"  # how transformers calls a layer's attention in all families


def adapted(model: Any, lora: Lora, *, seed: int, backbone: str, pure: bool = False) -> Any:
    """`model` with adapters in its layers, in place; the backbone is frozen. Returns peft's wrapper, for saving.

    Adapters begin alike for all arms of a seed (A drawn by the seed's name, B zero), in float32 or, where `pure`, in
    the precision of the model.
    """
    import torch
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets(model, lora),
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed_for("adapter", seed))
        wrapped = get_peft_model(model, config, autocast_adapter_dtype=not pure)
    config.base_model_name_or_path = backbone  # peft writes the folder's path, which is of this machine
    return wrapped


def targets(model: Any, lora: Lora) -> list[str]:
    """The names of the linear layers that get adapters: those of the blocks, or of their attention, or as named.

    Raises MachineError for a name that the model does not have, with those that it has.
    """
    layers = linear_layers(model)
    every = sorted({name.rpartition(".")[2] for name in layers})
    if lora.targets == "all_linear":
        return every
    if lora.targets == "attention":
        return sorted({name.rpartition(".")[2] for name in layers if f".{ATTENTION}." in f".{name}"})
    if unknown := sorted(set(lora.targets) - set(every)):
        raise MachineError(
            f"tune.lora.targets: {type(model).__name__} has no linear layer {unknown[0]!r} in its blocks; "
            f"it has {', '.join(every)}"
        )
    return sorted(lora.targets)


def linear_layers(model: Any) -> list[str]:
    """The linear layers of a model's blocks by name; the head is none of them."""
    import torch

    head = model.get_output_embeddings()
    return [
        name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear) and module is not head
    ]


def keep_adapter(wrapped: Any, folder: Path) -> None:
    """An adapter as peft keeps it: its config, and its weights as safetensors in float32."""
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    config = wrapped.peft_config["default"]
    config.inference_mode = True
    config.save_pretrained(folder)
    found = get_peft_model_state_dict(wrapped, save_embedding_layers=False)  # they are not adapted
    weights = {name: value.float().cpu().contiguous() for name, value in found.items()}
    save_file(weights, folder / "adapter_model.safetensors", metadata={"format": "pt"})
