"""What `codedose plan` says: a study before it runs."""

import json
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from codedose import tables
from codedose.backbone import load_tokenizer, resolve
from codedose.cells import cells
from codedose.cli.foreseen import POWER, Like, assumed, detectable, for_margin
from codedose.cli.show import as_json as print_json
from codedose.cli.show import as_table, plain, span
from codedose.cost import GPU_MEMORY, LOSS_BEARING, PROMPT_READ, chains, cost, example_tokens, wall_seconds
from codedose.errors import MachineError
from codedose.label.llm import cost as price
from codedose.plan import VERSIONS, Planner
from codedose.runner.schedule import to_run
from codedose.runner.step import Step
from codedose.runner.store import Store
from codedose.stages import REPLIES, encoded, take
from codedose.study import Study, Tune
from codedose.tune.forecast import Draw, forecast, made_up
from codedose.tune.means import Means

SEVERAL = (1, 8, 64)  # GPUs for which a plan says the hours
PENDING = (
    "which examples are excluded is known once the leak search has run; what was trained before on the same "
    "examples will then not be trained again"
)


def describe(planner: Planner, store: Store, like: Like | None = None) -> dict[str, Any]:
    """Cells, steps and why they run, cost, power and what is missing, as plain values.

    `like` is what the study is taken to be like and what that does not tell; without it, what is assumed.
    """
    study = planner.study
    left = to_run(store, planner.steps)
    files, backbones = planner.missing
    of, to_do = (Counter(step.kind for step in steps) for steps in (planner.steps, left))
    return {
        "study": study.name,
        "question": study.question,
        "cells": len(list(cells(study))),
        "backbones": [backbone.name for backbone in study.backbones],
        "arms": {arm.name: arm.share for arm in study.mix.arms},
        "draws": study.mix.draws,
        "held_out": study.mix.held_out,
        "joined": [cell.name for cell in cells(study) if cell.checkpoint],
        "tasks": [task.name for task in study.tasks],
        "steps": {kind: {"of": of[kind], "to_run": to_do[kind]} for kind in VERSIONS},
        "pending": PENDING if planner.is_pending else None,
        "why": reasons(store, left),
        "cost": asdict(cost(planner.whole)),
        "on_gpus": on_gpus(planner),
        "smallest_effect": detectable(study, like),
        "margin": study.analyse.margin,
        "for_margin": for_margin(study, like),
        "assumed": assumed(like),
        "labelling": labelling(planner, store),
        "missing": [*files, *backbones, *too_small(planner)],
    }


def proposals(planner: Planner) -> dict[str, str]:
    """For each backbone that is here, how large its batches should be, from some seconds of asking it."""
    from codedose.generate import rules_of
    from codedose.generate.calibrate import free_memory, propose
    from codedose.generate.own import load

    how, limit = planner.study.generate, max(task.limit for task in planner.uses)
    found = {}
    for backbone in planner.study.backbones:
        try:
            loaded = load(resolve(**planner.inputs.loadable(backbone), offline=True), how.dtype)
        except MachineError as problem:
            found[backbone.name] = f"not tried: {problem}"
            continue
        room = rules_of(loaded.tokenizer, limit=limit, at_answer=True, forced_limit=how.forced_tokens).room
        found[backbone.name] = str(propose(loaded, prompt=PROMPT_READ, room=room, free=free_memory()))
    return found


def trainings(planner: Planner, store: Store, means: Means) -> dict[str, dict[str, Any]]:
    """For each backbone that is here, what one training on each arm takes, from a few of its steps: Forecast, or why
    there is none."""
    found: dict[str, dict[str, Any]] = {}
    for backbone in planner.study.backbones:
        try:
            folder = resolve(**planner.inputs.loadable(backbone), offline=True)
        except MachineError as problem:
            found[backbone.name] = {"not tried": str(problem)}
            continue
        how = Tune.model_validate({**planner.study.tune.model_dump(), **planner.how(backbone)})
        draws, threads = draws_ahead(planner, store, folder), planner.where(backbone).cores
        copies = planner.gpus or max(planner.cores // threads, 1)
        told = forecast(folder, list(draws.values()), how, threads=threads, copies=copies, means=means)
        found[backbone.name] = {arm: asdict(each) for arm, each in zip(draws, told, strict=True)}
    return found


def as_words(expects: Mapping[str, Any] | str) -> str:
    """What a training will take, or why that was not tried."""
    if isinstance(expects, str):
        return expects
    speed, memory = expects["tokens"] / expects["seconds"], expects["memory"] / 1e9
    return f"{span(expects['seconds'])}, {memory:,.1f} GB, {speed:,.0f} tokens a second (from a few of its steps here)"


def draws_ahead(planner: Planner, store: Store, folder: Path) -> dict[str, Draw]:
    """The first draw of each arm as this backbone reads it, or examples of the expected length before it is made."""
    draws = {arm: step for (arm, draw), step in planner.draws.items() if draw == 0}
    if not all(store.is_done(step) for step in draws.values()):
        return {"each": expected(planner.study)}
    tokenizer, limit = load_tokenizer(folder), planner.study.tune.max_length
    read = {arm: take([store.here(step.folder)], tables.DRAWS).sort("slot") for arm, step in draws.items()}
    return {
        arm: (
            encoded(draw, tokenizer, max_length=limit, **planner.prompt),
            None if draw["step"].null_count() else draw["step"].to_list(),
        )
        for arm, draw in read.items()
    }


def expected(study: Study) -> Draw:
    """A draw of examples of the expected length."""
    steps, length = study.mix.budget // study.tune.step_size, example_tokens(study)
    a_step = study.tune.step_size if study.mix.match_on == "examples" else max(round(study.tune.step_size / length), 1)
    examples = made_up(steps * a_step, length, max(1, int(length * LOSS_BEARING)))
    return examples, [slot // a_step for slot in range(len(examples))]


def labelling(planner: Planner, store: Store) -> str | None:
    """What labels from an endpoint will cost, as a sentence; known once the pool is made. None for other labellers."""
    endpoint = planner.study.label.llm
    if endpoint is None or store.is_done(planner.label):
        return None
    if not store.is_done(planner.pool):
        return "what the labels will cost is known once the pool is made"
    examples = tables.read(store.here(planner.pool.folder) / f"{tables.EXAMPLES.name}.parquet", tables.EXAMPLES)
    ahead = price(examples, endpoint, store.root / REPLIES)
    asked = f"{ahead.conversations:,} conversations to ask {endpoint.model} about ({ahead.known:,} known)"
    return f"{asked}, about {ahead.tokens:,} tokens, about ${ahead.dollars:,.2f}"


def on_gpus(planner: Planner) -> dict[str, Any]:
    """Hours of the whole study by the number of GPUs, those of this machine among them, and what bounds them."""
    work = list(chains(planner.whole))
    counts = sorted({*SEVERAL, planner.gpus} - {0})
    return {
        "hours": {str(gpus): wall_seconds(work, gpus) / 3600 for gpus in counts},
        "longest_cell": max(chain.longest for chain in work) / 3600,
        "sharing_a_training": max(chain.shared_by for chain in work),
    }


def too_small(planner: Planner) -> list[str]:
    """Where this machine's memory does not hold a training run, as sentences."""
    needed = cost(planner.whole).gpu_memory
    if planner.gpus:
        if needed > GPU_MEMORY:
            return [
                f"full tuning of the largest backbone takes {needed / 1e9:.0f} GB before activations: more than one "
                "80 GB GPU holds; share a training out with codedose run --processes 2 --sharded, or more of them"
            ]
        return []
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed <= memory:
        return []
    return [
        f"memory: full tuning of the largest backbone takes {needed / 1e9:.0f} GB before activations; "
        f"this machine has {memory / 1e9:.0f} GB and no GPU"
    ]


def reasons(store: Store, left: Sequence[Step]) -> list[dict[str, str]]:
    """Each step that would run, and why."""
    done = store.finished()
    named: dict[str, list[str]] = {}
    for folder in done:
        named.setdefault(folder.rpartition("-")[0], []).append(folder)
    return [{"step": step.folder, "why": why(store, step, named.get(step.name, []), done)} for step in left]


def why(store: Store, step: Step, before: Sequence[str], done: Collection[str]) -> str:
    """Why a step would run: it is new, a part of it was freed, or something changed since it was done, as `before`."""
    if step.folder in done:
        return f"its {step.perishable} was freed and is needed again"
    records = sorted((store.record(folder) for folder in before), key=lambda record: str(record["started"]))
    return changed(step, records[-1]) if records else "not done yet"


def changed(step: Step, record: Mapping[str, Any]) -> str:
    """What differs from the step of the same name that is done already."""
    now = {"version": step.version, "settings": dict(step.settings), "identity": dict(step.identity)}
    found = [f"{part}{where}" for part, value in now.items() for where in differing(json_of(value), record[part])]
    if not found and [need.folder for need in step.needs] != record["needs"]:
        found = ["what it needs"]
    return f"done before with another {', '.join(found)}" if found else "not done yet"


def differing(new: Any, old: Any) -> list[str]:
    """The places at which two values differ."""
    if isinstance(new, dict) and isinstance(old, dict):
        keys = sorted(set(new) | set(old))
        return [f".{key}{rest}" for key in keys for rest in differing(new.get(key), old.get(key))]
    return [] if new == old else [""]


def json_of(value: object) -> Any:
    return json.loads(json.dumps(value))


def tell(described: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a described plan."""
    if as_json:
        print_json(described)
        return
    print(f"{plain(described['study'])}: {plain(described['question'])}\n")
    shares = ", ".join(f"{plain(name)} {share:.0%}" for name, share in described["arms"].items())
    print(f"backbones  {', '.join(map(plain, described['backbones']))}")
    print(f"arms       {shares}; {described['draws']} draws of each")
    if described["held_out"]:
        print(f"held out   {described['held_out']} examples of each label, to measure loss before and after tuning")
    if described["joined"]:
        print(f"joined     {', '.join(map(plain, described['joined']))}: asked, not trained here")
    print(f"tasks      {', '.join(map(plain, described['tasks']))}")
    rows = [(kind, count["of"], count["to_run"]) for kind, count in described["steps"].items() if count["of"]]
    as_table("", ("step", "in the plan", "to run"), rows)
    tell_cost(described)
    reasons = Counter(entry["why"] for entry in described["why"])
    for reason, count in reasons.most_common(8):
        print(f"{count} steps would run: {plain(reason)}")
    if not reasons:
        print("nothing would run: every step is done")
    if described["labelling"]:
        print(f"labels     {plain(described['labelling'])}")
    for backbone, told in described["trainings"].items():
        for arm, expects in told.items():
            print(f"training   {plain(backbone)}, {plain(arm)}: {plain(as_words(expects))}")
    for backbone, proposal in described["batches"].items():
        print(f"batches    {plain(backbone)}: {plain(proposal)}")
    if described["pending"]:
        print(f"pending: {described['pending']}")
    if described["missing"]:
        print("\nmissing on this machine:")
        for sentence in described["missing"]:
            print(f"  - {plain(sentence)}")


def tell_cost(described: Mapping[str, Any]) -> None:
    """The expected cost and power, with the assumptions they rest on."""
    found = described["cost"]
    print(f"expected   {described['cells']} cells, {found['runs']} trainings, {found['replies']:,} replies")
    print(
        f"tokens     {found['training_tokens'] / 1e6:,.2f} M to train on, {found['prompt_tokens'] / 1e6:,.2f} M of "
        f"prompts, at most {found['reply_tokens'] / 1e6:,.2f} M written"
    )
    print(
        f"time       about {span(found['gpu_hours'] * 3600)} on one H100-class GPU, or "
        f"{span(found['cpu_hours'] * 3600)} on two CPU cores (a stated model, not a measurement: see cost.py)"
    )
    print(f"GPUs       {gpus_in_words(described['on_gpus'])}")
    print(
        f"memory     {found['gpu_memory'] / 1e9:,.1f} GB of weights, gradients and optimiser states "
        "for the largest backbone"
    )
    backbones, checkpoints = found["download"] / 1e9, found["checkpoints"] / 1e9
    print(f"disk       {backbones:,.1f} GB of backbones, {checkpoints:,.1f} GB of checkpoints")
    effect, assumed = described["smallest_effect"], described["assumed"]
    if effect is None and described["draws"] > 1:
        print("power      none: no difference between accuracies of 0 and 100 % would be shown; ask more draws")
    elif effect is None:
        print("power      none: with one draw no difference can be told from training noise; ask three draws or more")
    else:
        source = "measured on the earlier scores" if assumed["measured"] else "assumed"
        print(
            f"power      shows a difference of {effect:.1f} points or more with {100 * POWER:g} % power, at accuracy "
            f"{assumed['accuracy']:.0%}, with {assumed['draw_sd']:.2g} point of spread between draws and "
            f"{assumed['run_sd']:.2g} between runs ({source})"
        )
    for sentence in assumed["unknown"]:
        print(f"           {plain(sentence)}")
    print(f"margin     {margin_in_words(described['margin'], described['for_margin'])}")
    print()


def gpus_in_words(found: Mapping[str, Any]) -> str:
    """The hours on several GPUs, in words."""
    told = ", ".join(f"{span(hours * 3600)} on {gpus}" for gpus, hours in found["hours"].items())
    shared = found["sharing_a_training"]
    sharing = f", if {shared} share each training of the largest backbone" if shared > 1 else ""
    return f"about {told}{sharing}; one cell alone takes {span(found['longest_cell'] * 3600)} with any number of them"


def margin_in_words(margin: float, design: Mapping[str, int] | None) -> str:
    """Which design would show a difference as large as the margin."""
    points = f"{margin:g} point{'' if margin == 1 else 's'}"
    if design is None:
        return f"a difference of {points}, below which none matters, is beyond any design that codedose tries"
    return (
        f"a difference of {points}, below which none matters, would take about {design['draws']} draws, "
        f"{design['seeds']} seed(s), {design['items']} items a task (by formula; codedose power --wanted simulates it)"
    )
