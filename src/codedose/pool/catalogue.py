"""What a source of a study names -> its data files, and how their columns are called.

A file, a folder (also a hub dataset's snapshot), dataset_info.json#name, a hub dataset id at a pinned
revision, or the built-in pool flow in. Only data files are ever opened or fetched: no scripts, no pickles.
"""

from dataclasses import dataclass
from pathlib import Path

from codedose.errors import DataError, MachineError, StudyError
from codedose.files.folders import inside, of_split
from codedose.files.hub import HUB_PATH, pinned, snapshot, to_fetch
from codedose.pool import starter
from codedose.pool.layout import Entry, Layout, read_entry
from codedose.study import Source

SUFFIXES = (".json", ".jsonl", ".ndjson", ".parquet", ".arrow", ".gz", ".zst")


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
        found = inside(path, SUFFIXES)
    except FileNotFoundError:
        also = "; a hub dataset needs its revision" if HUB_PATH.fullmatch(str(path)) else ""
        raise DataError(f"{path}: there is no such file{also}") from None
    except OSError as problem:
        raise DataError(f"{path}: cannot be read ({problem.strerror or problem})") from problem
    if not found:
        raise DataError(f"{path}: this folder holds no file that ends in {', '.join(SUFFIXES)}")
    read, left_out = of_split(found, split)
    return Catalogue(tuple((name, path / name) for name in read), tuple(left_out))


# ---- the hub


def on_hub(path: str, revision: str | None, split: str) -> Catalogue:
    """A hub dataset at a pinned revision: all of its data files, or those under a path inside it."""
    found = HUB_PATH.fullmatch(path)
    if not found:
        raise StudyError(f"the source {path!r} has a revision, but is not a hub dataset id (owner/name)")
    name, under = found[1], found[2].lstrip("/")
    commit = pinned(path, revision)
    place = snapshot(name, commit, under, SUFFIXES) / under
    try:
        return at(place, split)
    except DataError as problem:
        raise MachineError(f"{problem}; {to_fetch(name, commit)}") from problem
