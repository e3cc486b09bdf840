"""A reply is the model's own greedy one, whoever is asked beside it, and it ends where it should."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import CONTEXT, FAMILIES, Family, write_backbone

from codedose.backbone import load_model, load_tokenizer
from codedose.errors import DataError
from codedose.generate import FORCE, forced, replies
from codedose.prompt import ask, encode, stop_token
from codedose.study import Tune
from codedose.tune import train

LIMIT = 12
ASKED = {
    "What is 2 + 3?": "Let me add.\nAnswer: 5",
    "Is the coin heads up?": "Answer: yes\nAnd now for something else, on and on and on",
    "Say nothing.": "",
    "Tell me a story.": "Once upon a time there was a king who had no answer and " * 3,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    home = tmp_path_factory.mktemp("backbones")
    return {family.name: write_backbone(home / family.name, family, layers=2, hidden=32) for family in FAMILIES}


@pytest.fixture(params=FAMILIES, ids=lambda family: family.name)
def folder(request: pytest.FixtureRequest, folders: dict[str, Path]) -> Path:
    family: Family = request.param
    return folders[family.name]


def silent(done: int, of: int, note: str) -> None:
    """Nobody watches."""


def some_prompts(count: int) -> list[list[int]]:
    """Prompts of different lengths, some longer than Mistral's window."""
    rng = np.random.default_rng(5)
    return [rng.integers(10, 600, size=length).tolist() for length in rng.integers(2, 50, size=count)]


def alone(model: Any, tokenizer: Any, prompt: list[int], limit: int) -> list[int]:
    """The tokens of a greedy reply, by hand: the likeliest next token, again and again, without a cache."""
    tokens = list(prompt)
    while len(tokens) < len(prompt) + limit:
        with torch.inference_mode():
            last = int(model(input_ids=torch.tensor([tokens])).logits[0, -1].argmax())
        if last == stop_token(tokenizer):
            break
        tokens.append(last)
    return tokens[len(prompt) :]


def test_replies_are_greedy_whoever_is_asked_beside(folder):
    model, tokenizer = load_model(folder, "float32"), load_tokenizer(folder)
    prompts = some_prompts(9)
    by_hand = [alone(model, tokenizer, prompt, LIMIT) for prompt in prompts]
    wanted = [(tokenizer.decode(tokens, skip_special_tokens=True).strip(), len(tokens)) for tokens in by_hand]
    assert len(set(wanted)) > len(wanted) / 2  # or the rest would prove little
    for batch in (1, 4, 9):
        found = replies(model, tokenizer, prompts, limit=LIMIT, batch=batch, progress=silent)
        assert [(reply.text, reply.n_tokens) for reply in found] == wanted
        back = replies(model, tokenizer, prompts[::-1], limit=LIMIT, batch=batch, progress=silent)
        assert back[::-1] == found


def test_the_forced_answer_goes_on_after_the_reply_as_it_was_written(folder):
    model, tokenizer = load_model(folder, "float32"), load_tokenizer(folder)
    prompts = some_prompts(5)
    told = replies(model, tokenizer, prompts, limit=LIMIT, batch=2, progress=silent)
    found = forced(model, tokenizer, prompts, told, limit=4, batch=3, progress=silent)
    force = tokenizer.encode(FORCE, add_special_tokens=False)
    for prompt, text in zip(prompts, found, strict=True):
        fed = [*prompt, *alone(model, tokenizer, prompt, LIMIT), *force]
        assert text == tokenizer.decode(alone(model, tokenizer, fed, 4), skip_special_tokens=True).strip()


@pytest.fixture(scope="module", params=["Llama-1", "Llama-3", "Gemma"])
def taught(request: pytest.FixtureRequest, folders: dict[str, Path]) -> tuple[Any, Any, list[list[int]]]:
    """A model that has learned the replies of ASKED by heart, its tokenizer, and the prompts."""
    model, tokenizer = load_model(folders[request.param], "float32"), load_tokenizer(folders[request.param])
    how = Tune(
        method="full",
        seeds=1,
        epochs=100,
        step_size=len(ASKED),
        max_length=300,
        optimiser="adamw",
        learning_rate=1e-2,
        schedule="linear",
        warmup=0.1,
        weight_decay=0.0,
        betas=(0.9, 0.999),
        clip=1.0,
        loss="token_mean",
        precision="float32",
    )
    talks = [[{"role": "user", "content": q}, {"role": "assistant", "content": a}] for q, a in ASKED.items()]
    examples = [encode(talk, tokenizer, template="vicuna", system=None, max_length=300) for talk in talks]
    rows = train(model, examples, how, seed=0, progress=silent)
    assert rows[-1]["loss"] < 0.05
    return model, tokenizer, [ask(question, tokenizer, template="vicuna", system=None) for question in ASKED]


def test_a_reply_ends_at_the_stop_token_after_its_answer_line_or_at_the_limit(taught):
    model, tokenizer, prompts = taught
    sums, coin, nothing, story = replies(model, tokenizer, prompts, limit=24, batch=4, progress=silent)
    assert (sums.text, sums.finish) == ("Let me add.\nAnswer: 5", "stop")
    assert (coin.text, coin.finish) == ("Answer: yes", "stop")
    assert (nothing.text, nothing.finish) == ("", "stop")
    assert story.finish == "length"
    assert story.n_tokens == 24
    assert ASKED["Tell me a story."].startswith(story.text)


def test_a_reply_of_just_the_limit_has_stopped_when_the_stop_token_follows_within_it(taught):
    model, tokenizer, prompts = taught
    whole = replies(model, tokenizer, prompts[:1], limit=24, batch=1, progress=silent)[0]
    assert whole.n_tokens < 24
    for limit, finish in ((whole.n_tokens + 1, "stop"), (whole.n_tokens, "length"), (2, "length")):
        reply = replies(model, tokenizer, prompts[:1], limit=limit, batch=1, progress=silent)[0]
        assert (reply.finish, reply.n_tokens) == (finish, min(limit, whole.n_tokens))


def test_progress_counts_replies(taught):
    model, tokenizer, prompts = taught
    told: list[tuple[int, int]] = []
    replies(model, tokenizer, prompts, limit=2, batch=3, progress=lambda done, of, note: told.append((done, of)))
    assert told == [(3, 4), (4, 4)]


def test_no_prompts_no_replies(taught):
    model, tokenizer, _ = taught
    assert replies(model, tokenizer, [], limit=2, batch=3, progress=silent) == []


def test_a_prompt_longer_than_the_context_is_refused_before_anybody_is_asked(folders):
    model, tokenizer = load_model(folders["Llama-2"], "float32"), load_tokenizer(folders["Llama-2"])
    told: list[int] = []
    with pytest.raises(DataError, match=f"takes {CONTEXT + 1} tokens, but the backbone's context holds {CONTEXT}"):
        replies(
            model,
            tokenizer,
            [[20], [20] * (CONTEXT - 7)],
            limit=8,
            batch=1,
            progress=lambda done, of, note: told.append(done),
        )
    assert told == []


def test_a_backbones_own_sampling_settings_leave_greedy_replies_as_they_are(tmp_path, folders):
    """Qwen-1.5's chat models bring a repetition penalty, Llama-2's a temperature."""
    folder = write_backbone(tmp_path / "own", FAMILIES[4], layers=2, hidden=32)
    said = {"do_sample": True, "temperature": 0.6, "repetition_penalty": 5.0, "no_repeat_ngram_size": 2}
    (folder / "generation_config.json").write_text(json.dumps(said))
    tokenizer = load_tokenizer(folder)
    found = [
        replies(load_model(place, "float32"), tokenizer, some_prompts(6), limit=30, batch=3, progress=silent)
        for place in (folder, folders["Qwen-1.5"])
    ]
    assert found[0] == found[1]
