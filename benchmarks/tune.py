"""Tuning: ours beside TRL's SFTTrainer. The same model, examples, steps, optimiser and precision.

    .venv/bin/python benchmarks/tune.py [--dtype float32] [--method full ...] [--count 64] [--step 8] [--trl FOLDER]

Real conversations of ../shared/data/ift (without them those of the built-in pool), encoded once and given to both as
tokens. Each engine is a command of its own in its own environment, times the training steps alone, and counts real
tokens, not padding; ours runs before and after each peer. TRL is tried in several layouts, described in
peers/tune_with_trl.py. Prints a table with the loss of the first and of the last step, which the engines should share,
and which share of the matrix products' speed, as measured in this run, ours reaches: only products that are needed
count (of the blocks 6 operations a weight and real token in full tuning, 4 with LoRA; of the vocabulary head as many
for each loss-bearing token; none of attention). The last line is the ratio to TRL's best packed layout.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import beside
from peak import matrix_peak

from codedose.backbone import BUILTIN, load_tokenizer, resolve
from codedose.errors import DataError
from codedose.pool.read import Reading, example_id, read
from codedose.pool.starter import NAME
from codedose.prompt import Encoded, encode
from codedose.study import Source

REAL = Path(__file__).parents[2] / "shared" / "data" / "ift"
FILES = ("lima", "oasst_en_100_tree", "gpteacher_codegen", "alpaca_5000")
ROW = "{:<38}{:>9}{:>9}{:>10}{:>10}{:>10}{:>9}{:>9}"
LAYOUTS = ("packed:512", "packed:1024", "packed:4096", "padded:1", "padded:2", "padded:4")  # of TRL
RATES = {"full": 2e-5, "lora": 2e-4}
OPERATIONS = {"full": 6, "lora": 4}  # of each weight and token: forward, gradient of the input, gradient of the weight
PATIENCE = 3600  # seconds


@dataclass(frozen=True)
class Told:
    """What an engine did: seconds and CPU seconds of the steps after the first, their real tokens, and all losses."""

    seconds: float
    cpu: float
    tokens: int
    losses: list[float]
    megabytes: float

    @property
    def speed(self) -> float:
        return self.tokens / self.seconds


def conversations(path: str) -> list[Reading]:
    """The readable conversations of a source, in an order that has nothing to do with their content."""
    found = [one for one in read(Source(path=path, revision=None, licence="-"), folder=REAL, join=True) if one.messages]
    return sorted(found, key=lambda reading: example_id(reading.messages))


def examples(path: str, count: int, longest: int) -> list[Encoded]:
    """The first `count` conversations of a source that can be learnt from, as tokens."""
    tokenizer = load_tokenizer(resolve(BUILTIN, None))
    found: list[Encoded] = []
    for reading in conversations(path):
        try:
            found.append(encode(reading.messages, tokenizer, template="vicuna", system=None, max_length=longest))
        except DataError:  # nothing to learn from within `longest` tokens
            continue
        if len(found) == count:
            return found
    sys.exit(f"{path} holds {len(found)} conversations to learn from, not {count}")


def drawn(count: int, longest: int) -> list[Encoded]:
    """`count` examples in the order of training: the sources take turns."""
    paths = [str(REAL / f"{name}.jsonl.gz") for name in FILES] if REAL.is_dir() else [NAME]
    by_source = [examples(path, -(-count // len(paths)), longest) for path in paths]
    return [example for turn in zip(*by_source, strict=True) for example in turn][:count]


def write(chosen: Sequence[Encoded], path: Path) -> None:
    rows = [{"tokens": one.tokens, "loss": [int(bears) for bears in one.loss]} for one in chosen]
    path.write_text("\n".join(map(json.dumps, rows)))


def told(python: Path | str, script: str, *words: object) -> Told | str:
    """What an engine did with the examples, or in which words it failed."""
    said = beside.told(python, script, resolve(BUILTIN, None), *words, patience=PATIENCE)
    return said if isinstance(said, str) else Told(**said)


def show(name: str, found: Told) -> None:
    losses = f"{found.losses[0]:.4f}", f"{found.losses[-1]:.4f}"
    speeds = f"{found.speed:.0f}", f"{found.tokens / found.cpu:.0f}"
    print(
        ROW.format(name, f"{found.seconds:.1f}", f"{found.cpu:.1f}", *speeds, *losses, f"{found.megabytes:.0f}"),
        flush=True,
    )


def weights() -> tuple[int, int]:
    """How many weights the matrices of the blocks have, and how many the vocabulary head."""
    from safetensors import safe_open

    with safe_open(resolve(BUILTIN, None) / "model.safetensors", "pt") as file:
        sizes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    blocks = sum(rows[0] * rows[1] for name, rows in sizes.items() if len(rows) == 2 and "embed" not in name)
    return blocks, next(rows[0] * rows[1] for name, rows in sizes.items() if "embed" in name)


def needed(chosen: Sequence[Encoded], method: str) -> int:
    """Operations that tuning on `chosen` cannot do without: matrix products with the weights only."""
    blocks, head = weights()
    tokens, bearing = sum(len(one.tokens) for one in chosen), sum(one.loss_tokens for one in chosen)
    return OPERATIONS[method] * (blocks * tokens + head * bearing)


@dataclass(frozen=True)
class Measuring:
    """One method of tuning, one precision, the examples and the environment of TRL."""

    method: str
    dtype: str
    path: Path
    step: int
    trl: Path

    def ours(self) -> Told:
        found = told(sys.executable, "tune_with_codedose.py", self.path, self.method, *self.rest)
        if isinstance(found, str):
            sys.exit(f"codedose, {self.method}: {found}")
        show(f"codedose {self.method}", found)
        return found

    def theirs(self, layout: str, size: int) -> Told | str:
        words = self.path, self.method, *self.rest, layout, size
        return told(self.trl / "bin" / "python", "tune_with_trl.py", *words)

    @property
    def rest(self) -> tuple[object, ...]:
        return self.dtype, self.step, RATES[self.method]


def compared(measuring: Measuring, layouts: Sequence[str]) -> tuple[Told, dict[str, float]]:
    """Ours at its last run, and its real tokens a second over those of each layout of TRL.

    Ours runs before and after each layout, and the seconds of both are averaged.
    """
    before, ratios = measuring.ours(), {}
    for layout, _, size in (each.partition(":") for each in layouts):
        name = f"trl {measuring.method}, {layout} {size}"
        theirs = measuring.theirs(layout, int(size))
        if isinstance(theirs, str):
            print(f"{name}: not measured ({theirs})", flush=True)
            continue
        show(name, theirs)
        after = measuring.ours()
        ratios[f"{layout} {size}"] = theirs.seconds / ((before.seconds + after.seconds) / 2)
        before = after
    return before, ratios


def tell(method: str, ours: Told, ratios: dict[str, float], operations: int, dtype: str) -> None:
    """Print how ours compares with each layout of TRL, and with what the machine allows."""
    import torch

    peak = matrix_peak(getattr(torch, dtype))
    reached = operations / ours.seconds
    print(f"\n{method}: matrix peak {peak / 1e9:.0f} GFLOP/s ({dtype}); {operations / 1e12:.2f} TFLOP are needed")
    print(f"{method}: ours does {reached / 1e9:.0f} GFLOP/s of needed products, {reached / peak:.1%} of the peak")
    for name, ratio in ratios.items():
        print(f"{method}: {ratio:.2f} times the tokens a second of TRL {name}")
    print(flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--method", choices=sorted(OPERATIONS), nargs="+", default=list(OPERATIONS))
    parser.add_argument("--count", type=int, default=64, help="conversations")
    parser.add_argument("--step", type=int, default=8, help="conversations of a step; the first step warms up")
    parser.add_argument("--longest", type=int, default=512, help="tokens of a conversation")
    parser.add_argument("--layouts", choices=LAYOUTS, nargs="+", default=LAYOUTS, help="of TRL")
    parser.add_argument("--trl", type=Path, default=Path(".venv-trl"), help="its virtual environment")
    said = parser.parse_args()
    if said.count % said.step or said.count == said.step:
        parser.error("--count must be a multiple of --step, and twice as large at least")
    chosen = drawn(said.count, said.longest)
    timed = chosen[said.step :]
    tokens = sum(len(one.tokens) for one in timed)
    print(f"{len(timed)} conversations, {tokens} tokens, {sum(one.loss_tokens for one in timed)} of them with loss;")
    print(f"steps of {said.step}, {os.cpu_count()} cores, {said.dtype}\n")
    print(ROW.format("engine", "seconds", "CPU s", "tokens/s", "by CPU", "first", "last", "MB"))
    best = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "examples.jsonl"
        write(chosen, path)
        for method in said.method:
            measuring = Measuring(method, said.dtype, path, said.step, said.trl)
            ours, ratios = compared(measuring, said.layouts)
            tell(method, ours, ratios, needed(timed, method), said.dtype)
            best[method] = min((ratio for name, ratio in ratios.items() if name.startswith("packed")), default=None)
    print(", ".join(f"{method} tuning against TRL packed: {ratio:.2f}x" for method, ratio in best.items() if ratio))


if __name__ == "__main__":
    main()
