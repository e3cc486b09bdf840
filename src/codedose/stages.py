"""The adapters: read tables, call a stage, write tables. One function a kind of step, and no thinking.

Each fills the folder `out` from the folders of the steps it needs. A file is named after its table.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from codedose import tables
from codedose.errors import CodedoseError
from codedose.runner.step import Progress
from codedose.runner.store import RECORD
from codedose.tables import Table

SUMMARY = "summary.json"
CHECKPOINT = "checkpoint"
CUT = {"turns": "last exchanges were", "reply": "reply was"}  # what prompt.encode cuts
REPORTED = (
    tables.ACCURACIES,
    tables.EFFECTS,
    tables.BALANCE,
    tables.SCORES,
    tables.ITEMS,
    tables.COMPLETIONS,
    tables.TRAINING,
    tables.DROPS,
)


def save(out: Path, table: Table, frame: pl.DataFrame) -> None:
    tables.write(frame, out / f"{table.name}.parquet", table)


def take(folders: Sequence[Path], table: Table) -> pl.DataFrame:
    """The rows of `table` in all of the folders that hold it; none is an empty frame."""
    files = [folder / f"{table.name}.parquet" for folder in folders]
    frames = [tables.read(file, table) for file in files if file.is_file()]
    return pl.concat(frames) if frames else table.frame([])


def pool_step(
    inputs: list[Path], out: Path, *, progress: Progress, sources: list[Any], longest: int, folder: str
) -> None:
    from codedose.pool.clean import pool
    from codedose.study import Source

    examples, drops = pool([Source(**source) for source in sources], longest=longest, folder=Path(folder))
    save(out, tables.EXAMPLES, examples)
    save(out, tables.DROPS, drops)


def label_step(inputs: list[Path], out: Path, *, progress: Progress, by: Any) -> None:
    from codedose.label import label

    save(out, tables.LABELLED, label(take(inputs, tables.EXAMPLES), by=by))


def mix_step(
    inputs: list[Path], out: Path, *, progress: Progress, arm: str, share: float, budget: int, math: int, draw: int
) -> None:
    from codedose.mix import draw as draw_arms

    examples, labelled = take(inputs, tables.EXAMPLES), take(inputs, tables.LABELLED)
    together = examples.join(labelled.select("example_id", "label"), on="example_id", validate="1:1")
    save(out, tables.DRAWS, draw_arms(together, arms={arm: share}, budget=budget, math=math, draw=draw))


def balance_step(inputs: list[Path], out: Path, *, progress: Progress, baseline: str) -> None:
    from codedose.balance import balance

    save(out, tables.BALANCE, balance(take(inputs, tables.DRAWS), take(inputs, tables.LABELLED), baseline=baseline))


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
) -> None:
    from codedose.tasks import task_named
    from codedose.tasks.official import official
    from codedose.tasks.twins import generated

    if origin == "official":
        items, drops = official(task_named(task), Path(str(path)), count=count, seed_name=seed_name)
        save(out, tables.DROPS, drops)
    else:
        items = generated(task_named(task), seed_name=seed_name, level=int(level or 1), count=count)
    save(out, tables.ITEMS, items)


def tune_step(
    inputs: list[Path],
    out: Path,
    *,
    progress: Progress,
    cell: str,
    seed: int,
    how: Mapping[str, Any],
    prompt: Mapping[str, Any],
    backbone: Mapping[str, Any],
) -> None:
    from codedose.backbone import load_model, load_tokenizer, resolve
    from codedose.prompt import encode
    from codedose.study import Tune
    from codedose.tune import refuse_short_context, train

    settings = Tune.model_validate_json(json.dumps({"seeds": 1, **how}))
    folder = resolve(**backbone)
    tokenizer = load_tokenizer(folder)
    draws = take(inputs, tables.DRAWS).sort("slot")
    examples = []
    for slot, example_id, messages in draws.select("slot", "example_id", "messages").iter_rows():
        try:
            examples.append(encode(messages, tokenizer, **prompt, max_length=settings.max_length))
        except CodedoseError as problem:
            raise type(problem)(f"slot {slot}, example {example_id}: {problem}") from problem
    forget_models()
    model = load_model(folder, "float32")
    refuse_short_context(model, settings.max_length)
    rows = train(model, examples, settings, seed=seed, progress=progress)
    save(out, tables.TRAINING, tables.TRAINING.frame([{"cell": cell, **row} for row in rows]))
    cut = [
        {"source": cell, "reference": name, "reason": f"its {CUT[example.cut]} cut off at max_length"}
        for name, example in zip(draws["example_id"], examples, strict=True)
        if example.cut
    ]
    save(out, tables.DROPS, tables.DROPS.frame(cut))
    keep(model, tokenizer, out / CHECKPOINT, "bfloat16" if settings.precision == "bfloat16_mixed" else "float32")


def keep(model: Any, tokenizer: Any, folder: Path, dtype: str) -> None:
    """A checkpoint that plain transformers can load, in the precision that training computed with."""
    import torch

    model.to(getattr(torch, dtype)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@lru_cache(maxsize=1)
def loaded(folder: str, dtype: str) -> tuple[Any, Any]:
    """The model and tokenizer of a folder; the last one asked for stays in this process."""
    from codedose.backbone import load_model, load_tokenizer

    return load_model(Path(folder), dtype), load_tokenizer(Path(folder))


def forget_models() -> None:
    """Two models at once may not fit."""
    loaded.cache_clear()


def generate_step(
    inputs: list[Path],
    out: Path,
    *,
    progress: Progress,
    cell: str,
    task: str,
    max_new_tokens: int,
    how: Mapping[str, Any],
    prompt: Mapping[str, Any],
    backbone: Mapping[str, Any],
) -> None:
    """`inputs` are the items and, for a tuned cell, the tune step's folder."""
    from codedose.backbone import resolve
    from codedose.generate import FORCE_TOKENS, forced, refuse_long, replies
    from codedose.prompt import ask
    from codedose.tasks import task_named
    from codedose.tasks.task import prompt_of

    folder = inputs[1] / CHECKPOINT if len(inputs) > 1 else resolve(**backbone)
    model, tokenizer = loaded(str(folder), how["dtype"])
    items = take(inputs[:1], tables.ITEMS)
    prompts = [ask(prompt_of(task_named(task), question), tokenizer, **prompt) for question in items["question"]]
    refuse_long(
        model, prompts, max_new_tokens + FORCE_TOKENS + how["forced_tokens"]
    )  # before hours of replies, not after
    batch, total = how["batch"], 2 * len(prompts)
    told = replies(
        model, tokenizer, prompts, limit=max_new_tokens, batch=batch, progress=lambda d, n, w: progress(d, total, w)
    )
    after = forced(
        model,
        tokenizer,
        prompts,
        told,
        limit=how["forced_tokens"],
        batch=batch,
        progress=lambda d, n, w: progress(n + d, total, "forced answers"),
    )
    rows = [
        {
            "cell": cell,
            "item_id": item,
            "sample": 0,
            "prompt_hash": hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:12],
            "text": reply.text,
            "n_tokens": reply.n_tokens,
            "finish": reply.finish,
            "forced_text": text,
        }
        for item, asked, reply, text in zip(items["item_id"], prompts, told, after, strict=True)
    ]
    save(out, tables.COMPLETIONS, tables.COMPLETIONS.frame(rows))


def score_step(inputs: list[Path], out: Path, *, progress: Progress, cell: Mapping[str, Any], dose: bool) -> None:
    """`inputs` hold the cell's items and completions and, where `dose` is asked for, its draw and the labels."""
    from codedose.balance import measured_dose
    from codedose.score import score

    measured = None
    if dose:
        measured = measured_dose(take(inputs, tables.DRAWS), take(inputs, tables.LABELLED))["dose"].item()
    known = {**cell, "measured_dose": measured}
    save(out, tables.SCORES, score(take(inputs, tables.COMPLETIONS), take(inputs, tables.ITEMS), cell=known))


def analyse_step(
    inputs: list[Path],
    out: Path,
    *,
    progress: Progress,
    primary: list[str],
    reading: str,
    confidence: float,
    margin: float,
    consistency: list[float],
    partial: bool,
) -> None:
    from codedose.analyse.cells import accuracies
    from codedose.analyse.effects import effects
    from codedose.analyse.power import calibrate
    from codedose.analyse.words import summarise

    scores = take(inputs, tables.SCORES)
    named = (primary[0], primary[1])
    cells = accuracies(scores, confidence=confidence, partial=partial)
    found = effects(
        scores,
        primary=named,
        reading=reading,
        confidence=confidence,
        margin=margin,
        consistency=(consistency[0], consistency[1]),
        partial=partial,
    )
    calibration = calibrate(scores, reading=reading, partial=partial)
    lines = summarise(
        found, cells, primary=named, reading=reading, confidence=confidence, margin=margin, calibration=calibration
    )
    save(out, tables.ACCURACIES, cells)
    save(out, tables.EFFECTS, found)
    (out / SUMMARY).write_text(json.dumps({"lines": lines, "calibration": calibration}, indent=2) + "\n")


def report_step(
    inputs: list[Path], out: Path, *, progress: Progress, study: Mapping[str, Any], missing: list[str]
) -> None:
    """`inputs` begin with the analysis; the rest hold the tables that the page shows."""
    from codedose.report.build import build

    found = {table.name: take(inputs, table) for table in REPORTED}
    summary = json.loads((inputs[0] / SUMMARY).read_text())["lines"]
    build(out, study=study, tables=found, summary=summary, provenance=provenance(inputs), missing=missing)


def provenance(inputs: Sequence[Path]) -> list[dict[str, Any]]:
    """The records of these steps and of all that they rest on, in the order of their folders' names."""
    root = inputs[0].parents[1]
    records: dict[str, dict[str, Any]] = {}
    left = [str(folder.relative_to(root)) for folder in inputs]
    while left:
        folder = left.pop()
        if folder not in records:
            records[folder] = json.loads((root / folder / RECORD).read_text())
            left += records[folder]["needs"]
    return [{"step": folder, **records[folder]} for folder in sorted(records)]
