"""What `codedose run` and `codedose report` say at the end, and what keeps a run from starting."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from codedose.backbone import resolve
from codedose.cli.show import as_json as print_json
from codedose.cli.show import plain
from codedose.errors import StudyError
from codedose.plan import Planner
from codedose.runner.failures import NAMES
from codedose.runner.schedule import Outcome
from codedose.runner.store import Store
from codedose.runner.tries import Failure
from codedose.stages import SPENT, SUMMARY

SOME_FAILED = 3
SHOWN = 3  # failures whose log is repeated; more of them mostly say the same


def make_ready(planner: Planner, study: Path) -> None:
    """Fetch hub backbones that are not here yet; raise before anything runs when something stays missing.

    StudyError for files, MachineError for backbones.
    """
    files, backbones = planner.missing
    if files:
        raise StudyError("\n".join(f"{study}: {sentence}" for sentence in files))
    if backbones:
        for backbone in planner.study.backbones:
            resolve(**planner.inputs.loadable(backbone))


def conclude(planner: Planner, store: Store, outcome: Outcome, *, as_json: bool, written: Sequence[Path] = ()) -> int:
    """Print the summary and the report's path, what else was `written`, and what failed; returns the exit code."""
    report = report_of(planner, store)
    lines = summary(planner, store)
    if as_json:
        print_json(
            {
                "study": planner.study.name,
                "performed": len(outcome.performed),
                "failed": [failed(store, failure) for failure in outcome.failed],
                "blocked": [step.folder for step in outcome.blocked],
                "missing_cells": sorted(planner.without),
                "summary": lines,
                "report": str(report) if report else None,
                "written": list(map(str, written)),
            }
        )
    else:
        tell_failures(store, outcome)
        tell_summary(planner, lines, report)
        tell_spent(planner, store)
        tell_written(written)
    return SOME_FAILED if outcome.failed else 0


def report_of(planner: Planner, store: Store) -> Path | None:
    """The report on this machine, where it is done."""
    last = planner.steps[-1]
    return store.here(last.folder) / "report.html" if store.is_done(last) else None


def summary(planner: Planner, store: Store) -> list[str]:
    """The five lines of the analysis, where it is done."""
    analyse = next(step for step in planner.steps if step.kind == "analyse")
    if not store.is_done(analyse):
        return []
    lines: list[str] = json.loads((store.here(analyse.folder) / SUMMARY).read_text())["lines"]
    return lines


def failed(store: Store, failure: Failure) -> dict[str, object]:
    return {
        "step": failure.step.folder,
        "class": failure.kind,
        "tries": failure.tries,
        "reason": plain(failure.reason),
        "mend": failure.mend,
        "log": str(store.log(failure.step.folder)),
    }


def tell_failures(store: Store, outcome: Outcome) -> None:
    """Each failed step: its reason, the last lines of its log, its class with the mend, and where the log is."""
    for number, failure in enumerate(outcome.failed):
        print(f"\nfailed: {failure.step.kind} {plain(failure.step.label)}: {plain(failure.reason)}", file=sys.stderr)
        for line in failure.log if number < SHOWN else ():
            print(f"    {plain(line)}", file=sys.stderr)
        print(f"    {class_told(failure)}: {plain(failure.mend)}", file=sys.stderr)
        print(f"    the whole log: {store.log(failure.step.folder)}", file=sys.stderr)
    if outcome.blocked:
        print(
            f"{len(outcome.blocked)} steps that need these never started; the same command tries again", file=sys.stderr
        )


def class_told(failure: Failure) -> str:
    """The class of a failure in words, and how often the step was tried."""
    return NAMES[failure.kind] + (f", {failure.tries} tries" if failure.tries > 1 else "")


def tell_spent(planner: Planner, store: Store) -> None:
    """What labels from an endpoint have cost, in all runs together."""
    if planner.study.label.llm is None or not store.is_done(planner.label):
        return
    path = store.here(planner.label.folder) / SPENT
    if path.is_file():
        spent = json.loads(path.read_text())
        tokens = spent["tokens_in"] + spent["tokens_out"]
        print(f"labels: {spent['replies']:,} replies, {tokens:,} tokens, ${spent['dollars']:,.2f} paid")


def tell_written(written: Sequence[Path]) -> None:
    """The first file that was written, and where the others lie."""
    if written:
        others = f", and {len(written) - 1:,} more files there" if len(written) > 1 else ""
        print(f"written: {written[0]}{others}")


def tell_summary(planner: Planner, lines: list[str], report: Path | None) -> None:
    print()
    if planner.without:
        print(
            f"INCOMPLETE: {len(planner.without)} cells are missing: {', '.join(map(plain, sorted(planner.without)))}\n"
        )
    for line in lines:
        print(plain(line))
    if planner.study.caution:
        print(f"\nCaution: {plain(planner.study.caution)}")
    print(f"\nreport: {report}" if report else "\nno report: too little is done to say anything")
