"""What a source names leads to data files, never to scripts or pickles, or to a sentence that says what to mend."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from codedose.errors import CodedoseError, DataError, MachineError, StudyError
from codedose.pool.catalogue import look_up
from codedose.pool.layout import Layout
from codedose.pool.read import Reading, read
from codedose.study import Source

REVISION = "0123456789abcdef0123456789abcdef01234567"
HELLO = [("user", "hello"), ("assistant", "hi")]
RECORD = json.dumps({"prompt": "hello", "completion": "hi"})


def source(path: str, revision: str | None = None) -> Source:
    return Source(path=path, revision=revision, licence="MIT")


def names(path: str, folder: Path, revision: str | None = None) -> tuple[list[str], list[str]]:
    found = look_up(source(path, revision), folder=folder)
    return [name for name, _ in found.files], list(found.left_out)


def said(readings: list[Reading]) -> list[list[tuple[str, str]]]:
    return [[(m["role"], m["content"]) for m in reading.messages] for reading in readings]


def write(folder: Path, *files: str) -> None:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(RECORD)


# --- files and folders


def test_a_folder_holds_data_files_only(tmp_path):
    data = ["a.jsonl", "b/c.json.gz", "b/d.parquet", "data-00000-of-00002.arrow", "z.ndjson.zst"]
    aside = ["README.md", "load.py", "x.pkl", "x.bin", "dataset_info.json", "state.json", "cache-1.arrow", "w.tar.gz"]
    write(tmp_path, *data, *aside, ".cache/e.json", ".hidden.json")
    assert names(".", tmp_path) == (sorted(data), [])


def test_the_held_out_splits_of_a_folder_are_left_out_and_named(tmp_path):
    train = ["data/train-00000-of-00001.parquet", "extra.jsonl", "train_sft.json"]
    held_out = ["data/test-0.parquet", "dev.json", "eval/a.jsonl", "validation_sft.json"]
    write(tmp_path, *train, *held_out)
    assert names(".", tmp_path) == (train, held_out)


def test_a_folder_without_a_training_split_is_read_whole(tmp_path):
    write(tmp_path, "test.json", "latest.json", "contest.json")
    assert names(".", tmp_path) == (["contest.json", "latest.json", "test.json"], [])


def unchecked(path: str, revision: str | None = None) -> Source:
    """A source with a path that a study file could not hold."""
    return source("a").model_copy(update={"path": path, "revision": revision})


def test_places_without_data_are_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.jsonl: there is no such file"):
        look_up(source("nowhere.jsonl"), folder=tmp_path)
    with pytest.raises(DataError, match="a hub dataset needs its revision"):
        look_up(source("someone/talks"), folder=Path())
    with pytest.raises(DataError, match="cannot be read"):
        look_up(unchecked("x" * 300), folder=tmp_path)
    with pytest.raises(DataError, match="holds no file that ends in"):
        look_up(source("."), folder=tmp_path)
    with pytest.raises(StudyError, match="is no path"):
        look_up(unchecked("a\0b"), folder=tmp_path)


@given(st.text(max_size=30), st.none() | st.text(max_size=5))
@example("\0", None)
def test_no_name_raises_anything_else(path, revision):
    try:
        look_up(unchecked(path, revision), folder=Path("/nowhere"))
    except CodedoseError:
        return


# --- dataset_info.json


def described(folder: Path, entry: Any, *rows: Any) -> list[Reading]:
    (folder / "dataset_info.json").write_text(json.dumps({"mine": entry, "other": {}}))
    (folder / "talks.json").write_text(json.dumps(rows))
    return list(read(source("dataset_info.json#mine"), folder=folder, join=True))


@pytest.mark.parametrize(
    ("entry", "record", "expected"),
    [
        ({}, {"instruction": "hello", "output": "hi"}, HELLO),
        ({"columns": {"prompt": "q", "response": "a"}}, {"q": "hello", "a": "hi", "output": "no"}, HELLO),
        (
            {"columns": {"prompt": "q", "query": "more", "response": "a", "system": "s", "history": "h"}},
            {"q": "hel", "more": "lo", "a": "hi", "s": "Be brief.", "h": [["a", "b"]]},
            [("system", "Be brief."), ("user", "a"), ("assistant", "b"), ("user", "hel\n\nlo"), ("assistant", "hi")],
        ),
        (
            {"formatting": "sharegpt"},
            {"conversations": [{"from": "human", "value": "hello"}, {"from": "gpt", "value": "hi"}]},
            HELLO,
        ),
        (
            {
                "formatting": "sharegpt",
                "columns": {"messages": "talk", "system": "rules"},
                "tags": {"role_tag": "who", "content_tag": "what", "user_tag": "me", "assistant_tag": "it"},
            },
            {"talk": [{"who": "me", "what": "hello"}, {"who": "it", "what": "hi"}], "rules": "Be brief."},
            [("system", "Be brief."), *HELLO],
        ),
        (
            {"formatting": "sharegpt", "ranking": True},
            {
                "conversations": [{"from": "human", "value": "hello"}],
                "chosen": {"from": "gpt", "value": "hi"},
                "rejected": {"from": "gpt", "value": "go away"},
            },
            HELLO,
        ),
        ({"ranking": True}, {"instruction": "hello", "chosen": "hi", "rejected": "go away"}, HELLO),
    ],
)
def test_an_entry_says_what_its_columns_are_called(tmp_path, entry, record, expected):
    assert said(described(tmp_path, {"file_name": "talks.json", **entry}, record)) == [expected]


def test_tools_of_an_entry_are_known_by_its_tags(tmp_path):
    entry = {"file_name": "talks.json", "formatting": "sharegpt", "tags": {"function_tag": "call"}}
    human = {"from": "human", "value": "hello"}
    whole, tools = described(
        tmp_path,
        entry,
        {"conversations": [human, {"from": "gpt", "value": "hi"}]},
        {"conversations": [human, {"from": "call", "value": "f()"}]},
    )
    assert said([whole]) == [HELLO]
    assert tools.problem == "uses tools: a turn has the role 'function_call'"


def test_columns_of_an_entry_are_read_from_parquet(tmp_path):
    import polars as pl

    pl.DataFrame({"q": ["hello"], "a": ["hi"], "image": [b"1"]}).write_parquet(tmp_path / "talks.parquet")
    entry = {"file_name": "talks.parquet", "columns": {"prompt": "q", "response": "a"}}
    assert said(described(tmp_path, entry)) == [HELLO]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ([], "is not a mapping"),
        ({}, "names no data"),
        ({"file_name": 3}, "its file_name should be text"),
        ({"file_name": "gone.json"}, r"gone\.json: there is no such file"),
        ({"script_url": "x", "file_name": "talks.json"}, "made by a script, which is never run"),
        ({"ms_hub_url": "a/b"}, "ModelScope hub; fetch it"),
        ({"file_name": "talks.json", "formatting": "vicuna"}, "the formatting 'vicuna'"),
        ({"file_name": "talks.json", "columns": ["a"]}, "its columns should say"),
        ({"file_name": "talks.json", "tags": {"role_tag": None}}, "its tags should say"),
        ({"file_name": "talks.json", "num_samples": 5}, "num_samples"),
        ({"file_name": "talks.json", "columns": {"kto_tag": "good"}}, "kto_tag"),
        ({"file_name": "talks.json", "split": "test"}, None),
    ],
)
def test_an_entry_that_cannot_be_read_is_refused_by_name(tmp_path, entry, words):
    if words is None:  # a split is asked of folders, not of a file that is named
        assert described(tmp_path, entry, json.loads(RECORD))
        return
    with pytest.raises(DataError, match=words):
        described(tmp_path, entry, json.loads(RECORD))


def test_an_entry_that_is_not_there_says_which_are(tmp_path):
    (tmp_path / "dataset_info.json").write_text('{"one": {}, "two": {}}')
    for name in ("dataset_info.json", "dataset_info.json#three"):
        with pytest.raises(DataError, match="with one of: one, two"):
            look_up(source(name), folder=tmp_path)
    for broken in ("", "{", "[]", "[" * 100_000, '{"a": NaN'):
        (tmp_path / "dataset_info.json").write_text(broken)
        with pytest.raises(DataError, match="LLaMA-Factory"):
            look_up(source("dataset_info.json#one"), folder=tmp_path)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["from", "value", "a"]), inner),
    max_leaves=5,
)
columns = st.dictionaries(
    st.sampled_from(["prompt", "query", "response", "messages", "system", "history", "chosen", "rejected"]),
    st.sampled_from(["a", "b", "c", "conversations"]),
)
entries = st.fixed_dictionaries(
    {"file_name": st.just("talks.json")},
    optional={
        "formatting": st.sampled_from(["alpaca", "sharegpt"]),
        "columns": columns | values,
        "tags": st.dictionaries(st.sampled_from(["role_tag", "content_tag", "user_tag"]), st.just("a")) | values,
        "ranking": st.booleans(),
        "split": values,
        "hf_hub_url": values,
    },
)


@given(entries, st.lists(st.dictionaries(st.sampled_from(["a", "b", "c", "conversations"]), values), max_size=3))
def test_no_entry_raises_anything_else(tmp_path_factory, entry, rows):
    try:
        readings = described(tmp_path_factory.mktemp("entry"), entry, *rows)
    except CodedoseError:
        return
    assert len(readings) + sum(r.joined for r in readings) == len(rows)


# --- the hub


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A huggingface cache that holds one revision of someone/talks, and a hub that is switched off."""
    cache = tmp_path / "hub"
    home = cache / "datasets--someone--talks"
    blobs, snapshot = home / "blobs", home / "snapshots" / REVISION
    blobs.mkdir(parents=True)
    for number, file in enumerate(
        ["README.md", "talks.py", "data/train-0.jsonl", "data/test-0.jsonl", "old/v1.json", "dataset_infos.json"]
    ):
        (blobs / str(number)).write_text(RECORD)
        (snapshot / file).parent.mkdir(parents=True, exist_ok=True)
        (snapshot / file).symlink_to(os.path.relpath(blobs / str(number), (snapshot / file).parent))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return snapshot


class TestHub:
    """A hub dataset id at a pinned revision."""

    def test_is_found_in_the_huggingface_cache(self, hub: Path):
        assert names("someone/talks", Path(), REVISION) == (
            ["data/train-0.jsonl", "old/v1.json"],
            ["data/test-0.jsonl"],
        )
        readings = list(read(source("someone/talks", REVISION), folder=Path(), join=True))
        assert said(readings) == [HELLO, HELLO]
        assert readings[0].source == "someone/talks"

    def test_a_path_inside_it_is_read_alone(self, hub: Path):
        assert names("someone/talks/old", Path(), REVISION) == (["v1.json"], [])
        assert names("someone/talks/data/test-0.jsonl", Path(), REVISION) == (["test-0.jsonl"], [])

    def test_a_local_copy_of_it_is_a_folder(self, hub: Path):
        assert names(str(hub), Path()) == names("someone/talks", Path(), REVISION)

    def test_an_entry_may_name_it(self, hub: Path, tmp_path: Path):
        entries = {"a": {"hf_hub_url": "someone/talks", "split": "test"}, "b": {"hf_hub_url": "someone/talks"}}
        (tmp_path / "dataset_info.json").write_text(json.dumps(entries))
        assert names("dataset_info.json#a", tmp_path, REVISION)[0] == ["data/test-0.jsonl"]
        with pytest.raises(StudyError, match="needs a pinned revision"):
            names("dataset_info.json#b", tmp_path, None)

    @pytest.mark.parametrize(
        ("path", "revision"),
        [("someone/else", REVISION), ("someone/talks", "f" * 40), ("someone/talks/gone", REVISION)],
    )
    def test_that_is_not_here_says_how_to_fetch_it(self, hub: Path, path: str, revision: str):
        with pytest.raises(MachineError) as problem:
            look_up(source(path, revision), folder=Path())
        fetch = f"hf download {'/'.join(path.split('/')[:2])} --repo-type dataset --revision {revision}"
        assert fetch in str(problem.value)

    @pytest.mark.parametrize("revision", ["main", "0123abc", REVISION.upper()])
    def test_needs_a_pinned_revision(self, hub: Path, revision: str):
        with pytest.raises(StudyError, match="needs a pinned revision"):
            look_up(source("someone/talks", revision), folder=Path())

    @pytest.mark.parametrize(
        "path", ["talks", "../up", "someone/../up", "someone/talks/../../x", "a/b/*", "some--one/x"]
    )
    def test_must_look_like_one(self, hub: Path, path: str):
        with pytest.raises(StudyError, match="not a hub dataset id"):
            look_up(source(path, REVISION), folder=Path())


def test_a_layout_leaves_what_is_no_mapping_alone():
    layout = Layout("alpaca", {"prompt": "q", "response": "a"})
    assert [layout.rearranged(value) for value in (None, 3, [1])] == [None, 3, [1]]
