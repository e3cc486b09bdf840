"""Our side of the near-duplicate search, up to the list of what leaves.

    python search_with_codedose.py TEXTS OUT PROCESSES

TEXTS is a folder of JSON lines {id, text}; OUT becomes a JSON array of the ids that leave.
"""

import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import accumulate
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from codedose.pool.near import candidates, repeats, signatures

THRESHOLD = 0.8


def signed(shard: Path) -> tuple[list[str], list[int], list[int], NDArray[np.uint32]]:
    """The ids of a file, how long their texts are, where their lines start, and their signatures."""
    lines = shard.read_bytes().splitlines(keepends=True)
    rows = [json.loads(line) for line in lines]
    texts = [row["text"] for row in rows]
    starts = list(accumulate(map(len, lines[:-1]), initial=0))
    return [row["id"] for row in rows], [len(text) for text in texts], starts, signatures(texts)


def text_at(shard: Path, start: int) -> str:
    with shard.open("rb") as file:
        file.seek(start)
        return str(json.loads(file.readline())["text"])


def main(folder: str, out: str, processes: str) -> None:
    shards = sorted(Path(folder).iterdir())
    with ProcessPoolExecutor(int(processes), mp_context=get_context("spawn")) as pool:
        done = list(pool.map(signed, shards))
    ids = [name for names, _, _, _ in done for name in names]
    lengths = [length for _, some, _, _ in done for length in some]
    places = [(shard, start) for shard, (_, _, starts, _) in zip(shards, done, strict=True) for start in starts]

    def texts_of(wanted: Sequence[int]) -> list[str]:
        return [text_at(*places[row]) for row in wanted]

    pairs = candidates(np.concatenate([some for _, _, _, some in done]), THRESHOLD)
    order = sorted(range(len(ids)), key=lambda row: (-lengths[row], ids[row]))
    leaving = repeats(pairs, texts_of, order, THRESHOLD)
    Path(out).write_text(json.dumps([ids[row] for row in leaving]))


if __name__ == "__main__":
    main(*sys.argv[1:])
