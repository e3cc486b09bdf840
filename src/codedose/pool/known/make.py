"""Make known.npz: python -m codedose.pool.known.make FOLDER, the folder of official items, one file a task.

The file holds no text: 64-bit hashes of the items' word 8-grams, and the upper halves of hashes of those
8-grams that items of one task share, learned from official items and from generated ones.
"""

import sys
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from codedose.errors import StudyError
from codedose.pool.known.prints import FILE, Prints, prints_of, save, shared
from codedose.tasks import TASKS
from codedose.tasks.official import official
from codedose.tasks.task import LEVELS, Task
from codedose.tasks.twins import generated

FILES = {"babi_deductive": "babi15", "babi_inductive": "babi16"}  # the others are called as their task
SIBLINGS = 400  # generated items of a task and level from which its template is learned
LIGHT = 0.1  # share of an item's 8-grams that are template, up to which it is found without its edges


def official_items(folder: Path) -> pl.DataFrame:
    """Every official item of the tasks that have a file in the folder (tables.ITEMS)."""
    found = []
    for task in TASKS:
        path = folder / f"{FILES.get(task.name, task.name)}.jsonl.gz"
        if path.exists():
            found.append(official(task, path, count=None, seed_name="known")[0])
    return pl.concat(found)


def siblings(task: Task, level: int) -> pl.DataFrame:
    """SIBLINGS generated items, or as many as there are where the task has fewer."""
    count = SIBLINGS
    while True:
        try:
            return generated(task, seed_name="known", level=level, count=count)
        except StudyError:
            count -= count // 4


def template() -> NDArray[np.uint32]:
    """The upper halves of all 8-grams that several generated items of a task share, sorted."""
    prints = prints_of(pl.concat([siblings(task, level) for task in TASKS for level in LEVELS]))
    owners = np.repeat(np.arange(len(prints)), np.diff(prints.offsets))
    return np.unique((prints.grams[shared(prints, prints.grams, owners)] >> np.uint64(32)).astype(np.uint32))


def without_light_edges(prints: Prints) -> Prints:
    """Edges only of the items that are partly template; the others are found without."""
    owners = np.repeat(np.arange(len(prints)), np.diff(prints.offsets))
    common = np.bincount(owners, shared(prints, prints.grams, owners), minlength=len(prints))
    heavy = common > LIGHT * np.diff(prints.offsets)
    return Prints(
        prints.tasks,
        prints.item_ids,
        prints.origins,
        prints.lengths,
        prints.grams,
        prints.offsets,
        prints.edges * heavy[:, None],
    )


def make(folder: Path, path: Path) -> None:
    save(without_light_edges(prints_of(official_items(folder))), template(), path)


if __name__ == "__main__":
    make(Path(sys.argv[1]), FILE)
