"""Two cells side by side on one core each, against one cell on two cores: trained and written tokens a second.

    .venv/bin/python benchmarks/cores.py

Prints one line a layout and, last, the ratio. Both layouts run in this one call, in turn, twice.
"""

import subprocess
import sys
import time

CELL = """
import sys, torch
torch.set_num_threads(int(sys.argv[1]))
from codedose.backbone import BUILTIN, load_model, load_tokenizer, resolve
from codedose.generate import engine, replies, rules_of
from codedose.pool import starter
from codedose.prompt import ask, encode
from codedose.study import load
from codedose.tune import train
from pathlib import Path
import json
import time

study = load(Path("studies/quickstart.yaml"))
folder = resolve(BUILTIN, None)
tokenizer = load_tokenizer(folder)
talks = [json.loads(line)["messages"] for file in starter.files() for line in file.read_text().splitlines()]
prompt = study.prompt.model_dump()
encoded = [encode(m, tokenizer, **prompt, max_length=256) for m in talks[::30][:16]]
model = load_model(folder, "float32")
print("ready", flush=True)
sys.stdin.readline()
start = time.monotonic()
rows = train(model, encoded, study.tune, seed=0, progress=lambda *_: None)
trained = sum(row["tokens"] for row in rows) / (time.monotonic() - start)
own = engine("transformers")
loaded = own.load(folder, study.generate.dtype)
asked = [ask(f"What is {n} plus {n}? Explain it in words.", tokenizer, **prompt) for n in range(16)]
start = time.monotonic()
rules = rules_of(tokenizer, limit=32, at_answer=True, forced_limit=8)
told = replies(own, loaded, asked, rules, batch_tokens=4096, progress=lambda *_: None)
written = sum(len(one.reply) + len(one.forced) for one in told) / (time.monotonic() - start)
print(trained, written, flush=True)
"""


def speed(cells: int, threads: int) -> tuple[float, float]:
    """Tokens a second trained and written by all cells together."""
    command = [sys.executable, "-c", CELL, str(threads)]
    children = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(cells)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == "ready"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    found = [child.communicate()[0].split() for child in children]
    return sum(float(trained) for trained, _ in found), sum(float(written) for _, written in found)


def main() -> None:
    totals = {(2, 1): [0.0, 0.0], (1, 2): [0.0, 0.0]}
    for layout in (*totals, *totals):
        start = time.monotonic()
        trained, written = speed(*layout)
        totals[layout][0] += trained / 2
        totals[layout][1] += written / 2
        cells, threads = layout
        took = time.monotonic() - start
        print(
            f"{cells} cells x {threads} threads: {trained:.0f} trained, {written:.0f} written tokens/s ({took:.0f} s)"
        )
    (side_trained, side_written), (one_trained, one_written) = totals[2, 1], totals[1, 2]
    print(
        f"side by side against one: {side_trained / one_trained:.2f}x tuning, {side_written / one_written:.2f}x asking"
    )


if __name__ == "__main__":
    main()
