"""ctranslate2: python ask_with_ctranslate2.py MODEL PROMPTS LIMIT DTYPE BATCH -> one JSON line.

MODEL's folder is turned into CTranslate2's own format beside PROMPTS.
Runs in an environment of its own (requirements-ctranslate2.txt).
"""

import json
import os
import sys
import time
from pathlib import Path

import ctranslate2
from transformers import AutoTokenizer


def main(folder: str, prompts: str, limit: str, dtype: str, batch: str) -> None:
    model = Path(prompts).parent / "ctranslate2"
    if not model.exists():
        ctranslate2.converters.TransformersConverter(folder).convert(str(model), quantization="float32")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    generator = ctranslate2.Generator(str(model), device="cpu", compute_type=dtype, intra_threads=os.cpu_count())
    rows = [json.loads(line)["tokens"] for line in Path(prompts).read_text().splitlines()]
    asked = [tokenizer.convert_ids_to_tokens(row) for row in rows]
    how = {"max_length": int(limit), "sampling_topk": 1, "end_token": [tokenizer.eos_token]}
    start, cpu = time.perf_counter(), time.process_time()
    told = generator.generate_batch(asked, max_batch_size=int(batch), include_prompt_in_result=False, **how)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    replies = [[token for token in one.sequences_ids[0] if token != tokenizer.eos_token_id] for one in told]
    texts = [tokenizer.decode(reply, skip_special_tokens=True) for reply in replies]
    print(json.dumps({"seconds": seconds, "cpu": cpu, "tokens": list(map(len, replies)), "texts": texts}))


if __name__ == "__main__":
    main(*sys.argv[1:])
