"""A backbone's folder -> the model as it is tuned: in its precision, with adapters where the study has them."""

from pathlib import Path
from typing import Any

from codedose.backbone import load_model
from codedose.errors import MachineError
from codedose.study import Tune
from codedose.tune.lora import adapted


def ready(folder: Path, how: Tune, *, seed: int, device: str | None = None) -> Any:
    """The model of a folder, ready for a training of this seed; peft's wrapper around it where adapters are trained.

    On a `device` that torch names so, or on the fastest. Raises MachineError when examples may be longer than the
    positions that the backbone knows.
    """
    model, is_pure = plain(folder, how, device=device), how.precision == "bfloat16_pure"
    return adapted(model, how.lora, seed=seed, backbone=folder.name, pure=is_pure) if how.lora else model


def plain(folder: Path, how: Tune, *, device: str | None = None) -> Any:
    """The model of a folder in the precision that it is trained in, without adapters."""
    half = how.precision == "bfloat16_pure" or (how.lora is not None and how.precision == "bfloat16_mixed")
    model = load_model(folder, "bfloat16" if half else "float32", device)  # a frozen one needs no float32 weights
    refuse_short_context(model, how.max_length)
    return model


def inner(tuned: Any) -> Any:
    """The model itself, in which adapters stand where there are any."""
    return tuned.get_base_model() if hasattr(tuned, "peft_config") else tuned


def refuse_short_context(model: Any, max_length: int) -> None:
    context = getattr(model.config, "max_position_embeddings", None)
    if context and max_length > context:
        raise MachineError(
            f"tune.max_length is {max_length}, but the backbone's context holds {context} tokens; lower it"
        )
