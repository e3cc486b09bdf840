"""The built-in pool: conversations written for this project, under its licence, each with its true label.

One file per class flows out. Since every label is known, the pool is also a gold set for labellers.
"""

from pathlib import Path

NAME = "builtin:starter"


def files() -> list[Path]:
    """The files of the built-in pool, one JSON record a line, in a fixed order."""
    return sorted((Path(__file__).parent / "starter").glob("*.jsonl"))
