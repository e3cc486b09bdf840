"""Our side of the asking: python ask_with_codedose.py MODEL PROMPTS LIMIT DTYPE ROWS FORCED -> one JSON line.

FORCED is the most tokens of a forced answer; with 0 none is asked for. Those tokens are not counted.
"""

import json
import sys
import time
from pathlib import Path

from codedose.generate import engine, replies, rules_of


def main(folder: str, prompts: str, limit: str, dtype: str, rows: str, forced: str) -> None:
    own = engine("transformers")
    loaded = own.load(Path(folder), dtype)
    asked = [json.loads(line)["tokens"] for line in Path(prompts).read_text().splitlines()]
    rules = rules_of(loaded.tokenizer, limit=int(limit), at_answer=False, forced_limit=int(forced))
    most = int(rows) * (max(map(len, asked)) + rules.room)
    start, cpu = time.perf_counter(), time.process_time()
    told = replies(own, loaded, asked, rules, batch_tokens=most, progress=lambda *news: None)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    texts = [loaded.tokenizer.decode(one.reply, skip_special_tokens=True) for one in told]
    print(json.dumps({"seconds": seconds, "cpu": cpu, "tokens": [len(one.reply) for one in told], "texts": texts}))


if __name__ == "__main__":
    main(*sys.argv[1:])
