"""What the machinery costs beside the work: planning, a rerun with nothing to do, and each step on each engine.

    .venv/bin/python benchmarks/machinery.py [--steps 10000] [--engine local --engine ray]

A study of about 10,000 steps is planned and, with a store that holds all of them, run: as commands, imports and all.
Then steps that only sleep run on 1 to 8 workers, and steps that do nothing. Prints tables for LOG.md. Overhead is what
the workers' time holds beyond the sleep: (seconds x workers - seconds slept) / steps; it is wall clock, and so grows
where workers share cores with others.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import yaml

from codedose import tables
from codedose.plan import Planner, settled
from codedose.runner.children import Children
from codedose.runner.place import open_store
from codedose.runner.record import RECORD, record_of, written
from codedose.runner.schedule import Slots, Submit, Teller, run
from codedose.runner.step import Step, Where
from codedose.runner.store import Store
from codedose.study import load

STUDY = Path(__file__).parents[1] / "studies" / "quickstart.yaml"
WORKERS = (1, 2, 4, 8)
CELL = (0.2, 12, 0.1)  # seconds of a simulated training, and of each of so many questions after it
A_CELL = 15  # steps: training, losses, twelve tasks, scores


def large(folder: Path, steps: int) -> Path:
    """A study of about so many steps, with tiny backbones that can be planned and not run."""
    said = yaml.safe_load(STUDY.read_text(encoding="utf-8"))
    arms = [{"name": f"code-{25 * n}", "share": n / 4, "repeat": None, "control": None} for n in range(5)]
    said["name"], said["tune"]["seeds"], said["mix"]["tokenizer"], said["mix"]["arms"] = "large", 4, "b0", arms
    said["analyse"]["primary"] = {"arm": "code-100", "against": "code-0"}
    cells = said["mix"]["draws"] * len(arms) * said["tune"]["seeds"] + 1
    said["backbones"] = [
        {"name": f"b{n}", "model": "tiny", "revision": None, "family": f"family-{n % 6}", "scale": 0.1 + n}
        for n in range(max(1, round(steps / (cells * A_CELL))))
    ]
    (folder / "tiny").mkdir()
    for name, text in (("config.json", "{}"), ("tokenizer.json", "{}"), ("model.safetensors", "no weights")):
        (folder / "tiny" / name).write_text(text)
    (folder / "large.yaml").write_text(yaml.safe_dump(said, sort_keys=False))
    return folder / "large.yaml"


def finish(study: Path, store: Store) -> int:
    """Write the records of all steps of a study, as if each had run; how many."""
    planner = Planner(load(study), study.parent)
    for step in planner.search:
        record(store, step, excluded=True)
    planner = settled(planner, store)
    for step in planner.steps:
        record(store, step)
    store.remember(planner.study.name, planner.steps)
    return len(planner.steps)


def record(store: Store, step: Step, *, excluded: bool = False) -> None:
    folder = store.root / step.folder
    folder.mkdir(parents=True, exist_ok=True)
    if excluded:
        tables.write(tables.EXCLUDED.frame([]), folder / f"{tables.EXCLUDED.name}.parquet", tables.EXCLUDED)
    if step.kind == "analyse":
        (folder / "summary.json").write_text(json.dumps({"lines": ["a line"]}))
    told = record_of(step, folder, attempt="benchmark", started=datetime.now(UTC), seconds=0.0)
    (folder / RECORD).write_bytes(written(told))


def timed(*words: str) -> tuple[float, float, str]:
    """Wall and processor seconds of a command, the least of three, and what it said last."""
    took = []
    for _ in range(3):
        before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        command = [sys.executable, "-c", "from codedose.cli import main; main()", *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        took.append((time.monotonic() - began, cpu))
    return min(took)[0], min(cpu for _, cpu in took), done.stdout


def nap(inputs: list[Path], out: Path, *, progress: Callable[[int, int, str], None], name: str, seconds: float) -> None:
    """Sleep, and leave a small file: a step whose work takes no core."""
    time.sleep(seconds)
    (out / "slept.txt").write_text(name)


def napping(name: str, seconds: float, *needs: Step) -> Step:
    where = Where(worker="nap")
    return Step("nap", name, nap, 1, {"name": name, "seconds": seconds}, needs, where=where, weight=seconds)


def cells(many: int, name: str) -> list[Step]:
    """Simulated cells: a training, twelve tasks that need it, and scores that need these."""
    training, tasks, asking = CELL
    steps: list[Step] = []
    for number in range(many):
        tune = napping(f"{name}-{number}", training)
        asked = [napping(f"{name}-{number}-{task}", asking, tune) for task in range(tasks)]
        steps += [tune, *asked, napping(f"{name}-{number}-scores", 0.0, *asked)]
    return steps


@contextmanager
def local(workers: int) -> Iterator[Submit]:
    with Children() as engine:
        yield engine.submit


@contextmanager
def on_ray(workers: int) -> Iterator[Submit]:
    from codedose.runner.ray import Rays

    with Rays(None, cores=workers, gpus=0, patience=60.0) as engine:
        yield engine.submit


ENGINES: dict[str, Callable[[int], Any]] = {"local": local, "ray": on_ray}


def simulated(engine: str, workers: int, root: Path) -> tuple[float, float, float, float]:
    """Seconds to start the workers, of simulated cells, slept in these, and of an empty step."""
    store = open_store(root)
    store.prepare()
    with ENGINES[engine](workers) as submit:

        def wall(steps: Sequence[Step]) -> float:
            began = time.monotonic()
            outcome = run(store, steps, slots=Slots(workers), submit=submit, tell=Teller())
            assert len(outcome.performed) == len(steps), outcome.failed
            return time.monotonic() - began

        start = wall([napping(f"start-{workers}-{n}", 1.0) for n in range(workers)]) - 1.0
        steps = cells(2 * workers, f"cell-{workers}")
        took = wall(steps)
        empty = wall([napping(f"empty-{workers}-{n}", 0.0) for n in range(100 * workers)]) / (100 * workers)
    return start, took, sum(step.weight for step in steps), empty


def scheduled(steps: Sequence[Step], root: Path) -> tuple[float, float]:
    """Processor seconds of the scheduler for each step, on an engine that is done at once; and MB that it holds."""

    def at_once(store: Store, step: Step, progress: object) -> "Future[None]":
        future: Future[None] = Future()
        future.set_result(None)
        return future

    began = time.process_time()
    run(open_store(root), steps, slots=Slots(8), submit=at_once, tell=Teller())
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return (time.process_time() - began) / len(steps), held


def commands(folder: Path, steps: int) -> None:
    study = large(folder, steps)
    planned, cpu, _ = timed("plan", str(study), "--cores", "2")
    print(f"plan of a store with nothing in it: {planned:.2f} s, {cpu:.2f} s of a core")
    count = finish(study, open_store(folder / "store"))
    for command in ("plan", "status", "run"):
        took, cpu, _ = timed(command, str(study))
        print(f"{command} with all {count:,} steps done: {took:.2f} s, {cpu:.2f} s of a core")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--engine", action="append", choices=ENGINES)
    said = parser.parse_args()
    engines = said.engine or ["local", *(["ray"] if find_spec("ray") else [])]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as place:
        commands(Path(place), said.steps)
        planner = Planner(load(Path(place) / "large.yaml"), Path(place))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
        each, held = scheduled(planner.steps, Path(place) / "none")
        print(f"scheduler: {1e3 * each:.2f} ms of a core a step; {held:,.0f} MB, {before:,.0f} MB before the plan")
        print(
            f"\n{'engine':<8}{'workers':>8}{'start s':>9}{'cells s':>9}{'speed-up':>10}{'over ms':>9}{'empty ms':>10}"
        )
        for engine in engines:
            for workers in WORKERS:
                root = Path(place) / f"{engine}-{workers}"
                with ProcessPoolExecutor(1, get_context("spawn")) as apart:  # Ray starts once in a process
                    start, took, slept, empty = apart.submit(simulated, engine, workers, root).result()
                over = (took * workers - slept) / (2 * workers * (CELL[1] + 2))
                print(
                    f"{engine:<8}{workers:>8}{start:>9.2f}{took:>9.2f}{slept / took:>10.2f}{1e3 * over:>9.1f}"
                    f"{1e3 * empty:>10.1f}"
                )


if __name__ == "__main__":
    import machinery  # by its name: a worker elsewhere imports from it what it is sent

    machinery.main()
