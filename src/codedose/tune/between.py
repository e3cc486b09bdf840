"""Two LoRA adapters of one backbone -> the one between them, exactly.

At a share s the change of the weights is (1 - s) times the first adapter's plus s times the second's. Low-rank changes
add by laying their ranks side by side: A = [A0; A1], B = [(1 - s) c0 B0, s c1 B1], with c the scaling alpha / r of
each. Nothing is fitted, and nothing rounded but the products. That a model between two fine-tuned ones behaves like
one between them is an observation (Ilharco et al. 2022, arXiv 2212.04089), to be checked each time.
"""

import json
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from codedose.backbone import has_tokenizer, read_json
from codedose.errors import MachineError
from codedose.joined import BASE, CONFIG, WEIGHTS, adapter_settings, by, copy_tokenizer, is_adapter, parts_of

RANKS = {"lora_A": 0, "lora_B": 1}  # which side of a part are its ranks
# What is more than a low-rank change, or gives modules ranks of their own.
MORE = ("use_dora", "lora_bias", "modules_to_save", "rank_pattern", "alpha_pattern")
OWN = {"r", "lora_alpha", "use_rslora"}  # what two adapters may have differently


def interpolate(zero: Path, one: Path, share: float, out: Path) -> int:
    """Write to the folder `out` the adapter that is `zero` at share 0 and `one` at share 1, as peft keeps it; its rank.

    Weights are float32; `out` is made. Raises MachineError for folders that hold no plain LoRA adapter, and for two
    of different backbones or modules; ValueError for a share outside 0 to 1.
    """
    from safetensors.torch import save_file

    if not 0 <= share <= 1:
        raise ValueError(f"the share {share} is not between 0 and 1")
    said = [plain_settings(folder) for folder in (zero, one)]
    refuse_two_bases(zero, one)
    refuse_other_modules(zero, one, said[0], said[1])
    parts = [scaled(folder, own, part) for folder, own, part in zip((zero, one), said, (1 - share, share), strict=True)]
    if apart := sorted(set(parts[0]) ^ set(parts[1])):
        raise MachineError(f"of the adapters {zero} and {one} only one holds {apart[0]}; tune both alike")
    joined = {name: side_by_side(name, parts[0][name], parts[1][name], zero, one) for name in sorted(parts[0])}
    out.mkdir(parents=True, exist_ok=True)
    save_file(joined, out / WEIGHTS, metadata={"format": "pt"})
    rank = sum(own["r"] for own in said)
    told = {**read_json(zero / CONFIG), "r": rank, "lora_alpha": rank, "use_rslora": False, "inference_mode": True}
    (out / CONFIG).write_text(json.dumps(told, indent=2, sort_keys=True) + "\n")
    for folder in (zero, one):
        if (folder / BASE).is_file():
            shutil.copyfile(folder / BASE, out / BASE)
    if has_tokenizer(zero):
        copy_tokenizer(zero, out)
    return int(rank)


def plain_settings(folder: Path) -> dict[str, Any]:
    """What an adapter's config says, where it is a plain low-rank change; else MachineError."""
    if not folder.is_dir() or not is_adapter(folder):
        raise MachineError(f"{folder} holds no LoRA adapter ({CONFIG} and {WEIGHTS}); name the folder of one")
    said = adapter_settings(folder)
    more = [name for name in MORE if said.get(name)] + (["bias"] if said.get("bias", "none") != "none" else [])
    if more:
        raise MachineError(f"the adapter {folder} sets {more[0]}: only plain low-rank adapters can be interpolated")
    rank, alpha = said.get("r"), said.get("lora_alpha")
    if not isinstance(rank, int) or rank < 1 or not isinstance(alpha, int | float) or not math.isfinite(alpha):
        raise MachineError(f"the adapter {folder / CONFIG} has the rank {rank!r} and alpha {alpha!r}; copy it again")
    return said


def refuse_two_bases(zero: Path, one: Path) -> None:
    """MachineError for adapters of two backbones, by what was noted beside them, or else by the names in their configs.

    As everywhere, the same weights or the same identity make the same backbone.
    """
    if all((folder / BASE).is_file() for folder in (zero, one)):
        first, second = (read_json(folder / BASE) for folder in (zero, one))
        if any(first.get(key) == second.get(key) for key in ("identity", "weights")):
            return
        mend = f"{BASE} beside each says which"
    else:
        names = [read_json(folder / CONFIG).get("base_model_name_or_path") for folder in (zero, one)]
        if names[0] == names[1]:
            return
        mend = f"if {names[0]!r} and {names[1]!r} are the same, give both {CONFIG} the same base_model_name_or_path"
    raise MachineError(
        f"the adapters {zero} and {one} were trained on different backbones, and only two of one backbone can be "
        f"interpolated ({mend})"
    )


def refuse_other_modules(zero: Path, one: Path, first: Mapping[str, Any], second: Mapping[str, Any]) -> None:
    """MachineError for adapters that change other modules, or change them in another way."""
    for name in sorted((set(first) | set(second)) - OWN):
        both = [sorted(value) if isinstance(value, list) else value for value in (first.get(name), second.get(name))]
        if both[0] != both[1] and any(both):
            raise MachineError(
                f"the adapters {zero} and {one} have different {name} ({both[0]!r} and {both[1]!r}) and cannot be "
                "interpolated; tune both alike"
            )


def scaled(folder: Path, said: Mapping[str, Any], part: float) -> dict[str, Any]:
    """An adapter's weights in float32, `part` of its change: scaling and part are in its B. MachineError for others."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = load_file(folder / WEIGHTS)
    except (SafetensorError, OSError) as problem:
        raise MachineError(f"the adapter {folder / WEIGHTS} cannot be read ({problem}); copy it again") from problem
    factor = part * said["lora_alpha"] / (math.sqrt(said["r"]) if said.get("use_rslora") else said["r"])
    found = {}
    for name, weight in weights.items():
        kind = parts_of(name)[1]
        if kind not in RANKS or weight.ndim != 2 or weight.shape[RANKS[kind]] != said["r"]:
            raise MachineError(
                f"the adapter {folder} holds {name} ({by(weight.shape)}), which is no part of a plain low-rank change "
                f"of rank {said['r']}; only such adapters can be interpolated"
            )
        found[name] = weight.float() * (factor if kind == "lora_B" else 1)
    return found


def side_by_side(name: str, first: Any, second: Any, zero: Path, one: Path) -> Any:
    """The ranks of two adapters' parts beside each other. MachineError where they do not belong to one module."""
    import torch

    ranks = RANKS[parts_of(name)[1]]
    if first.shape[1 - ranks] != second.shape[1 - ranks]:
        raise MachineError(
            f"the adapters {zero} and {one} were trained on different backbones: {name} is {by(first.shape)} and "
            f"{by(second.shape)}"
        )
    return torch.cat([first, second], dim=ranks).contiguous()
