"""Official items: every public release is read, packed as it is; hostile files end in one sentence."""

import gzip
import io
import json
import os
import re
import zipfile
from pathlib import Path

import polars as pl
import pytest
import zstandard
from conftest import SMALL, changed
from hypothesis import given, settings
from hypothesis import strategies as st

from codedose import tables
from codedose.errors import CodedoseError, DataError, MachineError, StudyError
from codedose.plan import Planner
from codedose.study import load
from codedose.tasks import task_named
from codedose.tasks.official import official
from codedose.tasks.overlaps import IN_BOTH, asked_elsewhere, folded
from codedose.tasks.releases import babi_entries, entry_of
from codedose.tasks.sources import read_entries

DATA = Path(__file__).parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(not DATA.is_dir(), reason=f"the official items are not at {DATA}")
REVISION = "0123456789abcdef0123456789abcdef01234567"

# What the releases look like; all sentences are ours.
SUM = {"question": "Ann has 2 hats and gets 16 more. How many?", "answer": "She has 2+16=<<2+16=18>>18 hats.\n#### 18"}
SVAMP = {
    "ID": "chal-1", "Body": "Bob has 5 pens", "Question": "How many pens does Bob have?", "Equation": "( 5.0 )",
    "Answer": 5.0, "Type": "Subtraction",
}  # fmt: skip
MULTIARITH = {"iIndex": 7, "sQuestion": " Cid had 9 nuts. He ate 4. How many are left? ", "lSolutions": [5.0]}
LETTERS = {"question": 'Take the last letters of each words in "Bo Li" and concatenate them.', "answer": "oi"}
COIN = {"question": "A coin is heads up. Di flips the coin. Is the coin still heads up?", "answer": "no"}
PRONTOQA = {
    "id": "P1", "context": "Each zum is a dum. Max is a zum.",
    "question": "Is the following statement true or false? Max is a dum.", "options": ["A) True", "B) False"],
    "answer": "A", "explanation": [],
}  # fmt: skip
CLUTRR = {"id": "c", "story": "[Ann] phoned her mother, [Bea].", "query": "('Ann', 'Bea')", "target_text": "mother"}
ASDIV = """<?xml version="1.0" encoding="UTF-8"?>
<Machine-Reading-Corpus-File><ProblemSet>
<Problem ID="nluds-0001" Grade="1" Source="x"><Body>Eve has 3 cats &amp; 4 dogs.</Body>
<Question>How many pets is that?</Question><Solution-Type>Addition</Solution-Type><Answer>7 (pets)</Answer>
<Formula>3+4=7</Formula></Problem></ProblemSet></Machine-Reading-Corpus-File>
"""
BABI = (
    "1 Mice are afraid of cats.\n2 Flo is a mouse.\n3 What is flo afraid of?\tcat\t2 1\n"
    "1 Cats are afraid of wolves.\n2 Gus is a cat.\n3 What is gus afraid of?\twolf\t2 1\n"
    "4 Hal is a cat.\n5 What is hal afraid of?\twolf\t4 1\n"
)


def items(name: str, path: Path | str) -> list[tuple[str, str]]:
    return official(task_named(name), path, count=None, seed_name="all")[0].select("question", "answer").rows()


def lines(*records: object) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def table(*records: dict[str, object]) -> bytes:
    held = io.BytesIO()
    pl.DataFrame(records).write_parquet(held)
    return held.getvalue()


RELEASES = [
    ("gsm8k", "test.jsonl", lines(SUM), (SUM["question"], "18")),
    ("gsm8k", "test.parquet", table(SUM), (SUM["question"], "18")),
    ("svamp", "SVAMP.json", json.dumps([SVAMP]), ("Bob has 5 pens, How many pens does Bob have?", "5")),
    ("svamp", "test.parquet", table(SVAMP), ("Bob has 5 pens, How many pens does Bob have?", "5")),
    ("asdiv", "ASDiv.xml", ASDIV, ("Eve has 3 cats & 4 dogs. How many pets is that?", "7")),
    (
        "asdiv",
        "validation.parquet",
        table({"body": "Eve has 3 cats.", "question": "How many?", "answer": "3 (cats)", "formula": "3=3"}),
        ("Eve has 3 cats. How many?", "3"),
    ),
    ("multiarith", "MultiArith.json", json.dumps([MULTIARITH], indent=1), (MULTIARITH["sQuestion"].strip(), "5")),
    (
        "multiarith",
        "test.parquet",
        table({"question": "Cid had 9 nuts. He ate 4. How many are left?", "final_ans": "5"}),
        ("Cid had 9 nuts. He ate 4. How many are left?", "5"),
    ),
    ("coin_flip", "coin_flip.json", json.dumps({"examples": [COIN]}), (COIN["question"], "no")),
    ("coin_flip", "test.parquet", table(COIN), (COIN["question"], "no")),
    ("last_letters", "last_letters.json", json.dumps({"examples": [LETTERS]}, indent=4), (LETTERS["question"], "oi")),
    (
        "babi_deductive",
        "qa15_basic-deduction_test.txt",
        BABI,
        ("Cats are afraid of wolves. Gus is a cat. Hal is a cat. What is hal afraid of?", "wolf"),
    ),
    ("clutrr", "test.jsonl", lines(CLUTRR), ("Ann phoned her mother, Bea. How is Bea related to Ann?", "mother")),
    (
        "clutrr",
        "test.csv",
        ',id,story,query,target,target_text\n0,c,"[Ann] phoned her mother, [Bea].","(\'Ann\', \'Bea\')",3,mother\n',
        ("Ann phoned her mother, Bea. How is Bea related to Ann?", "mother"),
    ),
    (
        "prontoqa",
        "dev.json",
        json.dumps([PRONTOQA]),
        (f"{PRONTOQA['context']}\n{PRONTOQA['question']}", "True"),
    ),
]  # fmt: skip


@pytest.mark.parametrize("packing", ["plain", "gz", "zst"])
@pytest.mark.parametrize(("name", "file", "held", "expected"), RELEASES, ids=[f"{r[0]}-{r[1]}" for r in RELEASES])
def test_a_release_is_read_as_it_is(tmp_path, name, file, held, expected, packing):
    data = held if isinstance(held, bytes) else held.encode()
    if packing != "plain" and isinstance(held, bytes):
        pytest.skip("tables are packed inside")
    pack = {"plain": bytes, "gz": gzip.compress, "zst": zstandard.compress}[packing]
    (tmp_path / file).write_bytes(pack(data))
    assert expected in items(name, tmp_path / file)


def test_the_words_of_an_item_are_the_same_from_every_release(tmp_path):
    """So that an item has one name everywhere."""
    (tmp_path / "a.json").write_text(json.dumps([SVAMP]))
    (tmp_path / "b.jsonl").write_text(
        lines({"id": "x", "question": "Bob has 5 pens, How many pens does Bob have?", "answer": "5"})
    )
    one, other = (
        official(task_named("svamp"), tmp_path / name, count=None, seed_name="s")[0] for name in ("a.json", "b.jsonl")
    )
    assert one.equals(other)


@needs_data
@pytest.mark.parametrize(
    ("name", "raw"),
    [("clutrr", "clutrr/gen_train234_test2to10_test.jsonl.gz"), ("prontoqa", "prontoqa/dev.jsonl.gz")],
)
def test_the_real_releases_give_the_items_of_the_uniform_files(name, raw):
    assert sorted(items(name, DATA / "raw" / raw)) == sorted(items(name, DATA / "benchmarks" / f"{name}.jsonl.gz"))


# ---- items of two tasks


@needs_data
def test_no_question_is_asked_in_two_tasks():
    files = {"babi_deductive": "babi15", "babi_inductive": "babi16"}
    seen: dict[str, str] = {}
    dropped = 0
    for (
        name
    ) in "last_letters coin_flip clutrr babi_deductive babi_inductive prontoqa gsm8k svamp asdiv multiarith".split():
        path = DATA / "benchmarks" / f"{files.get(name, name)}.jsonl.gz"
        found, drops = official(task_named(name), path, count=None, seed_name="s")
        dropped += drops["reason"].str.starts_with("is also an item of").sum()
        for question in found["question"]:
            assert seen.setdefault(folded(question), name) == name, question
    assert dropped == len(IN_BOTH) == 60


def test_a_shared_item_belongs_to_one_task_whatever_else_is_asked(tmp_path, monkeypatch):
    from codedose.keys import fingerprint
    from codedose.tasks import overlaps

    question = "Cid had 9 nuts. He ate 4. How many are left?"
    monkeypatch.setattr(overlaps, "IN_BOTH", frozenset({fingerprint(folded(question.upper()))}))
    assert [asked_elsewhere(name, question) for name in ("asdiv", "multiarith", "gsm8k")] == ["multiarith", "", ""]
    (tmp_path / "a.jsonl").write_text(lines({"id": "a", "question": question, "answer": "5"}))
    found, drops = official(task_named("asdiv"), tmp_path / "a.jsonl", count=None, seed_name="s")
    assert (len(found), drops["reason"].to_list()) == (0, ["is also an item of multiarith, which keeps it"])
    assert len(items("multiarith", tmp_path / "a.jsonl")) == 1


# ---- folders and the hub


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A huggingface cache that holds one commit of someone/sums, and a hub that is switched off."""
    home = tmp_path / "hub" / "datasets--someone--sums"
    snapshot = home / "snapshots" / REVISION
    other = {**SUM, "question": "Ann has 9 hats and gets 9 more. How many?"}
    held = {
        "main/test-0.parquet": table(SUM),
        "main/train-0.parquet": table(other),
        "one.csv": b"question,answer\nQ?,3\n",
    }
    for number, (file, data) in enumerate(held.items()):
        (home / "blobs").mkdir(parents=True, exist_ok=True)
        (home / "blobs" / str(number)).write_bytes(data)
        (snapshot / file).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / file).symlink_to(os.path.relpath(home / "blobs" / str(number), (snapshot / file).parent))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return snapshot


def test_a_hub_dataset_is_found_in_the_cache_by_its_test_split_or_a_file_inside(hub):
    expected = [(SUM["question"], "18")]
    for inside in ("", "#main", "#main/test-0.parquet"):
        assert items("gsm8k", f"someone/sums@{REVISION}{inside}") == expected
    assert items("gsm8k", f"someone/sums@{REVISION}#one.csv") == [("Q?", "3")]
    assert items("gsm8k", hub) == expected  # a copy of it


def test_a_study_may_ask_a_hub_dataset_whose_commit_is_its_identity(hub, tmp_path):
    def planned(path: str) -> Planner:
        task = {"name": "gsm8k", "origin": "official", "path": path, "level": None, "count": 1, "max_new_tokens": 8}
        (tmp_path / "study.yaml").write_text(json.dumps(changed(SMALL, {"tasks": [task]})))
        return Planner(load(tmp_path / "study.yaml"), tmp_path)

    (tmp_path / "tiny").mkdir()  # the backbone, which nobody loads here
    named = f"someone/sums@{REVISION}"
    step = planned(named).items["gsm8k"]
    assert not [sentence for sentence in planned(named).missing[0] if "items" in sentence]
    step.do([], tmp_path, progress=lambda *_: None, **step.settings, **step.given)
    assert tables.read(tmp_path / "items.parquet", tables.ITEMS)["answer"].to_list() == ["18"]
    keys = {planned(path).items["gsm8k"].key for path in (named, named, f"{named}#main", f"someone/sums@{'f' * 40}")}
    assert len(keys) == 3
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "test.jsonl").write_text(lines(SUM))
    before = planned("folder").items["gsm8k"].key
    (tmp_path / "folder" / "test.jsonl").write_text(lines(SUM, COIN))
    assert planned("folder").items["gsm8k"].key != before


def test_a_hub_dataset_that_is_not_here_says_how_to_fetch_it(hub):
    for named in (f"someone/else@{REVISION}", f"someone/sums@{'f' * 40}", f"someone/sums@{REVISION}#gone.parquet"):
        with pytest.raises(MachineError, match="hf download someone/"):
            items("gsm8k", named)


@pytest.mark.parametrize("revision", ["main", "", "0123abc", REVISION.upper()])
def test_a_hub_dataset_needs_a_pinned_commit(hub, revision):
    with pytest.raises(StudyError, match="needs a pinned revision"):
        items("gsm8k", f"someone/sums@{revision}")
    with pytest.raises(DataError, match="owner/name@COMMIT"):
        items("gsm8k", "someone/sums")


@pytest.mark.parametrize("inside", ["../../x", "a/../../b", "a/*", "main/--x"])
def test_nothing_outside_a_hub_dataset_is_read(hub, inside):
    with pytest.raises(CodedoseError):
        items("gsm8k", f"someone/sums@{REVISION}#{inside}")


def test_a_folder_without_a_test_split_is_refused(tmp_path):
    with pytest.raises(DataError, match="holds no file"):
        items("gsm8k", tmp_path)
    for name in ("train.jsonl", "dev.jsonl"):
        (tmp_path / name).write_text(lines(SUM))
    with pytest.raises(DataError, match="no data file is named as the split 'test'"):
        items("gsm8k", tmp_path)


# ---- what strangers send


def zipped(data: bytes) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        archive.writestr("test.jsonl", data)
    return held.getvalue()


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><x><Problem><Body>&b;</Body></Problem></x>'
OUTSIDE = '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><x><Problem ID="1"><Body>&f;</Body></Problem></x>'
BOMB = (b"1 " + b"a" * 100_000 + b"\n") * 1_100
HOSTILE = [
    (LAUGHS, "declares a document type"),
    (OUTSIDE, "declares a document type"),
    ("<x>" * 60, "deep"),
    (f"<x><Problem><Body>{'a ' * 100_000}", "longer than 100,000 characters"),
    ("<x><Problem ID='1'><Body>Q", "is not XML"),
    ("<x></y>", "is not XML"),
    (lines({"id": "a", "question": "Q" * 10_000_000, "answer": "1"}), "question is longer than 100,000"),
    (lines({"id": "a", "question": "Q?", "answer": None}), "line 1: answer is missing or empty"),
    (lines({"ID": "a", "Body": "B.", "Question": "Q?", "Answer": None}), "line 1: answer is missing or empty"),
    (lines({"id": "a", "question": "Q?", "answer": ["1"]}), "line 1: answer is missing or empty"),
    (lines({"iIndex": 1, "sQuestion": "Q?", "lSolutions": [1, 2]}), "line 1: answer is missing or empty"),
    (lines({"story": "s", "query": "?", "target_text": "aunt"}), "query should name two people"),
    (json.dumps({"examples": [COIN, 3]}), "record 2: is not a JSON object"),
    (lines({"text": "x", "meta": 1}), "has the fields text, meta, which no known release has"),
    (lines(SUM, {**SUM, "id": "line 1"}), "stands already in line 1"),
    ("question,answer\nQ?,3,4\n", "record 1: has another number of fields"),
    (f"question,answer\n{'x' * 2_000_000}", "longer than 1,000,000"),
    ('question,answer\n"Q?', "no CSV table"),
    ("1 Mice are afraid of cats.\nno number here\n", "line 2: does not begin with its number"),
    ("1 Mice are afraid of cats.\n", "holds no items"),
    (zipped(b"{}"), "is a zip archive"),
    (gzip.compress(BOMB), "unpacks to more than 50 times"),
    (zstandard.compress(BOMB), "unpacks to more than 50 times"),
    (gzip.compress(lines(SUM).encode() * 500)[:200], "cut off|lost"),
    (gzip.compress(BABI.encode() * 500)[:120], "cut off"),
    (b"PAR1" + b"\0" * 100, "damaged Parquet"),
    (b"\x80\x04 pickle", "pickle"),
    (b"\0\1\2\3" * 100, "binary"),
    (b'{"id": "a", "question": "Q\xff?", "answer": "1"}\n', "not UTF-8"),
]


@pytest.mark.parametrize(("data", "said"), HOSTILE, ids=[str(number) for number in range(len(HOSTILE))])
def test_a_hostile_file_ends_in_one_sentence_that_names_it(tmp_path, data, said):
    path = tmp_path / "items.bin"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    with pytest.raises(DataError, match=said) as problem:
        items("gsm8k", path)
    assert str(problem.value).startswith(f"{path}: ")
    assert len(str(problem.value)) < 600


@given(st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
@settings(max_examples=200)
def test_no_bytes_raise_anything_else(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "items"
    path.write_bytes(data)
    try:
        read_entries(path)
    except DataError:
        return


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["id", "question", "answer", "story", "query", "target_text", "options", "context", "Body"]
                ),
                inner,
            )
        ),
    )
)
@settings(max_examples=100)
def test_no_record_raises_anything_else(record):
    try:
        entry = entry_of(record, "line 1")
    except DataError:
        return
    assert min(len(entry.question.strip()), len(entry.answer.strip())) > 0


def test_long_lines_of_babi_take_time_in_proportion():
    with pytest.raises(DataError, match="line 1"):
        list(babi_entries(iter(["1" * 100_000 + " a\n"])))
    told = list(babi_entries(f"{number} {'Mice are small. ' * 5}\n" for number in range(1, 2_000)))
    assert told == []


def test_names_that_are_no_paths_are_refused():
    for named in ("a\0b", "x" * 5_000, "nowhere.jsonl", "a/b@c@d"):
        with pytest.raises(CodedoseError, match=re.escape(named[:10].replace("\0", r"\x00"))):
            read_entries(named)
