"""Steps that tell every variable of their environment in every way; test_gate.py looks where it went.

Whoever performs one imports this file alone.
"""

import json
import logging
import os
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CANARY = "canary-7Tq9vX2m"


def canary(name: str) -> str:
    return f"{CANARY}-{name.lower().replace('_', '-')}"


def blab(*, progress: Callable[[int, int, str], None]) -> str:
    """Tell every variable in every way; returns them."""
    told = "\n".join(f"{name}={value}" for name, value in os.environ.items())
    print(told)
    print(told, file=sys.stderr)
    logging.getLogger("blab").error("%s", told)
    warnings.warn(told, stacklevel=2)
    os.write(1, Path("/proc/self/environ").read_bytes() if Path("/proc/self/environ").exists() else b"")
    progress(1, 2, told)
    return told


@dataclass(frozen=True)
class Loud:
    """A stage that tells its environment before it works, and where `fails` names its cell, instead of working."""

    do: Callable[..., None]
    fails: str = ""

    def __call__(self, inputs: list[Path], out: Path, *, progress: Any, **how: Any) -> None:
        told = blab(progress=progress)
        if self.fails and self.fails in str(how.get("cell")):
            raise RuntimeError(f"it cannot be done: {told}")
        self.do(inputs, out, progress=progress, **how)


def seen(inputs: list[Path], out: Path, *, progress: Any) -> None:
    """Which of the canaries a step sees, without telling their values."""
    (out / "seen.json").write_text(json.dumps([name for name, value in os.environ.items() if CANARY in value]))
    blab(progress=progress)


def fail(inputs: list[Path], out: Path, *, progress: Any) -> None:
    raise ValueError(blab(progress=progress))


def die(inputs: list[Path], out: Path, *, progress: Any) -> None:
    blab(progress=progress)
    sys.stdout.flush()
    os._exit(7)
