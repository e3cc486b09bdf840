"""vLLM on a CPU: python ask_with_vllm.py MODEL PROMPTS LIMIT DTYPE _ -> one JSON line.

Runs in an environment of its own (requirements-vllm.txt); vLLM makes its own batches.
"""

import json
import sys
import time
from pathlib import Path

from vllm import LLM, SamplingParams


def main(folder: str, prompts: str, limit: str, dtype: str, _: str) -> None:
    model = LLM(model=folder, dtype=dtype, max_model_len=2048, enable_prefix_caching=True)
    rows = [json.loads(line) for line in Path(prompts).read_text().splitlines()]
    asked = [{"prompt_token_ids": row["tokens"]} for row in rows]
    how = SamplingParams(max_tokens=int(limit), temperature=0.0)
    start, cpu = time.perf_counter(), time.process_time()
    outputs = [output.outputs[0] for output in model.generate(asked, how, use_tqdm=False)]
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    tokens = [len(output.token_ids) for output in outputs]
    told = {"seconds": seconds, "cpu": cpu, "tokens": tokens, "texts": [output.text for output in outputs]}
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
