"""From sources to arms: pool, leaks, labels, held-out examples, mixes, and what differs between them."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from codedose import tables
from codedose.errors import DataError
from codedose.runner.step import Progress
from codedose.stages.folders import NOTES, SPENT, save, take

CONCURRENCY = 8  # questions under way at once; the endpoint says when that is too many


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
    shared: Path | None = None,
) -> None:
    """`inputs` hold the pool; the replies of an endpoint are kept in `shared`, where every labelling finds them."""
    from codedose.code.share import code_shares
    from codedose.label import complete, label

    examples = take(inputs, tables.EXAMPLES)
    if llm is None or shared is None:
        save(out, tables.LABELLED, label(examples, by=by))
        return
    from codedose.label.llm import spent
    from codedose.study import Endpoint

    endpoint = Endpoint.model_validate_json(json.dumps({**llm, **(prices or {})}))
    given = asked(examples, endpoint, shared, progress)
    save(out, tables.LABELLED, complete(given, code_shares(examples["messages"]), by=by))
    (out / SPENT).write_text(json.dumps(asdict(spent(examples, endpoint, shared)), indent=2) + "\n")


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
