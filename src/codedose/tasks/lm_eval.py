"""Items -> a task for lm-eval (EleutherAI's lm-evaluation-harness): YAML, JSONL, and a reading that is codedose's.

The prompts are written out in full, so that the harness asks what a study asks; reading.py hands every reply to
codedose.tasks.readings, so that it is judged as a study judges it. Made for lm-eval 0.4.13.
"""

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl

from codedose.errors import DataError
from codedose.tasks.task import Task, prompt_of

TASK = """\
task: codedose_{name}
custom_dataset: !function reading.dataset
dataset_kwargs:
  file: {name}.jsonl
test_split: test
output_type: generate_until
num_fewshot: 0
doc_to_text: "{{{{prompt}}}}"
doc_to_target: "{{{{answer}}}}"
process_results: !function reading.process
generation_kwargs:
  until: []
  max_gen_toks: {limit}
  do_sample: false
metric_list:
  - metric: lenient
    aggregation: mean
    higher_is_better: true
  - metric: strict
    aggregation: mean
    higher_is_better: true
  - metric: answered
    aggregation: mean
    higher_is_better: true
metadata:
  version: 1.0
"""

READING = '''\
"""Written by codedose: the items of this folder for lm-eval, and the judging of replies. Needs codedose installed."""

import re
from functools import lru_cache
from pathlib import Path

from codedose.errors import DataError
from codedose.tasks import task_named
from codedose.tasks.readings import normal, read

ANSWER_LINE = re.compile(r"answer:[ \\t]*\\S[^\\n]*\\n", re.IGNORECASE)  # codedose stops a reply after it


def dataset(file, tokenizer=None, pretrained=None, **_):
    """The items; each is told which tokenizer counts its reply: lm-eval hands on the arguments of the model."""
    from datasets import load_dataset

    held = load_dataset("json", data_files={"test": str(Path(__file__).parent / file)})
    return held.map(lambda item: {"tokenizer": tokenizer or pretrained or ""})


def process(doc, results):
    """lenient and strict: right (1) or not; answered: whether the lenient reading finds an answer."""
    text = results[0][0] if isinstance(results[0], list) else results[0]
    line = ANSWER_LINE.search(text)
    cut = not line and is_cut(text, doc)
    text = (text[: line.end()] if line else text).strip()
    task = task_named(doc["task"])
    found = {reading: read(task, text, reading, cut=cut) for reading in ("lenient", "strict")}
    right = {reading: float(answer == normal(task, doc["answer"])) for reading, answer in found.items()}
    return {**right, "answered": float(found["lenient"] is not None)}


def is_cut(text, doc):
    """Whether the reply stopped at the limit of tokens: lm-eval does not say, so its text is counted once more."""
    if not doc["tokenizer"]:
        raise DataError("name the model's tokenizer: lm_eval run ... --metadata '{\\"tokenizer\\": \\"FOLDER\\"}'")
    return len(loaded(doc["tokenizer"])(text, add_special_tokens=False)["input_ids"]) >= doc["limit"]


@lru_cache(maxsize=1)
def loaded(name):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(name)
'''

README = """\
# Items of codedose for lm-eval

    pip install lm_eval==0.4.13 codedose
    lm_eval run --model hf --model_args pretrained=MODEL,dtype=float32 --include_path . --tasks {tasks} {flag}

Each `*.jsonl` holds the items of one task with the prompt written out in full, each `*.yaml` says how lm-eval asks
them (greedy, the same limit of tokens), and `reading.py` judges every reply with codedose's own code: `lenient` and
`strict` are the accuracies of these two readings with all items in the denominator, `answered` is the share of replies
in which the lenient reading finds an answer. A reply counts as finished after its answer line, as in codedose.

{template}

What may still differ: the batch (padding changes the last digits of logits, and with them now and then a word); the
dtype; tokenizers of the SentencePiece kind (lm-eval cuts the whole prompt at once, codedose piece by piece); and
replies at the limit of tokens, which lm-eval does not mark: their text is counted with the tokenizer once more. A
model that is not named by `pretrained=` needs `--metadata '{{"tokenizer": "FOLDER"}}'`.
"""

OWN = """\
The prompts hold no chat template. With `--apply_chat_template` lm-eval writes them in the model's own, which is what a
study asks with `prompt: {template: own, system: null}`. Without that flag, or with `--system_instruction`, other
prompts are asked than in such a study. For a study with another template write this folder anew with `--template`."""

WRITTEN = """\
The prompts are written in the template {name}, up to where the reply begins, as a study asks them with
`prompt: {{template: {name}, system: null}}`. Do not add `--apply_chat_template`:
it would put a second template around them."""


def write_task(
    task: Task, items: pl.DataFrame, folder: Path, *, limit: int, template: str | None, ask: Callable[[str], str]
) -> None:
    """Write the task into `folder`, beside those that are there already. `ask` writes a prompt in the template.

    `limit` is the most tokens of a reply. Raises DataError where the folder cannot be written.
    """
    rows = [
        {"item_id": item, "task": task.name, "prompt": ask(prompt_of(task, question)), "answer": answer, "limit": limit}
        for item, question, answer in items.select("item_id", "question", "answer").iter_rows()
    ]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{task.name}.jsonl").write_text(lines, encoding="utf-8")
        (folder / f"codedose_{task.name}.yaml").write_text(TASK.format(name=task.name, limit=limit))
        (folder / "reading.py").write_text(READING)
        (folder / "README.md").write_text(readme(folder, template))
    except OSError as problem:
        raise DataError(
            f"{folder}: cannot be written ({problem.strerror or problem}); name another folder"
        ) from problem


def readme(folder: Path, template: str | None) -> str:
    tasks = ",".join(sorted(path.stem for path in folder.glob("codedose_*.yaml")))
    said = WRITTEN.format(name=template) if template else OWN
    return README.format(tasks=tasks, flag="" if template else "--apply_chat_template", template=said)
