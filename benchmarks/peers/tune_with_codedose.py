"""Our side of the tuning: python tune_with_codedose.py MODEL EXAMPLES METHOD DTYPE STEP RATE -> one JSON line.

EXAMPLES stand in the order of steps, STEP of them each; see tune_with_trl.py for what is compared and timed.
"""

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from codedose.prompt import Encoded
from codedose.study import Tune
from codedose.tune import train
from codedose.tune.order import planned
from codedose.tune.ready import inner, ready

SEED = 0
LORA = {"rank": 16, "alpha": 32, "dropout": 0.0, "targets": "all_linear"}


def settings(method: str, dtype: str, step: int, rate: float, longest: int) -> Tune:
    return Tune.model_validate(
        {
            "method": method,
            "lora": LORA if method == "lora" else None,
            "seeds": 1,
            "epochs": 1,
            "steps": None,
            "step_size": step,
            "max_length": longest,
            "over_long": "cut",
            "shrinkage": 1.0,
            "optimiser": "adamw",
            "learning_rate": rate,
            "schedule": "constant",
            "warmup": 0.0,
            "weight_decay": 0.0,
            "betas": (0.9, 0.999),
            "clip": 1.0,
            "loss": "token_mean",
            "precision": "bfloat16_mixed" if dtype == "bfloat16" else dtype,
        }
    )


def in_slots(examples: list[Encoded], how: Tune) -> list[Encoded]:
    """The examples in slots whose order of training is the order they came in."""
    trained = [slot for step in planned(len(examples), how, seed=SEED) for slot in step]
    return [example for _, example in sorted(zip(trained, examples, strict=True), key=lambda pair: pair[0])]


def main(folder: str, path: str, method: str, dtype: str, step: str, rate: str) -> None:
    read = [json.loads(line) for line in Path(path).read_text().splitlines()]
    examples = [Encoded(tuple(one["tokens"]), tuple(map(bool, one["loss"])), "") for one in read]
    how = settings(method, dtype, int(step), float(rate), max(len(one.tokens) for one in examples))
    model = inner(ready(Path(folder), how, seed=SEED))
    marks: list[tuple[float, float]] = []

    def progress(*_: Any) -> None:
        marks.append((time.perf_counter(), time.process_time()))

    rows = train(model, in_slots(examples, how), how, seed=SEED, progress=progress)
    (start, cpu), (end, cpu_end) = marks[0], marks[-1]
    told = {
        "seconds": end - start,
        "cpu": cpu_end - cpu,
        "tokens": sum(row["tokens"] for row in rows[1:]),
        "losses": [row["loss"] for row in rows],
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
