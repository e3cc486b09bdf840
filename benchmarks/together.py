"""Three arms and two seeds of adapters of SmolLM2-135M together, against one after another, at a few step sizes.

    .venv/bin/python benchmarks/together.py [step sizes, 1 4 16 by default]

On a GPU in bfloat16 where there is one, else on the CPU in float32. Both ways run in this one call; prints the factor
by how many tokens a run's step has and, last, the factors alone.
"""

import json
import sys
from pathlib import Path

import torch

from codedose.backbone import BUILTIN, load_model, load_tokenizer, resolve
from codedose.pool import starter
from codedose.prompt import encode
from codedose.study import Lora, load
from codedose.tune.faster import faster
from codedose.tune.together import Run

STEPS = 4  # as many as are tried
PLACES = [(arm, seed) for arm in range(3) for seed in range(2)]


def main() -> None:
    study = load(Path("studies/quickstart.yaml"))
    folder, device = resolve(BUILTIN, None), "cuda" if torch.cuda.is_available() else "cpu"
    precision = "bfloat16_mixed" if device == "cuda" else "float32"
    model = load_model(folder, "bfloat16" if device == "cuda" else "float32").to(device)
    tokenizer = load_tokenizer(folder)
    talks = [json.loads(line)["messages"] for file in starter.files() for line in file.read_text().splitlines()]
    lora = Lora(rank=16, alpha=32.0, dropout=0.0, targets="all_linear")
    factors = []
    for size in map(int, sys.argv[1:] or (1, 4, 16)):
        changes = {"method": "lora", "lora": lora, "precision": precision, "step_size": size, "steps": STEPS}
        how = study.tune.model_copy(update={**changes, "epochs": None})
        count = size * STEPS
        given = [
            [encode(m, tokenizer, **study.prompt.model_dump(), max_length=512) for m in talks[arm::31][:count]]
            for arm in range(3)
        ]
        runs = [Run(f"{arm}/{seed}", seed, given[arm], Path("nowhere")) for arm, seed in PLACES]
        tokens = sum(len(example.tokens) for examples in given for example in examples) / (3 * STEPS)
        factors.append(faster(model, runs, how))
        print(f"step size {size} ({tokens:.0f} tokens) on {device}: {factors[-1]:.2f} times as fast", flush=True)
    print(*(f"{factor:.2f}" for factor in factors))


if __name__ == "__main__":
    main()
