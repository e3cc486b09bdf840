"""A reply is the model's own greedy one, whoever is asked beside it, and it ends where it should."""

import json
import shutil
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from conftest import SMALL, changed
from hypothesis import given
from hypothesis import strategies as st
from tiny import CONTEXT, FAMILIES, Family, write_backbone

from codedose.backbone import load_model, load_tokenizer
from codedose.errors import DataError, MachineError
from codedose.generate import batches, changed_alone, replies, rules_of
from codedose.generate.engine import Loaded, Sampling, engine
from codedose.generate.row import FORCE, Written
from codedose.prompt import ask, encode, stop_token
from codedose.study import Tune
from codedose.tune import train

LIMIT, FORCED = 12, 4
OWN = engine("transformers")
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


@cache
def loaded_from(folder: Path) -> Loaded:
    return OWN.load(folder, "float32")


def asked(
    loaded: Loaded, prompts: list[list[int]], *, rows: int, limit: int = LIMIT, forced: int = FORCED, **how: Any
) -> list[Written]:
    """The replies, in batches of at most so many rows."""
    rules = rules_of(loaded.tokenizer, limit=limit, at_answer=True, forced_limit=forced)
    longest = max((len(prompt) for prompt in prompts), default=0) + rules.room
    return replies(OWN, loaded, prompts, rules, batch_tokens=rows * longest, **{"progress": silent, **how})


def text_of(loaded: Loaded, tokens: tuple[int, ...]) -> str:
    return str(loaded.tokenizer.decode(tokens, skip_special_tokens=True)).strip()


def alone(loaded: Loaded, prompt: list[int], limit: int) -> tuple[int, ...]:
    """The tokens of a greedy reply, by hand: the likeliest next token, again and again, without a cache."""
    tokens = list(prompt)
    while len(tokens) < len(prompt) + limit:
        with torch.inference_mode():
            last = int(loaded.model(input_ids=torch.tensor([tokens])).logits[0, -1].argmax())
        if last == stop_token(loaded.tokenizer):
            break
        tokens.append(last)
    return tuple(tokens[len(prompt) :])


def test_replies_are_greedy_whoever_is_asked_beside(folder):
    loaded = loaded_from(folder)
    prompts = some_prompts(9)
    force = loaded.tokenizer.encode(FORCE, add_special_tokens=False)
    wanted = []
    for prompt in prompts:
        reply = alone(loaded, prompt, LIMIT)
        wanted.append((reply, alone(loaded, [*prompt, *reply, *force], FORCED)))
    assert len(set(wanted)) > len(wanted) / 2  # or the rest would prove little
    for rows in (1, 4, 9):
        found = asked(loaded, prompts, rows=rows)
        assert [(one.reply, one.forced) for one in found] == wanted
        assert rows == 1 or asked(loaded, prompts[::-1], rows=rows)[::-1] == found


@pytest.mark.parametrize("shared", [1, 7, 30])
def test_what_prompts_begin_with_is_read_once_and_changes_nothing(folder, shared):
    loaded = loaded_from(folder)
    beginning = some_prompts(1)[0][:1] + [11] * (shared - 1)
    prompts = [beginning + prompt for prompt in some_prompts(6)] + [[*beginning, 12], [*beginning, 12]]
    assert asked(loaded, prompts, rows=8) == asked(loaded, prompts, rows=1)


def test_layers_that_look_through_a_window_see_no_further(tmp_path):
    """Gemma 3 has layers of both kinds, Qwen 2 a window that is switched off."""
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig, Qwen2Config, Qwen2ForCausalLM

    small = {
        "vocab_size": 700, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4,
        "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 256,
    }  # fmt: skip
    tokenizer = load_tokenizer(write_backbone(tmp_path / "words", FAMILIES[0], layers=1, hidden=32))
    mixed = ["sliding_attention", "full_attention"] * 2
    torch.manual_seed(0)
    models = (
        Gemma3ForCausalLM(Gemma3TextConfig(**small, sliding_window=8, layer_types=mixed)),
        Qwen2ForCausalLM(Qwen2Config(**small, sliding_window=8, use_sliding_window=False)),
    )
    for model in models:
        loaded = Loaded(model.eval(), tokenizer, 256)
        prompts = some_prompts(5)
        found = [one.reply for one in asked(loaded, prompts, rows=5)]
        assert found == [alone(loaded, prompt, LIMIT) for prompt in prompts]


def test_sampled_replies_belong_to_their_seeds_and_not_to_their_neighbours(folders):
    loaded = loaded_from(folders["Llama-3"])
    prompts, seeds = some_prompts(6) * 2, list(range(12))
    how = {"sampling": Sampling(temperature=1.5, top_p=0.95)}
    found = asked(loaded, prompts, rows=12, seeds=seeds, **how)
    assert found == asked(loaded, prompts, rows=5, seeds=seeds, **how)
    assert all(one.reply != other.reply for one, other in zip(found[:6], found[6:], strict=True))
    least = {"sampling": Sampling(temperature=1.0, top_p=1e-6)}  # of the likeliest tokens only the first is left
    assert [one.reply for one in asked(loaded, prompts, rows=4, seeds=seeds, **least)] == [
        one.reply for one in asked(loaded, prompts, rows=4)
    ]


def test_tokens_are_drawn_as_often_as_their_chances_say():
    from codedose.generate.own import Draws

    chances = torch.tensor([0.5, 0.3, 0.15, 0.05])
    draws = Draws(Sampling(temperature=1.0, top_p=0.9), [7])
    drawn = [draws.token(0, chances.log()) for _ in range(4000)]
    for token, share in enumerate((0.5 / 0.95, 0.3 / 0.95, 0.15 / 0.95, 0.0)):
        assert drawn.count(token) / len(drawn) == pytest.approx(share, abs=0.03)


@given(st.lists(st.integers(1, 100), max_size=40), st.integers(1, 400))
def test_batches_hold_everyone_once_and_no_more_than_fits(sizes, most):
    together = list(batches(sizes, most))
    assert sorted(place for batch in together for place in batch) == list(range(len(sizes)))
    assert all(len(batch) == 1 or len(batch) * max(sizes[n] for n in batch) <= most for batch in together)
    lengths = [sizes[place] for batch in together for place in batch]
    assert lengths == sorted(lengths)


def test_a_killed_run_repeats_only_the_batches_that_were_not_done(folders, tmp_path):
    loaded = loaded_from(folders["Llama-2"])
    prompts = some_prompts(9)
    whole = asked(loaded, prompts, rows=2)

    class Killed(Exception):
        pass

    def kill(done: int, of: int, note: str) -> None:
        if done >= 4:
            raise Killed

    with pytest.raises(Killed):
        asked(loaded, prompts, rows=2, kept=tmp_path, progress=kill)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert 2 <= len(before) < 5
    assert asked(loaded, prompts, rows=2, kept=tmp_path) == whole
    assert before.items() <= {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}.items()


def test_in_float32_no_reply_changes_when_it_is_asked_alone(folders):
    loaded = loaded_from(folders["Gemma"])
    prompts = some_prompts(7)
    told = asked(loaded, prompts, rows=7)
    rules = rules_of(loaded.tokenizer, limit=LIMIT, at_answer=True, forced_limit=FORCED)
    assert changed_alone(OWN, loaded, prompts, rules, told, 2) == (0, 4)
    assert changed_alone(OWN, loaded, prompts, rules, told[::-1], 1)[0] > 3


@pytest.fixture(scope="module", params=["Llama-1", "Llama-3", "Gemma"])
def taught(request: pytest.FixtureRequest, folders: dict[str, Path]) -> tuple[Loaded, list[list[int]]]:
    """A model that has learned the replies of ASKED by heart, and the prompts."""
    model, tokenizer = load_model(folders[request.param], "float32"), load_tokenizer(folders[request.param])
    how = Tune(
        method="full",
        lora=None,
        seeds=1,
        epochs=100,
        steps=None,
        step_size=len(ASKED),
        max_length=300,
        over_long="cut",
        shrinkage=1.0,
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
    prompts = [ask(question, tokenizer, template="vicuna", system=None) for question in ASKED]
    return Loaded(model, tokenizer, CONTEXT), prompts


def test_a_reply_ends_at_the_stop_token_after_its_answer_line_or_at_the_limit(taught):
    loaded, prompts = taught
    sums, coin, nothing, story = found = asked(loaded, prompts, rows=4, limit=24)
    assert [text_of(loaded, one.reply) for one in found[:3]] == ["Let me add.\nAnswer: 5", "Answer: yes", ""]
    assert (sums.finish, coin.finish, nothing.finish) == ("stop", "stop", "stop")
    assert story.finish == "length"
    assert len(story.reply) == 24
    assert ASKED["Tell me a story."].startswith(text_of(loaded, story.reply))


def test_a_reply_of_just_the_limit_has_stopped_when_the_stop_token_follows_within_it(taught):
    loaded, prompts = taught
    whole = len(asked(loaded, prompts[:1], rows=1, limit=24)[0].reply)
    assert whole < 24
    for limit, finish in ((whole + 1, "stop"), (whole, "length"), (2, "length")):
        reply = asked(loaded, prompts[:1], rows=1, limit=limit)[0]
        assert (reply.finish, len(reply.reply)) == (finish, min(limit, whole))


def test_progress_counts_replies(taught):
    loaded, prompts = taught
    told: list[tuple[int, int]] = []
    asked(loaded, prompts, rows=3, limit=2, progress=lambda done, of, note: told.append((done, of)))
    assert told[-1] == (4, 4)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_no_prompts_no_replies(taught):
    assert asked(taught[0], [], rows=1) == []


def test_prompts_longer_than_the_context_are_refused_and_counted_before_anybody_is_asked(folders):
    loaded = loaded_from(folders["Llama-2"])
    told: list[int] = []
    room = rules_of(loaded.tokenizer, limit=LIMIT, at_answer=True, forced_limit=FORCED).room
    with pytest.raises(DataError, match=rf"1 of 2 prompts.* up to {CONTEXT + 1} tokens.* holds {CONTEXT}"):
        asked(
            loaded,
            [[20], [20] * (CONTEXT + 1 - room)],
            rows=1,
            progress=lambda done, of, note: told.append(done),
        )
    assert told == []


def test_a_backbones_own_sampling_settings_leave_greedy_replies_as_they_are(tmp_path, folders):
    """Qwen-1.5's chat models bring a repetition penalty, Llama-2's a temperature."""
    folder = write_backbone(tmp_path / "own", FAMILIES[4], layers=2, hidden=32)
    said = {"do_sample": True, "temperature": 0.6, "repetition_penalty": 5.0, "no_repeat_ngram_size": 2}
    (folder / "generation_config.json").write_text(json.dumps(said))
    found = [asked(loaded_from(place), some_prompts(6), rows=3, limit=30) for place in (folder, folders["Qwen-1.5"])]
    assert found[0] == found[1]


def test_layers_of_another_kind_are_refused_with_the_way_out(folders, tmp_path):
    folder = tmp_path / "strange"
    shutil.copytree(folders["Qwen-1.5"], folder)
    config = json.loads((folder / "config.json").read_text())
    config["layer_types"] = ["full_attention", "chunked_attention"]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(MachineError, match=r"chunked_attention.*vllm"):
        loaded_from(folder)


def test_a_proposed_batch_fits_into_half_of_the_free_memory(folders):
    from codedose.generate.calibrate import bytes_a_token, propose

    loaded = loaded_from(folders["Llama-3"])
    config = loaded.model.config
    a_token = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim * 4
    assert bytes_a_token(loaded) == a_token
    found = propose(loaded, prompt=8, room=4, free=2 * 12 * a_token * 6)
    assert found.rows <= 6
    assert found.batch_tokens == 12 * found.rows
    assert all(speed > 0 for _, speed in found.speeds)


def test_the_smallest_batch_is_taken_that_a_larger_one_hardly_beats():
    from codedose.generate.calibrate import best

    assert best([(4, 10.0), (8, 19.0), (16, 20.0), (32, 20.5)]) == 8
    assert best([(1, 3.0)]) == 1


def test_replies_served_by_vllm_end_where_our_own_do(taught, monkeypatch):
    """A stand-in with vLLM's interface writes on past every answer line, as vLLM does."""
    from codedose.generate import served

    loaded, prompts = taught

    class Server:
        def generate(self, asked: list[Any], settings: list[Any], use_tqdm: bool) -> list[Any]:
            told = []
            for prompt, how in zip(asked, settings, strict=True):
                tokens = alone(loaded, prompt["prompt_token_ids"], how.max_tokens)
                stopped = [] if len(tokens) == how.max_tokens else how.stop_token_ids
                told.append(SimpleNamespace(outputs=[SimpleNamespace(token_ids=[*tokens, *stopped])]))
            return told

    monkeypatch.setitem(sys.modules, "vllm", SimpleNamespace(SamplingParams=SimpleNamespace))
    for limit, forced in ((24, FORCED), (7, FORCED), (24, 0)):
        rules = rules_of(loaded.tokenizer, limit=limit, at_answer=True, forced_limit=forced)
        found = served.generate(Loaded(Server(), loaded.tokenizer, None), prompts, rules, sampling=None, seeds=[])
        assert found == asked(loaded, prompts, rows=4, limit=limit, forced=forced)


@pytest.mark.long
def test_a_study_that_samples_goes_the_whole_line_and_every_arm_draws_alike(codedose, tmp_path):
    write_backbone(tmp_path / "tiny", FAMILIES[2], layers=1, hidden=32)
    sampled = {"samples": 3, "temperature": 1.0, "top_p": 0.9}
    study = tmp_path / "sampled.yaml"
    study.write_text(
        yaml.safe_dump(changed(SMALL, {"generate.decoding": sampled, "tune.max_length": 512, "mix.draws": 1}))
    )
    told = codedose("run", study, "--cores", 1)
    assert told.code == 0, told.err
    completions = [pl.read_parquet(path) for path in (tmp_path / "store").glob("generate/*/completions.parquet")]
    assert len(completions) == 3 * 2
    assert all(sorted(frame["sample"]) == [0, 0, 1, 1, 2, 2] for frame in completions)
    assert any(frame.group_by("item_id").agg(pl.col("text").n_unique())["text"].max() > 1 for frame in completions)
    scores = pl.concat(pl.read_parquet(path) for path in (tmp_path / "store").glob("score/*/scores.parquet"))
    assert len(scores) == 3 * 2 * 2 * 3 * 3  # cells, tasks, items, samples, readings
    cells = pl.concat(pl.read_parquet(path) for path in (tmp_path / "store").glob("analyse/*/accuracies.parquet"))
    assert cells["accuracy"].is_between(0, 1).all()
    effects = tmp_path / "effects.parquet"
    assert codedose("analyse", "--study", study, "--out", effects).code == 0
    kept = next((tmp_path / "store").glob("analyse/*/effects.parquet"))
    assert pl.read_parquet(effects).equals(pl.read_parquet(kept))
