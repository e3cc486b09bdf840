"""Random SIGKILLs: the whole process tree of a run is killed again and again, and the study still ends as ever.

`python tests/soak.py --kills 200` prints in Markdown how many kills there were, how many steps had been committed,
how many of these ran again, what was corrupt, and how many processes lived on. Most kills hit the toy study in child
processes, which is quick; `--study FILE` takes `codedose run` on a real one instead. A study that ends before its
kills are used up begins again in a new store.
"""

import argparse
import os
import random
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field, fields
from pathlib import Path

from codedose.runner.place import open_store

CANARY = "CODEDOSE_SOAK"  # in the environment of a run and of all that it starts
ORPHAN = 5.0  # seconds after which nothing of a killed run may live
RESULTS = (".parquet", ".csv")  # of codedose, and of the toy study
NOT_RESULTS = ("cards",)  # what holds seconds and provenance
TOY = "import sys; sys.path.insert(0, {tests!r}); import soak; soak.toy({store!r}, {journal!r}, {pause})"


@dataclass
class Told:
    """What a soak came to."""

    kills: int = 0
    runs: int = 0
    committed: int = 0
    run_again: int = 0
    corrupt: int = 0
    unlike: int = 0  # stores whose results differ from the uninterrupted run's
    orphans: int = 0
    slowest: float = 0.0  # seconds until the last process of a killed run had gone
    seconds: float = 0.0
    words: list[str] = field(default_factory=list)  # what was wrong


@dataclass(frozen=True)
class Work:
    """How to start a run into a store; the digests that it should end with."""

    command: list[str]
    whole: dict[str, str]
    takes: float  # seconds without a kill


def toy(store: str, journal: str, pause: float) -> None:
    """The toy study in child processes, as `codedose run` runs a study."""
    import toy_study

    from codedose.runner.children import Children
    from codedose.runner.schedule import Slots, Teller, run

    opened, steps = open_store(store), toy_study.study(Path(journal), pause)
    opened.prepare()
    opened.remember("toy", steps)
    with Children() as engine:
        outcome = run(opened, steps, slots=Slots(2), submit=engine.submit, tell=Teller())
    sys.exit(3 if outcome.failed else 0)


def toy_command(pause: float) -> list[str]:
    tests = str(Path(__file__).parent)
    return [sys.executable, "-c", TOY.format(tests=tests, store="STORE", journal="STORE.journal", pause=pause)]


def study_command(study: Path) -> list[str]:
    main = "from codedose.cli import main; main()"
    return [sys.executable, "-c", main, *("run", str(study), "--store", "STORE", "--cores", "2", "--gpus", "0")]


def started(command: list[str], store: Path, canary: str) -> "subprocess.Popen[bytes]":
    with store.with_name(f"{store.name}.said").open("ab") as said:
        return subprocess.Popen(
            [word.replace("STORE", str(store)) for word in command],
            env={**os.environ, CANARY: canary},
            stdout=said,
            stderr=said,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )


def family(run: int, canary: str) -> list[int]:
    """The living processes that a run has started, itself among them: of its session, or with its canary."""
    mark, found = f"{CANARY}={canary}".encode(), []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, session = (place / "stat").read_text().rpartition(")")[2].split()[:4]
            ours = session == str(run) or mark in (place / "environ").read_bytes().split(b"\0")
            if ours and state not in "ZX":
                found.append(int(place.name))
        except OSError:  # it has ended meanwhile, or is not ours to read
            continue
    return found


def kill(run: "subprocess.Popen[bytes]", canary: str, *, all_at_once: bool) -> float:
    """SIGKILL for the run, and at once for all that it has started where asked; seconds until all are gone."""
    began = time.monotonic()
    for process in family(run.pid, canary) if all_at_once else [run.pid]:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue
    run.wait()
    while family(run.pid, canary) and time.monotonic() - began < 2 * ORPHAN:
        time.sleep(0.05)
    return time.monotonic() - began


def committed(store: Path) -> dict[str, str]:
    """The attempt that each finished step's record names: another one would mean that it ran again."""
    opened = open_store(store)
    return {folder: str(opened.record(folder)["attempt"]) for folder in opened.finished()}


def digests(store: Path) -> dict[str, str]:
    """SHA-256 of each table of results, as its record says."""
    opened = open_store(store)
    return {
        f"{folder}/{name}": file["sha256"]
        for folder in opened.finished()
        for name, file in opened.record(folder)["files"].items()
        if name.endswith(RESULTS) and not folder.startswith(NOT_RESULTS)
    }


def uninterrupted(command: list[str], store: Path) -> Work:
    began = time.monotonic()
    run = started(command, store, secrets.token_hex(8))
    if run.wait() != 0:
        raise RuntimeError(store.with_name(f"{store.name}.said").read_text())
    return Work(command, digests(store), time.monotonic() - began)


def soaked(work: Work, folder: Path, kills: int, rng: random.Random) -> Told:
    """Kill runs at random moments, in one store after another, until there were so many kills."""
    told, began = Told(), time.monotonic()
    stores = (folder / f"store{number}" for number in range(10**6))
    store, kept = next(stores), dict[str, str]()
    while told.kills < kills:
        canary = secrets.token_hex(8)
        run = started(work.command, store, canary)
        over = ends_within(run, rng.uniform(0.05, 0.9) * work.takes)
        told.runs += 1
        if not over:
            gone = kill(run, canary, all_at_once=rng.random() < 0.5)
            told.kills += 1
            told.slowest = max(told.slowest, gone)
            told.orphans += len(family(run.pid, canary)) if gone > ORPHAN else 0
        kept = look(store, kept, told)
        if over:
            end(run.returncode, store, work, kept, told)
            store, kept = next(stores), {}
    run = started(work.command, store, secrets.token_hex(8))
    end(run.wait(), store, work, look(store, kept, told), told)
    told.runs, told.seconds = told.runs + 1, time.monotonic() - began
    return told


def ends_within(run: "subprocess.Popen[bytes]", seconds: float) -> bool:
    try:
        run.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def look(store: Path, kept: dict[str, str], told: Told) -> dict[str, str]:
    """Count what is corrupt and what ran again since the last look; what is committed now."""
    if not store.is_dir():
        return kept
    now, troubles = committed(store), open_store(store).verify()
    again = [folder for folder, attempt in kept.items() if now.get(folder) != attempt]
    told.corrupt += len(troubles)
    told.run_again += len(again)
    told.words += [f"{each.folder}/{each.file}: {each.what}" for each in troubles] + [f"{f}: ran again" for f in again]
    return now


def end(code: int, store: Path, work: Work, kept: dict[str, str], told: Told) -> None:
    """A run that nobody killed: it has to have gone well, with the results of the uninterrupted one."""
    told.committed += len(kept)
    found = digests(store)
    if code != 0 or found != work.whole:
        told.unlike += 1
        differing = [name for name in sorted({*found, *work.whole}) if found.get(name) != work.whole.get(name)]
        told.words += [f"{store.name} ended with {code}", *differing]
        told.words += store.with_name(f"{store.name}.said").read_text(errors="replace").splitlines()[-20:]


def table(told: dict[str, Told]) -> str:
    names = [each.name for each in fields(Told) if each.name != "words"]
    lines = [f"| | {' | '.join(name.replace('_', ' ') for name in names)} |", "|---" * (len(names) + 1) + "|"]
    for name, each in told.items():
        values = [getattr(each, name) for name in names]
        lines.append(f"| {name} | {' | '.join(f'{value:.1f}' if value % 1 else f'{value:g}' for value in values)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=180, help="of the toy study")
    parser.add_argument("--study", type=Path, help="also kill codedose run on this study")
    parser.add_argument("--study-kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=20535)
    asked = parser.parse_args()
    rng, told = random.Random(asked.seed), {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        work = {"toy study": (toy_command(0.1), asked.kills)}
        work |= {asked.study.stem: (study_command(asked.study.resolve()), asked.study_kills)} if asked.study else {}
        for what, (command, kills) in work.items():
            (folder / what).mkdir()
            whole = uninterrupted(command, folder / what / "whole")
            told[what] = soaked(whole, folder / what, kills, rng)
    print(table(told))
    wrong = [word for each in told.values() for word in each.words]
    print(*wrong, sep="\n")
    sys.exit(1 if wrong or any(each.orphans for each in told.values()) else 0)


if __name__ == "__main__":
    main()
