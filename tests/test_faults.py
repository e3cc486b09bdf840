"""Whatever write, rename, create or read of store and runner breaks: the store is sound, the same command ends."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

LONG = ("run, one more asking", "gc", "run, objects", "gc, objects")


def found(*scenarios: str, every: int = 1) -> list[dict]:
    """What becomes of each case at the first call of each place; in a process of its own, since it forks."""
    script = Path(__file__).with_name("faults.py")
    chosen = [word for name in scenarios for word in ("--scenario", name)]
    command = [sys.executable, str(script), "--json", "--first", "--every", str(every), *chosen]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


@pytest.mark.long
def test_a_fault_at_any_call_leaves_a_sound_store_and_the_same_command_ends():
    cases = found("run")
    assert [case for case in cases if case["wrong"]] == []
    assert len(cases) >= 160


@pytest.mark.soak
@pytest.mark.parametrize("scenario", LONG)
def test_so_does_one_in_the_trash_on_objects_or_when_more_is_asked(scenario):
    cases = found(scenario)
    assert [case for case in cases if case["wrong"]] == []
    assert len(cases) >= 60


@pytest.mark.long
def test_so_does_one_among_child_processes_which_a_kill_hits_alone_or_all_at_once():
    cases = found("run, children", every=24)
    assert [case for case in cases if case["wrong"]] == []
    assert any(case["case"]["whole_tree"] for case in cases)
