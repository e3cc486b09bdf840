"""Items: generated ones are seeded, balanced and solvable; official ones are read whole and their golds checked."""

import ast
import gzip
import json
import re
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from random import Random

import polars as pl
import pytest

from codedose.errors import DataError, StudyError
from codedose.tasks import TASKS, task_named
from codedose.tasks.arithmetic import frame_names
from codedose.tasks.numerals import spelled
from codedose.tasks.official import official
from codedose.tasks.readings import normal, read
from codedose.tasks.solvers import GENDERLESS, RELATIONS, find_kin, related
from codedose.tasks.task import LEVELS, Problem, chance, prompt_of
from codedose.tasks.twins import generated

BENCHMARKS = Path(__file__).parents[2] / "shared" / "data" / "benchmarks"
RAW = BENCHMARKS.parent / "raw"
needs_data = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason=f"the official items are not at {BENCHMARKS}")

FILES = {"babi_deductive": "babi15", "babi_inductive": "babi16"}
ON_LEVELS = [pytest.param(task, level, id=f"{task.name}-{level}") for task in TASKS for level in LEVELS]
SOLVED = [case for case in ON_LEVELS if case.values[0].solve]
WORKED = [case for case in ON_LEVELS if case.values[0].domain == "arithmetic"]


@cache
def official_items(name: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    path = BENCHMARKS / f"{FILES.get(name, name)}.jsonl.gz"
    return official(task_named(name), path, count=None, seed_name="all")


@cache
def problems(name: str, level: int) -> list[Problem]:
    """Three hundred of a twin's level."""
    rng = Random(f"worked/{name}/{level}")
    return [task_named(name).generate(rng, level) for _ in range(300)]


def written(folder: Path, *lines: object) -> Path:
    path = folder / "items.jsonl"
    path.write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines), encoding="utf-8")
    return path


def test_there_are_four_tasks_in_each_domain_in_the_published_order():
    assert Counter(task.domain for task in TASKS) == {"symbolic": 4, "logical": 4, "arithmetic": 4}
    assert " ".join(task.name for task in TASKS) == (
        "first_letters last_letters reverse_list coin_flip clutrr babi_deductive babi_inductive prontoqa "
        "gsm8k svamp asdiv multiarith"
    )


def test_six_tasks_are_named_by_the_reference_study_and_the_others_say_they_are_not():
    named = {task.name for task in TASKS if task.source.startswith("Named by the reference study")}
    assert named == {"first_letters", "reverse_list", "clutrr", "babi_deductive", "babi_inductive", "gsm8k"}
    assert all("the reference study does not name it" in task.source for task in TASKS if task.name not in named)


def test_an_unknown_task_is_refused_with_the_nearest_name():
    with pytest.raises(StudyError, match="'gsm8k'"):
        task_named("gsm8")


def test_a_prompt_states_the_answer_line_and_ends_with_the_question():
    for task in TASKS:
        prompt = prompt_of(task, "Where is it?")
        assert prompt.endswith("\n\nWhere is it?")
        assert re.search(r'"Answer: [^"]+"\.\n\n', prompt)
        assert len(prompt) < 140


@pytest.mark.parametrize(("task", "level"), ON_LEVELS)
def test_items_belong_to_their_name_and_are_never_repeated(task, level):
    items = generated(task, seed_name="one", level=level, count=60)
    assert items.equals(generated(task, seed_name="one", level=level, count=60))
    assert items["item_id"].n_unique() == items["question"].n_unique() == items.height == 60
    others = generated(task, seed_name="two", level=level, count=60)
    assert items["item_id"].to_list() != others["item_id"].to_list()
    assert len(set(items["question"]) & set(others["question"])) < 30


def test_the_items_of_a_task_do_not_depend_on_what_was_generated_before():
    first = [generated(task, seed_name="x", level=2, count=12)["item_id"].to_list() for task in TASKS]
    last = [generated(task, seed_name="x", level=2, count=12)["item_id"].to_list() for task in reversed(TASKS)]
    assert first == last[::-1]


@pytest.mark.parametrize("count", [24, 101])
@pytest.mark.parametrize(("task", "level"), ON_LEVELS)
def test_a_constant_guess_gains_nothing(task, level, count):
    answers = Counter(generated(task, seed_name="balance", level=level, count=count)["answer"])
    classes = task.classes[level - 1]
    if classes:
        assert set(answers) == set(classes)
        assert max(answers.values()) - min(answers.values()) <= 1
    assert max(answers.values()) <= -(-count * chance(task, level) // 1)


def test_a_position_in_the_set_says_nothing_about_the_answer():
    answers = generated(task_named("coin_flip"), seed_name="order", level=2, count=400)["answer"]
    assert 60 < sum(answer == "yes" for answer in answers[:200]) < 140


def test_a_level_without_room_is_refused():
    narrow = replace(task_named("asdiv"), generate=lambda rng, level: Problem(f"{rng.randint(1, 9)}?", "1"))
    with pytest.raises(StudyError, match=r"room for about 2 different items .*; 40 are asked for"):
        generated(narrow, seed_name="x", level=1, count=40)
    with pytest.raises(StudyError, match="levels 1 to 4"):
        generated(task_named("asdiv"), seed_name="x", level=5, count=1)
    with pytest.raises(StudyError, match="at least 1"):
        generated(task_named("asdiv"), seed_name="x", level=1, count=0)


@pytest.mark.parametrize(("task", "level"), SOLVED)
def test_the_solver_finds_the_answer_of_every_generated_item(task, level):
    items = generated(task, seed_name="solve", level=level, count=150)
    wrong = [(q, a, task.solve(q)) for q, a in items.select("question", "answer").rows() if task.solve(q) != a]
    assert wrong == []


@pytest.mark.parametrize(("task", "level"), ON_LEVELS)
def test_the_gold_of_every_generated_item_reads_as_itself(task, level):
    for answer in generated(task, seed_name="gold", level=level, count=40)["answer"]:
        assert read(task, f"Answer: {answer}", "strict") == normal(task, answer)


# Words that stand for a number that is not told otherwise.
SPELLED = {2: "twice|half|doubles|both", 3: "three", 7: "week", 12: "dozen|year"}
PARTS = {
    "half": "1/2", "a third": "1/3", "two thirds": "2/3", "a quarter": "1/4", "three quarters": "3/4",
    "a fifth": "1/5",
}  # fmt: skip
SIGNS = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
    "of": lambda a, b: a * b,
}  # fmt: skip


def told_numbers(question: str) -> set[Fraction]:
    """Every number that a question tells, in digits or words; of "20%" the 20."""
    found = {Fraction(number) for number in re.findall(r"\d+/\d+|\d+(?:\.\d+)?", question)}
    found |= {Fraction(number) for number in spelled(question.replace(" and ", ", "))}
    return found | {Fraction(part) for words, part in PARTS.items() if words in question.lower()}


@pytest.mark.parametrize(("task", "level"), WORKED)
def test_the_worked_solution_computes_the_answer_from_the_numbers_in_the_question(task, level):
    for problem in problems(task.name, level):
        known = told_numbers(problem.question)
        for step in problem.worked:
            left, sign, right, equals, result = step.split()
            assert equals == "="
            share = Fraction(left.rstrip("%")) / (100 if left.endswith("%") else 1)
            assert SIGNS[sign](share, Fraction(right)) == Fraction(result) >= (2 if level == 1 else Fraction(1)), step
            for term in (Fraction(left.rstrip("%")), Fraction(right)):
                meant = re.search(SPELLED.get(int(term), "$^"), problem.question, re.IGNORECASE)
                assert term in known or meant, (step, problem.question)
            assert ("%" in left) <= bool(re.search(rf"\b{left.rstrip('%')}(?:%| percent)", problem.question))
            known.add(Fraction(result))
        assert problem.answer == result
        assert re.fullmatch(r"\d+(\.\d{1,2})?", problem.answer)
        assert not re.search(r"[{}]|  | ,|(?<![\d.])1 \w", problem.question)
        assert not re.search(r"[.?!] [a-z]|\$\w* dollars|\d\.\d\d dollars", problem.question)
        assert problem.question[0].isupper() or problem.question[0] in "$0123456789"
        assert problem.question.endswith("?")


def test_money_with_cents_is_written_as_money_and_counts_stay_whole():
    rng = Random("cents")
    problems = [task_named("gsm8k").generate(rng, 3) for _ in range(600)]
    cents = [problem for problem in problems if re.search(r"\$\d+\.\d\d", problem.question)]
    assert len(cents) > 30
    for problem in problems:
        asked = problem.question.rpartition(". ")[2]
        if "dollars" not in asked and "miles" not in asked and "meters" not in asked and "minutes" not in asked:
            assert problem.answer.isdigit(), problem


def test_there_are_sixty_problem_frames_and_all_of_them_are_used():
    seen = {problem.cluster for task in TASKS[8:] for level in LEVELS for problem in problems(task.name, level)}
    assert len(set(frame_names())) == len(frame_names()) >= 60
    assert seen == set(frame_names())


def test_svamp_tells_numbers_that_do_not_matter_from_level_two_on():
    rng = Random(5)
    for level, idle in zip(LEVELS, (0, 1, 1, 2), strict=True):
        for _ in range(50):
            problem = task_named("svamp").generate(rng, level)
            assert len(re.findall(r"\d+(?:\.\d+)?", problem.question)) == len(problem.worked) + 1 + idle


@pytest.mark.parametrize("task", TASKS[8:], ids=lambda task: task.name)
def test_level_one_tells_small_whole_numbers_in_digits_and_nothing_else(task):
    for problem in problems(task.name, 1):
        assert not re.search(r"[$%/]|\d\.\d|percent", problem.question)
        assert all(int(number) <= 12 for number in re.findall(r"\d+", problem.question))
        assert len(problem.question.split()) <= 45


@needs_data
@pytest.mark.parametrize("name", ["gsm8k", "svamp", "asdiv", "multiarith"])
def test_the_levels_of_a_twin_reach_as_far_as_its_original(name):
    """Words, numbers told and the largest number; benchmarks/twins.py compares more."""

    def reach(questions):
        found = [(len(q.split()), len(told_numbers(q)), max(told_numbers(q), default=0)) for q in questions]
        columns = [sorted(row[place] for row in found) for place in range(3)]
        return [(column[len(found) // 20], column[len(found) * 19 // 20]) for column in columns]

    original = reach(official_items(name)[0]["question"])
    levels = [
        reach(generated(task_named(name), seed_name="far", level=level, count=200)["question"]) for level in LEVELS
    ]
    for place, (low, high) in enumerate(original):
        assert min(level[place][0] for level in levels) <= low
        assert max(level[place][1] for level in levels) >= high


def test_levels_grow():
    for task in TASKS:
        lengths = [
            generated(task, seed_name="grow", level=level, count=60)["question"].str.len_chars().mean()
            for level in LEVELS
        ]
        assert lengths[0] < lengths[3]


def test_official_items_do_not_depend_on_the_order_of_the_file(tmp_path):
    lines = [{"id": f"q{n}", "question": f"What is {n} and {n}?", "answer": str(2 * n)} for n in range(50)]
    task = task_named("gsm8k")
    forward, _ = official(task, written(tmp_path, *lines), count=10, seed_name="s")
    backward, _ = official(task, written(tmp_path, *lines[::-1]), count=10, seed_name="s")
    other, _ = official(task, written(tmp_path, *lines), count=10, seed_name="t")
    assert forward.equals(backward)
    assert set(forward["item_id"]) != set(other["item_id"])
    assert set(forward["question"]) != {line["question"] for line in lines[:10]}


def test_every_official_item_is_kept_or_dropped_with_its_reason(tmp_path):
    path = written(
        tmp_path,
        {"id": "a", "question": "How many are 2 and 3?", "answer": "5 (apples)", "split": "test"},
        {"id": "b", "question": "Who is it?", "answer": "Mrs. Hilt", "split": "test"},
        {"id": "c", "question": "How many are 2 and 3?", "answer": "5 (apples)", "split": "test"},
        {"id": "d", "question": "How many are 2 and 4?", "answer": "6", "split": "train"},
        {"id": "e", "question": "What part is one of three?", "answer": "1/3", "split": "test"},
        {"id": "f", "question": "Which is the time?", "answer": "3:30", "split": "test", "source": "there"},
    )
    items, drops = official(task_named("asdiv"), path, count=None, seed_name="s")
    assert dict(items.select("question", "answer").rows()) == {
        "How many are 2 and 3?": "5",
        "What part is one of three?": "1/3",
    }
    assert dict(drops.select("reference", "reason").rows()) == {
        "b": "the answer is not one number: 'Mrs. Hilt'",
        "c": "asks the same as an earlier item",
        "d": "not in the test split",
        "f": "the answer is not one number: '3:30'",
    }


def test_prontoqa_letters_become_what_they_stand_for(tmp_path):
    question = "Each zum is a dum. Max is a zum.\nIs the following statement true or false? Max is a dum."
    line = {"id": "a", "question": f"{question}\nOptions:\nA) True\nB) False", "answer": "A"}
    items, _ = official(task_named("prontoqa"), written(tmp_path, line), count=None, seed_name="s")
    assert items.select("question", "answer").rows() == [(question, "True")]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2: is not JSON"),
        ('"text"', "line 2: is not a JSON object"),
        ({"id": "b", "question": "Q?"}, "line 2: answer is missing or empty"),
        ({"id": "b", "question": " ", "answer": "1"}, "line 2: question is missing or empty"),
        ({"id": "a", "question": "Q?", "answer": "1"}, "line 2: the id 'a' stands already in line 1"),
        ("[" * 100_000, "line 2: is not JSON"),
    ],
)
def test_a_bad_line_is_named_with_file_and_number(tmp_path, line, said):
    path = written(tmp_path, {"id": "a", "question": "How many?", "answer": "1"}, line)
    with pytest.raises(DataError, match=re.escape(f"{path}: {said}")):
        official(task_named("gsm8k"), path, count=None, seed_name="s")


def test_bad_files_are_named(tmp_path):
    task = task_named("gsm8k")
    with pytest.raises(DataError, match="no such file"):
        official(task, tmp_path / "none.jsonl", count=None, seed_name="s")
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(gzip.compress(b"x" * 1000)[:20])
    with pytest.raises(DataError, match="damaged or cut off"):
        official(task, cut, count=None, seed_name="s")
    with pytest.raises(DataError, match="holds no items"):
        official(task, written(tmp_path, ""), count=None, seed_name="s")


def test_a_count_that_the_file_cannot_give_says_by_how_much(tmp_path):
    path = written(tmp_path, {"id": "a", "question": "How many?", "answer": "1"})
    with pytest.raises(StudyError, match="2 fewer than the 3 asked for"):
        official(task_named("gsm8k"), path, count=3, seed_name="s")


@needs_data
@pytest.mark.parametrize(
    ("name", "kept", "dropped", "clusters"),
    [
        ("last_letters", 485, {"the gold is wrong": 15}, 485),
        ("coin_flip", 500, {}, 500),
        ("clutrr", 1045, {"asks the same as an earlier item": 3, "not in the test split": 3019}, 1045),
        ("babi_deductive", 678, {"asks the same as an earlier item": 322, "not in the test split": 11000}, 250),
        ("babi_inductive", 1000, {"not in the test split": 11000}, 1000),
        ("prontoqa", 500, {}, 500),
        ("gsm8k", 1319, {"not in the test split": 7473}, 1319),
        ("svamp", 1000, {}, 651),
        (
            "asdiv",
            2031,
            {
                "the answer is not one number": 213,
                "asks the same as an earlier item": 1,
                "is also an item of multiarith, which keeps it": 60,
            },
            2031,
        ),
        ("multiarith", 580, {"asks the same as an earlier item": 20}, 375),
    ],
)
def test_official_sets_are_whole(name, kept, dropped, clusters):
    items, drops = official_items(name)
    assert items.height == items["item_id"].n_unique() == kept
    assert Counter(reason.partition(":")[0] for reason in drops["reason"]) == dropped
    assert items["cluster"].n_unique() == clusters


# Official items whose gold is wrong, by their place in the release (from 0). last_letters: the question has more
# words than the gold has letters.
WRONG_LETTERS = (64, 107, 110, 149, 187, 188, 231, 290, 396, 423, 433, 434, 455, 459, 486)
# clutrr: somebody is told to be a grandparent of one's child, or the like. By blood that is one's own parent; the gold
# says in-law. Which of the two holds depends on the rule that is tried first.
IN_LAW = (
    39, 42, 50, 51, 52, 57, 65, 71, 72, 73, 75, 83, 93, 97, 104, 107, 114, 119, 120, 127, 128, 129, 132, 136, 142, 151,
    154, 157, 160, 174, 184, 186, 189, 198, 199, 202, 203, 249, 271, 471, 511, 560, 652, 743, 823, 826, 925, 1017,
)  # fmt: skip


@needs_data
def test_the_fifteen_wrong_golds_of_last_letters_are_these_and_have_more_words_than_letters():
    _, drops = official_items("last_letters")
    lines = gzip.decompress((BENCHMARKS / "last_letters.jsonl.gz").read_bytes()).decode().splitlines()
    entries = {entry["id"]: entry for entry in map(json.loads, lines)}
    assert sorted(drops["reference"]) == sorted(f"last_letters-{place}" for place in WRONG_LETTERS)
    for reference in drops["reference"]:
        words = re.search('"(.+)"', entries[reference]["question"])[1].split()
        assert len(words) > len(entries[reference]["answer"])


@needs_data
@pytest.mark.parametrize("name", ["last_letters", "coin_flip", "babi_deductive", "babi_inductive", "prontoqa"])
def test_the_solver_finds_the_answer_of_every_official_item(name):
    task = task_named(name)
    items, _ = official_items(name)
    assert all(task.solve(q) == a for q, a in items.select("question", "answer").rows())


@needs_data
def test_the_solvers_find_the_answers_of_the_upstream_examples():
    names = {
        "coin-flip": "coin_flip",
        "first-letter-concatenation": "first_letters",
        "last-letter-concatenation": "last_letters",
        "reverse-list": "reverse_list",
    }
    lines = gzip.decompress((BENCHMARKS / "symbolic_examples.jsonl.gz").read_bytes()).decode().splitlines()
    solved = Counter()
    for entry in map(json.loads, lines):
        task = task_named(names[entry["id"].rpartition("-")[0]])
        solved[task.name] += normal(task, task.solve(entry["question"])) == normal(task, entry["answer"])
    assert solved == dict.fromkeys(names.values(), 10)


@needs_data
@pytest.mark.parametrize("name", [task.name for task in TASKS if task.name not in ("first_letters", "reverse_list")])
def test_every_official_gold_reads_as_itself_under_every_reading(name):
    task = task_named(name)
    for answer in set(official_items(name)[0]["answer"]):
        reply = f"We work it out.\n\n**Answer:** {answer}."
        assert [read(task, reply, reading) for reading in ("strict", "lenient")] == [normal(task, answer)] * 2
        assert read(task, f" {answer}. So", "forced") == normal(task, answer)


@needs_data
def test_composing_the_told_relations_solves_clutrr_but_for_these_in_laws():
    rows = gzip.decompress((RAW / "clutrr" / "gen_train234_test2to10_test.jsonl.gz").read_bytes()).decode().splitlines()
    wrong = {}
    for place, row in enumerate(map(json.loads, rows)):
        people = dict(one.split(":") for one in row["genders"].split(","))
        names = list(people)
        edges, words = ast.literal_eval(row["story_edges"]), ast.literal_eval(row["edge_types"])
        facts = [(names[a], GENDERLESS[word], names[b]) for (a, b), word in zip(edges, words, strict=True)]
        whose, who = (names[place] for place in ast.literal_eval(row["query_edge"]))
        found = RELATIONS[related(facts, whose, who)][people[who] == "male"]
        if found != row["target_text"]:
            wrong[place] = {found, row["target_text"]}
    assert len(rows) == 1048
    assert tuple(wrong) == IN_LAW
    assert all(max(pair, key=len) == f"{min(pair, key=len)}-in-law" for pair in wrong.values())


@pytest.mark.parametrize(
    ("story", "answer"),
    [
        ("Ann's mother is Bea. Bea's husband is Cid. What relation is Cid to Ann?", "father"),
        ("Cid is the son of Ann. Dan phoned his sister Ann. What relation is Cid to Dan?", "nephew"),
        ("Ann's son is Bob. Bob's father is Cid. Cid's mother is Dee. What relation is Dee to Ann?", "mother-in-law"),
    ],
)
def test_kin_are_found_by_hand_made_stories(story, answer):
    assert find_kin(story) == answer


def test_a_solver_refuses_what_it_cannot_follow():
    for task in TASKS:
        if task.solve:
            with pytest.raises(ValueError, match=r"\w"):
                task.solve("The weather is fine today.")
