"""A folder -> its data files, split by split. Scripts, pickles and what only describes data are none."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from codedose.errors import DataError

# Written by `datasets` and the hub beside the data
ABOUT = frozenset({"dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "indices.arrow"})
TRAIN = frozenset({"train", "training"})
HELD_OUT = frozenset({"test", "testing", "validation", "valid", "val", "dev", "eval"})


def inside(folder: Path, suffixes: tuple[str, ...]) -> list[str]:
    """The data files below a folder, by name. Hidden files and folders, and files about data, are none."""
    found = []
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [(Path(place) / name).relative_to(folder).as_posix() for name in files if is_data(name, suffixes)]
    return sorted(name for name in found if (folder / name).is_file())


def is_data(name: str, suffixes: tuple[str, ...]) -> bool:
    aside = name.startswith((".", "cache-")) or name in ABOUT or ".tar." in name
    return name.lower().endswith(suffixes) and not aside


def of_split(names: Sequence[str], split: str) -> tuple[list[str], list[str]]:
    """The files of a split, and the others.

    Of the training split: all files but, where some are named as training, those named as validation or test.
    Raises DataError where no file is named as another split.
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
