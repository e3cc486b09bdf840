"""openvino-genai: python ask_with_openvino.py MODEL PROMPTS LIMIT DTYPE _ -> one JSON line.

MODEL's folder is turned into OpenVINO's own format beside PROMPTS (optimum-intel); it makes its own batches.
Runs in an environment of its own (requirements-openvino.txt).
"""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import openvino
import openvino_genai
from transformers import AutoTokenizer


def exported(folder: str, to: Path) -> Path:
    """The model in OpenVINO's format, written once."""
    if not to.exists():
        command = [str(Path(sys.executable).parent / "optimum-cli"), "export", "openvino", "--model", folder]
        command += ["--task", "text-generation-with-past", "--weight-format", "fp32", str(to)]
        subprocess.run(command, check=True, stdout=sys.stderr)
    return to


def main(folder: str, prompts: str, limit: str, dtype: str, _: str) -> None:
    model = exported(folder, Path(prompts).parent / "openvino")
    precision = {"float32": "f32", "bfloat16": "bf16"}[dtype]
    scheduler = openvino_genai.SchedulerConfig()
    scheduler.cache_size, scheduler.max_num_seqs, scheduler.enable_prefix_caching = 4, 128, True
    exact = {"INFERENCE_PRECISION_HINT": precision, "KV_CACHE_PRECISION": precision}
    exact |= {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "0"}  # nothing in int8
    pipeline = openvino_genai.ContinuousBatchingPipeline(model, scheduler, "CPU", exact)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    rows = [json.loads(line)["tokens"] for line in Path(prompts).read_text().splitlines()]
    asked = [openvino.Tensor(np.array([row], dtype=np.int64)) for row in rows]
    how = openvino_genai.GenerationConfig(max_new_tokens=int(limit), do_sample=False)
    how.eos_token_id, how.stop_token_ids = tokenizer.eos_token_id, {tokenizer.eos_token_id}
    start, cpu = time.perf_counter(), time.process_time()
    told = pipeline.generate(asked, [how] * len(asked))
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    replies = [[token for token in one.m_generation_ids[0] if token != tokenizer.eos_token_id] for one in told]
    texts = [tokenizer.decode(reply, skip_special_tokens=True) for reply in replies]
    print(json.dumps({"seconds": seconds, "cpu": cpu, "tokens": list(map(len, replies)), "texts": texts}))


if __name__ == "__main__":
    main(*sys.argv[1:])
