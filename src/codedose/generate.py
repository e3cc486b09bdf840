"""A checkpoint and items -> completions: every question asked, and every reply asked for its answer.

Greedy decoding through transformers, in batches of fixed size with prompts sorted by length. A
reply ends at the stop token, after its answer line, or at the token limit. The forced reading's
second stage feeds each reply back with "Therefore, the answer is" and lets a few tokens follow
(Kojima et al. 2022, arXiv 2205.11916, zero-shot chain of thought).
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from codedose.errors import DataError
from codedose.prompt import stop_token

FORCE = "\nTherefore, the answer is"
FORCE_TOKENS = 16  # room for these words with any tokenizer
ANSWER_LINE = re.compile(r"answer:[ \t]*\S[^\n]*\n", re.IGNORECASE)

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Reply:
    """What a model wrote: the text, its tokens, and whether it stopped or met the limit."""

    text: str
    tokens: tuple[int, ...]
    finish: str  # stop or length

    @property
    def n_tokens(self) -> int:
        return len(self.tokens)


def replies(
    model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], *, limit: int, batch: int, progress: Progress
) -> list[Reply]:
    """One greedy reply to each prompt, in the order of the prompts.

    Raises DataError when a prompt and its reply do not fit into the model's context.
    """
    refuse_long(model, prompts, limit)
    answers: dict[int, Reply] = {}
    order = sorted(range(len(prompts)), key=lambda place: (len(prompts[place]), place))
    for start in range(0, len(order), batch):
        places = order[start : start + batch]
        found = decode(model, tokenizer, [prompts[place] for place in places], limit=limit)
        answers.update(zip(places, found, strict=True))
        progress(len(answers), len(prompts), "replies")
    return [answers[place] for place in range(len(prompts))]


def forced(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    told: Sequence[Reply],
    *,
    limit: int,
    batch: int,
    progress: Progress,
) -> list[str]:
    """What each reply goes on with after "Therefore, the answer is": at most `limit` tokens."""
    force = tokenizer.encode(FORCE, add_special_tokens=False)
    # The reply's own tokens: its text, encoded again, may become others and lacks the space after a header.
    fed = [[*prompt, *reply.tokens, *force] for prompt, reply in zip(prompts, told, strict=True)]
    found = replies(model, tokenizer, fed, limit=limit, batch=batch, progress=progress)
    return [reply.text for reply in found]


def refuse_long(model: Any, prompts: Sequence[Sequence[int]], limit: int) -> None:
    """Prompts are never cut in silence: one that does not fit is an error that names the sizes."""
    room = getattr(model.config, "max_position_embeddings", None)
    longest = max((len(prompt) for prompt in prompts), default=0) + limit
    if room and longest > room:
        raise DataError(
            f"a prompt with its reply takes {longest} tokens, but the backbone's context holds {room}; "
            "lower max_new_tokens, ask an easier level, or leave the task out for this backbone"
        )


def decode(model: Any, tokenizer: Any, prompts: Sequence[Sequence[int]], *, limit: int) -> list[Reply]:
    """Greedy replies to one batch of prompts, padded on the left."""
    import torch
    from transformers import GenerationConfig, StoppingCriteriaList

    stop = stop_token(tokenizer)
    width = max(len(prompt) for prompt in prompts)
    tokens = torch.full((len(prompts), width), stop)
    mask = torch.zeros(len(prompts), width, dtype=torch.long)
    for row, prompt in enumerate(prompts):
        tokens[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    settings = GenerationConfig(max_new_tokens=limit, do_sample=False, eos_token_id=stop, pad_token_id=stop)
    # Else the backbone's own repetition penalty and the like would fill what is not set here.
    model.generation_config = settings
    with torch.inference_mode():
        written = model.generate(
            tokens.to(model.device),
            attention_mask=mask.to(model.device),
            generation_config=settings,
            stopping_criteria=StoppingCriteriaList([answered(tokenizer, width)]),
        )
    return [reply_of(row, tokenizer, stop, limit) for row in written[:, width:].tolist()]


def answered(tokenizer: Any, start: int) -> Callable[..., Any]:
    """A stopping criterion: a row is finished once its answer line has ended."""
    import torch

    def finished(tokens: Any, scores: Any, **_: Any) -> Any:
        done = [False] * len(tokens)
        for row, last in enumerate(tokenizer.batch_decode(tokens[:, -1:])):
            if "\n" in last:  # only then can a line have ended
                text = tokenizer.decode(tokens[row, start:], skip_special_tokens=True)
                done[row] = ANSWER_LINE.search(text) is not None
        return torch.tensor(done, device=tokens.device)

    return finished


def reply_of(row: Sequence[int], tokenizer: Any, stop: int, limit: int) -> Reply:
    """One row of new tokens as a reply: up to its stop token or the end of its answer line."""
    kept = list(row[: row.index(stop)]) if stop in row else list(row)
    text = tokenizer.decode(kept, skip_special_tokens=True)
    stopped = stop in row or len(kept) < limit or ANSWER_LINE.search(text) is not None
    return Reply(text.strip(), tuple(kept), "stop" if stopped else "length")
