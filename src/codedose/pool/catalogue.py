"""What a source of a study names -> its data files, and how their columns are called.

A file, a folder (also a hub dataset's snapshot), dataset_info.json#name, a hub dataset id at a pinned
revision, or the built-in pool flow in. Only data files are ever opened or fetched: no scripts, no pickles.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from codedose.errors import DataError, MachineError, StudyError
from codedose.pool import starter
from codedose.pool.layout import Entry, Layout, read_entry
from codedose.study import Source

SUFFIXES = (".json", ".jsonl", ".ndjson", ".parquet", ".arrow", ".gz", ".zst")
# Written by `datasets` and the hub beside the data
ABOUT = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "indices.arrow"})
TRAIN = frozenset({"train", "training"})
HELD_OUT = frozenset({"test", "testing", "validation", "valid", "val", "dev", "eval"})
REVISION = re.compile(r"[0-9a-f]{40}")
PART = r"\w[\w.+= -]*"
HUB_PATH = re.compile(rf"(?!.*(?:--|\.\.))(\w[\w.-]*/\w[\w.-]*)((?:/{PART})*)")  # owner/name, and a path inside


@dataclass(frozen=True)
class Catalogue:
    """The data files of a source in their order, each with its name inside the source.

    `left_out` names what stands beside them and is not read: the splits for validation and test.
    """

    files: tuple[tuple[str, Path], ...]
    left_out: tuple[str, ...] = ()
    layout: Layout | None = None


def look_up(source: Source, *, folder: Path) -> Catalogue:
    """What a source holds; `folder` is where relative paths start.

    A hub dataset that is not in huggingface_hub's cache is fetched, unless HF_HUB_OFFLINE is set. Raises
    DataError for a place that is missing or holds no data, StudyError for a hub id without a pinned
    revision, MachineError for a dataset that is not on this machine and cannot be fetched.
    """
    if source.path == starter.NAME:
        return Catalogue(tuple((file.name, file) for file in starter.files()))
    if "\0" in source.path:
        raise StudyError(f"{source.path!a} is no path")
    if entry := described(source.path, folder):
        return of_entry(entry, source)
    if source.revision is not None:
        return on_hub(source.path, source.revision, "train")
    return at(folder / source.path, "train")


def described(path: str, folder: Path) -> Entry | None:
    """The entry of a dataset_info.json that a path names, if it names one."""
    file, sign, name = path.partition("#")
    if Path(file).name == "dataset_info.json" or (sign and file.endswith(".json") and not exists(folder / path)):
        return read_entry(folder / file, name)
    return None


def of_entry(entry: Entry, source: Source) -> Catalogue:
    if entry.local is None:
        found = on_hub(entry.hub, source.revision, entry.split)
    elif source.revision is not None:
        raise StudyError(f"the source {source.path} is a local file and has no revision; let it be null")
    else:
        found = at(entry.local, entry.split)
    return Catalogue(found.files, found.left_out, entry.layout)


def exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a name too long for the disk
        return False


# ---- files and folders


def at(path: Path, split: str) -> Catalogue:
    """A local file, or the data files in a folder and the folders below it."""
    try:
        if not path.is_dir():
            path.stat()
            return Catalogue(((path.name, path),))
        found = inside(path)
    except FileNotFoundError:
        also = "; a hub dataset needs its revision" if HUB_PATH.fullmatch(str(path)) else ""
        raise DataError(f"{path}: there is no such file{also}") from None
    except OSError as problem:
        raise DataError(f"{path}: cannot be read ({problem.strerror or problem})") from problem
    if not found:
        raise DataError(f"{path}: this folder holds no file that ends in {', '.join(SUFFIXES)}")
    read, left_out = of_split(found, split)
    return Catalogue(tuple((name, path / name) for name in read), tuple(left_out))


def inside(folder: Path) -> list[str]:
    """The data files below a folder, by name. Hidden files and folders, and files about data, are none."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [(Path(place) / name).relative_to(folder).as_posix() for name in files if is_data(name)]
    return sorted(name for name in found if (folder / name).is_file())


def is_data(name: str) -> bool:
    aside = name.startswith((".", "cache-")) or name in ABOUT or ".tar." in name
    return name.lower().endswith(SUFFIXES) and not aside


def of_split(names: list[str], split: str) -> tuple[list[str], list[str]]:
    """The files of a split, and the others.

    Of the training split: all files but, where some are named as training, those named as validation or test.
    """
    words = {name: set(re.split(r"[^a-z0-9]+", name.lower())) for name in names}
    if split == "train":
        named = any(words[name] & TRAIN for name in names)
        read = [name for name in names if not named or words[name] & TRAIN or not words[name] & HELD_OUT]
    else:
        asked = set(re.split(r"[^a-z0-9]+", split.lower()))
        read = [name for name in names if asked <= words[name]]
        if not read:
            raise DataError(f"no data file is named as the split {split!r}; there are: {', '.join(names[:6])}")
    return read, sorted(set(names) - set(read))


# ---- the hub


def on_hub(path: str, revision: str | None, split: str) -> Catalogue:
    """A hub dataset at a pinned revision: all of its data files, or those under a path inside it."""
    found = HUB_PATH.fullmatch(path)
    if not found:
        raise StudyError(f"the source {path!r} has a revision, but is not a hub dataset id (owner/name)")
    if revision is None or not REVISION.fullmatch(revision):
        raise StudyError(
            f"the hub dataset {path!r} needs a pinned revision: its 40-digit commit, not {revision!r}; "
            "it stands on the dataset's page under 'Files and versions'"
        )
    name, under = found[1], found[2].lstrip("/")
    place = snapshot(name, revision, under) / under
    try:
        return at(place, split)
    except DataError as problem:
        raise MachineError(f"{problem}; {to_fetch(name, revision)}") from problem


def snapshot(name: str, revision: str, under: str) -> Path:
    """The local folder of a hub dataset, with its data files only; fetched when it is not in the cache."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.constants import HF_HUB_OFFLINE
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    start = f"{under}/" if under else ""
    wanted = [f"{start}*{suffix}" for suffix in SUFFIXES] + ([under] if is_data(under) else [])
    try:
        return Path(
            snapshot_download(
                name,
                repo_type="dataset",
                revision=revision,
                allow_patterns=wanted,
                ignore_patterns=["*.tar.*"],
                local_files_only=HF_HUB_OFFLINE,
            )
        )
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as problem:
        raise MachineError(f"the dataset {name} is not on this machine; {to_fetch(name, revision)}") from problem


def to_fetch(name: str, revision: str) -> str:
    return (
        f"fetch it once where the hub can be reached: hf download {name} --repo-type dataset --revision {revision} "
        "(a gated one asks for 'hf auth login' first), or copy its folder here and name that folder in the study"
    )
