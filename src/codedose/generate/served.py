"""The engine `vllm`: replies from vLLM (the extra codedose[vllm]), in two rounds with its prefix cache between them.

vLLM cannot stop at an answer line, so every reply is replayed token by token under the rules of row.py and cut where
the other engine would have stopped. Greedy replies may differ from that engine's where two tokens are nearly as likely.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from codedose.backbone import load_tokenizer
from codedose.generate.engine import Loaded, Sampling
from codedose.generate.row import Row, Rules, Written, ends_answer


def load(folder: Path, dtype: str) -> Loaded:
    """The model of a folder behind vLLM, without remote code, and its tokenizer."""
    from vllm import LLM

    model = LLM(
        model=str(folder), dtype=dtype, enable_prefix_caching=True, skip_tokenizer_init=True, trust_remote_code=False
    )
    return Loaded(model, load_tokenizer(folder), model.llm_engine.model_config.max_model_len)


def generate(
    loaded: Loaded,
    prompts: Sequence[Sequence[int]],
    rules: Rules,
    *,
    sampling: Sampling | None,
    seeds: Sequence[int],
) -> list[Written]:
    """What the model writes after each prompt; vLLM makes its own batches of them."""
    ended = ends_answer(lambda tokens: str(loaded.tokenizer.decode(tokens, skip_special_tokens=True)))
    rows = [Row(rules, ended, place, []) for place in range(len(prompts))]
    drawn = {"temperature": sampling.temperature, "top_p": sampling.top_p} if sampling else {"temperature": 0.0}
    for row, tokens in zip(rows, ask(loaded, prompts, rules, rules.limit, drawn, seeds), strict=True):
        replay(row, tokens, until=lambda row: bool(row.finish))
    if not rules.forced_limit:
        return [row.written for row in rows]
    fed = [[*prompt, *row.reply, *rules.force] for prompt, row in zip(prompts, rows, strict=True)]
    for row, tokens in zip(rows, ask(loaded, fed, rules, rules.forced_limit, {"temperature": 0.0}, []), strict=True):
        replay(row, tokens, until=lambda row: row.is_done)
    return [row.written for row in rows]


def ask(
    loaded: Loaded,
    prompts: Sequence[Sequence[int]],
    rules: Rules,
    limit: int,
    how: dict[str, float],
    seeds: Sequence[int],
) -> list[list[int]]:
    """The tokens that follow each prompt, the stop token included where it was written."""
    from vllm import SamplingParams

    asked: list[Any] = [{"prompt_token_ids": list(prompt)} for prompt in prompts]
    settings = [
        SamplingParams(
            max_tokens=limit,
            stop_token_ids=[rules.stop],
            ignore_eos=True,  # the tokenizer's stop token alone ends a reply, whatever the model's own settings name
            detokenize=False,
            seed=seeds[place] if seeds else None,
            **how,
        )
        for place in range(len(prompts))
    ]
    outputs = loaded.model.generate(asked, settings, use_tqdm=False)
    return [list(output.outputs[0].token_ids) for output in outputs]


def replay(row: Row, tokens: Sequence[int], *, until: Callable[[Row], bool]) -> None:
    """Let a row take these tokens until it has ended; a stop token that vLLM has left out is put back."""
    for token in [*tokens, row.rules.stop]:
        if until(row):
            return
        row.take(token)
