"""A checkpoint and prompts -> what it writes: every question asked, and every reply asked for its answer.

Prompts are sorted by length and go out in batches; an engine (engine.py) writes the replies of a batch. Each batch is
kept as soon as it is done, so that a killed run repeats only whole batches that were not, and ends with the same
replies. `own` is the engine of transformers, `served` that of vLLM.
"""

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

from codedose.errors import DataError
from codedose.generate.engine import Engine, Loaded, Sampling, engine, resolved
from codedose.generate.row import FORCE, Rules, Written
from codedose.prompt import stop_token

__all__ = ["Sampling", "batches", "changed_alone", "engine", "replies", "resolved", "rules_of"]

Progress = Callable[[int, int, str], None]


def rules_of(tokenizer: Any, *, limit: int, at_answer: bool, forced_limit: int) -> Rules:
    """When a reply ends (row.py), in the tokens of this tokenizer."""
    force = tokenizer.encode(FORCE, add_special_tokens=False) if forced_limit else []
    return Rules(stop_token(tokenizer), limit, at_answer, tuple(force), forced_limit)


def replies(
    engine: Engine,
    loaded: Loaded,
    prompts: Sequence[Sequence[int]],
    rules: Rules,
    *,
    batch_tokens: int,
    sampling: Sampling | None = None,
    seeds: Sequence[int] = (),
    kept: Path | None = None,
    progress: Progress,
) -> list[Written]:
    """What the model writes after each prompt, in their order.

    A batch holds as many rows as fit into `batch_tokens`, prompts and all that may follow included. `kept` is a
    folder that holds the batches that an earlier run of the same work has done. Raises DataError when a prompt and
    its reply do not fit into the model's context; prompts are never cut.
    """
    refuse_long(loaded, prompts, rules)
    found: dict[int, Written] = {}
    for number, places in enumerate(batches([len(prompt) + rules.room for prompt in prompts], batch_tokens)):
        written = read_batch(kept, number)
        if written is None:
            some, own = [prompts[place] for place in places], [seeds[place] for place in places] if seeds else []
            written = engine.generate(loaded, some, rules, sampling=sampling, seeds=own)
            keep_batch(kept, number, written)
        found.update(zip(places, written, strict=True))
        progress(len(found), len(prompts), "replies")
    return [found[place] for place in range(len(prompts))]


def batches(sizes: Sequence[int], most: int) -> Iterator[list[int]]:
    """Places by size, shortest first, as many together as take at most `most` when each is as large as the largest."""
    together: list[int] = []
    for place in sorted(range(len(sizes)), key=lambda place: (sizes[place], place)):
        if together and sizes[place] * (len(together) + 1) > most:
            yield together
            together = []
        together.append(place)
    if together:
        yield together


def refuse_long(loaded: Loaded, prompts: Sequence[Sequence[int]], rules: Rules) -> None:
    """Prompts are never cut in silence: those that do not fit are counted, and the error names the sizes."""
    sizes = [len(prompt) + rules.room for prompt in prompts]
    over = [size for size in sizes if loaded.context and size > loaded.context]
    if over:
        raise DataError(
            f"{len(over)} of {len(prompts)} prompts with their replies take up to {max(over)} tokens, but the "
            f"backbone's context holds {loaded.context}; lower max_new_tokens, ask an easier level, or leave the "
            "task out for this backbone"
        )


def changed_alone(
    engine: Engine, loaded: Loaded, prompts: Sequence[Sequence[int]], rules: Rules, told: Sequence[Written], every: int
) -> tuple[int, int]:
    """How many greedy replies become others when they are asked alone, and of how many: every so many-th is asked."""
    places = range(0, len(prompts), every)
    alone = [engine.generate(loaded, [prompts[place]], rules, sampling=None, seeds=[])[0] for place in places]
    return sum(one != told[place] for one, place in zip(alone, places, strict=True)), len(places)


def read_batch(kept: Path | None, number: int) -> list[Written] | None:
    """A batch that was kept, if it was."""
    path = kept / f"{number:06d}.json" if kept else None
    if path is None or not path.is_file():
        return None
    rows = json.loads(path.read_text())
    return [Written(tuple(reply), finish, tuple(forced)) for reply, finish, forced in rows]


def keep_batch(kept: Path | None, number: int, written: Sequence[Written]) -> None:
    """Keep a batch, whole or not at all."""
    if kept is None:
        return
    draft = kept / f".{number:06d}.{os.getpid()}"
    draft.write_text(json.dumps([astuple(one) for one in written]))
    os.replace(draft, kept / f"{number:06d}.json")
