"""lm-eval's hf backend: python ask_with_lm_eval.py MODEL PROMPTS LIMIT DTYPE BATCH -> one JSON line.

Runs in an environment of its own (requirements-lm-eval.txt).
"""

import json
import sys
import time
from pathlib import Path

from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM


def main(folder: str, prompts: str, limit: str, dtype: str, batch: str) -> None:
    model = HFLM(pretrained=folder, dtype=dtype, batch_size=int(batch), device="cpu")
    rows = [json.loads(line) for line in Path(prompts).read_text().splitlines()]
    different = [row for row in rows if model.tok_encode(row["text"]) != row["tokens"]]
    if different:
        sys.exit(f"{len(different)} prompts become other tokens here")
    how = {"until": [], "max_gen_toks": int(limit), "do_sample": False}
    asked = [
        Instance(request_type="generate_until", doc={}, arguments=(row["text"], dict(how)), idx=place)
        for place, row in enumerate(rows)
    ]
    start, cpu = time.perf_counter(), time.process_time()
    texts = model.generate_until(asked, disable_tqdm=True)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    tokens = [len(model.tok_encode(text)) for text in texts]
    print(json.dumps({"seconds": seconds, "cpu": cpu, "tokens": tokens, "texts": texts}))


if __name__ == "__main__":
    main(*sys.argv[1:])
