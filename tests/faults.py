"""Every write, rename, create and read of store and runner breaks once, and the toy study still ends as ever.

`python tests/faults.py` runs all cases and prints the table of kinds and ways in Markdown; `--json` prints each case.
A case is a process that is forked from this one, so that nothing is imported again: it runs the study into a store of
its own with one fault, then a second one runs the same without. An uninterrupted run tells which calls there are.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import toy_study
from broken import KILL, KILL_AFTER, SHORT_KILL, WAYS, Calls, Fault

from codedose.runner.children import Children
from codedose.runner.schedule import Outcome, Slots, Submit, Teller, inline, run
from codedose.runner.store import is_done, locked, read_record, remember

PLAN = "FAULT"  # the variable that tells a spawned child what to break
SOME_FAILED, SURPRISE = 3, 1
PATIENCE = 60  # seconds that a case may take
FIRED, COUNTED, SAID = "fired", "counted", "said"


@dataclass(frozen=True)
class Case:
    """One fault in one run: with which engine, and whether a kill hits the process alone or its whole tree."""

    fault: Fault
    engine: str = "inline"
    whole_tree: bool = False


@dataclass
class Found:
    """What became of a case: nothing in `wrong` is what is wanted."""

    case: Case
    seconds: float = 0.0
    ended: int = 0  # how the run with the fault ended: an exit code, or minus a signal
    wrong: list[str] = field(default_factory=list)


# A run of the study, as `codedose run` makes it


def drive(root: Path, journal: Path, engine: str, pause: float = 0.0) -> int:
    """Run the toy study into a store; the exit code says whether all of it was done."""
    steps = toy_study.study(journal, pause)
    with locked(root):
        remember(root, "toy", steps)
        if engine == "inline":
            return code_of(perform(root, steps, inline))
        with Children() as children:
            return code_of(perform(root, steps, children.submit))


def perform(root: Path, steps: list[toy_study.Step], submit: Submit) -> Outcome:
    return run(root, steps, slots=Slots(2), submit=submit, tell=Teller())


def code_of(outcome: Outcome) -> int:
    for failure in outcome.failed:
        print(f"failed: {failure.step.folder}: {failure.reason}", *failure.log, sep="\n    ")
    return SOME_FAILED if outcome.failed else 0


# Processes: forked, watched, and waited for


def forked(do: Callable[[], int], said: Path) -> int:
    """`do` in a process group of its own; its exit code, or minus the signal that ended it. Its words go to a file."""
    child = os.fork()
    if child == 0:
        os.setsid()
        with said.open("a") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        code = SURPRISE
        try:
            code = do()
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    return ended(child)


def ended(child: int) -> int:
    """Wait for a process; one that does not end in time is killed and counts as SIGALRM."""
    until = time.monotonic() + PATIENCE
    wait = 0.001
    while time.monotonic() < until:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(wait)
        wait = min(wait * 1.5, 0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -signal.SIGALRM


def watched(place: Path, case: Case | None) -> Calls:
    """The calls of this process below the folder of a case, with its fault if there is one."""

    def tell() -> None:
        (place.parent / f"{place.name}.{FIRED}").touch()

    return Calls(place, case.fault if case else None, tell, whole_tree=bool(case and case.whole_tree)).install()


def counting(place: Path, engine: str) -> int:
    """An uninterrupted run that leaves how often each call was made, in this process."""
    calls = watched(place, None)
    code = drive(place / "store", journal_of(place), engine)
    counted = [[*site, times] for site, times in calls.counted.items()]
    (place.parent / f"{place.name}.{COUNTED}").write_text(json.dumps(counted))
    return code


def journal_of(place: Path) -> Path:
    return place.parent / f"{place.name}.journal"


# Cases: every place and kind, at its first, a middle and its last call


def cases(counted: Counter[tuple[str, str]]) -> Iterator[Case]:
    """Each call's first, middle and last turn, in every way of its kind."""
    for (place, kind), times in sorted(counted.items()):
        for turn in sorted({1, times // 2 + 1, times}):
            yield from (Case(Fault(place, kind, turn, way)) for way in WAYS[kind])


def tried(case: Case, place: Path, whole: dict[str, dict[str, str]]) -> Found:
    """Run with the fault, look at the store, run the same without, and look again."""
    found, began = Found(case), time.monotonic()
    store, journal, said = place / "store", journal_of(place), place.parent / f"{place.name}.{SAID}"
    place.mkdir()
    journal.touch()

    def once() -> int:
        if case.engine == "inline":
            watched(place, case)
        else:
            os.environ[PLAN] = json.dumps([str(place), asdict(case)])
        return drive(store, journal, case.engine)

    found.ended = forked(once, said)
    found.wrong += wrong_end(case, found.ended, (place.parent / f"{place.name}.{FIRED}").exists())
    done = trusted(store, journal, whole, found.wrong)
    before = journal.read_text().split()
    again = forked(lambda: drive(store, journal, case.engine), said)
    if again != 0:
        found.wrong.append(f"the same command ended with {again}")
    repeated = done & set(journal.read_text().split()[len(before) :])
    found.wrong += [f"{name} was done and ran again" for name in sorted(repeated)]
    missing = set(whole) - trusted(store, journal, whole, found.wrong)
    found.wrong += [f"{name} is not done in the end" for name in sorted(missing)]
    found.wrong += [f"{path.relative_to(store)} was left behind" for path in leftovers(store)]
    found.seconds = time.monotonic() - began
    if found.wrong:
        found.wrong += said.read_text().splitlines()[-30:]
    return found


def wrong_end(case: Case, code: int, fired: bool) -> list[str]:
    """What is wrong about how the run with the fault ended."""
    kills = case.fault.way in (KILL, KILL_AFTER, SHORT_KILL)
    if not fired:
        return ["the fault was never met"]
    if kills and (case.engine == "inline" or case.whole_tree) and code != -signal.SIGKILL:
        return [f"killed, it ended with {code}"]
    return [f"it ended with {code}"] if not kills and code not in (0, SURPRISE, SOME_FAILED) else []


def trusted(store: Path, journal: Path, whole: dict[str, dict[str, str]], wrong: list[str]) -> set[str]:
    """The names of the steps that count as done; adds to `wrong` where one of them is not what it should be."""
    done = [step for step in toy_study.study(journal) if is_done(store, step)]
    for step in done:
        try:
            sizes = read_record(store, step)["files"]
        except (OSError, ValueError) as problem:
            wrong.append(f"{step.label}: its record is {problem}")
            continue
        folder = store / step.folder
        kept = {name: size for name, size in sizes.items() if not name.startswith(f"{toy_study.PART}/")}
        there = {name: (folder / name).stat().st_size for name in toy_study.results(folder)}
        if there != kept:
            wrong.append(f"{step.label}: its record says {kept}; there is {there}")
        if toy_study.results(folder) != whole[step.label]:
            wrong.append(f"{step.label}: its results differ from the uninterrupted run's")
    return {step.label for step in done}


def leftovers(store: Path) -> list[Path]:
    """Drafts, trash, scratch and perishable parts that the end of the study should have seen off."""
    patterns = ("**/.draft-*", "**/.trash-*", "scratch/*/*", f"tune/*/{toy_study.PART}")
    return [path for pattern in patterns for path in store.glob(pattern)]


def uninterrupted(folder: Path) -> tuple[Counter[tuple[str, str]], dict[str, dict[str, str]]]:
    """How often each call is made when nothing breaks, and the digests of what each step writes."""
    place = folder / "whole"
    place.mkdir()
    code = forked(lambda: counting(place, "inline"), folder / f"whole.{SAID}")
    if code != 0:
        raise RuntimeError((folder / f"whole.{SAID}").read_text())
    counted = json.loads((folder / f"whole.{COUNTED}").read_text())
    steps = toy_study.study(journal_of(place))
    whole = {step.label: toy_study.results(place / "store" / step.folder) for step in steps}
    return Counter({(site, kind): times for site, kind, times in counted}), whole


# The table


def table(found: Iterable[Found]) -> str:
    """Cases and survivals by kind of call and way to break, in Markdown."""
    ways = [KILL, KILL_AFTER, "disk full", "I/O error", "short write", SHORT_KILL]
    tried, lived = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for each in found:
        for kind in (each.case.fault.kind, "all"):
            for way in (each.case.fault.way, "all"):
                tried[kind, way] += 1
                lived[kind, way] += not each.wrong
    rows = [kind for kind in (*WAYS, "all") if tried[kind, "all"]]
    lines = [f"| call | {' | '.join([*ways, 'all'])} |", "|---" * (len(ways) + 2) + "|"]
    for kind in rows:
        cells = [f"{lived[kind, way]} of {tried[kind, way]}" if tried[kind, way] else "" for way in (*ways, "all")]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def warm(place: Path) -> None:
    """What a process imports and learns once, before any fork."""
    drive(place / "store", journal_of(place), "inline")


def all_found(folder: Path, chosen: Callable[[Case], bool]) -> list[Found]:
    warm(folder / "first")
    counted, whole = uninterrupted(folder)
    found = []
    for number, case in enumerate(filter(chosen, cases(counted))):
        place = folder / f"{number:04}"
        found.append(tried(case, place, whole))
        if not found[-1].wrong:
            shutil.rmtree(place)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print each case instead of the table")
    parser.add_argument("--only", default="", help="cases whose place, kind or way holds this")
    asked = parser.parse_args()
    fast = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=fast if fast.is_dir() else None) as folder:
        found = all_found(Path(folder), lambda case: asked.only in str(case))
        if asked.json:
            print(json.dumps([asdict(each) for each in found]))
            return
    for each in found:
        if each.wrong:
            print(each.case, *each.wrong, sep="\n    ")
    print(table(found))
    seconds = sum(each.seconds for each in found)
    print(f"\n{len(found)} cases, {sum(not each.wrong for each in found)} survived, {seconds:.1f} s")


if __name__ == "__main__":
    main()
