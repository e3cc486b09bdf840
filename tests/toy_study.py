"""A toy study of eleven quick steps: a diamond, two perishable parts, scratch, nested files, tables.

Its result follows from the names of its steps alone. A journal outside the store says which bodies have begun.
"""

import hashlib
import json
import os
import time
from pathlib import Path

from codedose.runner.step import Progress, Step, Where

PART = "checkpoint"
ROWS = 20


def make(
    inputs: list[Path],
    out: Path,
    *,
    progress: Progress,
    name: str,
    trains: bool,
    journal: str,
    pause: float,
    scratch: Path | None = None,
) -> None:
    """A table, a note and a nested file that follow from `name` and the inputs; a checkpoint where it `trains`."""
    note(Path(journal), name)
    digest = hashlib.sha256("\n".join([name, *map(content, inputs)]).encode()).hexdigest()
    progress(1, 3, name)
    time.sleep(pause / 2)
    half = halfway(scratch, digest) if scratch else digest
    progress(2, 3, name)
    time.sleep(pause / 2)
    with (out / "table.csv").open("w") as file:
        file.write("row,of\n")
        file.flush()
        file.writelines(f"{n},{half} {n}\n" for n in range(ROWS))
    (out / "note.json").write_text(json.dumps({"name": name, "digest": half}))
    (out / "more").mkdir()
    (out / "more" / "lines.txt").write_text(f"{half}\n" * 3)
    if trains:
        (out / PART).mkdir()
        (out / PART / "weights.bin").write_bytes(half.encode() * 100)
        (out / PART / "config.json").write_text("{}")
    progress(3, 3, name)


def note(journal: Path, name: str) -> None:
    """One line in the journal, whole or not at all."""
    place = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(place, f"{name}\n".encode())
    os.close(place)


def content(folder: Path) -> str:
    """What a step reads of one that it needs: table, note, lines, and the weights where they are."""
    table = hashlib.sha256((folder / "table.csv").read_bytes()).hexdigest()
    said, lines = json.loads((folder / "note.json").read_text()), (folder / "more" / "lines.txt").read_text()
    weights = folder / PART / "weights.bin"
    return json.dumps([table, said, lines, weights.read_text() if weights.is_file() else ""])


def halfway(scratch: Path, digest: str) -> str:
    """Half of the work, kept for the next try: the same half whether it was kept or is made now."""
    kept = scratch / "half.json"
    if kept.is_file():
        return str(json.loads(kept.read_text())["half"])
    scratch.mkdir(parents=True, exist_ok=True)
    half = hashlib.sha256(f"half of {digest}".encode()).hexdigest()
    (scratch / "half.part").write_text(json.dumps({"half": half}))
    os.replace(scratch / "half.part", kept)
    return half


def study(journal: Path, pause: float = 0.0, *, more: bool = False) -> list[Step]:
    """pool, label, two draws, two trainings whose checkpoint is freed, three askings, analysis, report.

    With one `more` asking of the first training, and an analysis of it, if wanted.
    """

    def step(name: str, *needs: Step, trains: bool = False, asks: Step | None = None) -> Step:
        return Step(
            name.rstrip("0123456789"),
            name,
            make,
            1,
            {"name": name, "trains": trains},
            (*needs, *([asks] if asks else [])),
            given={"journal": str(journal), "pause": pause},
            perishable=PART if trains else None,
            consumes=(asks,) if asks else (),
            where=Where(worker="x" if trains or asks else ""),
            has_scratch=trains,
        )

    pool = step("pool")
    label = step("label", pool)
    draws = [step(f"mix{n}", label) for n in range(2)]
    tunes = [step(f"tune{n}", draw, trains=True) for n, draw in enumerate(draws)]
    asked = [step("ask0", asks=tunes[0]), step("ask1", asks=tunes[0]), step("ask2", asks=tunes[1])]
    analyse = step("analyse", *asked, *draws)
    steps = [pool, label, *draws, *tunes, *asked, analyse, step("report", analyse)]
    if more:
        asked = [step("ask3", asks=tunes[0])]
        steps += [*asked, step("analyse2", *asked)]
    return steps
