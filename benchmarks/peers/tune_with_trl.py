"""TRL's SFTTrainer: python tune_with_trl.py MODEL EXAMPLES METHOD DTYPE STEP RATE LAYOUT SIZE -> one JSON line.

What is compared: the same examples in the same steps. EXAMPLES holds them in the order of steps, STEP of them each,
as {tokens, loss}, so that every engine should tell the same loss of every step (the mean over its loss-bearing tokens)
and the same tokens a second count as real. What TRL may choose is the layout inside a step:

- packed: TRL's own best-fit packing, padding-free, into rows of at most SIZE tokens, one row a micro-batch. Over the
  whole file it would change which examples share a step. Steps of fewer rows than the largest have rows cut in two
  between documents, since the trainer asks for as many micro-batches in every step.
- padded: micro-batches of SIZE examples, which stand in a step in the order of their length, so that little is padded.

No gradient checkpointing, fused AdamW, sdpa attention (eager takes a sixth longer); bfloat16 is the trainer's own mixed
precision over float32 weights. The first step only warms up: seconds, CPU seconds and tokens are of the others.
Runs in an environment of its own (requirements-trl.txt).
"""

import json
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer, pack_dataset

Row = dict[str, list[int]]


class Clock(TrainerCallback):
    """The wall clock and the CPU clock at the end of each step."""

    def __init__(self) -> None:
        self.marks: list[tuple[float, float]] = []

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.marks.append((time.perf_counter(), time.process_time()))


def labelled(example: dict[str, list[int]]) -> Row:
    labels = [token if bears else -100 for token, bears in zip(example["tokens"], example["loss"], strict=True)]
    return {"input_ids": example["tokens"], "labels": labels}


def packed(step: Sequence[Row], length: int) -> list[Row]:
    return list(pack_dataset(Dataset.from_list(list(step)), length, "bfd"))


def cut(rows: list[Row], count: int) -> list[Row]:
    """`rows` as `count` of them: the row of most documents is cut in two until there are as many."""
    while len(rows) < count:
        rows = sorted(rows, key=lambda row: len(row["seq_lengths"]))
        row = rows.pop()
        documents = len(row["seq_lengths"]) // 2
        place = sum(row["seq_lengths"][:documents])
        first = {"input_ids": row["input_ids"][:place], "labels": row["labels"][:place]}
        second = {"input_ids": row["input_ids"][place:], "labels": row["labels"][place:]}
        lengths = row["seq_lengths"]
        rows += [{**first, "seq_lengths": lengths[:documents]}, {**second, "seq_lengths": lengths[documents:]}]
    return rows


def laid_out(steps: Sequence[Sequence[Row]], layout: str, size: int) -> tuple[list[Row], int, int]:
    """The rows of all steps, how many a micro-batch holds, and how many micro-batches a step has."""
    if layout == "padded":
        rows = [row for step in steps for row in sorted(step, key=lambda row: len(row["input_ids"]))]
        return rows, size, len(steps[0]) // size
    packs = [packed(step, size) for step in steps]
    most = max(map(len, packs))
    return [row for pack in packs for row in cut(pack, most)], 1, most


def main(folder: str, path: str, method: str, dtype: str, step: str, rate: str, layout: str, size: str) -> None:
    examples = [json.loads(line) for line in Path(path).read_text().splitlines()]
    rows = [labelled(example) for example in examples]
    steps = [rows[start : start + int(step)] for start in range(0, len(rows), int(step))]
    data, batch, accumulated = laid_out(steps, layout, int(size))
    clock = Clock()
    with tempfile.TemporaryDirectory() as out:
        how = SFTConfig(
            output_dir=out,
            per_device_train_batch_size=batch,
            gradient_accumulation_steps=accumulated,
            num_train_epochs=1,
            learning_rate=float(rate),
            lr_scheduler_type="constant",
            weight_decay=0.0,
            adam_beta1=0.9,
            adam_beta2=0.999,
            max_grad_norm=1.0,
            optim="adamw_torch_fused",
            gradient_checkpointing=False,
            packing=False,  # the rows are packed already
            padding_free=layout == "packed",
            max_length=None,
            dataset_kwargs={"skip_prepare_dataset": True},
            train_sampling_strategy="sequential",
            bf16=dtype == "bfloat16",
            use_cpu=True,
            dataloader_pin_memory=False,
            logging_steps=1,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa")
        trainer = SFTTrainer(
            model,
            args=how,
            train_dataset=Dataset.from_list(data),
            processing_class=AutoTokenizer.from_pretrained(folder),
            callbacks=[clock],
            peft_config=LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules="all-linear")
            if method == "lora"
            else None,
        )
        trainer.train()
    (start, cpu), (end, cpu_end) = clock.marks[0], clock.marks[-1]
    told = {
        "seconds": end - start,
        "cpu": cpu_end - cpu,
        "tokens": sum(len(row["input_ids"]) for step in steps[1:] for row in step),
        "losses": [entry["loss"] for entry in trainer.state.log_history if "loss" in entry],
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main(*sys.argv[1:])
