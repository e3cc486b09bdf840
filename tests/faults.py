"""Every write, rename, create and read of store and runner breaks once, and the toy study still ends as ever.

`python tests/faults.py` runs all cases and prints a table of kinds and ways in Markdown; `--json` prints each case.
A case is a process that is forked from this one, so that nothing is imported again. It runs a command in a store of
its own with one fault; then the same command runs without one. An uninterrupted run tells which calls there are.
"""

import argparse
import itertools
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import toy_study
from broken import FAULTY, FULL, KILL, KILL_AFTER, LOST, SHORT, SHORT_KILL, WAYS, Calls, Fault

from codedose.runner import lease, schedule, scratch
from codedose.runner.children import Children
from codedose.runner.failures import Patience
from codedose.runner.place import open_store
from codedose.runner.schedule import Outcome, Slots, Teller, inline, run
from codedose.runner.step import Step
from codedose.runner.store import Store

PLAN = "FAULT"  # the variable that tells a spawned child what to break
SOME_FAILED, SURPRISE = 3, 1
PATIENCE = 60  # seconds that a process may take
KILLS = (KILL, KILL_AFTER, SHORT_KILL)


@dataclass(frozen=True)
class Scenario:
    """A command, in which store and engine it is given, and what has been done in that store before."""

    name: str
    command: Callable[["Place", str], int]
    before: Callable[["Place", str], int] | None = None
    backend: str = "disk"
    engine: str = "inline"
    places: str = ""  # only faults at places that hold this


@dataclass(frozen=True)
class Place:
    """Where a case has its store, its journal, and what it leaves besides."""

    folder: Path
    backend: str = "disk"

    @property
    def store(self) -> Store:
        return open_store(self.folder / "store" if self.backend == "disk" else f"bucket://{self.folder}/bucket/store")

    def beside(self, what: str) -> Path:
        """A file that is not watched."""
        return self.folder.with_name(f"{self.folder.name}.{what}")

    def steps(self, pause: float = 0.0, more: bool = False) -> list[Step]:
        return toy_study.study(self.beside("journal"), pause, more=more)

    def ran(self) -> list[str]:
        return self.beside("journal").read_text().split() if self.beside("journal").exists() else []


@dataclass(frozen=True)
class Case:
    """One fault in one scenario; whether a kill hits the process alone or its whole tree."""

    scenario: str
    fault: Fault
    whole_tree: bool = False


@dataclass
class Found:
    """What became of a case: nothing in `wrong` is what is wanted."""

    case: Case
    seconds: float = 0.0
    ended: int = 0  # how the command with the fault ended: an exit code, or minus a signal
    wrong: list[str] = field(default_factory=list)


# Commands, as the command line makes them


def run_it(place: Place, engine: str, pause: float = 0.0, more: bool = False) -> int:
    """`codedose run`; the exit code says whether all of it was done."""
    store, steps = place.store, place.steps(pause, more)
    schedule.AGAIN, patience = 0.05, Patience(first=0.01)  # what passes is tried again, without the wait
    store.prepare()
    store.remember("toy", steps)
    if engine == "inline":
        return code_of(run(store, steps, slots=Slots(2), submit=inline, tell=Teller(), patience=patience))
    with Children() as children:
        return code_of(run(store, steps, slots=Slots(1), submit=children.submit, tell=Teller(), patience=patience))


def run_more(place: Place, engine: str) -> int:
    """`codedose run` with one more asking, which wants a part that was freed."""
    return run_it(place, engine, more=True)


def run_slowly(place: Place, engine: str) -> int:
    """`codedose run` with signs of life so frequent that each step gives some."""
    lease.BEAT = scratch.EVERY = 0.01
    return run_it(place, engine, pause=0.1)


def free_it(place: Place, engine: str) -> int:
    """`codedose gc --now` after the report and what leads to it are no longer wanted."""
    store, now = place.store, datetime.now(UTC)
    store.prepare()
    store.remember("toy", place.steps()[:7])
    store.discard(store.unreached(), now)
    store.empty(now, timedelta(0))
    return 0


def set_aside(place: Place, engine: str) -> int:
    """A finished study, of which some steps have gone into the trash."""
    code, store = run_it(place, engine), place.store
    store.discard([step.folder for step in place.steps()[-3:]], datetime.now(UTC))
    return code


def code_of(outcome: Outcome) -> int:
    for failure in outcome.failed:
        print(f"failed: {failure.step.folder}: {failure.reason}", *failure.log, sep="\n    ")
    return SOME_FAILED if outcome.failed else 0


SCENARIOS = (
    Scenario("run", run_it),
    Scenario("run, one more asking", run_more, before=set_aside),
    Scenario("gc", free_it, before=run_it),
    Scenario("signs of life", run_slowly, places="beating"),
    Scenario("run, children", run_it, engine="children"),
    Scenario("run, objects", run_it, backend="objects"),
    Scenario("run, one more asking, objects", run_more, before=set_aside, backend="objects"),
    Scenario("gc, objects", free_it, before=run_it, backend="objects"),
    Scenario("signs of life, objects", run_slowly, places="send", backend="objects"),
)
BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


# Processes: forked, watched, and waited for


def forked(do: Callable[[], int], said: Path) -> int:
    """`do` in a process group of its own; its exit code, or minus the signal that ended it. Its words go to a file."""
    child = os.fork()
    if child:
        return ended(child)
    code = SURPRISE
    try:
        os.setsid()
        with said.open("a") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        code = do()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def ended(child: int) -> int:
    """Wait for a process; one that does not end in time is killed and counts as SIGALRM."""
    end, pause = time.monotonic() + PATIENCE, 0.001
    while time.monotonic() < end:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(pause)
        pause = min(pause * 1.5, 0.02)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -signal.SIGALRM


def command(scenario: Scenario, place: Place, case: Case | None = None, watch: bool = False) -> int:
    """The scenario's command in a process of its own, watched or not, with a fault or without."""

    def once() -> int:
        os.environ["CODEDOSE_CACHE"] = str(place.folder / "cache")
        if not watch:
            return scenario.command(place, scenario.engine)
        if scenario.engine == "children":
            os.environ[PLAN] = json.dumps([str(place.folder), place.backend, case and asdict(case)])
        calls = watched(place, case)
        code = scenario.command(place, scenario.engine)
        tally = [[site, kind, times] for (site, kind), times in calls.counted.items()]
        place.beside("tally").write_text(json.dumps(tally))
        return code

    return forked(once, place.beside("said"))


def watched(place: Place, case: Case | None) -> Calls:
    """Watch the calls of this process below the folder of a case; the fault breaks the first process that meets it."""

    def fires() -> bool:
        try:
            os.close(os.open(place.beside("fired"), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True

    def sees(site: str, kind: str) -> None:
        toy_study.note(place.beside("seen"), json.dumps([site, kind]))

    fault, whole_tree = (case.fault, case.whole_tree) if case else (None, False)
    return Calls(place.folder, fault, fires=fires, sees=sees, whole_tree=whole_tree).install()


def watch_child() -> None:
    """Watch this process as the one that started it asks it to."""
    folder, backend, case = json.loads(os.environ[PLAN])
    asked = Case(case["scenario"], Fault(**case["fault"]), case["whole_tree"]) if case else None
    watched(Place(Path(folder), backend), asked)


# Cases: every place and kind, at its first and its last call


def cases(scenario: Scenario, counted: Counter[tuple[str, str]]) -> Iterator[Case]:
    """Each call's first and last turn, in every way of its kind."""
    for (site, kind), times in sorted(counted.items()):
        if scenario.places not in site:
            continue
        for turn in sorted({1, times}):
            for way in WAYS[kind]:
                fault = Fault(site, kind, turn, way)
                yield Case(scenario.name, fault)
                if scenario.engine == "children" and way in KILLS:
                    yield Case(scenario.name, fault, whole_tree=True)


def counted(scenario: Scenario, place: Place) -> Counter[tuple[str, str]]:
    """How often each call is made when nothing breaks: once where that differs from run to run."""
    if command(scenario, place, watch=True) != 0:
        raise RuntimeError(place.beside("said").read_text())
    if scenario.engine == "children" or scenario.places:
        seen = place.beside("seen").read_text().splitlines()
        return Counter(dict.fromkeys(map(tuple, map(json.loads, seen)), 1))
    return Counter({(site, kind): times for site, kind, times in json.loads(place.beside("tally").read_text())})


def prepared(scenario: Scenario, place: Place, base: Place) -> Place:
    """A place of its own for a case, with what was done before."""
    if base.folder.exists():
        shutil.copytree(base.folder, place.folder, symlinks=True)
        shutil.copy(base.beside("journal"), place.beside("journal"))
    else:
        place.folder.mkdir()
    return place


def tried(scenario: Scenario, case: Case, place: Place, whole: "Digests") -> Found:
    """Give the command with the fault, look at the store, give the same without, and look again."""
    found, began = Found(case), time.monotonic()
    found.ended = command(scenario, place, case, watch=True)
    found.wrong += wrong_end(scenario, case, found.ended, place.beside("fired").exists())
    found.wrong += unsound(place, whole)
    ran, over = len(place.ran()), finished_for_good(place, scenario.command is run_more)
    again = command(scenario, place)
    found.wrong += [f"the same command ended with {again}"] if again else []
    found.wrong += [f"{name} was done and ran again" for name in sorted(over & set(place.ran()[ran:]))]
    found.wrong += unsound(place, whole) + unlike(place, whole) + left_behind(place)
    found.seconds = time.monotonic() - began
    if found.wrong:
        found.wrong += place.beside("said").read_text().splitlines()[-30:]
    return found


# What must hold

Digests = dict[str, dict[str, str]]  # by step and file, without parts that may be freed


def digests(place: Place) -> Digests:
    """SHA-256 of what each finished step has written, as its record says; `verify` holds the files against it."""
    store = place.store
    return {
        folder: {
            name: file["sha256"]
            for name, file in store.record(folder)["files"].items()
            if not name.startswith(f"{toy_study.PART}/")
        }
        for folder in sorted(store.finished())
    }


def wrong_end(scenario: Scenario, case: Case, code: int, fired: bool) -> list[str]:
    """What is wrong about how the command with the fault ended."""
    if not fired:
        return ["the fault was never met"]
    if case.fault.way in KILLS and (scenario.engine == "inline" or case.whole_tree):
        return [f"killed, it ended with {code}"] if code != -signal.SIGKILL else []
    ends = (0, SURPRISE, SOME_FAILED, *([-signal.SIGKILL] if case.fault.way in KILLS else []))
    return [f"it ended with {code}"] if code not in ends else []


def unsound(place: Place, whole: Digests) -> list[str]:
    """What `verify` finds, and finished steps whose results are not those of the uninterrupted run."""
    there = digests(place)
    differing = [f"{folder}: other results" for folder in there if there[folder] != whole.get(folder, there[folder])]
    return [f"{each.folder}/{each.file}: {each.what}" for each in place.store.verify()] + differing


def unlike(place: Place, whole: Digests) -> list[str]:
    return [f"{folder} is done in one of two" for folder in sorted(digests(place).keys() ^ whole.keys())]


def finished_for_good(place: Place, more: bool) -> set[str]:
    """The names of steps that must not run again: done, and nobody who is not done wants a part that was freed."""
    store, steps = place.store, place.steps(more=more)
    wanted = {need.label for step in steps if not store.is_done(step) for need in step.consumes}
    return {step.label for step in steps if store.is_done(step) and (step.label not in wanted or store.is_whole(step))}


def left_behind(place: Place) -> list[str]:
    """What the end of a study sees off: leases, scratch, parts that nobody reads any more, drafts of steps.

    Half-written notes stay for an hour, since another worker may be writing them.
    """
    store = place.store
    if place.backend == "objects":
        store.empty(datetime.now(UTC))  # as `codedose gc`: the last sending of scratch may come after the commit
    parts = [step.folder for step in place.steps() if step.perishable and store.is_done(step) and store.is_whole(step)]
    drafts = [str(path) for pattern in ("*/.draft-*", "*/*/.gone-*", "*/.gone-*") for path in store.root.glob(pattern)]
    drafts = [path for path in drafts if "/studies/.draft-" not in path]
    # scratch beside a part that was freed may be a half of making that part again: it stays for that
    freed = {step.folder for step in place.steps() if store.is_done(step) and not store.is_whole(step)}
    kept = set(store.unfinished()) - freed
    left = [*(each.folder for each in store.leases()), *sorted(kept), *parts, *drafts]
    return [f"{name} was left behind" for name in left]


# All of it


def all_found(folder: Path, scenarios: Sequence[Scenario], wanted: Callable[[Case], bool]) -> Iterator[Found]:
    """What becomes of each wanted case of the scenarios."""
    for number, scenario in enumerate(scenarios):
        base = Place(folder / f"{number}-before", scenario.backend)
        if scenario.before:
            base.folder.mkdir()
            begun = Scenario("before", scenario.before, backend=scenario.backend)
            if command(begun, base) != 0:
                raise RuntimeError(base.beside("said").read_text())
        whole = prepared(scenario, Place(folder / f"{number}-whole", scenario.backend), base)
        chosen = filter(wanted, cases(scenario, counted(scenario, whole)))
        results = digests(whole)
        for turn, case in enumerate(chosen):
            place = prepared(scenario, Place(folder / f"{number}-{turn:04}", scenario.backend), base)
            yield tried(scenario, case, place, results)
            shutil.rmtree(place.folder)


def table(found: Iterable[Found]) -> str:
    """Cases and survivals by kind of call and way to break, in Markdown."""
    ways = [KILL, KILL_AFTER, FULL, FAULTY, SHORT, SHORT_KILL, LOST, "all"]
    tried, lived = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for each in found:
        for kind in (each.case.fault.kind, "all"):
            for way in (each.case.fault.way, "all"):
                tried[kind, way] += 1
                lived[kind, way] += not each.wrong
    lines = [f"| call | {' | '.join(ways)} |", "|---" * (len(ways) + 1) + "|"]
    for kind in [kind for kind in (*WAYS, "all") if tried[kind, "all"]]:
        cells = [f"{lived[kind, way]} of {tried[kind, way]}" if tried[kind, way] else "" for way in ways]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def by_scenario(found: Sequence[Found]) -> str:
    lines = ["| scenario | cases | survived | places | seconds |", "|---|---|---|---|---|"]
    for name in BY_NAME:
        own = [each for each in found if each.case.scenario == name]
        places, seconds = {each.case.fault.place for each in own}, sum(each.seconds for each in own)
        lived = sum(not each.wrong for each in own)
        lines += [f"| {name} | {len(own)} | {lived} | {len(places)} | {seconds:.0f} |"] if own else []
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print each case instead of the table")
    parser.add_argument("--scenario", action="append", choices=BY_NAME, help="only this one; may be given repeatedly")
    parser.add_argument("--only", default="", help="cases whose place, kind or way holds this")
    parser.add_argument("--first", action="store_true", help="only the first call at each place, not the last too")
    parser.add_argument("--every", type=int, default=1, help="only every n-th case")
    asked = parser.parse_args()
    turns = itertools.count()

    def wanted(case: Case) -> bool:
        fits = asked.only in str(case) and (case.fault.turn == 1 or not asked.first)
        return fits and next(turns) % asked.every == 0

    fast = Path("/dev/shm")  # noqa: S108 - a disk in memory, where there is one
    with tempfile.TemporaryDirectory(dir=fast if fast.is_dir() else None) as name:
        folder = Path(name)
        for backend in ("disk", "objects"):  # what a process imports and learns once, before any fork
            first = Place(folder / f"first-{backend}", backend)
            first.folder.mkdir()
            os.environ["CODEDOSE_CACHE"] = str(first.folder / "cache")
            run_it(first, "inline")
        found = list(all_found(folder, [BY_NAME[n] for n in asked.scenario or BY_NAME], wanted))
    if asked.json:
        print(json.dumps([asdict(each) for each in found]))
        return
    for each in found:
        if each.wrong:
            print(each.case, f"ended {each.ended}", *each.wrong, sep="\n    ")
    print(f"{by_scenario(found)}\n\n{table(found)}")


if __name__ == "__main__":
    main()
elif __name__ == "__mp_main__" and PLAN in os.environ:
    watch_child()
