"""Every record of every format ends as a conversation or with its reason; no bytes bring anything else about."""

import gzip
import io
import json
import random
import tempfile
import tracemalloc
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import ipc

from codedose.errors import DataError
from codedose.files import columnar, records, unpack
from codedose.pool.read import Reading, example_id, normalised, read
from codedose.pool.shapes import detect
from codedose.study import Source

SHARED = Path(__file__).parents[2] / "shared" / "data" / "ift"
TALK = [
    ("user", "Which tree is tallest?"),
    ("assistant", "The coast redwood."),
    ("user", "Why?"),
    ("assistant", "Fog."),
]
TURNS = [{"role": role, "content": content} for role, content in TALK]
HELLO = [("user", "hello"), ("assistant", "hi")]
SHAREGPT = {"id": "a_0", "conversations": [{"from": "human", "value": "hello"}, {"from": "gpt", "value": "hi"}]}
OPENAI = {"id": "b", "messages": TURNS, "label": "other"}
ALPACA = {"instruction": "Add them.", "input": "2 and 3", "output": "5"}
ROWS = [
    {
        "id": f"é{n}",
        "conversations": [{"from": "human", "value": "ask " * n}, {"from": "gpt", "value": f'{{"id": {n}}}\n😀'}],
    }
    for n in range(12)
]


def lines_of(*rows: object) -> bytes:
    return "\n".join(json.dumps(row) for row in rows).encode()


def readings_of(path: Path, *, join: bool = False) -> list[Reading]:
    return list(read(Source(path=str(path), revision=None, licence="MIT"), folder=Path(), join=join))


def read_one(folder: Path, data: bytes, name: str = "pool.jsonl") -> list[Reading]:
    (folder / name).write_bytes(data)
    return readings_of(folder / name)


def through_file(data: bytes) -> list[Reading]:
    with tempfile.TemporaryDirectory() as folder:
        return read_one(Path(folder), data)


def said(readings: list[Reading]) -> list[list[tuple[str, str]]]:
    return [[(m["role"], m["content"]) for m in reading.messages] for reading in readings if not reading.problem]


def parquet(rows: list[Any], **options: Any) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows), out, **options)
    return out.getvalue()


def arrow(rows: list[Any], *, stream: bool = False, size: int = 5) -> bytes:
    out, table = io.BytesIO(), pa.Table.from_pylist(rows)
    with (ipc.new_stream if stream else ipc.new_file)(out, table.schema) as writer:
        writer.write_table(table, max_chunksize=size)
    return out.getvalue()


# --- shapes


@pytest.mark.parametrize(
    ("record", "shape", "expected"),
    [
        (SHAREGPT, "ShareGPT", HELLO),
        ({"items": SHAREGPT["conversations"]}, "ShareGPT", HELLO),
        ({"conversations": TURNS}, "ShareGPT", TALK),
        (
            {"conversations": SHAREGPT["conversations"], "system": "Be brief."},
            "ShareGPT",
            [("system", "Be brief."), *HELLO],
        ),
        (OPENAI, "OpenAI messages", TALK),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]},
            "OpenAI messages",
            [("user", "a\nb")],
        ),
        (ALPACA, "Alpaca", [("user", "Add them.\n\n2 and 3"), ("assistant", "5")]),
        (
            {
                "instruction": "And now?",
                "response": "7",
                "system": "Be brief.",
                "history": [["1+1", "2"], ["2+2", "4"]],
            },
            "Alpaca",
            [
                ("system", "Be brief."),
                *[("user", "1+1"), ("assistant", "2"), ("user", "2+2"), ("assistant", "4")],
                *[("user", "And now?"), ("assistant", "7")],
            ],
        ),
        ({"prompt": "hello", "completion": "hi"}, "prompt and completion", HELLO),
        (
            {"system_prompt": "s", "question": "hello", "response": "hi"},
            "prompt and completion",
            [("system", "s"), *HELLO],
        ),
        ({"prompt": TURNS[:1], "completion": TURNS[1:2]}, "prompt and completion", TALK[:2]),
        ({"prompt": TALK[0][1], "chosen": TURNS[:2], "rejected": TURNS[:1]}, "prompt and completion", TALK[:2]),
    ],
)
def test_every_shape_gives_its_turns(tmp_path, record, shape, expected):
    assert detect(record) == shape
    (reading,) = read_one(tmp_path, lines_of(record))
    assert said([reading]) == [expected]
    assert reading.format == f"{shape}, JSON lines"


@pytest.mark.parametrize("role", ["gpt", "assistant", "chatgpt", "bing", "bard", "GPT"])
def test_every_spelling_of_a_role_is_known(tmp_path, role):
    turns = [{"from": "system", "value": "s"}, {"from": "human", "value": "q"}, {"from": role, "value": "a"}]
    assert said(read_one(tmp_path, lines_of({"conversations": turns}))) == [
        [("system", "s"), ("user", "q"), ("assistant", "a")]
    ]


@pytest.mark.parametrize("role", ["tool", "function", "observation", "function_call", "function-response", "Tool"])
def test_tool_roles_are_kept_out_by_name(tmp_path, role):
    turns = [*SHAREGPT["conversations"], {"from": role, "value": "42"}]
    _, reading = read_one(tmp_path, lines_of(OPENAI, {"conversations": turns}))
    assert reading.problem == f"uses tools: a turn has the role '{role}'"
    assert not reading.messages


def test_a_call_of_a_tool_is_a_use_of_tools(tmp_path):
    turn = {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f"}}]}
    _, reading = read_one(tmp_path, lines_of(OPENAI, {"messages": [*TURNS, turn]}))
    assert reading.problem == "uses tools: a turn calls one"


def test_a_tree_gives_its_best_ranked_path(tmp_path):
    def node(role: str, text: str, replies: list[Any], **more: Any) -> dict[str, Any]:
        return {"role": role, "text": text, "replies": replies, **more}

    good = node("assistant", "good", [node("prompter", "silence", []), node("prompter", "more?", [])], rank=1)
    good["replies"][1]["replies"] = [node("assistant", "yes", [], rank=None)]
    others = [
        node("assistant", "unranked", []),
        node("assistant", "worse", [], rank=2),
        node("assistant", "deleted", [], rank=0, deleted=True),
        node("assistant", "turned down", [], rank=0, review_result=False),
    ]
    tree = {"message_tree_id": "t", "prompt": node("prompter", "Why?", [*others, good])}
    (reading,) = read_one(tmp_path, lines_of(tree))
    assert said([reading]) == [[("user", "Why?"), ("assistant", "good"), ("user", "more?"), ("assistant", "yes")]]
    assert (reading.reference, reading.format) == ("t", "OpenAssistant tree, JSON lines")


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data sets are not here")
@pytest.mark.parametrize(
    ("name", "shape", "whole", "records"),
    [
        ("oasst_en_100_tree", "OpenAssistant tree", 100, 100),
        ("glaive_toolcall_en_demo", "ShareGPT", 147, 300),
        ("lima", "Alpaca", 1029, 1029),
        ("gpteacher_codegen", "Alpaca", 4535, 4535),
    ],
)
def test_published_sets_are_read(name, shape, whole, records):
    readings = readings_of(SHARED / f"{name}.jsonl.gz")
    assert {reading.format for reading in readings} == {f"{shape}, JSON lines, gz"}
    assert (len(said(readings)), len(readings)) == (whole, records)
    assert all("uses tools" in reading.problem for reading in readings if reading.problem)


# --- containers


def test_containers_change_nothing(tmp_path):
    """JSON array, JSON lines, gz, zst (also of two frames), Parquet and Arrow hold the same conversations."""
    plain = lines_of(*ROWS)
    pretty = json.dumps(ROWS, indent=1, ensure_ascii=False).encode()
    cut = plain.index(b"\n") + 5
    for data, container in (
        (plain, "JSON lines"),
        (pretty, "JSON array"),
        (b"\n\n " + json.dumps(ROWS).encode(), "JSON array"),
        (b"\xef\xbb\xbf" + plain, "JSON lines"),
        (b"\n \n" + plain.replace(b"\n", b"\r\n\r\n"), "JSON lines"),
        ("\n".join(json.dumps(row, indent=2) for row in ROWS).encode(), "JSON values"),
        (gzip.compress(plain), "JSON lines, gz"),
        (gzip.compress(plain[:cut]) + gzip.compress(plain[cut:]) + bytes(512), "JSON lines, gz"),
        (zstandard.compress(pretty), "JSON array, zst"),
        (zstandard.compress(plain[:cut]) + zstandard.compress(plain[cut:]), "JSON lines, zst"),
        (parquet(ROWS, row_group_size=5), "Parquet"),
        (arrow(ROWS), "Arrow"),
        (arrow(ROWS, stream=True), "Arrow stream"),
    ):
        readings = read_one(tmp_path, data)
        assert {reading.format for reading in readings} == {f"ShareGPT, {container}"}
        assert [reading.reference for reading in readings] == [row["id"] for row in ROWS]
        assert said(readings) == [[("user", "ask " * n), ("assistant", f'{{"id": {n}}}\n😀')] for n in range(12)]


def test_one_record_over_many_lines_is_read(tmp_path):
    (reading,) = read_one(tmp_path, json.dumps(OPENAI, indent=2).encode())
    assert said([reading]) == [TALK]


def test_a_reading_says_where_it_comes_from(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.jsonl").write_bytes(lines_of(SHAREGPT, ALPACA))
    (tmp_path / "deep" / "b.json").write_bytes(json.dumps([ALPACA, OPENAI]).encode())
    readings = readings_of(tmp_path)
    assert [r.position for r in readings] == [0, 1, 2, 3]
    assert [r.reference for r in readings] == ["a_0", "a.jsonl, line 2", "deep/b.json, record 1", "b"]
    assert [r.label for r in readings] == [None, None, None, "other"]
    assert {(r.source, r.licence) for r in readings} == {(str(tmp_path), "MIT")}


def test_the_built_in_pool_is_read_whole():
    source = Source(path="builtin:starter", revision=None, licence="Apache-2.0")
    readings = list(read(source, folder=Path(), join=True))
    assert all(reading.label and not reading.problem for reading in readings)
    assert len({reading.position for reading in readings}) == len(readings)


@given(st.integers(1, 400), st.sampled_from(["array", "lines", "values"]), st.sampled_from([bytes, gzip.compress]))
@settings(max_examples=40)
def test_where_blocks_end_changes_nothing(block, kind, packed):
    data = {
        "array": json.dumps(ROWS, ensure_ascii=False).encode(),
        "lines": lines_of(*ROWS),
        "values": "\n".join(json.dumps(row, indent=1) for row in ROWS).encode(),
    }[kind]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unpack, "BLOCK", block)
        patch.setattr(unpack, "BITE", block)
        assert [r.reference for r in through_file(packed(data)) if not r.problem] == [row["id"] for row in ROWS]


def test_memory_holds_a_record_not_the_file(tmp_path):
    """20 MB of conversations, as an array and as lines, are read within 12 MB."""
    row = json.dumps({"messages": [{"role": role, "content": f"é{role} " * 500} for role, _ in TALK]})
    (tmp_path / "array.json").write_text("[" + ",\n".join([row] * 1500) + "]")
    (tmp_path / "lines.jsonl").write_text("\n".join([row] * 1500))
    for file in tmp_path.iterdir():
        tracemalloc.start()
        count = sum(
            not r.problem for r in read(Source(path=str(file), revision=None, licence="x"), folder=Path(), join=True)
        )
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert count == 1500
        assert peak < 12_000_000


# --- broken records


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"messages": [', "not one JSON record"),
        (b'{"messages": [{"role": "us', "not one JSON record"),
        (b'{"text": "once upon a time"}', "no known shape (its keys: text)"),
        (b'["a", "b"]', "no known shape (it is a list)"),
        (b"null", "no known shape (it is a NoneType)"),
        (b'{"messages": [{"role": 7, "content": "42"}]}', "the role 7"),
        (b'{"messages": [{"role": null, "content": "42"}]}', "the role None"),
        (b'{"messages": [{"role": "poet\\u202e\\ud800", "content": "42"}]}', "the role 'poet\\u202e\\ud800'"),
        (b'{"messages": [{"role": "user", "content": null}]}', "not text"),
        (b'{"messages": [{"role": "user", "content": NaN}]}', "not text"),
        (b'{"messages": [{"role": "user", "content": {"a": 1}}]}', "not text"),
        (b'{"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}', "not text"),
        (b'{"messages": [null, [null]]}', "not a mapping"),
        (b'{"messages": [{"role": "user", "content": "half a \\ud83d pair"}]}', "not text"),
        (b'{"messages": [{"role": "user", "content": "caf\xe9"}]}', "not text"),
        (b'{"instruction": "x", "output": 3}', "not text"),
        (b'{"instruction": "x", "output": "y", "history": [["only one"]]}', "history"),
        (b'{"instruction": "x", "output": "y", "system": 1}', "system message is not text"),
        (b'{"prompt": {"role": "prompter", "text": "x", "replies": 3}}', "replies"),
        (b"[" * 100_000, "not one JSON record"),
        (b'{"a":' * 100_000, "not one JSON record"),
        (b'{"id": ' + b"9" * 5000 + b', "messages": []}', "not one JSON record"),
    ],
)
def test_one_broken_line_costs_itself_only(tmp_path, line, reason):
    readings = read_one(tmp_path, lines_of(OPENAI) + b"\n" + line + b"\n" + lines_of(SHAREGPT))
    assert [reading.position for reading in readings] == [0, 1, 2]
    assert [bool(reading.problem) for reading in readings] == [False, True, False]
    assert readings[1].reference == "line 2"
    assert reason in readings[1].problem


BREAKS = {
    "a brace too many": lambda text: text + "}",
    "a brace missing": lambda text: text[:-1],
    "a quote missing": lambda text: text.replace('"value"', '"value', 1),
    "a comma missing": lambda text: text.replace(", ", " ", 1),
    "cut in the middle": lambda text: text[: len(text) // 2],
    "cut inside a text": lambda text: text[: text.index("ask") + 2],
    "a bracket too many": lambda text: text.replace("[", "[[", 1),
    "a raw line end in a text": lambda text: text.replace("ask", "a\nk", 1),
    "a number that is none": lambda text: text.replace('"ask', '1.2.3, "ask', 1),
    "nested too deep": lambda text: '{"id": ' + "[" * 5000,
    "words": lambda text: "once upon a time",
}


@pytest.mark.parametrize("broken", BREAKS)
@pytest.mark.parametrize("packed", [bytes, zstandard.compress])
def test_one_broken_record_of_an_array_costs_itself_only(tmp_path, broken, packed):
    texts = [json.dumps(row, ensure_ascii=False) for row in ROWS]
    texts[5] = BREAKS[broken](texts[5])
    readings = read_one(tmp_path, packed(("[" + ",\n ".join(texts) + "]").encode()))
    whole = {reading.reference for reading in readings if not reading.problem}
    assert whole >= {row["id"] for row in ROWS} - {ROWS[5]["id"]}
    (lost,) = (reading.problem for reading in readings if reading.problem)
    assert "bytes are left out, up to the next whole record" in lost


def test_a_text_that_looks_like_a_record_is_not_taken_for_one(tmp_path):
    """Reading goes on after a broken record at the next record, not at one that is quoted inside a text."""
    quoted = json.dumps(ROWS[3])
    rows = [SHAREGPT | {"id": n, "conversations": [{"from": "human", "value": quoted}]} for n in range(3)]
    texts = [json.dumps(row) for row in rows]
    texts[1] = texts[1][:-2]
    readings = read_one(tmp_path, ("[" + ",".join(texts) + "]").encode())
    assert [r.reference for r in readings if not r.problem] == ["0", "2"]


def test_an_array_that_is_broken_everywhere_ends_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "MOST_RETRIES", 1_000_000)
    readings = read_one(tmp_path, b'[{"id":1,"messages":[]},' + b'{"id":{' * 200_000)
    assert len(readings) == 2
    assert "1,400,000 bytes" in readings[1].problem


# --- files that end too early


def cut_readings(data: bytes) -> list[Reading]:
    try:
        return through_file(data)
    except DataError:
        return []


@given(st.data(), st.sampled_from(["array", "pretty", "lines", "gz", "zst"]))
@settings(max_examples=150)
def test_of_a_file_cut_anywhere_all_whole_records_come(data, kind):
    array, lines = json.dumps(ROWS, ensure_ascii=False).encode(), lines_of(*ROWS)
    whole = {
        "array": array,
        "pretty": json.dumps(ROWS, indent=1).encode(),
        "lines": lines,
        "gz": gzip.compress(array, 0),
        "zst": zstandard.compress(lines),
    }[kind]
    cut = data.draw(st.integers(0, len(whole) - 1))
    readings = cut_readings(whole[:cut])
    good = [reading.reference for reading in readings if not reading.problem]
    assert good == [row["id"] for row in ROWS][: len(good)]
    if kind == "array":
        texts = [json.dumps(row, ensure_ascii=False).encode() for row in ROWS]
        assert len(good) == sum(array.index(text) + len(text) <= cut for text in texts)
    bad = [reading.problem for reading in readings if reading.problem]
    assert len(bad) <= 1
    if good and kind in ("array", "pretty", "gz", "zst"):
        assert "the file ends" in bad[0]


def test_a_cut_file_says_how_much_is_lost(tmp_path):
    array = json.dumps([OPENAI, SHAREGPT], ensure_ascii=False).encode()
    rest = len(json.dumps(SHAREGPT)) - 10
    for packed in (bytes, gzip.compress):
        good, lost = read_one(tmp_path, packed(array[:-11]))
        assert said([good]) == [TALK]
        assert lost.problem.startswith(f"the file ends inside this record: its {rest} bytes are lost")
    _, lost = read_one(tmp_path, array[: array.rindex(b', {"id"')])
    assert lost.problem == "the file ends before it should: what follows the last whole record is lost"
    _, lost = read_one(tmp_path, lines_of(OPENAI, SHAREGPT)[:-3])
    assert "the file ends inside this record" in lost.problem


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_of_a_damaged_archive_what_could_be_unpacked_is_read(tmp_path, compress):
    letters = random.Random(1)
    rows = [ALPACA | {"output": "".join(letters.choices("abcdefghijklmnop", k=3000))} for _ in range(100)]
    packed = compress(lines_of(*rows))
    readings = read_one(tmp_path, packed[: len(packed) * 3 // 4])
    assert len(said(readings)) >= 40  # zst packs 128 KB at a time: of 300 KB cut at three quarters one block is whole
    assert "its compressed data is damaged or cut off after" in readings[-1].problem
    assert len(said(read_one(tmp_path, packed[:-3]))) >= 80


@pytest.mark.parametrize("data", [parquet(ROWS, row_group_size=4, compression="none"), arrow(ROWS, size=4)])
def test_a_damaged_part_of_a_table_costs_itself_only(tmp_path, data):
    readings = read_one(tmp_path, data.replace("é5".encode(), b"\xff\xff5"))
    assert len(readings) == len(ROWS)
    (bad,) = (r for r in readings if r.problem)
    assert (bad.position, "broken" in bad.problem) == (5, True)


def test_a_cut_arrow_stream_gives_its_whole_batches(tmp_path):
    data = arrow(ROWS, stream=True, size=4)
    readings = read_one(tmp_path, data[: len(data) * 3 // 4])
    assert len(said(readings)) == 8
    assert "the rest of the file is damaged or cut off" in readings[-1].problem


# --- files that are refused


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", ["is empty", "a record is"]),
        (b" \n\n \t", ["is empty"]),
        (b"[]", ["is empty"]),
        (b"\x7fELF\x00\x01\x02" * 100, ["binary data"]),
        (b"\xff\xfe\xfd garbage \x80\x81", ["line 1", "not one JSON record"]),
        ("[]".encode("utf-16"), ["UTF-16"]),
        (b"once upon a time", ["line 1", "not one JSON record"]),
        (b'{"text": "a"}\n{"text": "b"}', ["none of its 2 records", "line 1", "its keys: text", "ShareGPT"]),
        (b'[{"mess', ["the file ends inside this record: its 6 bytes"]),
        (b"[" * 200_000, ["nested too deep"]),
        (b"PAR1 but not really", ["damaged Parquet", "fetch it again"]),
        (b"ARROW1\0\0 but not really", ["damaged Arrow", "fetch it again"]),
        (b"\xff\xff\xff\xff but not really", ["damaged Arrow stream", "fetch it again"]),
        (parquet(ROWS)[:-20], ["damaged Parquet", "fetch it again"]),
        (arrow(ROWS)[:-20], ["damaged Arrow", "fetch it again"]),
        (parquet([{"image": b"1", "caption": "a"}]), ["has none of the columns", "image, caption"]),
        (parquet(ROWS[:1])[:4] + parquet(ROWS)[4:40], ["damaged Parquet"]),
        (b"\x28\xb5\x2f\xfd" + b"\xff" * 50, ["damaged"]),
        (b"\x1f\x8b" + b"\xff" * 50, ["damaged"]),
        (gzip.compress(b"PK\x03\x04 and so on", mtime=0), ["zip archive"]),
        (b"PK\x03\x04 and so on", ["zip archive; unpack it"]),
        (b"BZh91AY", ["bzip2"]),
        (b"\x80\x04\x95 pickled", ["pickle", "never loaded"]),
        (b"version https://git-lfs.github.com/spec/v1\n", ["git lfs pull"]),
    ],
)
def test_a_file_without_conversations_is_refused_by_name(tmp_path, data, words):
    with pytest.raises(DataError) as problem:
        read_one(tmp_path, data)
    for word in ["pool.jsonl", *words]:
        assert word in str(problem.value)


def test_blank_lines_count_but_are_no_records(tmp_path):
    readings = read_one(tmp_path, b"\n" * 5_000_000 + lines_of(ALPACA) + b"\n\r\n \n" + lines_of(ALPACA) + b"\n\n")
    assert [reading.reference for reading in readings] == ["line 5000001", "line 5000004"]


def test_a_long_record_is_read_and_an_absurd_one_is_lost(tmp_path, monkeypatch):
    long = {"messages": [{"role": "user", "content": "x" * 10_000_000}]}
    for data in (lines_of(long, OPENAI), json.dumps([long, OPENAI]).encode()):
        assert [len(r.messages) for r in read_one(tmp_path, data)] == [1, 4]
    monkeypatch.setattr(records, "LONGEST_RECORD", 1_000_000)
    monkeypatch.setattr(unpack, "BLOCK", 100_000)
    for data in (lines_of(OPENAI, long, OPENAI), json.dumps([OPENAI, long, OPENAI]).encode()):
        first, lost, last = read_one(tmp_path, data)
        assert said([first, last]) == [TALK, TALK]
        assert "longer than 1,000,000" in lost.problem or "bytes are more than a record can have" in lost.problem


def test_bombs_are_stopped_at_a_stated_ratio(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack, "LARGEST_BOMB", 1_000_000)
    for compress in (gzip.compress, zstandard.compress):
        for text in (b" " * 4_000_000, lines_of(*[OPENAI] * 20_000)):
            with pytest.raises(DataError, match="more than 50 times its size"):
                read_one(tmp_path, compress(text))
    monkeypatch.setattr(columnar, "LARGEST_BOMB", 1_000_000)
    for rows in ([ALPACA] * 50_000, [{"messages": None}] * 50_000):
        with pytest.raises(DataError, match="more than 50 times its size"):
            read_one(tmp_path, parquet(rows))


# --- whatever comes


@given(st.binary(max_size=400), st.sampled_from([bytes, gzip.compress, zstandard.compress]))
@settings(max_examples=150)
def test_no_bytes_raise_anything_else(data, compress):
    readings = cut_readings(compress(data))
    assert [reading.position for reading in readings] == list(range(len(readings)))


WHOLE = {
    "array": json.dumps(ROWS, ensure_ascii=False).encode(),
    "lines": lines_of(*ROWS),
    "gz": gzip.compress(lines_of(*ROWS)),
    "zst": zstandard.compress(lines_of(*ROWS)),
    "parquet": parquet(ROWS, row_group_size=5),
    "arrow": arrow(ROWS),
    "stream": arrow(ROWS, stream=True),
}


@given(st.data(), st.sampled_from(sorted(WHOLE)))
@settings(max_examples=250)
def test_no_damage_raises_anything_else(data, kind):
    damaged = bytearray(WHOLE[kind])
    for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=4)):
        damaged[place] = data.draw(st.integers(0, 255))
    readings = cut_readings(bytes(damaged))
    assert [reading.position for reading in readings] == list(range(len(readings)))


@pytest.mark.parametrize("kind", ["parquet", "arrow", "stream"])
def test_no_place_of_a_table_can_end_the_process(kind):
    """Lengths and offsets that lead out of the file are found before they are followed."""
    for place in range(0, len(WHOLE[kind]) - 4, 5):
        damaged = bytearray(WHOLE[kind])
        damaged[place : place + 4] = b"\xff\xff\xff\x7f"
        assert len(cut_readings(bytes(damaged))) <= len(ROWS) + 3


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
near_turns = st.lists(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("role", "from", "content", "value", "tool_calls"), json_values))
)
KEYS = "id label instruction input output response history system conversations prompt completion chosen items".split()
near_records = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(KEYS, json_values)
    | {"messages": near_turns, "prompt": json_values | st.fixed_dictionaries({"replies": json_values | near_turns})},
)


@given(st.lists(near_records, max_size=6), st.booleans(), st.booleans())
@settings(max_examples=80)
def test_every_record_is_accounted_for(values, as_array, join):
    whole = [*values, OPENAI]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pool"
        file.write_bytes(json.dumps(whole).encode() if as_array else lines_of(*whole))
        readings = readings_of(file, join=join)
    assert len(readings) + sum(reading.joined for reading in readings) == len(whole)
    assert all(reading.messages == [] for reading in readings if reading.problem)
    for message in (message for reading in readings for message in reading.messages):
        assert message["role"] in ("system", "user", "assistant")
        assert message["content"].encode().decode() == message["content"]


@given(st.lists(json_values, max_size=6))
@settings(max_examples=60)
def test_any_values_in_an_array_are_accounted_for(values):
    readings = through_file(json.dumps([*values, OPENAI]).encode())
    arrays = sum(isinstance(value, list) for value in values)
    assert len(readings) == len(values) + 1
    assert sum("it is a list" in reading.problem for reading in readings) == arrays


# --- identity


@pytest.mark.parametrize("twin", ["a  b\r\nc", "a  b\nc\n\n", "a  b \nc", "\n \na  b\nc\t", "a  b\rc"])
def test_line_ends_and_trailing_space_make_no_new_example(twin):
    def one(text: str) -> str:
        return example_id([{"role": "user", "content": text}])

    assert one(twin) == one("a  b\nc")
    assert one("if x:\n  y") != one("if x:\n    y")
    assert one("caf\u00e9") == one("cafe\u0301")


def slowly_normalised(text: str) -> str:
    lines = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.rstrip(" \t") for line in lines).strip("\n")


texts = st.lists(st.sampled_from([" ", "\t", "\n", "\r", "a", "e", "\u0301", "\u2028", "é"])).map("".join)


@given(texts)
def test_normal_text_stays_as_it_is(text):
    assert normalised(text) == slowly_normalised(text)
    assert normalised(normalised(text)) == normalised(text)


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), texts), max_size=4), st.data())
def test_turns_are_part_of_the_identity(turns, data):
    def identity(turns: list[tuple[str, str]]) -> str:
        return example_id([{"role": role, "content": text} for role, text in turns])

    def plain(turns: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        return ((role, normalised(text)) for role, text in turns)

    others = data.draw(st.lists(st.tuples(st.sampled_from(["user", "assistant"]), texts), max_size=4))
    assert (identity(turns) == identity(others)) == (list(plain(turns)) == list(plain(others)))
