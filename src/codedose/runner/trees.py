"""Folders of a disk: listed, made durable, moved out of sight, removed."""

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path

GONE = ".gone-"  # out of sight, about to be deleted


def listed(folder: Path) -> list[str]:
    """The folders in a folder, without links to others; none where there is none."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []


def flush(folder: Path) -> None:
    """Have the disk hold every file of `folder` before a record says so."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def sync(folder: Path) -> None:
    """Have the disk hold the names in `folder`."""
    with suppress(OSError):  # a file system that cannot do this for folders
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_durably(path: Path, data: bytes) -> None:
    """Write a file so that it survives a power cut once this returns."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def size_of(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


def out_of_sight(place: Path, into: Path | None = None) -> Path | None:
    """Move a folder out of sight, so that nobody reads a half of it; where it is now, None where there was none.

    Beside itself, or into a folder; a part of a step into that of the kind, where a sweep need not look into each step.
    """
    gone = (into or place.parent) / f"{GONE}{place.name}-{secrets.token_hex(4)}"
    try:
        os.replace(place, gone)
    except FileNotFoundError:
        return None
    return gone


def remove_tree(folder: Path | None) -> None:
    """Remove a folder, or a link to one; what cannot be removed now is swept away by the next run."""
    if folder is not None and folder.is_symlink():
        folder.unlink(missing_ok=True)
    elif folder is not None:
        shutil.rmtree(folder, ignore_errors=True)
