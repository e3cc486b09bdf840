"""What a reader of the store must know about a finished step: files, settings, versions, machine."""

import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Any

from codedose.errors import DataError
from codedose.keys import file_digest
from codedose.runner.secrets import redacted, secret_values
from codedose.runner.step import Step

RECORD = "record.json"
FOLDER = re.compile(r"[a-z][a-z_]{0,39}/[a-z0-9][a-z0-9.-]{0,99}")
PACKAGES = ("codedose", "polars", "torch", "transformers", "tokenizers", "numpy", "scipy", "peft", "google-re2")

Record = dict[str, Any]


def record_of(step: Step, folder: Path, *, attempt: str, started: datetime, seconds: float) -> Record:
    """The record of a step whose files lie in `folder`: what it is, each file's size and SHA-256, where and when."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    secrets = secret_values(os.environ)
    return {
        "kind": step.kind,
        "label": step.label,
        "key": step.key,
        "version": step.version,
        "settings": redacted(step.settings, secrets),
        "identity": redacted(step.identity, secrets),
        "needs": [need.folder for need in step.needs],
        "files": {
            path.relative_to(folder).as_posix(): {"size": path.stat().st_size, "sha256": file_digest(path)}
            for path in files
        },
        "perishable": step.perishable,
        "attempt": attempt,
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "versions": versions(),
        "hardware": {**hardware(), "threads": os.environ.get("OMP_NUM_THREADS", "")},
        "commit": commit(),
    }


def written(record: Mapping[str, Any]) -> bytes:
    """The bytes of a record; half of a surrogate pair becomes \\udXXX, as JSON writes it."""
    return (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def parsed(data: bytes, place: str) -> Record:
    """A record from its bytes; DataError, naming its `place`, for what is none."""
    try:
        record: Record = json.loads(data)
        for file in record["files"].values():
            file["size"] + 0, file["sha256"] + ""
        record["attempt"] + ""
        refuse_outside([*record["files"], record.get("perishable") or "none"], record["needs"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
        raise DataError(
            f"{place}: is not a step's record ({problem}); 'codedose verify --set-aside' has the step done again"
        ) from None
    return record


def refuse_outside(files: Sequence[str], folders: Sequence[str]) -> None:
    """ValueError for names of files and of other steps' folders that would lead out of the step, or of the store."""
    for name in files:
        parts = PurePosixPath(name).parts
        if not parts or ".." in parts or parts[0] == "/" or "\0" in name or "\\" in name:
            raise ValueError(f"the name {name[:80]!r} leads out of it")
    for folder in folders:
        if not is_folder(folder):
            raise ValueError(f"it names {folder[:80]!r}, which is no folder of a step")


def is_folder(name: str) -> bool:
    """Whether this is the name of a step's folder, as Step.folder makes them."""
    return FOLDER.fullmatch(name) is not None


def split(record: Record) -> tuple[dict[str, Any], dict[str, Any]]:
    """The files of a record: those that are always there, and those of its perishable part."""
    part = f"{record.get('perishable')}/"
    heavy = {name: file for name, file in record["files"].items() if record.get("perishable") and name.startswith(part)}
    return {name: file for name, file in record["files"].items() if name not in heavy}, heavy


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide results."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


@lru_cache(maxsize=1)
def hardware() -> dict[str, str]:
    """The machine in words, without its name."""
    model = platform.processor() or platform.machine()
    with suppress(OSError, StopIteration):  # not Linux: the platform's own word stands
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    found = {"system": platform.system(), "processor": model, "cores": str(os.cpu_count())}
    return {**found, "gpu": gpu} if (gpu := gpu_name()) else found


def gpu_name() -> str:
    """The first GPU and its driver as NVIDIA's tool names them; nothing where this process may see none."""
    if os.environ.get("CUDA_VISIBLE_DEVICES") == "" or shutil.which("nvidia-smi") is None:
        return ""
    asked = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        listed = subprocess.run(asked, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return ""
    return listed.stdout.partition("\n")[0].strip()


@lru_cache(maxsize=1)
def commit() -> str | None:
    """The git commit of the working folder, with a + when files differ from it; None outside git."""
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True)
        dirty = subprocess.run(["git", "status", "--porcelain", "-uno"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.strip() + ("+" if dirty.stdout.strip() else "")
