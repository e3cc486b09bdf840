"""From draws to checkpoints: one training, or many adapters of one backbone together."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from codedose import tables
from codedose.errors import CodedoseError, MachineError
from codedose.runner.record import RECORD, versions
from codedose.runner.step import Progress
from codedose.runner.store import SCRATCH
from codedose.stages.folders import CHECKPOINT, MEANS, TOGETHER, kept_for, save, take
from codedose.stages.models import forget_models

CUT = {"turns": "last exchanges were", "reply": "reply was"}  # what prompt.encode cuts


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
    means: Mapping[str, Any] | None = None,
    scratch: Path | None = None,
) -> None:
    """`inputs` hold the draw. What a killed run had reached waits in `scratch`; `means` are those of tune.means."""
    from codedose.backbone import load_tokenizer, resolve
    from codedose.tune import train
    from codedose.tune.means import MICRO_TOKENS, Means
    from codedose.tune.spread import train_apart
    from codedose.tune.tracking import Tracking

    settings, by = tuning(how), Means(**(means or {}))
    folder = resolve(**backbone)
    draws = take(inputs, tables.DRAWS).sort("slot")
    names = draws["example_id"].to_list()
    examples = encoded(draws, load_tokenizer(folder), max_length=settings.max_length, **prompt)
    forget_models()
    make = partial(ready_to_train, folder, settings, seed, dict(backbone), out / CHECKPOINT)
    work = training_work(backbone, names, how, prompt, seed, by)
    with Tracking(by, run=cell, settings={"seed": seed, **how}) as tracking:
        told: dict[str, Any] = {
            "seed": seed,
            "progress": progress,
            "taken_in": taken_in(draws),
            "names": names,
            "kept": scratch and kept_for(scratch, work),
            "micro_tokens": by.micro_tokens or MICRO_TOKENS,
            "means": by,
            "hear": tracking.log,
        }
        if by.processes > 1:
            rows = train_apart(make, examples, settings, processes=by.processes, sharded=by.sharded, **told)
        else:
            model, keep_it = make(None)
            rows = train(model, examples, settings, **told)
            keep_it()
    save(out, tables.TRAINING, tables.TRAINING.frame([{"cell": cell, **row} for row in rows]))
    (out / MEANS).write_text(json.dumps({"states": by.states, "checkpointing": by.checkpointing}) + "\n")
    cut = [
        {"source": cell, "reference": name, "reason": f"its {CUT[example.cut]} cut off at max_length"}
        for name, example in zip(names, examples, strict=True)
        if example.cut
    ]
    save(out, tables.DROPS, tables.DROPS.frame(cut))


def smaller_training(given: Mapping[str, Any]) -> dict[str, Any] | None:
    """What `tune_step` is given where memory did not suffice: means that hold less at once; None where none do."""
    from codedose.tune.means import with_less

    means = with_less(given["means"])
    return means and {**given, "means": means}


def smaller_together(given: Mapping[str, Any]) -> dict[str, Any] | None:
    """What `together_step` is given where memory did not suffice: the runs train alone, and each finds its own way."""
    if given["means"]["together"] == "never":
        return None
    return {**given, "means": {**given["means"], "together": "never"}}


def tuning(how: Mapping[str, Any]) -> Any:
    """The optimisation of one training (study.Tune), which knows nothing of other arms."""
    from codedose.study import Tune

    return Tune.model_validate_json(json.dumps({"seeds": 1, "over_long": "cut", "shrinkage": 1, **how}))


def taken_in(draws: pl.DataFrame) -> list[int] | None:
    """The steps that take in the slots of a draw, where it says so."""
    return None if draws["step"].null_count() else draws["step"].to_list()


def training_work(
    backbone: Mapping[str, Any], names: Sequence[str], how: Mapping[str, Any], prompt: Any, seed: int, by: Any
) -> str:
    """The name of just this training, under which its states are kept."""
    from codedose.backbone import identity
    from codedose.keys import fingerprint

    return fingerprint(identity(**backbone), names, how, prompt, seed, versions(), by.states)


def ready_to_train(
    folder: Path, settings: Any, seed: int, backbone: Mapping[str, Any], out: Path, device: str | None
) -> tuple[Any, Callable[[], None]]:
    """A model, and what keeps it in `out` once it is trained."""
    from codedose.tune.ready import inner, ready

    tuned = ready(folder, settings, seed=seed, device=device)
    return inner(tuned), partial(keep_tuned, tuned, folder, settings, backbone, out)


def keep_tuned(tuned: Any, folder: Path, settings: Any, backbone: Mapping[str, Any], out: Path) -> None:
    from codedose.backbone import load_tokenizer
    from codedose.joined import keep_base
    from codedose.tune.lora import keep_adapter

    if settings.lora:
        keep_adapter(tuned, out)
        keep_base(out, folder, backbone)
    else:
        keep(tuned, load_tokenizer(folder), out, "float32" if settings.precision == "float32" else "bfloat16")


def together_step(
    inputs: list[Path],
    out: Path,
    *,
    progress: Progress,
    runs: Sequence[Mapping[str, Any]],
    how: Mapping[str, Any],
    prompt: Mapping[str, Any],
    backbone: Mapping[str, Any],
    means: Mapping[str, Any],
    steps: Mapping[str, str],
) -> None:
    """`inputs` hold the draws of `runs` (cell, seed, input); `steps` names the folders of their own tune steps.

    What is trained here waits where those look for what a killed run had reached. Where runs are not faster together,
    or one of them goes wrong, they train alone: this step says so and is done.
    """
    from codedose.backbone import load_tokenizer, resolve
    from codedose.tune.faster import WORTH, faster
    from codedose.tune.means import Means
    from codedose.tune.ready import plain
    from codedose.tune.together import Run, train_together

    settings, by, root = tuning(how), Means(**means), out.parents[1]
    if by.together == "never":
        (out / TOGETHER).write_text(json.dumps({"runs": len(runs), "factor": 0.0, "stopped": "out of memory"}) + "\n")
        return
    folder = resolve(**backbone)
    tokenizer = load_tokenizer(folder)
    left = []
    for run in runs:
        place = steps[run["cell"]]
        if (root / place / RECORD).is_file():
            continue
        draws = take([inputs[run["input"]]], tables.DRAWS).sort("slot")
        names = draws["example_id"].to_list()
        examples = encoded(draws, tokenizer, max_length=settings.max_length, **prompt)
        kept = kept_for(root / SCRATCH / place, training_work(backbone, names, how, prompt, run["seed"], by))
        left.append(Run(run["cell"], run["seed"], examples, kept, taken_in(draws), names))
    forget_models()
    model = plain(folder, settings)
    said: dict[str, Any] = {"runs": len(left), "factor": faster(model, left, settings, means=by) if left else 0.0}
    if said["factor"] >= WORTH or (said["factor"] and by.together == "always"):
        try:
            train_together(model, left, settings, progress=progress, means=by)
        except MachineError as problem:
            said["stopped"] = str(problem)
    (out / TOGETHER).write_text(json.dumps(said) + "\n")


def interpolate_step(inputs: list[Path], out: Path, *, progress: Progress, share: float) -> None:
    """`inputs` are the tune steps' folders of the adapters for 0 % and for 100 %."""
    from codedose.tune.between import interpolate

    interpolate(inputs[0] / CHECKPOINT, inputs[1] / CHECKPOINT, share, out / CHECKPOINT)


def encoded(draws: pl.DataFrame, tokenizer: Any, **how: Any) -> list[Any]:
    """The examples of a draw as tokens (prompt.Encoded), in its order; what is wrong with one is told by its slot."""
    from codedose.prompt import encode

    examples = []
    for slot, example_id, messages in draws.select("slot", "example_id", "messages").iter_rows():
        try:
            examples.append(encode(messages, tokenizer, **how))
        except CodedoseError as problem:
            raise type(problem)(f"slot {slot}, example {example_id}: {problem}") from problem
    return examples


def keep(model: Any, tokenizer: Any, folder: Path, dtype: str) -> None:
    """A checkpoint that plain transformers can load, in the precision that training computed with."""
    import torch

    model.to(getattr(torch, dtype)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
