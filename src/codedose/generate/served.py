"""The engine `vllm`: replies from vLLM (the extra codedose[vllm]), in two rounds with its prefix cache between them.

vLLM cannot stop at an answer line, so every reply is replayed token by token under the rules of row.py and cut where
the other engine would have stopped. Greedy replies may differ from that engine's where two tokens are nearly as likely.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from codedose.backbone import load_tokenizer, may_run
from codedose.generate.engine import Loaded, Sampling
from codedose.generate.row import Row, Rules, Written, ends_answer
from codedose.joined import adapter_settings, adapter_shapes, merged, parts_of, tokenizer_of

RANKS = (8, 16, 32, 64, 128, 256, 320, 512)  # for which vLLM has kernels


def load(folder: Path, dtype: str, adapter: Path | None = None) -> Loaded:
    """The model of a folder behind vLLM, and its tokenizer.

    An adapter stays apart from the weights where vLLM can put it on them; else both are merged in the cache.
    """
    from vllm import LLM

    told: dict[str, Any] = {"enable_prefix_caching": True, "skip_tokenizer_init": True}
    told["trust_remote_code"] = may_run(folder)
    tokenizer = load_tokenizer(tokenizer_of(folder, adapter))
    rank = rank_apart(adapter) if adapter else None
    if adapter and rank is None:
        folder = merged(adapter, folder, adapter_settings(adapter))
    if rank:
        told |= {"enable_lora": True, "max_lora_rank": rank, "max_loras": 1}
    model = LLM(model=str(folder), dtype=dtype, **told)
    return Loaded(model, tokenizer, model.llm_engine.model_config.max_model_len, request(adapter) if rank else None)


def rank_apart(adapter: Path) -> int | None:
    """The rank for which vLLM is to make room; None for an adapter that it cannot put on a model without merging."""
    said = adapter_settings(adapter)
    parts = {parts_of(name)[1] for name in adapter_shapes(adapter)}
    rank = max([int(said.get("r", 0)), *(said.get("rank_pattern") or {}).values()])
    plain = parts <= {"lora_A", "lora_B"} and not said.get("use_dora") and said.get("bias", "none") == "none"
    heads = {"lm_head", "embed_tokens"} & {parts_of(name)[0].rpartition(".")[2] for name in adapter_shapes(adapter)}
    return next((known for known in RANKS if known >= rank), None) if plain and not heads else None


def request(adapter: Path | None) -> Any:
    """An adapter as vLLM is asked to use it."""
    from vllm.lora.request import LoRARequest

    return LoRARequest("adapter", 1, str(adapter))


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
    put_on = {} if loaded.adapter is None else {"lora_request": loaded.adapter}
    outputs = loaded.model.generate(asked, settings, use_tqdm=False, **put_on)
    return [list(output.outputs[0].token_ids) for output in outputs]


def replay(row: Row, tokens: Sequence[int], *, until: Callable[[Row], bool]) -> None:
    """Let a row take these tokens until it has ended; a stop token that vLLM has left out is put back."""
    for token in [*tokens, row.rules.stop]:
        if until(row):
            return
        row.take(token)
