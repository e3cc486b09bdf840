"""The command `items`: sets apart from each other, what is known of a level, official ones, tasks for lm-eval."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from conftest import SMALL, changed
from tiny import FAMILIES, write_backbone
from typer.testing import CliRunner

from codedose import tables
from codedose.cli import app
from codedose.cli.files import at_commit
from codedose.prompt import ask, request
from codedose.tasks import TASKS, task_named
from codedose.tasks.task import LEVELS, Problem, prompt_of
from codedose.tasks.twins import generated, space

HARNESS = os.environ.get("CODEDOSE_LM_EVAL", "")  # the python of an environment with lm-eval and what codedose needs


def do(*words: object) -> Any:
    """What the command prints as JSON."""
    told = CliRunner().invoke(app, ["items", *map(str, words), "--json"], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    return json.loads(told.stdout)


def few(count: int) -> Any:
    """A task whose level has `count` different questions."""
    from dataclasses import replace

    return replace(task_named("asdiv"), generate=lambda rng, level: number_of(rng.randrange(count)))


def number_of(value: int) -> Problem:
    return Problem(f"Number {value}?", str(value))


# ---- sets apart


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)
def test_a_set_apart_shares_no_question_where_there_are_others(task):
    for level in LEVELS[:2]:
        one = generated(task, seed_name="one", level=level, count=100)
        apart = generated(task, seed_name="two", level=level, count=100, apart=set(one["question"]))
        assert not set(one["question"]) & set(apart["question"])
        assert apart["question"].n_unique() == 100


def test_what_is_apart_changes_nothing_but_what_it_takes_the_place_of():
    task = task_named("gsm8k")
    alone = generated(task, seed_name="x", level=2, count=20)
    assert generated(task, seed_name="x", level=2, count=20, apart={"Another question?"}).equals(alone)


def test_where_a_level_has_no_others_left_the_rest_is_taken_from_the_earlier_set():
    one = generated(few(60), seed_name="one", level=1, count=40)
    two = generated(few(60), seed_name="two", level=1, count=40, apart=set(one["question"]))
    assert two["question"].n_unique() == 40
    assert len(set(one["question"]) & set(two["question"])) == 20


def test_the_command_counts_the_overlap(tmp_path):
    one, two = tmp_path / "one.parquet", tmp_path / "two.parquet"
    do("coin_flip", "--level", 1, "--count", 50, "--name", "one", "--out", one)
    told = do("coin_flip", "--level", 1, "--count", 50, "--name", "two", "--apart-from", one, "--out", two)
    assert told["also in the earlier sets"] == 0
    same = do("coin_flip", "--level", 1, "--count", 50, "--name", "one", "--apart-from", two, "--out", tmp_path / "c")
    assert same["also in the earlier sets"] == 0
    questions = [set(tables.read(path, tables.ITEMS)["question"]) for path in (one, two, tmp_path / "c")]
    assert not questions[0] & questions[1]
    assert not questions[1] & questions[2]


@pytest.mark.parametrize("size", [40, 300, 2_000])
def test_the_size_of_a_space_is_estimated_within_a_third(size):
    found = space(few(size), 1)
    assert not found.at_least
    assert 2 / 3 * size <= found.questions <= 4 / 3 * size


def test_a_large_space_is_told_by_a_bound():
    found = space(few(10**9), 1)
    assert found.at_least
    assert 10_000 < found.questions < 10**9
    assert str(found).startswith("more than ")


def test_the_command_tells_the_space_and_the_chance_of_a_level(tmp_path):
    told = do("babi_deductive", "--level", 2, "--count", 8, "--name", "x", "--out", tmp_path / "x.parquet")
    assert told["different questions at this level"].startswith("more than ")
    assert told["chance"].startswith("12.5%")


# ---- official ones


def test_official_items_are_written_and_every_drop_is_listed(tmp_path):
    records = [{"id": "a", "question": "2 and 3?", "answer": "5"}, {"id": "b", "question": "Who?", "answer": "Bo"}]
    (tmp_path / "asdiv.jsonl").write_text("\n".join(map(json.dumps, records)))
    out = tmp_path / "items.parquet"
    told = do("asdiv", "--official", tmp_path / "asdiv.jsonl", "--count", 1, "--name", "x", "--out", out)
    assert told["dropped"] == {"the answer is not one number": 1}
    listed = tables.read(Path(told["drops"]), tables.DROPS)
    assert listed["reference"].to_list() == ["b"]
    assert listed["source"].to_list() == [str(tmp_path / "asdiv.jsonl")]


def test_a_hub_dataset_is_named_with_its_commit_apart_or_together():
    assert at_commit("o/n#a/b.parquet", "c" * 40) == f"o/n@{'c' * 40}#a/b.parquet"
    assert at_commit("o/n", "c" * 40) == f"o/n@{'c' * 40}"
    assert at_commit("file.jsonl", None) == "file.jsonl"


# ---- lm-eval


def test_a_task_for_lm_eval_asks_what_a_study_asks(tmp_path):
    for template in (None, "chatml", "vicuna", "alpaca"):
        folder = tmp_path / str(template)
        for name in ("gsm8k", "coin_flip"):
            words = ("--level", 1, "--count", 5, "--name", "x", "--as", "lm-eval", "--limit", 40, "--out", folder)
            do(name, *words, *(("--template", template) if template else ()))
        told = yaml.load((folder / "codedose_gsm8k.yaml").read_text().replace("!function", ""), yaml.SafeLoader)
        assert told["generation_kwargs"] == {"until": [], "max_gen_toks": 40, "do_sample": False}
        rows = [json.loads(line) for line in (folder / "gsm8k.jsonl").read_text().splitlines()]
        items = generated(task_named("gsm8k"), seed_name="x", level=1, count=5)
        asked = [prompt_of(task_named("gsm8k"), question) for question in items["question"]]
        assert [row["prompt"] for row in rows] == [request(text, template) if template else text for text in asked]
        assert "codedose_coin_flip,codedose_gsm8k" in (folder / "README.md").read_text()
        assert ("--apply_chat_template\n" in (folder / "README.md").read_text()) == (template is None)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_a_request_for_other_tools_has_the_words_that_are_asked(tmp_path, family):
    from codedose.backbone import load_tokenizer

    tokenizer = load_tokenizer(write_backbone(tmp_path / "tiny", family, layers=1, hidden=32))
    for template in ("chatml", "alpaca"):
        told = tokenizer.decode(ask("How many?", tokenizer, template=template, system=None))
        assert "".join(request("How many?", template).split()) in "".join(told.split())


def test_the_reading_for_lm_eval_stops_where_a_reply_does(tmp_path):
    words = ("--level", 1, "--count", 2, "--name", "x", "--as", "lm-eval", "--out", tmp_path)
    do("gsm8k", *words)
    held: dict[str, Any] = {}
    exec(compile((tmp_path / "reading.py").read_text(), str(tmp_path / "reading.py"), "exec"), held)  # noqa: S102
    item = {"task": "gsm8k", "answer": "18", "limit": 5, "tokenizer": "words"}
    held["loaded"] = lambda name: lambda text, add_special_tokens: {"input_ids": text.split()}
    cases = {
        "Answer: 18\nAnswer: 7": (1, 1, 1),
        "It is 18": (1, 0, 1),
        "one two three four five 18": (0, 0, 0),  # at the limit, and nothing stated
        "So the answer is 18. It was five more words": (1, 0, 1),
        "none": (0, 0, 0),
    }
    for text, (lenient, strict, answered) in cases.items():
        expected = {"lenient": lenient, "strict": strict, "answered": answered}
        assert held["process"](item, [text]) == held["process"](item, [[text]]) == expected, text


@pytest.mark.long
@pytest.mark.skipif(not HARNESS, reason="CODEDOSE_LM_EVAL names no python with lm-eval 0.4.13")
@pytest.mark.parametrize("template", ["chatml", "own"])
def test_lm_eval_gives_the_same_replies_and_the_same_accuracy(tmp_path, template):
    """A small model with random weights: its replies are noise, but noise that both must write and read alike."""
    family = next(family for family in FAMILIES if family.words.bytes_only)
    model = write_backbone(tmp_path / "tiny", family, layers=2, hidden=64, chat=template == "own")
    changes = {"prompt.template": template, "generate.dtype": "float32", "generate.batch": 8}
    study = changed(SMALL, changes)
    study["tasks"] = [{**study["tasks"][0], "name": name, "max_new_tokens": 24} for name in ("first_letters", "gsm8k")]
    (tmp_path / "study.yaml").write_text(json.dumps(study))
    folder, ours = tmp_path / "tasks", {}
    for name in ("first_letters", "gsm8k"):
        words = ("--level", 1, "--count", 24, "--name", "x")
        do(name, *words, "--out", tmp_path / "items.parquet")
        own = ("--template", template) if template != "own" else ()
        do(name, *words, "--as", "lm-eval", "--limit", 24, *own, "--out", folder)
        ours |= replies(name, tmp_path, model)
    flags = ["--apply_chat_template"] if template == "own" else []
    tasks = ["--tasks", "codedose_first_letters,codedose_gsm8k", "--include_path", str(folder)]
    how = ["--model", "hf", "--device", "cpu", "--batch_size", "8", "--model_args", f"pretrained={model},dtype=float32"]
    out = ["--output_path", str(tmp_path / "out"), "--log_samples"]
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[1] / "src"),
        "HF_DATASETS_CACHE": str(tmp_path),
    }
    subprocess.run([HARNESS, "-m", "lm_eval", "run", *how, *tasks, *flags, *out], check=True, env=environment)
    theirs = {}
    for path in (tmp_path / "out").rglob("samples_*.jsonl"):
        for sample in map(json.loads, path.read_text().splitlines()):
            theirs[sample["doc"]["item_id"]] = (sample["resps"][0][0].strip(), sample["lenient"], sample["answered"])
    assert theirs == ours
    assert {answered for _, _, answered in ours.values()} == {0.0, 1.0}


def replies(name: str, home: Path, model: Path) -> dict[str, tuple[str, float, float]]:
    """item_id: what `codedose generate` lets the model reply, whether that is right leniently, whether it answers."""
    runner, out = CliRunner(), home / f"{name}.parquet"
    words = ["generate", model, home / "items.parquet", "--study", home / "study.yaml", "--out", out]
    told = runner.invoke(app, [*map(str, words)], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    scored = home / f"{name}-scores.parquet"
    words = ["score", out, "--items", home / "items.parquet", "--study", home / "study.yaml", "--backbone", "tiny"]
    told = runner.invoke(app, [*map(str, words), "--out", str(scored)], catch_exceptions=False)
    assert told.exit_code == 0, told.output
    texts = dict(tables.read(out, tables.COMPLETIONS).select("item_id", "text").rows())
    verdicts = tables.read(scored, tables.SCORES).filter(pl.col("reading") == "lenient").select("item_id", "outcome")
    return {item: (texts[item], float(o == "right"), float(o in ("right", "wrong"))) for item, o in verdicts.rows()}
