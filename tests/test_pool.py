"""Sources -> the pool: every record accounted for, each conversation once, whatever the order and the processes."""

import json
import random
from pathlib import Path

import polars as pl
import pytest
from conftest import SMALL, changed
from hypothesis import given, settings
from hypothesis import strategies as st

from codedose import tables
from codedose.errors import DataError
from codedose.pool import build as building
from codedose.pool.build import DUPLICATE, NEAR_DUPLICATE, build, leave_out
from codedose.study import Cleaning, Source

Tables = dict[str, pl.DataFrame]
PUBLISHED = (tables.EXAMPLES, tables.DROPS, tables.REPAIRS, tables.SOURCES)
PROSE = (
    "The tram left the harbour at six, and nobody on board knew that the bridge had been closed since noon, "
    "so the driver turned back twice before a fisherman waved him on along the old road by the water"
)


def rules(**changes: object) -> Cleaning:
    clean = changed(SMALL, {f"pool.clean.{key}": value for key, value in changes.items()})["pool"]["clean"]
    return Cleaning.model_validate_json(json.dumps(clean))


def talk(question: str, reply: str, **more: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": reply}], **more}


def made(folder: Path, files: dict[str, list[object]], *, processes: int = 1, **changes: object) -> Tables:
    """The tables of a pool made of these files."""
    for name, rows in files.items():
        (folder / name).write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    sources = [Source(path=name, revision=None, licence=f"of {name}") for name in files]
    out = folder / f"out-{random.random()}"
    build(sources, rules(**changes), out=out, folder=folder, processes=processes)
    return {table.name: tables.read(out / f"{table.name}.parquet", table) for table in PUBLISHED}


def is_accounted_for(found: Tables) -> bool:
    counts = found["sources"].select(pl.col("records", "conversations", "joined", "unread").sum()).row(0, named=True)
    records = counts["conversations"] + counts["joined"] + counts["unread"]
    kept_or_dropped = found["examples"].height + found["drops"].height
    return counts["records"] == records and kept_or_dropped == counts["conversations"] + counts["unread"]


def test_the_pool_does_not_depend_on_the_order_of_its_input(tmp_path):
    first = [talk("q", "a"), talk("q ", "a", label="math"), talk("w", "b", id="x"), talk("", "b"), talk("v", "c" * 200)]
    second = [
        talk("q", "a\r\n"),
        talk("w", "b"),
        talk("z", "d", label="other"),
        talk("n", PROSE),
        talk("n", PROSE[:-4]),
    ]
    wanted = None
    for seed in range(6):
        rng = random.Random(seed)
        files = [("one.jsonl", rng.sample(first, len(first))), ("two.jsonl", rng.sample(second, len(second)))]
        rng.shuffle(files)
        found = made(tmp_path, dict(files), longest=250)
        assert is_accounted_for(found)
        kept = found["examples"].drop("position", "conversation_id").sort("example_id")
        wanted = kept if wanted is None else wanted
        assert kept.equals(wanted)
    reasons = dict(found["drops"].group_by("reason").len().iter_rows())
    assert (reasons.pop(DUPLICATE), reasons.pop(NEAR_DUPLICATE)) == (3, 1)
    assert sum(reasons.values()) == 1  # nobody asked
    assert sorted(wanted["stated_label"].drop_nulls()) == ["math", "other"]
    assert PROSE in wanted["messages"].explode().struct.field("content").to_list()  # the longer of the two stays


rows = st.one_of(
    st.builds(talk, st.text(max_size=20), st.text(max_size=20)),
    st.builds(talk, st.sampled_from(["q", "w"]), st.sampled_from(["a", "b"])),
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3), max_leaves=5
    ),
    st.fixed_dictionaries(
        {"conversations": st.lists(st.fixed_dictionaries({"from": st.text(max_size=5)}), max_size=3)}
    ),
)


@settings(max_examples=50)
@given(st.lists(rows, min_size=1, max_size=12))
def test_every_record_is_in_examples_or_in_drops_or_in_another_one(tmp_path_factory, found):
    folder = tmp_path_factory.mktemp("any")
    try:
        assert is_accounted_for(made(folder, {"one.jsonl": [*found, talk("surely", "kept")]}))
    except DataError as problem:
        assert "one.jsonl" in str(problem)  # noqa: PT017 - a file without any conversation is the other way out


def test_the_number_of_processes_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(building, "BATCH", 5_000)
    talks = [talk(f"question {n % 37}", f"{n % 37} {PROSE} {'x' * (n % 23)}", id=str(n)) for n in range(200)]
    alone, together = (made(tmp_path, {"one.jsonl": talks}, processes=count, longest=900) for count in (1, 2))
    assert is_accounted_for(alone)
    assert all(alone[name].equals(together[name]) for name in alone)


def test_near_duplicates_stay_where_the_study_says_so(tmp_path):
    talks = {"one.jsonl": [talk("n", PROSE), talk("n", PROSE[:-4])]}
    assert made(tmp_path, talks)["examples"].height == 1
    assert made(tmp_path, talks, near_duplicates=None)["examples"].height == 2


def test_conversations_that_become_equal_by_cleaning_are_duplicates(tmp_path):
    lead = {"messages": [{"role": "assistant", "content": "lead"}, *talk("q", "a")["messages"]]}
    found = made(tmp_path, {"one.jsonl": [talk("q", "a"), lead]})
    assert (found["examples"].height, found["drops"].height) == (1, 1)
    assert found["repairs"]["count"].to_list() == [1]


def test_an_empty_pool_says_why_and_leaves_nothing_behind(tmp_path):
    with pytest.raises(DataError, match=r"the pool is empty: 2 empty or one-sided.*add a source"):
        made(tmp_path, {"one.jsonl": [talk("", "a"), talk("b", "")]})
    assert not list(tmp_path.glob("out-*/*"))


def test_sources_keep_their_licences_and_formats(tmp_path):
    found = made(tmp_path, {"one.jsonl": [talk("q", "a")], "two.jsonl": [talk("w", "b")]})
    assert set(found["examples"].select("source", "licence").iter_rows()) == {
        ("one.jsonl", "of one.jsonl"),
        ("two.jsonl", "of two.jsonl"),
    }
    assert set(found["sources"]["format"]) == {"OpenAI messages, JSON lines"}


def test_what_contains_benchmark_items_is_left_out_with_their_tasks(tmp_path):
    (tmp_path / "one.jsonl").write_text("\n".join(json.dumps(talk(f"q{n}", f"a{n}", id=f"c{n}")) for n in range(4)))
    build([Source(path="one.jsonl", revision=None, licence="x")], rules(), out=tmp_path / "out", folder=tmp_path)
    before = tables.read(tmp_path / "out" / "examples.parquet", tables.EXAMPLES)
    gone = before.filter(pl.col("conversation_id").is_in(["c1", "c2"]))["example_id"]
    found = {"origin": "official", "match": "whole", "coverage": 1.0}
    leaks = [
        {"example_id": name, "task": task, "item_id": task, **found} for name in gone for task in ("svamp", "gsm8k")
    ]
    leave_out(tmp_path / "out", tables.LEAKS.frame(leaks))
    after = tables.read(tmp_path / "out" / "examples.parquet", tables.EXAMPLES)
    drops = tables.read(tmp_path / "out" / "drops.parquet", tables.DROPS)
    assert after["conversation_id"].to_list() == ["c0", "c3"]
    assert drops["reference"].to_list() == ["c1", "c2"]
    assert set(drops["reason"]) == {"contains benchmark items of gsm8k, svamp"}
