"""An engine in its own environment, run as a command that tells what it did in one line of JSON."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parent / "peers"


def told(python: Path | str, script: str, *words: object, patience: int) -> dict[str, Any] | str:
    """What the script of a peer told, or in which words it failed within `patience` seconds."""
    command: Sequence[str] = [str(part) for part in (python, SCRIPTS / script, *words)]
    quiet = {**os.environ, "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=quiet, check=False, timeout=patience)
    except subprocess.TimeoutExpired:
        return f"no end after {patience} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
