"""A checkpoint or LoRA adapter, trained here or elsewhere -> what an engine can load.

An adapter is merged onto its backbone in float32, in memory or into a folder of the cache; a checkpoint without a
tokenizer is joined there with its backbone's, and where its backbone runs code of its own, with that code. Pickled
adapters are refused, and nothing that an adapter's config or a checkpoint names is run.
"""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from codedose import backbone
from codedose.backbone import (
    WITH_CODE,
    has_tokenizer,
    made_once,
    may_run,
    read_json,
    refuse_code,
    refuse_weightless,
)
from codedose.cache import cache_folder
from codedose.errors import MachineError
from codedose.keys import fingerprint, slug

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
PICKLED = ("adapter_model.bin", "adapter_model.pt")
BASE = "base.json"  # beside an adapter trained here: what it was trained on
PREFIX = "base_model.model."
TOKENIZER = (
    "tokenizer*",
    "*.model",
    "vocab.*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "*.jinja",
)
# What decides how an adapter is merged; what decides nothing about that; the rest must be as peft has it by default.
DECIDES = frozenset(
    "r lora_alpha rank_pattern alpha_pattern use_rslora use_dora lora_bias bias fan_in_fan_out target_modules "
    "exclude_modules modules_to_save layers_to_transform layers_pattern".split()
)
DESCRIBES = frozenset(
    "base_model_name_or_path revision task_type peft_type peft_version auto_mapping inference_mode lora_dropout "
    "megatron_core qalora_group_size runtime_config".split()
)
NAMES = ("target_modules", "exclude_modules", "modules_to_save", "layers_pattern", "rank_pattern", "alpha_pattern")
PLAIN_NAME = re.compile(r"[\w.^$-]{1,200}")  # peft takes them as regular expressions: none that could run for long
HARMLESS_START = (True, False, None, "gaussian", "orthogonal")  # of a training; others change the backbone too


def located(
    checkpoint: str, onto: Mapping[str, Any], *, offline: bool | None = None, convert: bool = True
) -> tuple[Path, Path | None]:
    """The folder to load for a checkpoint, and the adapter to put on it where it is one.

    `onto` is its backbone, as backbone.resolve takes it. Without `convert` nothing is written: the checkpoint is only
    looked at. Raises MachineError that says what is missing, or what does not fit.
    """
    folder = Path(checkpoint)
    if not folder.is_dir():
        raise MachineError(f"the checkpoint {folder} is not there: no such folder")
    base = backbone.resolve(**onto, offline=offline, convert=convert)
    if is_adapter(folder):
        adapter_settings(folder)
        if base.is_dir():  # else a GGUF file, whose shapes are known once it is converted
            refuse_misfit(folder, base)
            refuse_other_base(folder, base, onto)
        return base, folder
    if not may_run(base):
        refuse_code(folder)
    refuse_weightless(folder)
    lacks = may_run(base) or not has_tokenizer(folder)
    return (with_its_backbones(folder, base) if convert and lacks else folder), None


def resolve(checkpoint: str, onto: Mapping[str, Any], *, offline: bool | None = None) -> Path:
    """One folder to load for a checkpoint: of an adapter, the folder of the cache in which it is merged."""
    folder, adapter = located(checkpoint, onto, offline=offline)
    return merged(adapter, folder, adapter_settings(adapter)) if adapter else folder


def missing(checkpoint: str, onto: Mapping[str, Any]) -> str | None:
    """What this machine lacks to load a checkpoint, or what is wrong with it, as a sentence; None for neither.

    What its backbone lacks is told of the backbone.
    """
    if backbone.missing(**onto) and Path(checkpoint).is_dir():
        return None
    try:
        located(checkpoint, onto, offline=True, convert=False)
    except MachineError as problem:
        return str(problem)
    return None


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and no whole weights; MachineError where it holds both, or a pickled one."""
    found = [name for name in (CONFIG, WEIGHTS, *PICKLED) if (folder / name).exists()]
    if found and (folder / "config.json").exists() and any(folder.glob("model*.safetensors")):
        raise MachineError(f"the checkpoint {folder} holds both whole weights and an adapter; keep one of them there")
    if found and WEIGHTS not in found:
        why = "is pickled, and pickled weights are never loaded: save it" if len(found) > 1 else "is not there: put it"
        raise MachineError(f"the adapter {folder / WEIGHTS} {why} as safetensors (peft's save_pretrained does)")
    if found and CONFIG not in found:
        raise MachineError(f"the adapter {folder} has no {CONFIG}; copy it from where the adapter was trained")
    return bool(found)


def adapter_settings(folder: Path) -> dict[str, Any]:
    """What an adapter's config says about merging it. MachineError for what is no LoRA, or asks for more than that."""
    from peft import LoraConfig

    said = read_json(folder / CONFIG)
    if said.get("peft_type") != "LORA":
        raise MachineError(f"the adapter {folder} is of the type {said.get('peft_type')!r}; only LORA is merged here")
    usual = LoraConfig().to_dict()
    strange = [
        name
        for name, value in said.items()
        if name not in DECIDES | DESCRIBES and value and value != usual.get(name) and name != "init_lora_weights"
    ]
    if said.get("init_lora_weights") not in HARMLESS_START:
        strange.append("init_lora_weights")
    for name in NAMES:
        strange += [] if all(map(PLAIN_NAME.fullmatch, names_in(said.get(name)))) else [name]
    if strange:
        raise MachineError(
            f"the adapter {folder} sets {strange[0]}, which is not merged here; merge it where it was trained "
            "(peft's merge_and_unload) and name that folder"
        )
    return {name: said[name] for name in sorted(DECIDES) if name in said}


def names_in(value: object) -> Sequence[str]:
    """The names of modules in a setting: one, several, or the keys of a mapping."""
    listed = [value] if isinstance(value, str) else value or []
    return [str(name) for name in listed] if isinstance(listed, list | dict) else ["(?)"]


def refuse_misfit(folder: Path, base: Path) -> None:
    """MachineError for an adapter whose shapes are not those of the backbone: it was trained on another one."""
    known, said = shapes_of(base), read_json(folder / CONFIG)
    for name, shape in adapter_shapes(folder).items():
        module, part = parts_of(name)
        wanted = known.get(f"{module}.weight")
        turned = wanted[::-1] if wanted and part and said.get("fan_in_fan_out") else wanted
        if turned is None or not fits(part, shape, turned):
            there = f"is {by(wanted)}" if wanted else "does not exist"
            raise MachineError(
                f"the adapter {folder} was trained on another backbone than {base.name}: {name} is {by(shape)}, and "
                f"there {module} {there}; its config names {said.get('base_model_name_or_path')!r}"
            )


def base_of(base: Path, onto: Mapping[str, Any]) -> dict[str, object]:
    """What names a backbone beside an adapter that was trained on it: what the study says, and its weights' digests."""
    files = sorted(base.glob("*.safetensors"))
    return {
        "identity": backbone.identity(**onto),
        "weights": {file.name: backbone.cached_digest(file) for file in files},
    }


def keep_base(folder: Path, base: Path, onto: Mapping[str, Any]) -> None:
    """Write down beside an adapter which backbone it was trained on."""
    (folder / BASE).write_text(json.dumps(base_of(base, onto), indent=2) + "\n")


def refuse_other_base(folder: Path, base: Path, onto: Mapping[str, Any]) -> None:
    """MachineError for an adapter that was trained here on other weights: equal shapes are not enough."""
    if not (folder / BASE).is_file():
        return
    said, wanted = read_json(folder / BASE), base_of(base, onto)
    if all(said.get(key) != wanted[key] for key in wanted):
        raise MachineError(
            f"the adapter {folder} was trained on other weights than those of {base.name} ({BASE} has their digests); "
            "name the backbone that it was trained on, or tune it again"
        )


def by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def parts_of(name: str) -> tuple[str, str]:
    """The module that a weight of an adapter belongs to, and which part of an adapter it is ("" for none)."""
    names = name.removeprefix(PREFIX).split(".")
    last = names.pop() if names[-1] in ("weight", "bias") else ""
    part = names.pop() if names[-1].startswith("lora_") else ""
    names = names[:-1] if names[-1] == "base_layer" else names  # a module's own weight beside its adapter
    return ".".join(names), last if last == "bias" else part


# Which side of a part is which side of the weight (out x in) that it changes.
SIDES = {"lora_A": (1, 1), "lora_B": (0, 0), "lora_embedding_A": (1, 0), "lora_embedding_B": (0, 1)}


def fits(part: str, shape: Sequence[int], weight: Sequence[int]) -> bool:
    """Whether a part of an adapter fits the weight that it changes, or has its whole shape where it takes its place."""
    if part in SIDES:
        own, other = SIDES[part]
        return len(shape) == len(weight) == 2 and shape[own] == weight[other]
    return part in ("lora_magnitude_vector", "bias") or list(shape) == list(weight)


def adapter_shapes(folder: Path) -> dict[str, list[int]]:
    """The shape of each weight in an adapter's file; nothing else of it is read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / WEIGHTS, "pt") as file:
            return {name: list(file.get_slice(name).get_shape()) for name in sorted(file.keys())}
    except (SafetensorError, OSError) as problem:
        raise MachineError(
            f"the adapter {folder / WEIGHTS} is not a safetensors file ({problem}); copy it again"
        ) from problem


def shapes_of(base: Path) -> dict[str, list[int]]:
    """The shape of each weight of a backbone, from its config alone."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(base, local_files_only=True, trust_remote_code=may_run(base))
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=may_run(base))
    return {name: list(weight.shape) for name, weight in model.state_dict().items()}


def merged(folder: Path, base: Path, said: Mapping[str, Any]) -> Path:
    """The cache folder with the backbone `base` and an adapter in one; made once."""

    def make(out: Path) -> None:
        keep_merged(folder, base, said, out, "float32")

    return made_once(place_of(folder, base), make)


def keep_merged(folder: Path, base: Path, said: Mapping[str, Any], out: Path, dtype: str) -> None:
    """The backbone `base` with an adapter in its weights as a checkpoint in `out`, with its tokenizer."""
    import torch

    merge(folder, base, said).to(getattr(torch, dtype)).save_pretrained(out)
    copy_tokenizer(tokenizer_of(base, folder), out)


def tokenizer_of(base: Path, adapter: Path | None) -> Path:
    """The folder whose tokenizer is asked with: an adapter's own, or else its backbone's."""
    return adapter if adapter and has_tokenizer(adapter) else base


def merge(folder: Path, base: Path, said: Mapping[str, Any]) -> Any:
    """The backbone with the adapter merged into its weights, in float32. MachineError where parts of it are left."""
    import torch
    from peft import LoraConfig, PeftModel, get_peft_model_state_dict
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        base, dtype=torch.float32, local_files_only=True, use_safetensors=True, trust_remote_code=may_run(base)
    )
    untie(model, {parts_of(name)[0] for name in adapter_shapes(folder)})
    config = LoraConfig(**said, task_type="CAUSAL_LM", inference_mode=True)
    try:
        adapted = PeftModel.from_pretrained(model, str(folder), config=config)
    except (RuntimeError, ValueError, KeyError, TypeError) as problem:
        raise MachineError(f"the adapter {folder} cannot be put on {base.name} ({problem})") from problem
    wanted = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
    there, whole = set(adapter_shapes(folder)), set(adapted.state_dict())
    if apart := sorted((wanted - there) | (there - wanted - whole)):
        raise MachineError(
            f"the adapter {folder} holds other weights than its config says, such as {apart[0]}; copy both again"
        )
    return adapted.merge_and_unload()


def untie(model: Any, changed: Collection[str]) -> None:
    """Give a model whose head and embedding share their weights two of them, where one of these modules changes."""
    import torch

    head, embedding = model.get_output_embeddings(), model.get_input_embeddings()
    shared = [name for name, module in model.named_modules() if module in (head, embedding)]
    if model.config.tie_word_embeddings and set(shared) & set(changed):
        head.weight = torch.nn.Parameter(embedding.weight.detach().clone())
        model.config.tie_word_embeddings = False


def with_its_backbones(folder: Path, base: Path) -> Path:
    """A folder of the cache in which a checkpoint has its backbone's tokenizer beside it, and its backbone's code.

    Code that the checkpoint itself brings is never run.
    """

    def make(out: Path) -> None:
        for pattern in backbone.SAVED:
            for file in folder.glob(pattern):
                (out / file.name).symlink_to(file.resolve())
        copy_tokenizer(base, out)
        if may_run(base):
            copy_code(folder, base, out)

    return made_once(place_of(folder, base), make)


def copy_code(folder: Path, base: Path, out: Path) -> None:
    """Put a backbone's code beside a checkpoint, and the names in it that the backbone's files say into its own."""
    for file in base.glob(backbone.CODE):
        (out / file.name).write_bytes(file.read_bytes())
    for file in folder.glob("*.json"):
        told = dict(read_json(file)) if b"auto_map" in file.read_bytes() else {}
        if told:
            own = read_json(base / file.name).get("auto_map") if (base / file.name).is_file() else None
            said = {**told, "auto_map": own} if own else {key: told[key] for key in told if key != "auto_map"}
            (out / file.name).unlink()
            (out / file.name).write_text(json.dumps(said, indent=2) + "\n", encoding="utf-8")


def place_of(folder: Path, base: Path) -> Path:
    """Where in the cache a checkpoint stands together with its backbone, by what both hold."""
    key = fingerprint(backbone.identity(str(folder), None), backbone.identity(str(base), None), str(folder.resolve()))
    return cache_folder() / (WITH_CODE if may_run(base) else "joined") / f"{slug(folder.name)}-{key}"


def copy_tokenizer(source: Path, out: Path) -> None:
    for file in sorted({file for pattern in TOKENIZER for file in source.glob(pattern)}):
        if not (out / file.name).exists():
            (out / file.name).write_bytes(file.read_bytes())
