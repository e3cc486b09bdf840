"""Arms as files for other tools: the same conversations, in the order of slots, and nothing that a tool would drop."""

import json
import tempfile
from pathlib import Path

import polars as pl
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from codedose import tables
from codedose.errors import DataError
from codedose.mix.export import TOOLS, export
from codedose.pool.read import read
from codedose.study import Source

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
said = st.lists(st.tuples(words, words), min_size=1, max_size=3)


def draws(conversations: list[list[tuple[str, str]]], arms: tuple[str, ...] = ("Code", "General")) -> pl.DataFrame:
    rows = [
        {
            "arm": arm,
            "draw": 0,
            "slot": slot,
            "step": None,
            "example_id": f"{slot}",
            "copy": 0,
            "label": "other",
            "messages": [
                {"role": role, "content": text}
                for pair in talk
                for role, text in zip(("user", "assistant"), pair, strict=True)
            ],
            "tokens": 10,
            "loss_tokens": 5,
        }
        for arm in arms
        for slot, talk in enumerate(conversations)
    ]
    return tables.DRAWS.frame(rows)


@given(st.lists(said, min_size=1, max_size=5), st.sampled_from(TOOLS))
@settings(max_examples=40)
def test_every_tool_gets_the_same_conversations_in_the_order_of_slots(conversations, tool):
    frame = draws(conversations)
    with tempfile.TemporaryDirectory() as folder:
        files = export(frame.sample(fraction=1, shuffle=True, seed=1), Path(folder), tool=tool)
        assert {file.stem for file in files} == {"code-draw0", "general-draw0"}
        for file in files:
            rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
            assert [row["messages"] for row in rows] == frame.filter(arm="Code")["messages"].to_list()
            beside = pl.read_ndjson(file.with_suffix(".slots.jsonl"))
            assert beside["slot"].to_list() == list(range(len(conversations)))


def test_our_own_reader_reads_them_back(tmp_path):
    frame = draws([[("Why?", "So.")], [("a\u2028b", "c"), ("d", "```\nx\n```")]])
    for tool in TOOLS:
        file, _ = export(frame, tmp_path / tool, tool=tool)
        found = list(read(Source(path=str(file), revision=None, licence="none"), folder=tmp_path, join=False))
        assert [[(m["role"], m["content"]) for m in reading.messages] for reading in found] == [
            [(m["role"], m["content"]) for m in messages] for messages in frame.filter(arm="Code")["messages"]
        ]


def test_what_each_tool_needs_beside_the_rows_is_there(tmp_path):
    frame = draws([[("Why?", "So.")]], ("Half-half", "half half"))
    export(frame, tmp_path / "l", tool="llama-factory")
    told = json.loads((tmp_path / "l" / "dataset_info.json").read_text())
    assert {entry["file_name"] for entry in told.values()} == {"half-half-draw0.jsonl", "half-half-2-draw0.jsonl"}
    assert all((tmp_path / "l" / entry["file_name"]).is_file() for entry in told.values())
    assert {entry["formatting"] for entry in told.values()} == {"sharegpt"}
    export(frame, tmp_path / "a", tool="axolotl")
    told = yaml.safe_load((tmp_path / "a" / "half-half-draw0.yaml").read_text())
    assert told["datasets"][0]["path"] == "half-half-draw0.jsonl"
    assert told["excess_length_strategy"] == "truncate"
    assert told["shuffle_merged_datasets"] is False
    for tool in TOOLS:
        assert "half-half-draw0.jsonl" in export(frame, tmp_path / tool, tool=tool)[0].name
        assert "| Half-half | 0 | 1 | 10 |" in (tmp_path / tool / "README.md").read_text()


def test_steps_that_a_tool_cannot_keep_are_said(tmp_path):
    frame = draws([[("Why?", "So.")]]).with_columns(step=pl.lit(0, pl.Int64))
    export(frame, tmp_path, tool="trl")
    assert "its steps will not be these" in (tmp_path / "README.md").read_text()


def test_what_a_tool_would_drop_is_refused(tmp_path):
    asked = draws([[("Why?", "So.")]]).with_columns(pl.col("messages").list.head(1))
    with pytest.raises(DataError, match="the example 0 is not requests and replies by turns"):
        export(asked, tmp_path, tool="llama-factory")
    with pytest.raises(DataError, match="is none of the tools: trl, axolotl, llama-factory"):
        export(asked, tmp_path, tool="torchtune")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        export(draws([[("Why?", "So.")]]), tmp_path / "file", tool="trl")
