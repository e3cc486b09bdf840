"""The engine `transformers`: a model's own forward pass under a decoding loop of ours.

What all prompts begin with is read once. A row leaves the batch when it is done, and the vocabulary head runs only
where a token is chosen. What a row writes does not depend on who is asked beside it: greedy, or sampled with numbers
that belong to the row.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from codedose.backbone import load_model, load_tokenizer, placed
from codedose.errors import MachineError
from codedose.generate.engine import Loaded, Sampling
from codedose.generate.row import Row, Rules, Written, ends_answer
from codedose.joined import adapter_settings, merge, tokenizer_of

# Tokens of prompts in one forward pass, padding included. A CPU is as fast at few, and few rows of like length are
# padded less; what passes between two layers then stays in its cache as well.
READ_AT_ONCE = {"cpu": 512, "cuda": 4096}


def load(folder: Path, dtype: str, adapter: Path | None = None) -> Loaded:
    """The model and tokenizer of a folder, an adapter merged into it in float32 first.

    MachineError for layers that are no attention over all that was read.
    """
    from codedose.generate.packed import with_packed_head
    from codedose.generate.shelf import FULL, SLIDING, kinds_of_layers

    model = with_adapter(folder, adapter, dtype) if adapter else load_model(folder, dtype)
    if strange := set(kinds_of_layers(model.config.get_text_config())) - {FULL, SLIDING}:
        raise MachineError(
            f"{folder} has layers of the kind {sorted(strange)[0]}, which the engine transformers cannot ask; "
            "say generate.engine: vllm"
        )
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    return Loaded(with_packed_head(model), load_tokenizer(tokenizer_of(folder, adapter)), context)


def with_adapter(folder: Path, adapter: Path, dtype: str) -> Any:
    """The backbone with an adapter merged into its weights, on the fastest device."""
    import torch

    return placed(merge(adapter, folder, adapter_settings(adapter)).to(getattr(torch, dtype)))


def generate(
    loaded: Loaded,
    prompts: Sequence[Sequence[int]],
    rules: Rules,
    *,
    sampling: Sampling | None,
    seeds: Sequence[int],
) -> list[Written]:
    """What the model writes after each prompt. One batch: keys and values of all its rows are held at once."""
    import torch

    from codedose.generate.shelf import Shelves

    ended = ends_answer(lambda tokens: str(loaded.tokenizer.decode(tokens, skip_special_tokens=True)))
    rows = [Row(rules, ended, place, list(prompt)) for place, prompt in enumerate(prompts)]
    draws = None if sampling is None else Draws(sampling, seeds)
    with torch.inference_mode():
        shelves = Shelves.of(loaded.model, len(rows), max(map(len, prompts)) + rules.room)
        read_shared(shelves, rows)
        for part in parts([len(row.feed) for row in rows], READ_AT_ONCE[loaded.model.device.type]):
            go_on(shelves, rows[part], part, max(len(row.feed) for row in rows[part]), draws)
        active = list(rows)
        while leave(shelves, active):
            go_on(shelves, active, slice(0, len(active)), min(len(row.feed) for row in active), draws)
    return [row.written for row in rows]


def read_shared(shelves: Any, rows: Sequence[Row]) -> None:
    """Read what all prompts begin with once, for all of them; at least one token of each stays to be read."""
    shared = min(alike(rows[0].feed, row.feed[:-1]) for row in rows)
    if not shared or len(rows) == 1:
        return
    fed = [row.pass_over(shared) for row in rows]
    shelves.read(slice(0, 1), [0], fed[:1])
    shelves.copy(0, slice(1, len(rows)), shared)


def alike(some: Sequence[int], others: Sequence[int]) -> int:
    """How many tokens two stretches have in common from their beginning on."""
    differ = (place for place, (one, other) in enumerate(zip(some, others, strict=False)) if one != other)
    return next(differ, min(len(some), len(others)))


def parts(lengths: Sequence[int], most: int) -> Iterator[slice]:
    """Stretches of rows, each to be read in one forward pass of at most `most` tokens if it holds several rows."""
    start = longest = 0
    for place, length in enumerate(lengths):
        longest = max(longest, length)
        if place > start and longest * (place + 1 - start) > most:
            yield slice(start, place)
            start, longest = place, length
    yield slice(start, len(lengths))


def go_on(shelves: Any, rows: Sequence[Row], where: slice, count: int, draws: "Draws | None") -> None:
    """Feed each row at most `count` of its tokens; those that have read all choose the next one."""
    starts = [row.read for row in rows]
    hidden = shelves.read(where, starts, [row.pass_over(count) for row in rows])
    choosing = [place for place, row in enumerate(rows) if not row.feed]
    if not choosing:
        return
    scores = head(shelves.model, hidden if len(choosing) == len(rows) else hidden[choosing])
    chosen = scores.argmax(dim=-1).tolist()
    for place, greedy, row_scores in zip(choosing, chosen, scores, strict=True):
        row = rows[place]
        row.take(draws.token(row.place, row_scores) if draws and not row.finish else greedy)


def leave(shelves: Any, active: list[Row]) -> bool:
    """Take the rows that are done out of `active`, the last ones moving into their places; whether any are left."""
    for place in reversed(range(len(active))):
        if active[place].is_done:
            last = active.pop()
            if place < len(active):
                active[place] = last
                shelves.copy(len(active), slice(place, place + 1), last.read)
    return bool(active)


def head(model: Any, hidden: Any) -> Any:
    """The score of each token of the vocabulary (rows x vocabulary)."""
    from torch.nn.functional import linear

    from codedose.generate.packed import Packed

    layer = model.get_output_embeddings()
    if hidden.device.type == "cpu" and layer.bias is None and not isinstance(layer, Packed):
        # The other way round: for few rows and a large vocabulary twice as fast on a CPU (LOG.md).
        return linear(layer.weight, hidden).T
    return layer(hidden)


class Draws:
    """Tokens drawn from a model's scores, each row with numbers of its own (nucleus sampling, arXiv 1904.09751)."""

    def __init__(self, sampling: Sampling, seeds: Sequence[int]) -> None:
        self.sampling = sampling
        self.numbers = [np.random.default_rng(seed) for seed in seeds]

    def token(self, place: int, scores: Any) -> int:
        chances, order = (scores.float() / self.sampling.temperature).softmax(dim=-1).sort(descending=True, stable=True)
        upto = chances.double().cumsum(dim=-1)
        inside = max(1, int((upto - chances < self.sampling.top_p).sum()))
        wanted = self.numbers[place].random() * float(upto[inside - 1])
        return int(order[min(int((upto < wanted).sum()), inside - 1)])
