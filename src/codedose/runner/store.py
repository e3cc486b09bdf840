"""The store: one folder per finished step. A folder with its record is the only truth of done."""

import fcntl
import json
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from codedose.errors import StudyError
from codedose.runner.step import Progress, Step

RECORD = "record.json"
DRAFT = ".draft-"
TRASH = ".trash-"
SCRATCH = "scratch"  # what unfinished steps keep for their next try
PACKAGES = ("codedose", "polars", "torch", "transformers", "tokenizers", "numpy", "scipy", "peft", "google-re2")


def is_done(root: Path, step: Step) -> bool:
    """Whether the step's folder and record are there."""
    return (root / step.folder / RECORD).is_file()


def is_whole(root: Path, step: Step) -> bool:
    """Whether the step is done and its perishable part has not been freed."""
    return is_done(root, step) and (step.perishable is None or (root / step.folder / step.perishable).is_dir())


def read_record(root: Path, step: Step) -> dict[str, object]:
    """What was recorded when the step was done."""
    record: dict[str, object] = json.loads((root / step.folder / RECORD).read_text())
    return record


def perform(root: Path, step: Step, progress: Progress) -> None:
    """Do one step. Its folder appears whole, with its record, or not at all."""
    if is_whole(root, step):
        return
    folder = root / step.folder
    draft = folder.parent / f"{DRAFT}{folder.name}-{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    scratch = root / SCRATCH / step.folder
    kept = {"scratch": scratch} if step.has_scratch else {}
    started, began = datetime.now(UTC), time.monotonic()
    try:
        needed = [root / need.folder for need in step.needs]
        step.do(needed, draft, progress=progress, **step.settings, **step.given, **kept)
        record = record_of(step, draft, started=started, seconds=time.monotonic() - began)
        flush(draft)
        write_durably(draft / RECORD, json.dumps(record, indent=2, ensure_ascii=False) + "\n")
        if folder.exists():  # its perishable part was freed: the new folder takes its place
            discard(folder)
        os.replace(draft, folder)
        shutil.rmtree(scratch, ignore_errors=True)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def record_of(step: Step, folder: Path, *, started: datetime, seconds: float) -> dict[str, object]:
    """What a reader of the store must know about a finished step."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        "kind": step.kind,
        "label": step.label,
        "key": step.key,
        "version": step.version,
        "settings": step.settings,
        "identity": step.identity,
        "needs": [need.folder for need in step.needs],
        "files": {str(path.relative_to(folder)): path.stat().st_size for path in files},
        "started": started.isoformat(timespec="seconds"),
        "seconds": round(seconds, 3),
        "versions": versions(),
        "hardware": {**hardware(), "threads": os.environ.get("OMP_NUM_THREADS", "")},
        "commit": commit(),
    }


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


def flush(folder: Path) -> None:
    """Have the disk hold every file of `folder` before a record says so."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def write_durably(path: Path, text: str) -> None:
    """Write a file so that it survives a power cut once this returns."""
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def discard(folder: Path) -> int:
    """Remove a folder, out of sight first so that nobody reads a half; returns the bytes freed."""
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    trash = folder.parent / f"{TRASH}{folder.name}-{os.getpid()}"
    os.replace(folder, trash)
    shutil.rmtree(trash)
    return size


def release(root: Path, step: Step) -> int:
    """Free a finished step's perishable part; returns the bytes freed."""
    part = root / step.folder / str(step.perishable)
    return discard(part) if step.perishable and part.is_dir() else 0


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """The store for one run alone; what a killed run left half-written is swept away first."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = (root / ".lock").open("w")
    except OSError as problem:
        raise StudyError(
            f"the store {root} cannot be written ({problem.strerror}); name another place with --store PATH"
        ) from problem
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StudyError(f"another run is working in the store {root}; wait for it, or use --store") from None
        sweep(root)
        yield


def sweep(root: Path) -> None:
    """Remove drafts and trash of runs that were killed."""
    for pattern in (f"*/{DRAFT}*", f"*/{TRASH}*", f"*/*/{TRASH}*"):
        for leftover in root.glob(pattern):
            shutil.rmtree(leftover, ignore_errors=True)


def remember(root: Path, study: str, steps: Sequence[Step]) -> None:
    """Note which folders a study reaches, so that `gc` knows what is still needed."""
    notes = root / "studies"
    notes.mkdir(parents=True, exist_ok=True)
    draft = notes / f"{DRAFT}{study}"
    draft.write_text(json.dumps(sorted({step.folder for step in steps}), indent=1) + "\n")
    os.replace(draft, notes / f"{study}.json")


def reached(root: Path) -> set[str]:
    """The folders that the remembered studies reach."""
    return {folder for note in (root / "studies").glob("*.json") for folder in json.loads(note.read_text())}


def unreached(root: Path) -> list[Path]:
    """Folders of steps, and what unfinished steps have kept, that no remembered study reaches."""
    kept = reached(root)
    done = {record.parent: root for record in root.glob(f"*/*/{RECORD}")}
    unfinished = dict.fromkeys(root.glob(f"{SCRATCH}/*/*"), root / SCRATCH)
    folders = {**done, **unfinished}
    return sorted(folder for folder, start in folders.items() if str(folder.relative_to(start)) not in kept)


def forget(folders: Iterable[Path]) -> int:
    """Remove step folders; returns the bytes freed."""
    return sum(discard(folder) for folder in folders)
