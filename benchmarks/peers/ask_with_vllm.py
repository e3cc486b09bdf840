"""vLLM on a CPU: python ask_with_vllm.py MODEL PROMPTS LIMIT DTYPE _ -> one JSON line.

Runs in an environment of its own (requirements-vllm.txt); vLLM makes its own batches. In one process, uncompiled and
on all cores: otherwise it keeps a core free, which on two is half the machine, and compiling takes minutes.
"""

import json
import os
import sys
import time
from pathlib import Path

os.environ |= {"VLLM_ENABLE_V1_MULTIPROCESSING": "0", "VLLM_CPU_OMP_THREADS_BIND": "nobind"}
os.environ["OMP_NUM_THREADS"] = str(os.cpu_count())
os.environ |= {"VLLM_CPU_NUM_OF_RESERVED_CPU": "0", "VLLM_CPU_KVCACHE_SPACE": "4"}  # GB; read at import

from vllm import LLM, SamplingParams


def main(folder: str, prompts: str, limit: str, dtype: str, _: str) -> None:
    model = LLM(model=folder, dtype=dtype, max_model_len=2048, enable_prefix_caching=True, enforce_eager=True)
    rows = [json.loads(line) for line in Path(prompts).read_text().splitlines()]
    asked = [{"prompt_token_ids": row["tokens"]} for row in rows]
    how = SamplingParams(max_tokens=int(limit), temperature=0.0)
    start, cpu = time.perf_counter(), time.process_time()
    outputs = [output.outputs[0] for output in model.generate(asked, how, use_tqdm=False)]
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    tokens = [len(output.token_ids) - (output.finish_reason == "stop") for output in outputs]
    told = {"seconds": seconds, "cpu": cpu, "tokens": tokens, "texts": [output.text for output in outputs]}
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
