"""A task of one's own goes the whole line: the guide's example, what its parts decide, and files that are wrong."""

import json
import pickle
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from conftest import SMALL, changed
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import FAMILIES, write_backbone
from typer.testing import CliRunner

from codedose import stages, tables
from codedose.cli import app
from codedose.errors import CodedoseError, DataError, StudyError
from codedose.plan import Planner, settled
from codedose.runner.disk import Disk
from codedose.runner.schedule import Outcome, Slots, Teller, inline, run
from codedose.runner.step import Step
from codedose.score import score_replies
from codedose.study import load
from codedose.tasks import TASKS
from codedose.tasks.own import own_items, read_task, task_of, values_of
from codedose.tasks.pattern import LARGEST_PROGRAM, compiled, matches
from codedose.tasks.readings import outcome, read
from codedose.tasks.task import Task, prompt_of

GUIDE = (Path(__file__).parents[1] / "docs" / "task.md").read_text(encoding="utf-8")
BLOCKS = dict(re.findall(r"^```\w+ (\S+)\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL))
FILE, ITEMS = "tasks/unit_conversion.yaml", "tasks/unit_conversion.jsonl"
SECONDS = 5  # more than any pattern may take over any reply, on a busy machine


def written(home: Path, changes: dict[str, Any] | None = None) -> Path:
    """The guide's task in `home`, with other values (None: the key is left out); its file."""
    (home / "tasks").mkdir(exist_ok=True)
    (home / ITEMS).write_text(BLOCKS[ITEMS])
    told = {**yaml.safe_load(BLOCKS[FILE]), **(changes or {})}
    text = yaml.safe_dump({key: value for key, value in told.items() if value is not None}, sort_keys=False)
    (home / FILE).write_text(text if changes else BLOCKS[FILE])
    return home / FILE


def small(home: Path, changes: dict[str, Any] | None = None) -> Path:
    """The small study with the guide's line under `tasks`."""
    used = yaml.safe_load(BLOCKS["study.yaml"])[0]
    path = home / "study.yaml"
    path.write_text(yaml.safe_dump(changed(SMALL, {"tasks": [dict(SMALL["tasks"][0]), used], **(changes or {})})))
    return path


def performed(store: Path, planner: Planner) -> tuple[Planner, Outcome]:
    def do(steps: Sequence[Step]) -> Outcome:
        return run(Disk(store), steps, slots=Slots(1), submit=inline, tell=Teller())

    outcome = do(planner.search)
    planner = settled(planner, Disk(store))
    outcome.add(do(planner.steps))
    return planner, outcome


def rows(store: Path, planner: Planner, kind: str, table: tables.Table) -> pl.DataFrame:
    return stages.take([store / step.folder for step in planner.steps if step.kind == kind], table)


# The guide's example


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("own")
    write_backbone(home / "tiny", FAMILIES[0], layers=1, hidden=32)
    written(home)
    pool = [
        {"messages": [{"role": "user", "content": f"{json.loads(line)['question']} Please."},
                      {"role": "assistant", "content": "I do not know that."}], "label": "other"}
        for line in BLOCKS[ITEMS].splitlines()[:1]
    ]  # fmt: skip
    (home / "leaky.jsonl").write_text("\n".join(map(json.dumps, pool)) + "\n")
    return home


@pytest.fixture(scope="module")
def line(home: Path) -> tuple[Path, Planner, Outcome]:
    leaky = {"path": "leaky.jsonl", "revision": None, "licence": "Apache-2.0"}
    study = small(home, {"pool.sources": [*SMALL["pool"]["sources"], leaky], "tune.max_length": 512, "mix.draws": 1})
    planner, outcome = performed(home / "store", Planner(load(study), home))
    return home / "store", planner, outcome


def test_the_guides_example_goes_the_whole_line(line: tuple[Path, Planner, Outcome]):
    store, planner, outcome = line
    assert [(failure.step.folder, failure.reason) for failure in outcome.failed] == []
    assert {"items", "leaks", "generate", "score", "analyse", "report"} <= {step.kind for step in outcome.performed}
    items = rows(store, planner, "items", tables.ITEMS).filter(pl.col("task") == "unit_conversion")
    assert sorted(items["answer"]) == ["1/2", "2,500", "300"]
    assert set(items["origin"]) == {"own"}
    scores = rows(store, planner, "score", tables.SCORES)
    assert set(scores.filter(pl.col("task") == "unit_conversion")["domain"]) == {"measurement"}
    completions = rows(store, planner, "generate", tables.COMPLETIONS)
    assert len(completions) == 3 * (2 + 3)
    page = (store / planner.steps[-1].folder / "report.html").read_text(encoding="utf-8")
    assert "unit_conversion (own)" in page
    assert "measurement" in page


def test_its_steps_can_go_to_another_process(line: tuple[Path, Planner, Outcome]):
    for step in line[1].steps:
        again = pickle.loads(pickle.dumps(step))  # noqa: S301
        assert (again.key, again.given) == (step.key, step.given)


def test_its_items_are_searched_for_in_the_pool(line: tuple[Path, Planner, Outcome]):
    store, planner, _ = line
    leaks = rows(store, planner, "leaks", tables.LEAKS).filter(pl.col("origin") == "own")
    assert set(leaks["task"]) == {"unit_conversion"}
    drawn = rows(store, planner, "mix", tables.DRAWS)
    assert not set(leaks["example_id"]) & set(drawn["example_id"])


def test_a_domain_of_its_own_has_a_view_and_is_adjusted_with_the_others(line: tuple[Path, Planner, Outcome]):
    store, planner, _ = line
    effects = rows(store, planner, "analyse", tables.EFFECTS).filter(pl.col("contrast") == "Code - General")
    domains = effects.filter((pl.col("view") == "domain") & pl.col("backbone").is_null() & pl.col("family").is_null())
    assert set(domains["of"]) == {"symbolic", "measurement"}


def test_a_task_given_in_code_is_the_same_task(line: tuple[Path, Planner, Outcome], home: Path, tmp_path: Path):
    planner = line[1]
    given = read_task(home / FILE)
    (tmp_path / "tiny").symlink_to(home / "tiny")
    study = small(tmp_path, {"tasks.1.path": None, "tune.max_length": 512})
    in_code = Planner(load(study), tmp_path, own=(replace(given, items=home / ITEMS),))
    assert in_code.items["unit_conversion"].key == planner.items["unit_conversion"].key


def test_the_stages_take_it_on_plain_files(home: Path, tmp_path: Path):
    def do(*words: object) -> Any:
        told = CliRunner().invoke(app, [*map(str, words), "--json"], catch_exceptions=False)
        assert told.exit_code == 0, told.output
        return json.loads(told.stdout)

    study, file = small(home), home / FILE
    assert len(do("tasks", file)["items"]) == 3
    do("items", file, "--count", 3, "--name", "mine", "--out", tmp_path / "items.parquet")
    do("generate", "tiny", tmp_path / "items.parquet", "--study", study, "--out", tmp_path / "replies.parquet")
    asked = ("--items", tmp_path / "items.parquet", "--study", study, "--backbone", "tiny")
    told = do("score", tmp_path / "replies.parquet", *asked, "--out", tmp_path / "scores.parquet")
    assert sum(row["count"] for row in told) == 3 * len(tables.READINGS)
    reply = {"task": "unit_conversion", "question": "?", "answer": "300", "text": "3 * 100\nAnswer: 300 cm"}
    (tmp_path / "replies.jsonl").write_text(json.dumps(reply))
    told = do("score", tmp_path / "replies.jsonl", "--own", file, "--out", tmp_path / "verdicts.parquet")
    assert {(row["reading"], row["outcome"]) for row in told} == {("strict", "right"), ("lenient", "right")}


# What its parts decide


@pytest.fixture
def keys(tmp_path: Path, backbone_folder: Path):
    """The keys of a study's steps by kind, with a changed task file."""

    def of(changes: dict[str, Any] | None = None, items: str = BLOCKS[ITEMS]) -> dict[str, set[str]]:
        written(tmp_path, changes)
        (tmp_path / ITEMS).write_text(items)
        found: dict[str, set[str]] = {}
        for step in Planner(load(small(tmp_path)), tmp_path).steps:
            found.setdefault(step.kind, set()).add(step.key)
        return found

    return of


def differing(one: dict[str, set[str]], other: dict[str, set[str]]) -> set[str]:
    return {kind for kind in one if one[kind] != other[kind]}


AFTER_SCORES = {"score", "analyse", "report"}


@pytest.mark.parametrize("change", [{"answer": "letters"}, {"answer": "pattern", "pattern": r"(\d+(?:[/,]\d+)?)"}])
def test_another_reading_scores_again_and_asks_nothing_again(keys, change: dict[str, Any]):
    items = BLOCKS[ITEMS].replace("1/2", "abc").replace('"300"', '"abd"').replace("2,500", "abe")
    if change["answer"] == "letters":
        assert differing(keys({**change, "answer": "items"}, items), keys(change, items)) == AFTER_SCORES
    else:
        assert differing(keys(), keys(change)) == AFTER_SCORES


@pytest.mark.parametrize("change", [{"instruction": "Convert."}, {"answer_format": "Say it."}, {"max_new_tokens": 9}])
def test_other_words_or_another_limit_ask_again(keys, change: dict[str, Any]):
    assert differing(keys(), keys(change)) == {"generate", *AFTER_SCORES}


def test_other_items_are_asked_and_searched_for(keys):
    found = differing(keys(), keys(items=BLOCKS[ITEMS].replace("3 metres", "4 metres")))
    assert {"items", "leaks", "generate", *AFTER_SCORES} <= found
    assert not {"mix", "tune"} & found


def test_what_only_describes_it_asks_and_scores_nothing_again(keys):
    assert differing(keys(), keys({"source": "Elsewhere."})) == set()


def test_a_task_comes_back_from_its_values(tmp_path: Path):
    task = read_task(written(tmp_path, {"answer": "word", "vocabulary": {"Mice": "mouse", "mouse": "mouse"}}))
    again = task_of(json.loads(json.dumps(values_of(task))))
    for text in ("Answer: mice", "It was a MOUSE.", "none"):
        assert [read(again, text, reading) for reading in tables.READINGS] == [
            read(task, text, reading) for reading in tables.READINGS
        ]


# Reading by a pattern


def choosing(pattern: str = r"\b([A-E])\b") -> Task:
    return Task("choice", "logical", "here", "Choose.", "", "pattern", pattern=pattern)


@pytest.mark.parametrize(
    ("text", "forced", "outcomes"),
    [
        ("Let me see: A or B?\nAnswer: C", " C", ("right", "right", "right")),
        ("I think it is A, but the answer is (C).", "B", ("no_answer", "right", "wrong")),
        ("It is C", "", ("no_answer", "right", "no_answer")),
        ("Answer: A or C", "\nC", ("no_answer", "right", "right")),
        ("nothing", "nothing", ("no_answer", "no_answer", "no_answer")),
    ],
)
def test_the_three_readings_of_a_pattern(text: str, forced: str, outcomes: tuple[str, ...]):
    found = tuple(
        outcome(choosing(), text=text, forced_text=forced, finish="stop", answer="C", reading=reading)
        for reading in tables.READINGS
    )
    assert found == outcomes


HOSTILE = (
    r"(a+)+$",
    r"(?:a|aa)+(b)",
    r"(?:(?:(?:a*)*)*)*(b)",
    r"(?:a?){50}(?:a){50}(b)",
    r"(?:[ab]*a[ab]{40}x)|(a)",
    r"(?:(?:[ab]{1,20}[ac]{1,20}){1,3}x)|(a)",
    r"[ab]{1,99}[ac]{1,99}x|(a)",
)


@pytest.mark.parametrize("pattern", HOSTILE)
@pytest.mark.parametrize("text", ["a" * 100_000, "ab" * 50_000, "Answer: aaaa! " * 7_000, "\n".join(["a" * 99] * 1000)])
def test_no_pattern_hangs_over_a_hostile_reply(pattern: str, text: str):
    started = time.process_time()
    for reading in tables.READINGS:
        read(choosing(pattern), text, reading)
    assert time.process_time() - started < SECONDS


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("(", "missing"),
        (r"\d+", "0 groups"),
        (r"(\d+)|(\w+)", "2 groups"),
        (r"(.)\1", "escape"),
        (r"(?<=x)(a)", "(?<="),
        (r"((?:a{1,30}){1,30})", f"at most {LARGEST_PROGRAM:,}"),
        (r"((?:(?:a{1,100}){1,100}){1,10})", "RE2"),
        ("(" + "a" * 600 + ")", "500 characters"),
    ],
)
def test_a_pattern_that_cannot_be_is_refused(pattern: str, says: str):
    with pytest.raises(ValueError, match=re.escape(says)):
        compiled(pattern)


@given(st.text(max_size=60), st.text(max_size=200))
@settings(max_examples=100, deadline=None)
def test_whatever_the_pattern_it_is_refused_or_reads(pattern: str, text: str):
    try:
        compiled(pattern)
    except ValueError:
        return
    assert all(isinstance(answer, str) and answer for answer in matches(pattern, text))


# Files that are wrong


@pytest.mark.parametrize(
    ("change", "line", "says"),
    [
        ({"instrction": "x"}, 9, "did you mean 'instruction'?"),
        ({"items": None}, 1, "items is missing"),
        ({"name": "gsm8k"}, None, "'gsm8k' is the name of a built-in task"),
        ({"answer": "fraction"}, 6, "answer"),
        ({"answer": "pattern"}, 1, "pattern must say what an answer looks like"),
        ({"answer": "pattern", "pattern": "("}, 9, "missing )"),
        ({"answer": "pattern", "pattern": r"\d+"}, 9, "0 groups"),
        ({"answer": "pattern", "pattern": r"(?=x)(a)"}, 9, "RE2"),
        ({"answer": "word"}, 1, "vocabulary must list the words"),
        ({"answer": "word", "vocabulary": ["red", "!"]}, 9, "vocabulary"),
        ({"vocabulary": ["red"]}, 9, "vocabulary"),
        ({"max_new_tokens": 0}, 8, "greater than or equal to 1"),
        ({"domain": ""}, 2, "domain"),
    ],
)
def test_a_bad_task_file_is_refused_in_one_sentence(
    tmp_path: Path, change: dict[str, Any], line: int | None, says: str
):
    path = written(tmp_path, change)
    with pytest.raises(StudyError) as problem:
        read_task(path)
    sentence = str(problem.value)
    assert sentence.startswith(f"{path}: " + (f"line {line}: " if line else ""))
    assert says in sentence
    assert len(sentence.splitlines()) == 1


@given(st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.lists(st.text(max_size=9)))
@settings(max_examples=20, deadline=None)
def test_strange_values_anywhere_are_read_or_refused_as_a_study_error(
    tmp_path_factory: pytest.TempPathFactory, value: Any
):
    home = tmp_path_factory.mktemp("strange")
    for key in yaml.safe_load(BLOCKS[FILE]):
        (home / "task.yaml").write_text(yaml.safe_dump({**yaml.safe_load(BLOCKS[FILE]), key: value}))
        with suppress(StudyError):
            read_task(home / "task.yaml")


@pytest.mark.parametrize(
    ("study", "task", "items", "says"),
    [
        ({"tasks.1.name": "units"}, {}, None, "the study calls it 'units'"),
        ({"tasks.1.path": "nowhere.yaml"}, {}, None, "there is no such task file"),
        ({"tasks.1.path": None}, {}, None, "there is no task 'unit_conversion'"),
        ({"tasks.1.count": 4}, {}, None, "has 3 items"),
        ({}, {}, '{"id": "1", "question": "Far?", "answer": "far"}\n' * 1, "is no answer of the task"),
        ({}, {}, '{"id": "1", "question": "Far?"}\n', "line 1: answer is missing"),
        ({}, {}, "not json\n", "line 1: is not JSON"),
        ({}, {}, '{"id": "1", "question": "Q", "answer": "1"}\n{"id": "2", "question": "Q", "answer": "1"}', "earlier"),
    ],
)
def test_what_cannot_be_asked_is_told_by_the_plan(
    tmp_path: Path, backbone_folder: Path, study: dict[str, Any], task: dict[str, Any], items: str | None, says: str
):
    written(tmp_path, task)
    if items is not None:
        (tmp_path / ITEMS).write_text(items)
    count = {} if items is None else {"tasks.1.count": 1}
    planner = Planner(load(small(tmp_path, {**count, **study})), tmp_path)
    with pytest.raises(CodedoseError, match=re.escape(says)) as problem:
        planner.steps  # noqa: B018
    assert len(str(problem.value).splitlines()) == 1


def test_items_that_are_not_there_are_told_as_missing(tmp_path: Path, backbone_folder: Path):
    written(tmp_path)
    (tmp_path / ITEMS).unlink()
    files, _ = Planner(load(small(tmp_path)), tmp_path).missing
    assert files == [f"the items of unit_conversion: there is no file {(tmp_path / ITEMS).resolve()}"]


def test_a_built_in_task_has_no_limit_of_its_own(tmp_path: Path):
    with pytest.raises(StudyError, match="has no limit of its own"):
        load(small(tmp_path, {"tasks.0.max_new_tokens": None}))


# In Python


def test_functions_take_a_task_as_a_value(tmp_path: Path):
    task = read_task(written(tmp_path))
    items = own_items(tmp_path / ITEMS, task=task.name, domain=task.domain, count=2, seed_name="a")
    again = own_items(tmp_path / ITEMS, task=task.name, domain=task.domain, count=2, seed_name="a")
    assert items.equals(again)
    assert prompt_of(task, "How far?") == f"{task.instruction} {task.answer_format}\n\nHow far?"
    replies = pl.DataFrame({"task": [task.name], "question": ["?"], "answer": ["300"], "text": ["Answer: 300"]})
    assert set(score_replies(replies, tasks=(*TASKS, task))["outcome"]) == {"right"}
    with pytest.raises(DataError, match="there is no task"):
        score_replies(replies)


def test_the_order_of_items_does_not_matter(tmp_path: Path):
    written(tmp_path)
    chosen = own_items(tmp_path / ITEMS, task="t", domain="d", count=2, seed_name="x")
    (tmp_path / ITEMS).write_text("\n".join(reversed(BLOCKS[ITEMS].splitlines())))
    assert own_items(tmp_path / ITEMS, task="t", domain="d", count=2, seed_name="x").equals(chosen)


def test_an_unknown_gold_is_refused_before_anything_is_asked(tmp_path: Path):
    path = written(tmp_path, {"answer": "yes_no"})
    told = CliRunner().invoke(app, ["items", str(path), "--count", "3", "--name", "m", "--out", str(tmp_path / "i")])
    assert isinstance(told.exception, DataError)
    assert "type yes_no" in str(told.exception)
