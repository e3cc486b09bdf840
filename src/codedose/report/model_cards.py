"""One cell of a study -> the model card of its checkpoint, with what it got right as `model-index`."""

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from huggingface_hub import EvalResult, ModelCardData

from codedose.keys import slug
from codedose.report.cards import BUILTIN, TAGS, card, findings, hub_name, language_codes, made_by, quoted, shown_name
from codedose.report.escaped import markdown, one_line
from codedose.report.footnotes import READ
from codedose.report.grids import number, percent
from codedose.report.markdown import listed, table
from codedose.tables import LABELS, READINGS, UNTUNED

Frames = Mapping[str, pl.DataFrame]
HOW = {
    "full": """```python
from transformers import AutoModelForCausalLM, AutoTokenizer

model = AutoModelForCausalLM.from_pretrained("PATH")
tokenizer = AutoTokenizer.from_pretrained("PATH")
```""",
    "lora": """```python
from peft import PeftModel
from transformers import AutoModelForCausalLM

backbone = AutoModelForCausalLM.from_pretrained("BACKBONE")
model = PeftModel.from_pretrained(backbone, "PATH")
```""",
}
PLAIN_SETTINGS = ("method", "epochs", "steps", "step_size", "max_length", "optimiser", "learning_rate", "schedule")
MORE_SETTINGS = ("warmup", "weight_decay", "betas", "clip", "loss", "precision")


def model_card(
    study: Mapping[str, Any], cell: Mapping[str, Any], name: str, step: str, frames: Frames, summary: Sequence[str]
) -> str:
    """The README.md of a model repository that holds the checkpoint of one cell.

    `cell` are its columns of the scores; `name` what the model is called; `step` the folder of the store in which it
    was trained; `frames` the tables accuracies, items, training and losses.
    """
    backbone = next(each for each in study["backbones"] if each["name"] == cell["backbone"])
    own = runs_of(frames["accuracies"], cell)
    before = runs_of(frames["accuracies"], {**cell, "arm": UNTUNED, "draw": None, "seed": None})
    body = [
        f"# {markdown(name)}",
        quoted(study["question"]),
        what_it_is(study, cell, backbone),
        made_by(study),
        "## What it gets right",
        scores(study, own, before, frames["items"]),
        read(study),
        "## What the study says",
        *findings(summary, study["caution"]),
        "## Limits",
        limits(study),
        "## How it was trained",
        trained(study, frames["training"], step),
        losses(frames["losses"]),
        "## How to load it",
        HOW[study["tune"]["method"]],
    ]
    return card(data(study, cell, backbone, name, own, frames["items"]), body)


def runs_of(accuracies: pl.DataFrame, cell: Mapping[str, Any]) -> pl.DataFrame:
    """The accuracies of one cell by task."""
    same = [pl.col(name).eq_missing(pl.lit(cell[name])) for name in ("backbone", "arm", "draw", "seed")]
    return accuracies.filter(pl.col("view") == "task", *same)


def data(
    study: Mapping[str, Any],
    cell: Mapping[str, Any],
    backbone: Mapping[str, Any],
    name: str,
    own: pl.DataFrame,
    items: pl.DataFrame,
) -> ModelCardData:
    adapter = study["tune"]["method"] == "lora"
    base = hub_name(backbone["model"], backbone["revision"])
    named = [hub_name(source["path"], source["revision"]) for source in study["pool"]["sources"]]
    return ModelCardData(
        base_model=base,
        base_model_relation=("adapter" if adapter else "finetune") if base else None,
        datasets=sorted({source for source in named if source}) or None,
        eval_results=results(study, own, items) or None,
        language=language_codes(study) or None,
        library_name="peft" if adapter else "transformers",
        metrics=["accuracy"],
        model_name=name,
        pipeline_tag="text-generation",
        tags=[*TAGS, slug(study["name"]), f"arm-{slug(cell['arm'])}", f"draw-{cell['draw']}", f"seed-{cell['seed']}"],
    )


def results(study: Mapping[str, Any], own: pl.DataFrame, items: pl.DataFrame) -> list[EvalResult]:
    """One result a task, under the study's reading: accuracy from 0 to 1."""
    reading = study["analyse"]["reading"]
    right = {row["of"]: row for row in own.filter(pl.col("reading") == reading).iter_rows(named=True)}
    found = []
    for task in study["tasks"]:
        if task["name"] in right:
            row = right[task["name"]]
            found.append(
                EvalResult(
                    task_type="text-generation",
                    task_name=one_line(f"{task['name']} ({domain_of(task['name'], items)}), zero-shot"),
                    dataset_type=dataset_id(task),
                    dataset_name=one_line(dataset_name(task)),
                    dataset_args={"items": row["n_items"]},
                    metric_type="accuracy",
                    metric_name=f"accuracy, {reading} reading",
                    metric_value=round(row["accuracy"], 6),
                    verified=False,
                )
            )
    return found


def dataset_id(task: Mapping[str, Any]) -> str:
    """Generated items and one's own are never called by a benchmark's name, or they would stand among its results."""
    name = slug(task["name"])
    return name if task["origin"] == "official" else f"codedose-{name}-{task['origin']}"


def dataset_name(task: Mapping[str, Any]) -> str:
    level = f", level {task['level']}" if task["origin"] == "generated" else ""
    return f"{task['name']} ({task['origin']} items{level})"


def domain_of(task: str, items: pl.DataFrame) -> str:
    return next(iter(items.filter(pl.col("task") == task)["domain"]), "domain not stated")


def what_it_is(study: Mapping[str, Any], cell: Mapping[str, Any], backbone: Mapping[str, Any]) -> str:
    share = "a share of coding that is not stated" if cell["share"] is None else f"{100 * cell['share']:g} % coding"
    control = next((arm["control"] for arm in study["mix"]["arms"] if arm["name"] == cell["arm"]), None)
    what = f"a negative control ({control})" if control else share
    return markdown(
        f"{tuned_from(backbone)} ({backbone['family']}, {backbone['scale']:g} billion parameters), tuned on draw "
        f"{cell['draw']} of the arm {cell['arm']} ({what}) with seed {cell['seed']}. It is one run of an experiment: "
        "made to be compared with the other runs of its study, and no product."
    )


def tuned_from(backbone: Mapping[str, Any]) -> str:
    model, revision = backbone["model"], backbone["revision"]
    if model in BUILTIN:
        return f"{BUILTIN[model]}, its weights restored from a 4-bit file"
    return shown_name(model, revision) + (f" at revision {revision}" if revision else "")


def scores(study: Mapping[str, Any], own: pl.DataFrame, before: pl.DataFrame, items: pl.DataFrame) -> str:
    """One row a task: accuracy under each reading with its interval under the study's, and before tuning."""
    reading = study["analyse"]["reading"]
    found = {(row["of"], row["reading"]): row for row in own.iter_rows(named=True)}
    untuned = {row["of"]: row for row in before.filter(pl.col("reading") == reading).iter_rows(named=True)}
    others = [name for name in READINGS if name != reading and name in set(own["reading"])]
    rows = []
    for task in study["tasks"]:
        row = found.get((task["name"], reading))
        if row:
            span = "–" if row["low"] is None else f"{percent(row['low'])} to {percent(row['high'])}"
            old = untuned.get(task["name"])
            rest = [percent(found.get((task["name"], name), {}).get("accuracy")) for name in others]
            told = [percent(row["accuracy"]), span, percent(old["accuracy"] if old else None), *rest]
            rows.append([dataset_name(task), domain_of(task["name"], items), f"{row['n_items']:,}", *told])
    sure = f"{100 * study['analyse']['confidence']:g} % interval"
    head = ["task", "domain", "items", f"{reading}, %", sure, f"before tuning, {reading}, %"]
    return table([*head, *(f"{name}, %" for name in others)], rows, numbers_from=2)


def read(study: Mapping[str, Any]) -> str:
    sampled = study["generate"]["decoding"] != "greedy"
    readings = "; ".join(f"{name}, {what}" for name, what in READ.items())
    return (
        f"Right answers among all questions asked, zero-shot, {'sampled' if sampled else 'greedy'}. Readings: "
        f"{readings}. "
        "Intervals are about this checkpoint's items alone. Measured by codedose, not verified by the Hub."
    )


def limits(study: Mapping[str, Any]) -> str:
    made = [task["name"] for task in study["tasks"] if task["origin"] == "generated"]
    twins = (
        f"Generated items are twins of a benchmark, not the benchmark: {', '.join(made)}. Their accuracies do not "
        "compare with published ones."
    )
    draws, seeds = study["mix"]["draws"], study["tune"]["seeds"]
    return listed(
        [
            f"One checkpoint says nothing about its arm: the study has {draws:,} draws and {seeds:,} "
            f"seed{'' if seeds == 1 else 's'} an arm, and its claims rest on the draws.",
            *([twins] if made else []),
            "It learned from the conversations of the mix and from nothing that makes a model safe to talk to.",
            "No licence is stated here: that of the backbone and those of the conversations hold.",
        ]
    )


def trained(study: Mapping[str, Any], training: pl.DataFrame, step: str) -> str:
    tune, prompt = study["tune"], study["prompt"]
    told = [(name, tune[name]) for name in (*PLAIN_SETTINGS, *MORE_SETTINGS) if tune[name] is not None]
    if tune["lora"]:
        told += [(f"lora {name}", value) for name, value in tune["lora"].items()]
    told += [("template", prompt["template"]), ("system message", prompt["system"] or "none")]
    if training.height:
        last = training.sort("step").tail(max(1, training.height // 10))
        told += [
            ("optimiser steps done", f"{training.height:,}"),
            ("tokens", f"{training['tokens'].sum():,}"),
            ("loss-bearing tokens", f"{training['loss_tokens'].sum():,}"),
            ("loss in the last tenth, nats per token", number(mean_of(last["loss"]), 3)),
        ]
    return table(["setting", "value"], [*told, ("step of the study's store", step)], numbers_from=2)


def mean_of(values: pl.Series) -> float | None:
    found = values.mean()
    return found if isinstance(found, float) else None


def losses(measured: pl.DataFrame) -> str:
    """What this checkpoint loses on conversations that no arm was trained on."""
    known = {row["label"]: row for row in measured.iter_rows(named=True)}
    rows = [
        (label, number(known[label]["loss"], 3), f"{known[label]['examples']:,}") for label in LABELS if label in known
    ]
    return table(["held-out text", "loss, nats per token", "conversations"], rows, numbers_from=1) if rows else ""
