"""Whatever write, rename, create or read of store and runner breaks: the store is sound, the same command ends."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def found() -> list[dict]:
    """What became of each case; in a process of its own, since it forks."""
    script = Path(__file__).with_name("faults.py")
    told = subprocess.run([sys.executable, str(script), "--json"], capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    return json.loads(told.stdout)


def test_a_fault_at_any_call_leaves_a_sound_store_and_the_same_command_ends(found):
    assert [case for case in found if case["wrong"]] == []
    assert len(found) >= 160
