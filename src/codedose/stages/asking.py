"""From checkpoints to scores: the loss on held-out text, items, replies and verdicts."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from codedose import tables
from codedose.runner.record import versions
from codedose.runner.step import Progress
from codedose.stages.folders import ALONE, kept_for, save, take
from codedose.stages.models import folders_of, forget_models, loaded

ASKED_ALONE = 16  # every so many-th reply is


def items_step(
    inputs: list[Path],
    out: Path,
    *,
    progress: Progress,
    task: str,
    origin: str,
    level: int | None,
    count: int,
    seed_name: str,
    path: str | None,
    domain: str | None = None,
) -> None:
    """`domain` is that of a task of one's own, whose items stand in `path`."""
    from codedose.tasks import task_named
    from codedose.tasks.official import official
    from codedose.tasks.own import own_items
    from codedose.tasks.twins import generated

    if origin == "own":
        items = own_items(Path(str(path)), task=task, domain=str(domain), count=count, seed_name=seed_name)
    elif origin == "official":
        items, drops = official(task_named(task), str(path), count=count, seed_name=seed_name)
        save(out, tables.DROPS, drops)
    else:
        items = generated(task_named(task), seed_name=seed_name, level=int(level or 1), count=count)
    save(out, tables.ITEMS, items)


def loss_step(
    inputs: list[Path],
    out: Path,
    *,
    progress: Progress,
    cell: str,
    max_length: int,
    prompt: Mapping[str, Any],
    backbone: Mapping[str, Any],
    checkpoint: str | None = None,
) -> None:
    """`inputs` are the held-out examples and, for a tuned cell, the tune step's folder. In float32, whatever asks."""
    from codedose.backbone import load_model, load_tokenizer
    from codedose.generate.own import with_adapter
    from codedose.held_out import measure
    from codedose.joined import tokenizer_of
    from codedose.prompt import encode

    folder, adapter = folders_of(inputs[1:], backbone, checkpoint)
    forget_models()
    model = with_adapter(folder, adapter, "float32") if adapter else load_model(folder, "float32")
    as_trained = partial(
        encode, tokenizer=load_tokenizer(tokenizer_of(folder, adapter)), **prompt, max_length=max_length
    )
    rows = measure(model, take(inputs[:1], tables.HELD_OUT), as_trained, progress)
    save(out, tables.LOSSES, tables.LOSSES.frame([{"cell": cell, **row} for row in rows]))


def generate_step(
    inputs: list[Path],
    out: Path,
    *,
    progress: Progress,
    cell: str,
    task: str,
    words: Mapping[str, str],
    max_new_tokens: int,
    how: Mapping[str, Any],
    prompt: Mapping[str, Any],
    backbone: Mapping[str, Any],
    checkpoint: str | None = None,
    scratch: Path | None = None,
) -> None:
    """`inputs` are the items and, for a tuned cell, the tune step's folder. Batches that are done wait in `scratch`.

    `words` are those of the task around its questions; `checkpoint` is the folder of a cell trained elsewhere.
    """
    from codedose.backbone import identity
    from codedose.generate import Sampling, changed_alone, engine, replies, rules_of
    from codedose.keys import fingerprint, seed_for
    from codedose.prompt import ask
    from codedose.tasks.task import asked as worded

    folder, adapter = folders_of(inputs[1:], backbone, checkpoint)
    model = loaded(folder, adapter, how["engine"], how["dtype"])
    holds = [identity(str(each), None) for each in (folder, adapter) if each]
    items, decoding = take(inputs[:1], tables.ITEMS), how["decoding"]
    sampling = None if decoding == "greedy" else Sampling(decoding["temperature"], decoding["top_p"])
    asked = [(item, sample) for item in items["item_id"] for sample in range(decoding["samples"] if sampling else 1)]
    prompt_to = {
        item: ask(worded(question, **words), model.tokenizer, **prompt)
        for item, question in items.select("item_id", "question").iter_rows()
    }
    prompts = [prompt_to[item] for item, _ in asked]
    rules = rules_of(model.tokenizer, limit=max_new_tokens, at_answer=True, forced_limit=how["forced_tokens"])
    told = replies(
        engine(how["engine"]),
        model,
        prompts,
        rules,
        batch_tokens=how["batch_tokens"],
        sampling=sampling,
        seeds=[seed_for("sample", item, sample) for item, sample in asked],
        kept=scratch and kept_for(scratch, fingerprint(holds, prompts, versions())),
        progress=progress,
    )
    if sampling is None and how["dtype"] != "float32":
        changed, of = changed_alone(engine(how["engine"]), model, prompts, rules, told, ASKED_ALONE)
        (out / ALONE).write_text(json.dumps({"asked alone": of, "other replies": changed}) + "\n")
    save(out, tables.COMPLETIONS, completions(told, asked, prompt_to, cell=cell, tokenizer=model.tokenizer))


def completions(
    told: Sequence[Any],
    asked: Sequence[tuple[str, int]],
    prompt_to: Mapping[str, Sequence[int]],
    *,
    cell: str,
    tokenizer: Any,
) -> pl.DataFrame:
    """tables.COMPLETIONS of what was written (generate.row.Written) to each asked (item, sample)."""
    decode = partial(tokenizer.decode, skip_special_tokens=True)
    rows = [
        {
            "cell": cell,
            "item_id": item,
            "sample": sample,
            "prompt_hash": hashlib.sha256(json.dumps(prompt_to[item]).encode()).hexdigest()[:12],
            "text": decode(written.reply).strip(),
            "n_tokens": len(written.reply),
            "finish": written.finish,
            "forced_text": decode(written.forced).strip(),
        }
        for (item, sample), written in zip(asked, told, strict=True)
    ]
    return tables.COMPLETIONS.frame(rows)


def score_step(
    inputs: list[Path],
    out: Path,
    *,
    progress: Progress,
    cell: Mapping[str, Any],
    dose: bool,
    own: Sequence[Mapping[str, Any]] = (),
) -> None:
    """`inputs` hold the cell's items and completions and, where `dose` is asked for, its draw.

    `own` are the tasks that are not built in (tasks.own.values_of).
    """
    from codedose.balance import measured_dose
    from codedose.score import score
    from codedose.tasks import TASKS
    from codedose.tasks.own import task_of

    measured = None
    if dose:
        measured = measured_dose(take(inputs, tables.DRAWS))["dose"].item()
    known = {**cell, "measured_dose": measured}
    tasks = (*TASKS, *map(task_of, own))
    completions, items = take(inputs, tables.COMPLETIONS), take(inputs, tables.ITEMS)
    save(out, tables.SCORES, score(completions, items, cell=known, tasks=tasks))
