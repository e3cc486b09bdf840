"""Identity and chance: what makes two things the same, and the seed that belongs to a name."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

PLAIN = (str, int, float, bool, type(None))
MAPPINGS = (dict, Mapping)  # the plain kind first: a plan asks this a hundred thousand times
SEQUENCES = (list, tuple)
ENCODER = json.JSONEncoder(sort_keys=True, allow_nan=False)
OTHER = re.compile("[^a-z0-9.]+")  # than a slug is made of


def canonical(value: object) -> object:
    """`value` as plain JSON types; refuses anything whose text is not stable.

    Raises TypeError for values such as functions, sets and open files, and for mapping keys
    that are not text: two different keys must never become the same text.
    """
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, MAPPINGS):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"the key {key!r} is not text; pass plain values")
        return {key: canonical(inner) for key, inner in value.items()}
    if isinstance(value, SEQUENCES):
        return [canonical(inner) for inner in value]
    raise TypeError(f"{type(value).__name__} has no stable identity; pass plain values")


def fingerprint(*parts: object) -> str:
    """Twelve hexadecimal digits that name `parts`: equal parts, equal name, on every machine."""
    text = ENCODER.encode([canonical(part) for part in parts])
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def seed_for(*names: str | int) -> int:
    """A 32-bit seed that belongs to a name, not to a position in a loop."""
    return int(hashlib.sha256("/".join(map(str, names)).encode()).hexdigest()[:8], 16)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# Names that Windows takes for devices, also before a dot.
DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))})


def slug(name: str, longest: int = 60) -> str:
    """`name` as a safe part of a path: small ASCII letters, digits, dots inside, dashes; no device's name."""
    kept = OTHER.sub("-", name.lower()).strip(".-")[:longest].strip(".-")
    if kept.partition(".")[0] in DEVICES:
        kept = f"x-{kept}"[:longest].strip(".-")
    return kept or hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
