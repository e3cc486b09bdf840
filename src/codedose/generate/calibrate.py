"""A loaded backbone -> how large its batches may be and should be on this machine, from a few seconds of asking.

Only the engine `transformers` makes batches of a stated size; vLLM fills its memory by itself.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from codedose.generate import own
from codedose.generate.engine import Loaded
from codedose.generate.row import Rules

WRITTEN = 12  # tokens of a trial's replies
WORTH = 1.1  # a batch twice as large is taken when it is faster by this factor
SECONDS = 20.0  # after which no larger batch is tried
SHARE = 0.5  # of the free memory, for keys and values


@dataclass(frozen=True)
class Proposal:
    """How large a batch should be: rows, and tokens of them all; with what it rests on."""

    rows: int
    batch_tokens: int
    speeds: tuple[tuple[int, float], ...]  # rows, tokens written a second
    bytes_a_token: int  # of keys and values
    free: int  # bytes

    def __str__(self) -> str:
        tried = ", ".join(f"{rows} rows {speed:.0f}" for rows, speed in self.speeds)
        return (
            f"batch_tokens {self.batch_tokens:,} ({self.rows} rows); tokens written a second: {tried}; "
            f"{self.bytes_a_token / 1e3:,.0f} kB a token, {self.free / 1e9:,.1f} GB free"
        )


def propose(loaded: Loaded, *, prompt: int, room: int, free: int) -> Proposal:
    """The batch for rows of `prompt` tokens and `room` for what follows: as large as pays, within half of `free`."""
    a_row = bytes_a_token(loaded) * (prompt + room)
    most = max(1, int(free * SHARE / a_row))
    speeds = list(trials(loaded, prompt, most))
    rows = best(speeds)
    return Proposal(rows, rows * (prompt + room), tuple(speeds), bytes_a_token(loaded), free)


def trials(loaded: Loaded, prompt: int, most: int) -> Iterator[tuple[int, float]]:
    """Rows and tokens a second, of larger and larger batches, until they gain no more or take too long."""
    start, rows, before = time.monotonic(), min(4, most), 0.0
    while True:
        speed = tokens_a_second(loaded, rows, prompt)
        yield rows, speed
        if rows == most or speed < before * WORTH or time.monotonic() - start > SECONDS:
            return
        rows, before = min(rows * 2, most), speed


def tokens_a_second(loaded: Loaded, rows: int, prompt: int) -> float:
    """How fast a batch is written, its prompts' reading included."""
    never = Rules(stop=-1, limit=WRITTEN, at_answer=False, force=(), forced_limit=0)
    prompts = [[10 + row % 50] * prompt for row in range(rows)]
    start = time.monotonic()
    own.generate(loaded, prompts, never, sampling=None, seeds=[])
    return rows * WRITTEN / (time.monotonic() - start)


def best(speeds: list[tuple[int, float]]) -> int:
    """The smallest batch that no twice as large one beats by more than it is worth."""
    rows, found = speeds[0]
    for larger, speed in speeds[1:]:
        if speed >= found * WORTH:
            rows, found = larger, speed
    return rows


def bytes_a_token(loaded: Loaded) -> int:
    """What keys and values of one token take, read off a shelf that holds one."""
    import torch

    from codedose.generate.shelf import Shelves

    with torch.inference_mode():
        shelves = Shelves.of(loaded.model, 1, 1)
        shelves.read(slice(0, 1), [0], [[10]])
    stored = (states for layer in shelves.cache.layers for states in (layer.keys, layer.values))
    return sum(states.nbytes // states.shape[2] for states in stored)


def free_memory() -> int:
    """Bytes that a batch could take: of the GPU where there is one, else of this machine."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    return available(Path("/proc/meminfo"))


def available(meminfo: Path) -> int:
    """What Linux says is available; elsewhere half of what there is."""
    try:
        found = next(line for line in meminfo.read_text().splitlines() if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return int(found.split()[1]) * 1024
