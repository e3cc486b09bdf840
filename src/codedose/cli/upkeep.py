"""The commands on a store: status, verify, gc. A store is named by its study's file, or by its own folder or URL."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from codedose.cli.show import AsJson
from codedose.cli.studies import StorePath, planner_of, store_of
from codedose.errors import StudyError

if TYPE_CHECKING:
    from codedose.runner.lease import Lease
    from codedose.runner.store import Store

Place = Annotated[str, typer.Argument(metavar="STUDY|STORE", help="the study file, or a store: a folder or a URL")]
UNSOUND = 3  # exit code: the store holds something that is not what was written


def status(place: Place, store: StorePath = None, json: AsJson = False) -> None:
    """What is done, what is left, who is at work on what, and where the report is."""
    from codedose.cli.show import as_json

    opened, folders = opened_at(place, store)
    known = known_studies(opened, folders)
    done = opened.finished()
    told = {name: progress_of(opened, each, done) for name, each in known.items()}
    at_work = sorted(opened.leases(), key=lambda lease: lease.folder)
    if json:
        whole = told[folders[0]] if folders else {"studies": told}
        as_json({"store": opened.url, **whole, "at_work": [worker_values(lease) for lease in at_work]})
        return
    for name, progress in told.items():
        tell_study(f"{name} in {opened}", place if folders else None, **progress)
    tell_workers(at_work)


def verify(
    place: Place,
    store: StorePath = None,
    quick: Annotated[bool, typer.Option("--quick", help="compare sizes only, not contents")] = False,
    set_aside: Annotated[
        bool, typer.Option("--set-aside", help="put what is not sound into the trash, so that a run does it again")
    ] = False,
    json: AsJson = False,
) -> None:
    """Check every file of every finished step against its record: is it there, and is it what was written?"""
    from datetime import UTC, datetime

    from codedose.cli.show import as_json, as_table

    opened, _ = opened_at(place, store)
    done = opened.finished()
    troubles = opened.verify(done, contents=not quick)
    unsound = sorted({trouble.folder for trouble in troubles})
    if set_aside:
        opened.discard(unsound, datetime.now(UTC))
    if json:
        listed = [{"step": each.folder, "file": each.file, "what": each.what} for each in troubles]
        as_json(
            {"store": opened.url, "steps": len(done), "troubles": listed, "set_aside": unsound if set_aside else []}
        )
    else:
        if troubles:
            as_table(f"not sound in {opened}", ("step", "file", "what"), [(t.folder, t.file, t.what) for t in troubles])
        mend = "" if not troubles or set_aside else "; --set-aside puts these into the trash, and a run does them again"
        print(f"{len(done):,} finished steps, {len(unsound):,} of them not sound{mend}")
    raise typer.Exit(UNSOUND if troubles and not set_aside else 0)


def gc(
    place: Place,
    store: StorePath = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only say what would go")] = False,
    now: Annotated[bool, typer.Option("--now", help="empty the trash at once, and not after seven days")] = False,
    json: AsJson = False,
) -> None:
    """Free what no study in the store needs any more: into the trash first, gone for good after seven days.

    A study file names the store and is itself needed. A run that needs something takes it out of the trash again.
    """
    from datetime import UTC, datetime, timedelta

    from codedose.cli.show import as_json, plain
    from codedose.runner.store import KEPT

    opened, folders = opened_at(place, store)
    if folders is not None and not dry_run:
        prepared(opened).note_study(*folders)
    unneeded = [f for f in opened.unreached() if folders is None or f not in folders[1]]
    when = datetime.now(UTC)
    if not dry_run:
        opened.discard(unneeded, when)
    freed = 0 if dry_run else opened.empty(when, timedelta(0) if now else KEPT)
    waiting = opened.trash()
    if json:
        as_json({"folders": unneeded, "freed_bytes": freed, "in_trash": sorted(waiting)})
        return
    for folder in unneeded:
        print(plain(folder))
    told = f", {freed / 1e6:,.1f} MB freed, {len(waiting):,} in the trash" + (" (--now empties it)" if waiting else "")
    print(f"{len(unneeded):,} folders that no study needs" + ("" if dry_run else told))


def opened_at(place: str, store: str | None) -> tuple["Store", tuple[str, list[str]] | None]:
    """The store that an argument names, and, where it is a study's file, that study's name and folders.

    Raises StudyError where there is no store yet.
    """
    from codedose.runner.place import is_url, open_store

    if is_url(place) or Path(place).is_dir():
        if store is not None:
            raise StudyError(f"{place}: names a store by itself; leave out --store")
        return existing(open_store(place)), None
    opened = store_of(Path(place), store)
    planner = planner_of(Path(place), opened)
    return opened, (planner.study.name, list(dict.fromkeys(step.folder for step in planner.steps)))


def prepared(store: "Store") -> "Store":
    """The store, ready to be written; StudyError where there is none, since `gc` makes none."""
    if not (store.finished() or store.studies()):
        raise StudyError(f"{store}: there is no store; nothing has been run yet")
    store.prepare()
    return store


def existing(store: "Store") -> "Store":
    if not store.studies():
        raise StudyError(
            f"{store}: is no store, or nothing has been run in it yet; name the study's file, or its store"
        )
    return store


def known_studies(store: "Store", folders: tuple[str, list[str]] | None) -> dict[str, list[str]]:
    return store.studies() if folders is None else dict([folders])


def counted(folders: Sequence[str], done: frozenset[str]) -> dict[str, dict[str, int]]:
    """By kind of step how many are done, of how many."""
    of = Counter(folder.partition("/")[0] for folder in folders)
    there = Counter(folder.partition("/")[0] for folder in folders if folder in done)
    return {kind: {"done": there[kind], "of": number} for kind, number in of.items()}


def progress_of(store: "Store", folders: Sequence[str], done: frozenset[str]) -> dict[str, Any]:
    """How many steps are left, how many are done of each kind, and the report."""
    left = 0 if folders[-1] in done else sum(folder not in done for folder in folders)
    return {"left": left, "steps": counted(folders, done), "report": report_of(store, folders, done)}


def report_of(store: "Store", folders: Sequence[str], done: frozenset[str]) -> str | None:
    """The report on this machine, where it is done."""
    last = [folder for folder in folders if folder.startswith("report/") and folder in done]
    return str(store.here(last[-1]) / "report.html") if last else None


def worker_values(lease: "Lease") -> dict[str, Any]:
    return {
        "step": lease.folder,
        "host": lease.host,
        "pid": lease.pid,
        "since": lease.since,
        "beat": lease.beat,
        "done": lease.done,
        "of": lease.of,
        "note": lease.note,
    }


def tell_study(
    title: str, study: str | None, *, left: int, steps: dict[str, dict[str, int]], report: str | None
) -> None:
    from codedose.cli.show import as_table

    as_table(title, ("step", "done", "of"), [(kind, each["done"], each["of"]) for kind, each in steps.items()])
    command = f": codedose run {study}" if study else ""
    print(f"{left} steps left{command}" if left else f"everything is done; the report: {report}")


def tell_workers(leases: Sequence["Lease"]) -> None:
    """Who is at work, each with its step, how far it is, and when it last gave a sign of life."""
    from datetime import UTC, datetime

    from codedose.cli.show import as_table, plain, span

    if not leases:
        return
    now = datetime.now(UTC)
    rows = [
        (
            plain(lease.folder),
            f"{plain(lease.host)}:{lease.pid}",
            span((now - datetime.fromisoformat(lease.since)).total_seconds()),
            f"{lease.done:,} of {lease.of:,} {plain(lease.note)}" if lease.of else "",
            f"{max(0.0, (now - datetime.fromisoformat(lease.beat)).total_seconds()):.0f} s ago",
        )
        for lease in leases
    ]
    as_table("at work", ("step", "worker", "for", "progress", "sign of life"), rows)


COMMANDS: tuple[Any, ...] = (status, verify, gc)
