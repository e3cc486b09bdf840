"""A run whose whole tree is killed again and again ends like one that nobody killed; tests/soak.py counts."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.long
def test_25_kills_of_the_whole_tree_corrupt_nothing_repeat_nothing_and_leave_nobody():
    script = Path(__file__).with_name("soak.py")
    told = subprocess.run([sys.executable, str(script), "--kills", "25"], capture_output=True, text=True)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "| toy study | 25 |" in told.stdout
