"""What `codedose plan --calibrate` foresees of a training, beside what the training then takes.

    .venv/bin/python benchmarks/forecast.py STUDY STORE

STORE is one in which the study's draws are made. The first draw of each arm is trained on with every backbone, as
many side by side as the runner would; prints seconds of the steps and bytes, foreseen and measured. The last line is
how far the worst is off.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from codedose import tables
from codedose.cli.planned import trainings
from codedose.cli.studies import planner_of
from codedose.plan import Planner
from codedose.runner.place import open_store
from codedose.study import Backbone
from codedose.tune.means import Means

ROW = "{:<32}{:>10}{:>10}{:>8}{:>10}{:>10}{:>8}"
PROGRAM = [sys.executable, "-c", "from codedose.cli import main; main()"]


def trained(study: Path, planner: Planner, root: Path, backbone: Backbone, out: Path, arm: str) -> tuple[float, int]:
    """Seconds of the steps, and the most bytes held, of a training in a process of its own."""
    draws = root / planner.draws[arm, 0].folder / "draws.parquet"
    words = ["tune", draws, "--study", study, "--arm", arm, "--draw", 0, "--seed", 0, "--backbone", backbone.name]
    threads = {"OMP_NUM_THREADS": str(planner.where(backbone).cores)}
    command = [*PROGRAM, *map(str, [*words, "--out", out / arm])]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, **threads})
    rows = tables.read(out / arm / "training.parquet", tables.TRAINING)
    return float(rows["seconds"].sum()), int(rows["memory"][-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("store", type=Path)
    said = parser.parse_args()
    planner = planner_of(said.study, open_store(said.store))
    print(ROW.format("", "foreseen s", "took s", "", "foreseen", "held GB", ""))
    worst = {"time": 0.0, "memory": 0.0}
    for backbone in planner.study.backbones:
        foreseen = trainings(planner, said.store, Means())[backbone.name]
        with tempfile.TemporaryDirectory() as folder:
            side_by_side = planner.gpus or max(planner.cores // planner.where(backbone).cores, 1)
            train = partial(trained, said.study, planner, said.store, backbone, Path(folder))
            with ThreadPoolExecutor(side_by_side) as pool:
                took = dict(zip(foreseen, pool.map(train, foreseen), strict=True))
        for arm, expects in foreseen.items():
            seconds, held = took[arm]
            off = {"time": expects["seconds"] / seconds - 1, "memory": expects["memory"] / held - 1}
            times = f"{expects['seconds']:.1f}", f"{seconds:.1f}", f"{off['time']:+.0%}"
            sizes = f"{expects['memory'] / 1e9:.2f}", f"{held / 1e9:.2f}", f"{off['memory']:+.0%}"
            print(ROW.format(f"{backbone.name}, {arm}", *times, *sizes), flush=True)
            worst = {kind: max(worst[kind], abs(off[kind]), key=abs) for kind in worst}
    print(", ".join(f"{kind} at most {off:.0%} off" for kind, off in worst.items()))


if __name__ == "__main__":
    main()
