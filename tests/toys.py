"""Toy steps, and what tests ask of a run of them. Whoever performs one imports this file alone: a child in a moment.

The steps write files that follow from their names and inputs, and note in a journal outside the store that they ran.
The end of this file is the script of a run that tests kill.
"""

import hashlib
import json
import os
import random
import resource
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from codedose.errors import DataError, StudyError
from codedose.runner.children import Children
from codedose.runner.disk import Disk
from codedose.runner.failures import Patience
from codedose.runner.schedule import Outcome, Slots, Teller, inline, run
from codedose.runner.step import Step, Where

JOURNAL = "journal"
TWO = Slots(2)
QUICK = Patience(first=0.001)
PART = "checkpoint"
TICK = 0.05  # seconds between two signs of life of a step that holds something

# What steps do


def write(inputs: list[Path], out: Path, *, progress, name: str, journal: str | None = None, size: int = 1) -> None:
    """Files whose content follows from the inputs' files, written bit by bit."""
    if journal:
        with open(journal, "a") as file:
            file.write(f"{name}\n")
    found = sorted(path for folder in inputs for path in folder.rglob("*.txt"))
    digest = hashlib.sha256("".join([name, *(path.read_text() for path in found)]).encode()).hexdigest()
    for number in range(4):
        (out / f"{number}.txt").write_text(f"{digest} {number}\n" * size)
        progress(number + 1, 4, name)
    (out / PART).mkdir()
    (out / PART / "weights.txt").write_text(digest)


def mend(inputs, out, *, progress, name, words, journal) -> None:
    write(inputs, out, progress=progress, name=name, journal=journal)


def fail(inputs: list[Path], out: Path, *, progress, words: str) -> None:
    (out / "half.txt").write_text("half")
    print("first words of the log")
    raise RuntimeError(words)


def refuse(inputs: list[Path], out: Path, *, progress) -> None:
    raise DataError("the pool has 3 examples; the arm asks for 8")


def die(inputs: list[Path], out: Path, *, progress, number: int) -> None:
    (out / "half.txt").write_text("half")
    os.kill(os.getpid(), number)


def leave(inputs: list[Path], out: Path, *, progress, code: int) -> None:
    os._exit(code)


def whoami(inputs: list[Path], out: Path, *, progress) -> None:
    """Which process, cores and GPUs a step was given."""
    told = {name: os.environ[name] for name in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "POLARS_MAX_THREADS")}
    (out / "who.json").write_text(json.dumps({"pid": os.getpid(), **told}))


def meet(inputs: list[Path], out: Path, *, progress, of: int, place: str) -> None:
    """Ends only when `of` steps run at the same time."""
    (Path(place) / str(os.getpid())).touch()
    whoami(inputs, out, progress=progress)
    until(lambda: len(list(Path(place).iterdir())) >= of)


def outgrow(inputs, out, *, progress) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    (out / "big").write_bytes(bytes(5000))


def write_table(inputs, out, *, progress) -> None:
    from codedose import tables

    rows = [{"source": random.Random(n).randbytes(5000).hex(), "reference": "", "reason": ""} for n in range(100)]
    tables.write(tables.DROPS.frame(rows), out / "drops.parquet", tables.DROPS)


def flaky(inputs: list[Path], out: Path, *, progress: object, place: str, good: int, problem: str) -> None:
    """Fails until its try number `good`; a journal holds the tries and when they were."""
    with open(place, "a") as file:
        file.write(f"{time.monotonic()}\n")
    if len(Path(place).read_text().splitlines()) < good:
        raise {"transient": ConnectionError, "bug": KeyError, "data": DataError, "configuration": StudyError}[problem](
            "it is away"
        )
    (out / "done.txt").write_text("done")


def greedy(inputs: list[Path], out: Path, *, progress: object, size: int, fits: int, place: str) -> None:
    with open(place, "a") as file:
        file.write(f"{size}\n")
    if size > fits:
        raise MemoryError
    (out / "done.txt").write_text("done")


def halved(given: Mapping[str, Any]) -> dict[str, Any] | None:
    return {**given, "size": given["size"] // 2} if given["size"] > 1 else None


def hold(inputs: list[Path], out: Path, *, progress, name: str, seconds: float, journal: str) -> None:
    """Holds what it was given for some seconds, and notes so as long as it lives."""
    note = Path(journal) / f"{name}-{os.getpid()}-{time.monotonic_ns()}.json"
    node = psutil.Process(os.getppid()).ppid()  # a child of a Ray worker, which is one of its node's raylet
    where = {"gpus": os.environ["CUDA_VISIBLE_DEVICES"].split(","), "node": node, "began": time.monotonic()}
    while (now := time.monotonic()) < where["began"] + seconds:
        written(note, {**where, "name": name, "ended": now})
        progress(int(now - where["began"]), int(seconds) + 1, name)
        time.sleep(TICK)
    names = sorted(path.read_text() for folder in inputs for path in folder.glob("name.txt"))
    (out / "name.txt").write_text("\n".join([name, *names]))


def written(path: Path, value: Mapping[str, Any]) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(json.dumps(value))
    draft.replace(path)


# Steps


def toy(name: str, *needs: Step, do: Callable[..., None] = write, **more) -> Step:
    settings = more.pop("settings", {"name": name} if do is write else {})
    return Step("toy", name, do, 1, settings, needs, **more)


def trained(*consumers: str) -> list[Step]:
    """A step with a part that may be freed, and those that read it."""
    tune = toy("tune", perishable=PART)
    asked = [toy(name, tune, consumes=(tune,)) for name in consumers]
    return [tune, *asked, toy("score", *asked)]


def twelve(journal: Path) -> list[Step]:
    """pool -> three draws -> three trainings whose checkpoint is freed -> six askings -> report, and a lone step."""
    given = {"journal": str(journal)}
    pool = toy("pool", given=given)
    steps = [pool]
    for n in range(3):
        tune = toy(f"tune{n}", pool, given=given, perishable=PART, where=Where(worker="x"))
        steps += [
            tune,
            *(toy(f"ask{n}{t}", tune, given=given, consumes=(tune,), where=Where(worker="x")) for t in "ab"),
        ]
    return [*steps, toy("lone", given=given), toy("report", *steps, given=given)]


# Runs of them


def until(condition: Callable[[], object], seconds: float = 8) -> None:
    """Wait for something that another process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        threading.Event().wait(0.005)


def go(root: Path, *steps: Step, submit=inline, slots: Slots = TWO, tell: Teller | None = None) -> Outcome:
    return run(Disk(root), steps, slots=slots, submit=submit, tell=tell or Teller(), patience=QUICK)


def labels(steps) -> list[str]:
    return [step.label for step in steps]


def contents(root: Path, step: Step) -> dict[str, str]:
    """Digests of what a step wrote, its record left out: that holds the time of day."""
    files = (path for path in (root / step.folder).rglob("*") if path.is_file() and path.name != "record.json")
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def leftovers(root: Path) -> list[Path]:
    return [path for pattern in ("**/.draft-*", "**/.gone-*") for path in root.glob(pattern)]


def who(root: Path, step: Step) -> dict[str, str]:
    return json.loads((root / step.folder / "who.json").read_text())


class Heard(Teller):
    """Remembers the order of what it was told."""

    def __init__(self) -> None:
        self.began: list[str] = []
        self.over: list[str] = []
        self.news: list[tuple[str, int, int]] = []

    def started(self, step):
        self.began.append(step.label)

    def moved(self, step, done, of, note):
        self.news.append((step.label, done, of))

    def ended(self, step, failure):
        self.over.append(step.label)


# A run that tests kill: twelve steps in child processes, and what it does told line by line


class Telling(Teller):
    def started(self, step):
        print("started", step.label, flush=True)

    def moved(self, step, done, of, note):
        print("moved", step.label, done, flush=True)

    def ended(self, step, failure):
        print("ended", step.label, failure, flush=True)


def main(root: str, journal: str) -> None:
    """What the killed process does: the same steps as ever, in child processes."""
    steps = twelve(Path(journal))
    Disk(root).prepare()
    with Children() as engine:
        run(Disk(root), steps, slots=Slots(2), submit=engine.submit, tell=Telling())
