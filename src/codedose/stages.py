"""The adapters: read tables, call a stage, write tables. One function a kind of step, and no thinking.

Each fills the folder `out` from the folders of the steps it needs. A file is named after its table.
"""

import gc
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import polars as pl

from codedose import tables
from codedose.errors import CodedoseError, DataError, MachineError
from codedose.runner.step import Progress
from codedose.runner.store import RECORD, SCRATCH, versions
from codedose.tables import Table

SUMMARY = "summary.json"
REPLIES = "replies"  # of an endpoint that labels, in the store
SPENT = "spent.json"  # what those replies took
CONCURRENCY = 8  # questions under way at once; the endpoint says when that is too many
NOTES = "notes.json"  # what a person must read beside the arms
CHECKPOINT = "checkpoint"
MEANS = "means.json"  # how a training was done
TOGETHER = "together.json"  # how much faster adapters were together
ALONE = "alone.json"  # how many greedy replies change in bfloat16 when they are asked alone
ASKED_ALONE = 16  # every so many-th reply is
CUT = {"turns": "last exchanges were", "reply": "reply was"}  # what prompt.encode cuts
REPORTED = (
    tables.ACCURACIES,
    tables.EFFECTS,
    tables.BALANCE,
    tables.LENGTHS,
    tables.SCORES,
    tables.ITEMS,
    tables.COMPLETIONS,
    tables.TRAINING,
    tables.LOSSES,
    tables.SOURCES,
    tables.REPAIRS,
    tables.LEAKS,
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
    inputs: list[Path],
    out: Path,
    *,
    progress: Progress,
    sources: list[Any],
    clean: Mapping[str, Any],
    folder: str,
    processes: int,
) -> None:
    from codedose.pool.build import build
    from codedose.study import Cleaning, Source

    rules = Cleaning.model_validate_json(json.dumps(clean))
    named = [Source(**source) for source in sources]
    build(named, rules, out=out, folder=Path(folder), processes=processes, progress=progress)


def leaks_step(inputs: list[Path], out: Path, *, progress: Progress) -> None:
    """`inputs` are the pool and the items of every task. Also writes the examples that hold an item."""
    from codedose.pool.leaks import find

    examples = tables.batches(inputs[0] / f"{tables.EXAMPLES.name}.parquet", tables.EXAMPLES)
    found = find(examples, take(inputs, tables.ITEMS), known=True)
    save(out, tables.LEAKS, found)
    save(out, tables.EXCLUDED, found.select("example_id").unique().sort("example_id"))


def exclude_step(inputs: list[Path], out: Path, *, progress: Progress, excluded: Sequence[str]) -> None:
    save(out, tables.EXCLUDED, tables.EXCLUDED.frame([{"example_id": name} for name in excluded]))


def label_step(
    inputs: list[Path],
    out: Path,
    *,
    progress: Progress,
    by: Any,
    llm: Mapping[str, Any] | None,
    prices: Mapping[str, Any] | None,
) -> None:
    from codedose.code.share import code_shares
    from codedose.label import complete, label

    examples = take(inputs, tables.EXAMPLES)
    if llm is None:
        save(out, tables.LABELLED, label(examples, by=by))
        return
    from codedose.label.llm import spent
    from codedose.study import Endpoint

    endpoint, cache = Endpoint.model_validate_json(json.dumps({**llm, **(prices or {})})), out.parents[1] / REPLIES
    given = asked(examples, endpoint, cache, progress)
    save(out, tables.LABELLED, complete(given, code_shares(examples["messages"]), by=by))
    (out / SPENT).write_text(json.dumps(asdict(spent(examples, endpoint, cache)), indent=2) + "\n")


def asked(examples: pl.DataFrame, endpoint: Any, cache: Path, progress: Progress) -> pl.DataFrame:
    """The labels of an endpoint, whose replies are kept beside the steps: nobody pays for one twice."""
    from codedose.label.endpoint import key_from_environment
    from codedose.label.llm import label_llm

    return label_llm(
        examples,
        endpoint=endpoint,
        cache=cache,
        key=key_from_environment(),
        concurrency=CONCURRENCY,
        requests_per_minute=None,
        progress=progress,
    )


def held_out_step(inputs: list[Path], out: Path, *, progress: Progress, count: int, needed: Sequence[str]) -> None:
    """`inputs` are the pool, the excluded examples and the labels."""
    from codedose.held_out import set_aside

    chosen, notes = set_aside(allowed(inputs), count, needed=needed)
    save(out, tables.HELD_OUT, chosen)
    (out / NOTES).write_text(json.dumps(notes, indent=2) + "\n")


def allowed(inputs: Sequence[Path]) -> pl.DataFrame:
    """The labelled examples of the pool that are neither excluded nor held out."""
    examples, labelled = take(inputs, tables.EXAMPLES), take(inputs, tables.LABELLED)
    kept = examples.join(take(inputs, tables.EXCLUDED), on="example_id", how="anti")
    kept = kept.join(take(inputs, tables.HELD_OUT), on="example_id", how="anti")
    return kept.join(labelled.select("example_id", "label"), on="example_id", validate="1:1")


def mix_step(
    inputs: list[Path],
    out: Path,
    *,
    progress: Progress,
    arm: Mapping[str, Any],
    how: Mapping[str, Any],
    step_size: int,
    draw: int,
    counted: Mapping[str, Any] | None,
    tokenizer: Mapping[str, Any] | None,
) -> None:
    """`inputs` are the pool, the excluded examples, the labels and, where there are some, the held-out examples."""
    from codedose.mix import draw as draw_arms
    from codedose.study import Arm

    drawn = draw_arms(
        allowed(inputs),
        arms=[Arm.model_validate_json(json.dumps(arm))],
        step_size=step_size,
        draw=draw,
        count=counter(tokenizer, **counted["prompt"], max_length=counted["max_length"], over_long=counted["over_long"])
        if counted and tokenizer
        else None,
        **how,
    )
    save(out, tables.DRAWS, drawn.draws)
    over = [{"source": "mix", "reference": name, "reason": reason} for name, reason in drawn.passed_over.items()]
    save(out, tables.DROPS, tables.DROPS.frame(over))
    (out / NOTES).write_text(json.dumps(drawn.notes, indent=2) + "\n")


def counter(
    tokenizer: Mapping[str, Any], *, max_length: int, over_long: str, **prompt: Any
) -> Callable[[Any], tuple[int, int]]:
    """What counts the tokens of a conversation as it is trained on, and those that bear loss.

    It raises DataError for one that cannot be trained on: where `over_long` is redraw, also for one that is cut.
    """
    from codedose.backbone import load_tokenizer, resolve
    from codedose.prompt import encode

    loaded = load_tokenizer(resolve(**tokenizer))

    def count(messages: Any) -> tuple[int, int]:
        encoded = encode(messages, loaded, max_length=max_length, **prompt)
        if encoded.cut and over_long == "redraw":
            raise DataError(f"it is longer than max_length ({max_length} tokens)")
        return len(encoded.tokens), encoded.loss_tokens

    return count


def lengths_step(
    inputs: list[Path],
    out: Path,
    *,
    progress: Progress,
    backbone: str,
    max_length: int,
    shrinkage: float,
    prompt: Mapping[str, Any],
    tokenizer: Mapping[str, Any],
) -> None:
    """`inputs` are the draws. Fails where the longest length takes more from one arm than from another."""
    from codedose.backbone import load_tokenizer, resolve
    from codedose.balance.lengths import lengths, refuse_unequal
    from codedose.prompt import encode

    encoding = partial(encode, tokenizer=load_tokenizer(resolve(**tokenizer)), **prompt)
    found = lengths(take(inputs, tables.DRAWS), encoding, backbone=backbone, max_length=max_length)
    refuse_unequal(found, most=shrinkage, max_length=max_length)
    save(out, tables.LENGTHS, found)


def balance_step(
    inputs: list[Path],
    out: Path,
    *,
    progress: Progress,
    baseline: str,
    shares: Mapping[str, float],
    audit: str | None,
) -> None:
    """`inputs` are the pool, the labels, the leaks and every draw. Keeps what the mixes had to say, each once."""
    from codedose.balance import balance

    labelled, draws = take(inputs, tables.LABELLED), take(inputs, tables.DRAWS)
    whole = draws.filter(pl.col("draw").is_in(draws.filter(pl.col("arm") == baseline)["draw"].unique().implode()))
    compared = (
        tables.BALANCE.frame([])
        if whole.is_empty()
        else balance(
            whole,
            labelled,
            baseline=baseline,
            examples=take(inputs, tables.EXAMPLES),
            leaks=take(inputs, tables.LEAKS),
            shares=shares,
            label_error=errors_found(labelled, Path(audit)) if audit else None,
        )
    )
    save(out, tables.BALANCE, compared)
    told = [folder / NOTES for folder in inputs if (folder / NOTES).is_file()]
    said = [note for path in told for note in json.loads(path.read_text())]
    if whole.height < draws.height:
        said.append(f"Draws in which {baseline} was trained elsewhere have no arm to compare with and are left out.")
    (out / NOTES).write_text(json.dumps(list(dict.fromkeys(said)), indent=2) + "\n")


def errors_found(labelled: pl.DataFrame, audit: Path) -> dict[str, float]:
    """The share of each label's examples that a person called something else."""
    from codedose.label.audit import audit as compare
    from codedose.label.hand import read_audit

    classes = compare(labelled, read_audit(audit)).classes
    known = {label: found.precision.value for label, found in classes.items()}
    return {label: 1 - value for label, value in known.items() if value is not None}


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
    from codedose.tune.means import Means
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


def folders_of(tuned: Sequence[Path], backbone: Mapping[str, Any], checkpoint: str | None) -> tuple[Path, Path | None]:
    """Where a cell's model is, and its adapter where it is one: tuned here, trained elsewhere, or its backbone."""
    from codedose.backbone import resolve
    from codedose.joined import located

    trained = checkpoint or (str(tuned[0] / CHECKPOINT) if tuned else None)
    return located(trained, backbone) if trained else (resolve(**backbone), None)


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


@lru_cache(maxsize=1)
def loaded(folder: Path, adapter: Path | None, engine_name: str, dtype: str) -> Any:
    """The model and tokenizer of a folder as an engine holds them; the last one asked for stays in this process.

    What was held before goes first: two may not fit, and vLLM refuses to start where most of a GPU is not free.
    """
    from codedose.generate import engine

    forget_models()
    return engine(engine_name).load(folder, dtype, adapter)


def forget_models() -> None:
    """Free what models took here, for another one: torch would keep a GPU's memory for itself."""
    import torch

    loaded.cache_clear()
    gc.collect()
    torch.cuda.empty_cache()


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


def kept_for(scratch: Path, work: str) -> Path:
    """The folder in `scratch` for just this work: another checkpoint, prompt or version finds nothing there."""
    folder = scratch / work
    folder.mkdir(parents=True, exist_ok=True)
    return folder


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
    told = next(folder / NOTES for folder in inputs if (folder / NOTES).is_file())
    notes = json.loads(told.read_text()) + noted_means(inputs)
    build(out, study=study, tables=found, summary=summary, provenance=provenance(inputs), missing=missing, notes=notes)


def noted_means(folders: Sequence[Path]) -> list[str]:
    """What is to be said about how trainings were done: states in 8 bits are not quite what the others had."""
    states = [json.loads((folder / MEANS).read_text())["states"] for folder in folders if (folder / MEANS).is_file()]
    small = states.count("8bit")
    return [f"the optimiser states of {small:,} of {len(states):,} trainings were kept in 8 bits"] if small else []


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
